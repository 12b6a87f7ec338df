/*
 * lab - runs a scenario's arms one after the other: the private PostgreSQL, the connector, the
 * storm of processes, the faults, the measurements, and the cleaning up.
 */
#ifndef STANDPIPE_LAB_LAB_H
#define STANDPIPE_LAB_LAB_H

#include <stdbool.h>

#include "base/error.h"
#include "lab/result.h"
#include "scenario/scenario.h"

struct lab_options {
	double time_scale; /* 0: the scenario's */
	const char **arms; /* names; every one exists */
	int arm_count; /* 0: all arms */
	const char *logs; /* an existing directory that keeps the instances' output; NULL: none */
	const char *program; /* Standpipe's own path */
	const char *temp; /* where the private directory goes: "/tmp" */
	bool progress; /* a line on stderr */
};

struct lab_report {
	const struct scenario *scenario; /* borrowed */
	double time_scale;
	char postgres_version[16];
	struct result arms[SCENARIO_ARMS_MAX]; /* as in the scenario; some may not have run */
	struct result references[SCENARIO_ARMS_MAX]; /* measured for the arm of the same index */
	struct scenario_arm reference_arms[SCENARIO_ARMS_MAX];
	char reference_names[SCENARIO_ARMS_MAX][EXPECT_ARM_MAX + 16];
	bool expectations_hold; /* those of the arms that ran */
};

/* Runs them. Afterwards nothing is left: no process, no directory.
 * 0; -1 with `error`; or the number of the signal (SIGINT, SIGTERM, SIGHUP) that ended it.
 * lab_report_release in every case. */
int lab_run(const struct scenario *s, const struct lab_options *options, struct lab_report *report,
	struct error *error);

void lab_report_release(struct lab_report *report);

#endif
