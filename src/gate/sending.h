/*
 * sending - one message of a client on its way to its server; between the files of relay_client.
 */
#ifndef STANDPIPE_GATE_SENDING_H
#define STANDPIPE_GATE_SENDING_H

#include "gate/client.h"
#include "gate/server.h"
#include "gate/stretch.h"

/* What became of a message. */
enum sending_progress {
	PASS, /* to be passed on as it is */
	DROP, /* not for the server */
	DONE, /* something else was put in its place */
	MORE, /* its beginning is not enough */
	BLOCKED, /* no server yet, too much under way, or earlier answers are owed first */
	FAILED, /* the client is being told, and closed */
};

struct sending {
	struct client *c;
	struct server *s;
	struct frame frame;
	struct bytes in; /* from the frame's first byte on, as far as there is */
	struct stretch stretch;
};

static inline bool sending_is_whole(const struct sending *m)
{
	return m->in.len >= m->frame.len;
}

/* Notes what the server owes for it. */
void sending_owe(struct sending *m, struct debt debt);

/* What the client asked for before is answered first; then it is told, and closed. */
enum sending_progress sending_refuse(struct sending *m, const char *sqlstate, const char *message);
enum sending_progress sending_violation(struct sending *m, const char *what);

/* Notes in `debt` what the client's unnamed statement is, which is none from now on. */
void sending_forget_unnamed(struct client *c, struct debt *debt);

/* Notes in `debt` what the name stood for, and removes it; the entry is not valid any more. */
void sending_forget_name(struct client *c, const struct statement_entry *entry, struct debt *debt);

/* Does it depend on answers still to come what the client's name stands for? */
bool sending_is_unsure(struct sending *m, const char *name);

/* Sees to it that the server has the statement, and gives the name that it has there. */
void sending_ensure(struct sending *m, struct statement *statement, char name[STATEMENT_NAME_MAX]);
/* ... what the client's name stands for. */
void sending_ensure_entry(
	struct sending *m, const struct statement_entry *entry, char name[STATEMENT_NAME_MAX]);

/* relay_shape.c. `statement` has just been prepared on the server under `name`: what does it give
 * there? `own` is the client's name for it, with that serial, if the client asked for that; NULL
 * else. */
void sending_ask_shape(struct sending *m, struct statement *statement, const char *name,
	const char *own, uint32_t serial);
/* The client is about to be given what its name stands for, which is on the server. PASS: that is
 * what it prepared. BLOCKED: that is still to be seen. DROP: it is not, and the server has been
 * made to fail at it, for what is owed by `kind`. */
enum sending_progress sending_check_shape(struct sending *m, const char *name, enum debt_kind kind);

/* relay_sql.c. A text to be run in place of one with these traits, which is refused here; NULL: it
 * is not. */
const char *sending_refusal(const struct client *c, uint32_t traits);

/* DEALLOCATE of what was prepared by the protocol, by a simple query, which may hold more: PASS if
 * it is not that. */
enum sending_progress sending_deallocate(struct sending *m, struct bytes text);
/* EXECUTE, in a simple query, of what was prepared by the protocol: as sending_deallocate. */
enum sending_progress sending_execute(struct sending *m, struct bytes text);
/* DEALLOCATE as a statement that is bound; DONE: what is to be bound in its place is `name`, and
 * what it does is noted in `debt`. */
enum sending_progress sending_bind_deallocate(struct sending *m, const struct statement *bound,
	struct debt *debt, char name[STATEMENT_NAME_MAX]);

/* A Query or Parse: does its text want a database for itself (databases.h)? False: more of it is needed
 * to tell. */
bool sending_note_wanted(struct sending *m);

/* relay_prepared.c: the messages that name prepared statements. */
enum sending_progress sending_parse(struct sending *m);
enum sending_progress sending_bind(struct sending *m);
enum sending_progress sending_target(struct sending *m, enum debt_kind kind);

#endif
