/*
 * sim_jobs - the runs of `standpipe sim`, shared among processes; what comes out does not depend on
 * how many they are.
 */
#ifndef STANDPIPE_APP_SIM_JOBS_H
#define STANDPIPE_APP_SIM_JOBS_H

#include "report/report.h"
#include "sim/sim.h"

#define SIM_RUNS_MAX 1000000

struct sim_jobs {
	const struct scenario *scenario; /* borrowed */
	const struct sim_settings *settings; /* borrowed: by arm */
	bool chosen[SCENARIO_ARMS_MAX];
	uint64_t seed;
	int runs, jobs;
	int64_t events; /* that happened in all of them */
};

/* Plays them all and fills the report in: the first run whole, of all runs the metrics; with more
 * than one the arms' numbers are the medians. 0, or -1 with `error`, the first by the order of
 * runs. */
int sim_jobs_run(struct sim_jobs *j, struct report *report, struct error *error);

#endif
