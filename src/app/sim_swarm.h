/*
 * sim_swarm - `standpipe sim --swarm N`: so many random scenarios (sim/swarm.h), shared among jobs.
 */
#ifndef STANDPIPE_APP_SIM_SWARM_H
#define STANDPIPE_APP_SIM_SWARM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "sim/sim.h"

struct sim_swarm {
	uint64_t seed; /* the first scenario's; the others' follow from it */
	int runs, jobs;
	bool json;
	struct sim_settings preset; /* Standpipe's settings where a scenario draws none */
	int64_t events; /* that happened in all of them */
};

/* Plays them and says on stdout what was broken. The number of those, or -1 with `error`. */
int sim_swarm_run(struct sim_swarm *s, struct error *error);

#endif
