/*
 * pools_inside - what pools.c and pools_clients.c share.
 */
#ifndef STANDPIPE_GATE_POOLS_INSIDE_H
#define STANDPIPE_GATE_POOLS_INSIDE_H

#include "gate/pools.h"

/* What is configured for it, by its name or else by "*"; NULL: nothing. */
const struct gate_user *pools_user(const struct hub *h, const char *name);

/* The birth of these settings in session mode, found or made; the pool itself when there are none.
 * NULL with the reason why not. */
struct gate_pool *pools_birth(
	struct hub *h, struct gate_pool *parent, struct bytes settings, struct pools_refusal *why);

/* Why not; and then, what would help. Returns -1. */
__attribute__((format(printf, 3, 4))) int pools_refuse(
	struct pools_refusal *why, const char *sqlstate, const char *format, ...);
__attribute__((format(printf, 2, 3))) void pools_hint(
	struct pools_refusal *why, const char *format, ...);

#endif
