/*
 * overtime - how long a client may take, and what becomes of one that takes longer.
 *
 * There is no timer per client: the housekeeping looks at all of them once a second, and at those
 * that hold a server as often as the shortest of their limits asks for. What it looks at is noted
 * on the way as a plain store.
 */
#ifndef STANDPIPE_GATE_OVERTIME_H
#define STANDPIPE_GATE_OVERTIME_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/instant.h"
#include "gate/settings.h"

struct client;
struct server;

/* How often overtime_check_server is to be called, 1000 ms at most. */
uint64_t overtime_period_ms(const struct gate_settings *settings);

/* Once a second; the client may be gone afterwards. */
void overtime_check_client(struct client *c, instant now);

/* The client that holds the server; the server may be free, or lost, afterwards. */
void overtime_check_server(struct server *s, instant now);

/* What the server's error is to its client, if it is only the answer to our cancel request: written
 * to `out` in its place. False: it is what it says. */
bool overtime_explain(const struct server *s, struct bytes error, struct buffer *out);

#endif
