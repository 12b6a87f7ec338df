/*
 * lab - runs a scenario's arms one after the other: the private PostgreSQL, the connector, the
 * storm of processes, the faults, the measurements, and the cleaning up.
 */
#ifndef STANDPIPE_LAB_LAB_H
#define STANDPIPE_LAB_LAB_H

#include <stdbool.h>

#include "base/error.h"
#include "report/report.h"
#include "scenario/scenario.h"

#define LAB_INSTANCES_MAX 1000
#define LAB_RATE_MAX      2000 /* requests in a real second */

struct lab_options {
	double time_scale; /* 0: the scenario's */
	const char **arms; /* names; every one exists */
	int arm_count; /* 0: all arms */
	const char *logs; /* an existing directory that keeps the instances' output; NULL: none */
	const char *program; /* Standpipe's own path */
	const char *temp; /* where the private directory goes: "/tmp" */
	bool progress; /* a line on stderr */
};

/* 0, or -1 with `error`: what of the scenario is beyond the lab. */
int lab_can_play(const struct scenario *s, double time_scale, struct error *error);

/* Runs them. Afterwards nothing is left: no process, no directory.
 * 0; -1 with `error`; or the number of the signal (SIGINT, SIGTERM, SIGHUP) that ended it.
 * report_release in every case. */
int lab_run(const struct scenario *s, const struct lab_options *options, struct report *report,
	struct error *error);

#endif
