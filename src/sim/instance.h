/*
 * instance - the instances, and the platform that starts them, probes them and starts them again
 * (scenario/platform.h has the arithmetic).
 */
#ifndef STANDPIPE_SIM_INSTANCE_H
#define STANDPIPE_SIM_INSTANCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/instant.h"
#include "sim/gate.h"
#include "sim/service.h"

struct world;

#define INSTANCE_EXIT_KILLED 137 /* 128 + SIGKILL */

enum instance_state {
	INSTANCE_ABSENT, /* of a revision that is still to come */
	INSTANCE_WAITING, /* for its start */
	INSTANCE_STARTING, /* it runs, and is probed */
	INSTANCE_READY,
	INSTANCE_RETIRED, /* a newer one has taken its place */
};

struct instance {
	/* What tells whether an occurrence is void comes first: most are looked at for nothing
	 * else. */
	uint32_t serial; /* of its start; changes when it ends */
	uint32_t phase_serial; /* of its gate's phase; changes with it */
	instant timer_at; /* its gate's first tick that is under way; INSTANT_NEVER: none */
	enum instance_state state;
	int revision;
	int failures; /* in a row */
	instant started_at;
	instant ready_at, first_ready_at; /* the last time, the first time; -1: never */
	instant egress_at; /* nothing leaves it before */
	int place; /* among those ready */
	struct gate *gate; /* in the fleet's; NULL: there is no Standpipe, or it has never run */
	struct service service;
};

struct fleet {
	struct instance *list; /* owned */
	int size; /* with all that are still to come */
	int present; /* the first so many have come */
	int wanted; /* that there are to be */
	int revision;
	int to_start, at_a_time; /* of the revision: still to come */
	struct gates gates;
	int *ready_list; /* owned: indices */
	int ready, starting, waiting; /* how many */
	int starts, succeeded, died, failed;
	instant all_ready_at; /* since then all have been up; -1: not now */
	int fitting; /* as many can have a connection each */
};

void instances_start(struct world *w);
void instances_release(struct fleet *f);

struct instance *instance_at(struct world *w, int instance);

/* Its turn to be started. */
void instance_begin(struct world *w, int instance);

/* It answers as one that is ready: the next probe sees it. */
void instance_answers(struct world *w, int instance);
void instance_probed(struct world *w, int instance);
/* The startup probe's time is over. */
void instance_probe_timeout(struct world *w, int instance);
/* Its liveness is to be asked for; it did not answer, or not well; it is killed for that. */
void instance_liveness(struct world *w, int instance);
void instance_not_alive(struct world *w, int instance);
void instance_kill(struct world *w, int instance);

/* It ended with a code. */
void instance_ended(struct world *w, int instance, int code);

/* A new revision, so many at a time (0: all); so many more. */
void instances_deploy(struct world *w, int at_a_time);
void instances_scale_out(struct world *w, int instances);

#endif
