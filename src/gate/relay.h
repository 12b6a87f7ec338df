/*
 * relay - what passes between a client and its server, message by message.
 *
 * Headers are parsed, bodies stream through. What must be inspected: Parse, Bind, Describe and
 * Close of the client, for prepared statements follow it from server to server; and of the server
 * what tells that something asked for is done.
 */
#ifndef STANDPIPE_GATE_RELAY_H
#define STANDPIPE_GATE_RELAY_H

#include "base/bytes.h"
#include "gate/client.h"
#include "gate/server.h"

/* Passes on what it can of `in`, from a client that is logged in, and returns how much it used;
 * the rest is the beginning of a message, or waits (client.blocked). The client may be CLOSING
 * afterwards. */
size_t relay_from_client(struct client *c, struct bytes in);

/* The same from a server. Returns SIZE_MAX when the server was lost on the way. */
size_t relay_from_server(struct server *s, struct bytes in);

/* It waits for its server, which has got nothing of what it asks for now, and shall not: the client
 * is told that this was cancelled, and goes on behind it, as PostgreSQL does. */
void relay_cancel_waiting(struct client *c);

/* relay_shape.c. The server's first debt, of that kind, is being paid: by a RowDescription or,
 * NULL: NoData. */
void relay_shape_told(struct server *s, const struct bytes *row_description);
/* The server was made to fail at what a client may not be given: that client is told so in place of
 * `error`, into `out`. False: it says what it means. */
bool relay_shape_explain(const struct server *s, struct bytes error, struct buffer *out);

/* The answers that the gate itself owes and whose turn has come: puts them into `to`, unless that
 * is NULL. Says whether there were any. */
bool relay_settle(struct server *s, struct buffer *to);

/* relay_debts.c. An error: the server skips what was asked for since, up to Sync; the last of it is
 * taken back first. A simple query's error, or Sync's own, ends nothing but that. */
void relay_fail_debts(struct server *s);

/* relay_debts.c. A simple query's DEALLOCATE is done: what comes behind it there does not take that
 * back. */
void relay_deallocated(struct server *s);

#endif
