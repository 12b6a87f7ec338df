/*
 * load - users: requests that come as a Poisson process, each to an instance that is up, and are
 * asked again when they fail.
 *
 * A user who waits no longer goes away, and the instance, which does not know, works on for nobody:
 * that is what keeps an overload going.
 */
#ifndef STANDPIPE_SIM_LOAD_H
#define STANDPIPE_SIM_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/instant.h"
#include "base/random.h"

struct world;

struct request {
	instant asked_at; /* the user's first try */
	int32_t instance; /* that has it; -1: none */
	int32_t next; /* free ones, or the service's queue */
	int32_t slot; /* that it holds although its transaction is over */
	uint32_t serial;
	int16_t tries; /* so far */
	bool used;
	bool waits; /* in the service's queue */
	bool alone; /* its user has gone */
	bool liveness; /* the platform's, not a user's */
};

struct load {
	struct random arrivals; /* apart, so that they are the same in every arm */
	struct random choices; /* which instance a try goes to */
	struct request *list; /* owned */
	int count, size, free;
	int64_t requests, served, failed; /* of users: that have ended */
	int served_lately, failed_lately; /* since the last sample */
};

void load_start(struct world *w);
void load_release(struct load *l);

/* The next user comes. */
void load_arrival(struct world *w, int unused);

/* A second is over: the platform looks at the load, the gates at what they moved. */
void load_second(struct world *w);

/* The user of a request tries again, or waits no longer. */
void load_again(struct world *w, int request);
void load_user_timeout(struct world *w, int request);

/* The platform asks an instance's own liveness: a request as any other. */
void load_liveness(struct world *w, int instance);

/* An instance is done with it. */
void load_request_done(struct world *w, int request, bool ok);

#endif
