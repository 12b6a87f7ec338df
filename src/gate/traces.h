/*
 * traces - what a client's transactions leave behind in their server's session, and what becomes of
 * it in transaction mode.
 *
 * The texts tell when something may have been left behind (wire/sql.h); then the server is asked,
 * at the transaction's end, what is there. Settings follow the client: they are its profile from
 * then on. What can't follow it pins it: the client keeps its server until a later answer says that
 * nothing is left, or until it leaves; then the server is cleaned. A transaction whose texts
 * promise nothing of the kind costs nothing.
 */
#ifndef STANDPIPE_GATE_TRACES_H
#define STANDPIPE_GATE_TRACES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "gate/server.h"
#include "gate/view.h"

/* A longer query is not kept for its words: it may have done anything. */
#define TRACES_TEXT_MAX 65536

/* The client is about to run this text there, which has these traits. */
void traces_note(struct server *s, struct bytes text, uint32_t traits);
/* ... with these values, whole: Bind's body from where the statement's name ends. They may be
 * settings' names (SQL_BOUND). */
void traces_note_values(struct server *s, struct bytes rest);
/* ... by a function call; its body. */
void traces_note_call(struct server *s, struct bytes body);

/* The server owes nothing, and there is no transaction. Must its client keep it? Then it is being
 * asked or cleaned, or the client is pinned. */
bool traces_keep(struct server *s);

/* For the relay: a row of the answer; its end. False: the server is lost. */
void traces_row(struct server *s, struct bytes body);
bool traces_answered(struct server *s);
/* The server has been cleaned. False: it is lost. */
bool traces_cleaned(struct server *s);

/* The client asked for a RESET, or for SET [LOCAL] TO DEFAULT, within a transaction that goes on: its own startup's settings are
 * what it gets. Starts that; nothing while something is owed. */
void traces_restore(struct server *s);
bool traces_restored(struct server *s);

/* SQL that takes away all but settings and our own statements. */
#define TRACES_CLEAN                                                       \
	"CLOSE ALL;UNLISTEN *;SELECT pg_catalog.pg_advisory_unlock_all();" \
	"DISCARD TEMP"

/* The client keeps its server for these reasons, bits of enum gate_pin; 0: it does not. */
void traces_pin(struct client *c, uint32_t pins);

/* "LISTEN, a temporary table". Cut where it does not fit. */
void traces_text(uint32_t pins, char *out, size_t size);

/* Puts in front of a hint how many servers are pinned, and why. */
void traces_hint(const struct hub *h, char *hint, size_t size);

#endif
