/*
 * drain - how clients are sent away without losing what they are at.
 *
 *   begun          all are served as ever; who has no transaction open may begin one
 *   grace is over  who is between transactions is told so (57P01) and let go, and everyone else as
 *                  soon as their transaction is over
 *   time is up     whoever is left is told, in the midst of a transaction too
 *
 * Over as soon as there is no client left. That nobody new is accepted is the caller's to see to.
 */
#ifndef STANDPIPE_GATE_DRAIN_H
#define STANDPIPE_GATE_DRAIN_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "gate/hub.h"

struct drain {
	struct hub *hub; /* borrowed */
	void (*done)(void *context); /* called once; no client is left then */
	int (*others)(void *context); /* how many there are besides clients; NULL: none */
	void *context;
	uv_timer_t timer;
	bool begun, over;
	instant grace_until, until;
};

void drain_init(struct drain *d, struct hub *hub, void (*done)(void *context), void *context);

/* Begins, or brings both ends closer if it has begun; they never move away. `grace_ns` is not more
 * than `span_ns`; both count from now. `done` is not called from inside. */
void drain_begin(struct drain *d, int64_t grace_ns, int64_t span_ns);

void drain_close(struct drain *d);

#endif
