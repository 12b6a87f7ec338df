/*
 * debt - what a server owes answers for, in the order in which it was asked, and what is to be
 * taken back if it turns out not to have been done.
 *
 * What a message does to prepared statements is noted as it is sent, since those behind it count
 * on it; an error takes back what was sent between it and the next Sync, which the server skips.
 */
#ifndef STANDPIPE_GATE_DEBT_H
#define STANDPIPE_GATE_DEBT_H

#include <stdbool.h>
#include <stdint.h>

#include "gate/statement.h"

enum debt_kind {
	DEBT_SYNC, /* ReadyForQuery */
	DEBT_QUERY, /* anything, until ReadyForQuery */
	DEBT_PARSE, /* ParseComplete */
	DEBT_BIND, /* BindComplete */
	DEBT_DESCRIBE, /* RowDescription or NoData */
	DEBT_SHAPE, /* the same, to the gate: what a statement that was just prepared gives */
	DEBT_EXECUTE, /* CommandComplete, EmptyQueryResponse or PortalSuspended */
	DEBT_CLOSE, /* CloseComplete */
	DEBT_COPY_END, /* nothing: the end of data that was sent before it was asked for */
};

struct debt {
	uint8_t kind;
	bool ours; /* asked by the gate: its answer is not for the client */
	bool local; /* not asked of the server at all: the gate answers in its turn */
	bool again; /* PARSE: the server had it, and was asked to close it first */
	bool perhaps; /* SYNC: ignored if the data of a copy was still being taken */
	bool unnamed; /* PARSE, CLOSE, QUERY: of the unnamed statement */
	bool reshaped; /* BIND, DESCRIBE: of a statement that gives something else than it gave: is to fail */
	uint8_t big_before; /* what the client's big_unnamed was */
	uint32_t serial; /* the client's definition of the name; 0: none */
	struct statement
		*statement; /* PARSE, SHAPE: what is being prepared here; CLOSE of ours: what made
	                              * room; a reference, or NULL */
	uint64_t bound; /* BIND: the statement's id; 0: none that we know */
	struct statement *before; /* what the unnamed one was, a reference, or NULL */
	struct statement *gone; /* what the name that goes stood for, a reference, or NULL */
	char *name; /* PARSE, SHAPE: the client's name for it; CLOSE, and QUERY and BIND of a DEALLOCATE: the
	             * name that goes; owned, or NULL */
	bool in_named, in_unnamed; /* counted in debts.named, .unnamed */
};

/* The most that one client may have asked for without reading the answers. */
#define DEBTS_MAX 65536

/* Changes to what names stand for, the client's or the server's, which may still be taken back. */
struct debt_changes {
	uint32_t all;
	uint32_t synced; /* those that are followed by a Sync: the first of them */
};

struct debts {
	struct debt *ring;
	uint32_t first, count, size;
	uint32_t shapes; /* those of that kind */
	uint32_t readies; /* those that ReadyForQuery is sure to answer */
	struct debt_changes named, unnamed;
};

/* The i-th, i < count. */
struct debt *debts_at(const struct debts *d, uint32_t i);
/* NULL: none. */
struct debt *debts_first(const struct debts *d);

/* Takes over the references and the name. */
void debts_add(struct debts *d, struct debt debt);

/* Is none of them sure to be answered? True also when there are none. */
bool debts_are_doubtful(const struct debts *d);

/* The first, if it is a Sync, is answered perhaps. */
void debts_doubt_first(struct debts *d);

/* What they hold goes; `all` is where the statements live. */
void debts_drop_first(struct debts *d, struct statements *all);

/* The first now takes a copy's data: the server ignores Sync until that ends. Drops those Syncs
 * behind it that came before any data, and the data's end, if it was sent already: then true. */
bool debts_begin_copy(struct debts *d, struct statements *all);

void debts_release(struct debts *d, struct statements *all);

#endif
