/*
 * sim - an arm of a scenario in virtual time, thousands of instances in one process.
 *
 * Each instance behind Standpipe runs the real engine; what surrounds it are models: the connector
 * (scenario/capacity.h), the database, the platform, the service, its users. All is drawn from the
 * seed: the same scenario, arm, settings and seed give the same result, to the byte.
 *
 * The scenario may come from a file or be built in code: only numbers are read of it, and of the
 * arm its variables.
 */
#ifndef STANDPIPE_SIM_SIM_H
#define STANDPIPE_SIM_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "core/engine.h"
#include "report/result.h"
#include "scenario/scenario.h"

enum sim_checks {
	SIM_CHECK_SOME, /* what costs little after every event, all the rest now and then */
	SIM_CHECK_OFTEN, /* the same, but all the rest after every 64th event */
	SIM_CHECK_ALL, /* all after every event */
};

struct sim_settings {
	/* What Standpipe is told by the arm's variables; not looked at without it. */
	struct engine_settings engine;
	int64_t check_interval_ns; /* startup.check_interval */
	bool waits_for_ready; /* startup.ready: the services phase waits until the command is */
	enum sim_checks checks;
};

struct sim_stats {
	int64_t events; /* of the queue, that were not void */
};

/* Plays the arm, and for the bound its reference without load and faults: the arm that it names,
 * else the same arm without path on a database with room for all. `*result` is initialised by the
 * caller (result_init), and filled in. `stats` may be NULL. 0, or -1 with `error`: an invariant was
 * broken; it says which, when and where. */
int sim_run(const struct scenario *s, const struct scenario_arm *arm,
	const struct sim_settings *settings, uint64_t seed, struct result *result,
	struct sim_stats *stats, struct error *error);

/* Any text is a seed: a decimal number, a hexadecimal one with 0x, or else a hash of it, so that a
 * commit's is one. */
uint64_t sim_seed(const char *text);

/* The seed of the run `number` (0, 1, ...) of several; of the first it is the seed itself. */
uint64_t sim_run_seed(uint64_t seed, int number);

#endif
