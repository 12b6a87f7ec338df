/*
 * expect - what a scenario expects of an arm, as a comparison that a person can read:
 *
 *	standpipe.success_rate >= 1.0
 *	standpipe.peak_connections <= budget
 *	standpipe.makespan_s <= 1.5 * bound_s
 *
 * The metrics are those of the report, so that lab and simulator judge alike.
 */
#ifndef STANDPIPE_SCENARIO_EXPECT_H
#define STANDPIPE_SCENARIO_EXPECT_H

#include <stdbool.h>
#include <stddef.h>

enum metric {
	METRIC_STARTS,
	METRIC_SUCCEEDED,
	METRIC_UNFINISHED,
	METRIC_SUCCESS_RATE,
	METRIC_READY,
	METRIC_INSTANCES,
	METRIC_REFUSED_53300,
	METRIC_PEAK_CONNECTIONS,
	METRIC_BUDGET,
	METRIC_CONNECT_ATTEMPTS,
	METRIC_MAKESPAN_S,
	METRIC_BOUND_S,
	METRIC_READY_P50_S,
	METRIC_READY_P95_S,
	METRIC_FITTING,
	METRIC_FIT_S,
	METRIC_DIED,
	METRIC_REQUESTS,
	METRIC_SERVED_RATE,
	METRIC_RECOVERED_S,
	METRIC_RECOVERY_BOUND_S,
	METRIC_FAIRNESS,
	METRICS,
};

enum expect_op { EXPECT_LT, EXPECT_LE, EXPECT_EQ, EXPECT_NE, EXPECT_GE, EXPECT_GT };

#define EXPECT_ARM_MAX 64

struct expect {
	char arm[EXPECT_ARM_MAX];
	enum metric metric;
	enum expect_op op;
	double factor; /* the right side is factor x the metric `other`, */
	int other; /* or `factor` alone when this is -1 */
};

/* "makespan_s" */
const char *metric_name(enum metric metric);

/* -1: no metric has that name. */
int metric_find(const char *name, size_t len);

/* NULL, or what is wrong with `text`, as a static text; `*e` is filled in when NULL. */
const char *expect_parse(struct expect *e, const char *text);

/* Does it hold for these METRICS values? One that is not there (a NaN) never holds. */
bool expect_holds(const struct expect *e, const double *values);

/* The value of the right side. */
double expect_right(const struct expect *e, const double *values);

#endif
