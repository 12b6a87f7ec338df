/*
 * statement - prepared statements, shared by all clients that prepare the same text.
 *
 * In transaction mode a client meets a different server from transaction to transaction, while its
 * driver believes that what it prepared is there. So each distinct text gets one name of our own
 * ("standpipe:17"), a client's names point to texts, and a server is given a text when somebody
 * binds it there. A statement remembers its place on each server's shelf, and a shelf which of its
 * statements was used last, so that the one that was not used for longest can make room.
 *
 * What a text means depends on settings (search_path, DateStyle), and what it gives on the schema:
 * so the same text is another statement where the former differ (profile.reading), and after the
 * latter was changed (the generation).
 */
#ifndef STANDPIPE_GATE_STATEMENT_H
#define STANDPIPE_GATE_STATEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

/* Begins every name that we give; no client may use one that begins so. */
#define STATEMENT_PREFIX "standpipe:"

struct statement {
	struct statement *next; /* of the same slot */
	uint64_t hash;
	uint64_t id;
	uint32_t refs; /* clients' names, and their unnamed ones */
	uint32_t query_len; /* with its zero */
	uint32_t types_len;
	uint32_t traits; /* what it may do to a session (wire/sql.h) */
	uint32_t
		shape; /* of what it gave where it was last prepared (statement_shape), or one of: */
#define STATEMENT_SHAPE_UNKNOWN 0
#define STATEMENT_SHAPE_NONE    1 /* no rows */
	uint64_t reading; /* under which settings it was given */
	uint64_t generation; /* of the schema; 0: it is known to be out of date */
	uint16_t *places; /* on each server's shelf, from 1; 0: that does not have it */
	char bytes[]; /* query, zero, types as in Parse */
};

static inline const char *statement_query(const struct statement *s)
{
	return s->bytes;
}

static inline struct bytes statement_types(const struct statement *s)
{
	return (struct bytes){(const uint8_t *)s->bytes + s->query_len, s->types_len};
}

#define STATEMENT_NAME_MAX 40
void statement_name(const struct statement *s, char name[STATEMENT_NAME_MAX]);

/* What PostgreSQL compares to tell whether a statement gives what it gave when it was prepared: the
 * names and types of a RowDescription's columns, as one number above STATEMENT_SHAPE_NONE. UNKNOWN
 * for one that is malformed. */
uint32_t statement_shape(struct bytes row_description);

/* What one server has. */
struct statement_shelf {
	struct statement_held {
		struct statement *statement;
		uint64_t used; /* the shelf's `uses` then */
	} * held; /* owned */
	uint16_t count, size;
	uint64_t uses;
};

/* All of them. */
struct statements {
	struct statement **slots;
	size_t slot_count; /* a power of two */
	size_t count;
	uint64_t last_id;
	uint64_t generation; /* from 1 */
	size_t bytes; /* of all texts */
	size_t bytes_max;
	struct statement_shelf *shelves; /* one for each server */
	int servers_max;
};

/* `bytes_max`: of all texts together. */
void statements_init(struct statements *all, int servers_max, size_t bytes_max);
void statements_release(struct statements *all);

/* The statement of this text and these types, with one more reference. Copies both. NULL: there is
 * no room for another text. */
struct statement *statements_intern(
	struct statements *all, const char *query, struct bytes types, uint64_t reading);

/* The schema has changed: whoever gives a text from now on gets a new statement for it. */
void statements_outdate(struct statements *all);

/* One more reference; the same statement. */
struct statement *statement_hold(struct statement *s);

/* One reference less. A statement that nobody names and no server has is freed. */
void statements_drop(struct statements *all, struct statement *s);

static inline bool statement_is_on(const struct statement *s, int server)
{
	return s->places[server] != 0;
}

/* The server is given it, if it has it not yet; it is used now. */
void statements_put(struct statements *all, struct statement *s, int server);
/* The server has it no more. It is not freed by that, even if nobody names it. */
void statements_take(struct statements *all, struct statement *s, int server);
/* A server that has it is about to use it. */
static inline void statements_touch(struct statements *all, struct statement *s, int server)
{
	struct statement_shelf *shelf = &all->shelves[server];
	shelf->held[s->places[server] - 1].used = ++shelf->uses;
}

/* How many the server has; the one that was not used for longest, borrowed, NULL: none; the one of
 * this id, or NULL. */
int statements_on(const struct statements *all, int server);
struct statement *statements_oldest(const struct statements *all, int server);
struct statement *statements_find(const struct statements *all, int server, uint64_t id);

/* What the server has and nobody names goes, for the room that its text takes: how many. The server has
 * them still, by names that are not given again. */
int statements_give_up(struct statements *all, int server);

/* The server forgot everything (closed, DEALLOCATE ALL): no statement is on it any more. */
void statements_forget_server(struct statements *all, int server);

/* The most names that one client may have at a time. */
#define STATEMENT_NAMES_MAX 65536

/* A client's own names. Nothing is allocated while there are none. */
struct statement_names {
	struct statement_entry *entries;
	uint32_t count, size;
	uint32_t last_serial;
};

struct statement_entry {
	char *name; /* owned; NULL: an empty slot */
	struct statement *statement;
	uint32_t serial; /* tells this definition of the name from another one */
	uint32_t shape; /* the statement's when the client prepared it */
};

/* NULL if there is none of this name. */
struct statement *statement_names_find(const struct statement_names *names, const char *name);
/* The same with the definition's serial; valid until the names change. */
const struct statement_entry *statement_names_entry(
	const struct statement_names *names, const char *name);
/* Takes over the reference. The name must not be there. Returns the definition's serial. */
uint32_t statement_names_add(
	struct statement_names *names, const char *name, struct statement *statement);
/* Puts back a name that was removed, with the serial that it had. Takes over the reference. */
void statement_names_restore(struct statement_names *names, const char *name,
	struct statement *statement, uint32_t serial);
/* Removes the name, if it is there, and drops the reference. */
void statement_names_remove(
	struct statement_names *names, struct statements *all, const char *name);
/* The name, which is there, stands for another one from now on. Takes over the reference. */
void statement_names_replace(struct statement_names *names, struct statements *all,
	const char *name, struct statement *statement);
/* Notes what the client was given, if the name still has the definition of this serial: false
 * else. */
bool statement_names_shape(
	struct statement_names *names, const char *name, uint32_t serial, uint32_t shape);
/* Removes it, if it still has the definition of this serial. */
void statement_names_undo(
	struct statement_names *names, struct statements *all, const char *name, uint32_t serial);
/* Removes those defined before the one with this serial; 0: all. */
void statement_names_clear_before(
	struct statement_names *names, struct statements *all, uint32_t serial);
void statement_names_clear(struct statement_names *names, struct statements *all);

#endif
