/*
 * report - what the arms of a scenario gave, in the lab or in the simulator, as a table for people
 * and as JSON for programs.
 */
#ifndef STANDPIPE_REPORT_REPORT_H
#define STANDPIPE_REPORT_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "report/result.h"
#include "report/runs.h"
#include "scenario/scenario.h"

struct report {
	const struct scenario *scenario; /* borrowed */
	double time_scale; /* of the lab */
	char postgres_version[16]; /* of the lab; empty: all is simulated, */
	char seed[80]; /* with this seed, as it was given and as a number */
	struct result arms[SCENARIO_ARMS_MAX]; /* as in the scenario; some may not have run */
	struct runs runs[SCENARIO_ARMS_MAX]; /* of the simulator; the arms have their medians */
	struct result references[SCENARIO_ARMS_MAX]; /* measured for the arm of the same index */
	struct scenario_arm reference_arms[SCENARIO_ARMS_MAX];
	char reference_names[SCENARIO_ARMS_MAX][EXPECT_ARM_MAX + 16];
};

/* Nothing ran. `scenario` is borrowed for the report's life. */
void report_init(struct report *report, const struct scenario *scenario);
void report_release(struct report *report);

/* In which share of the runs of arm `i` the expectation held; of one run, 0 or 1. */
double report_share(const struct report *report, int i, const struct expect *e);

/* Whether those of the arms that ran hold. */
bool report_holds(const struct report *report);

void report_table(const struct report *report, FILE *to);

/* The caller takes it. Keys of an arm: starts, succeeded, success_rate, ready, instances,
 * exit_codes, refused_53300, peak_connections, budget, makespan_s, bound_s, ready_p50_s,
 * ready_p95_s, and more. What was not measured is null. */
json_t *report_json(const struct report *report);

#endif
