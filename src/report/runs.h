/*
 * runs - an arm that was played several times, each time with another seed: the distribution of
 * each metric, and in how many of the runs an expectation held.
 */
#ifndef STANDPIPE_REPORT_RUNS_H
#define STANDPIPE_REPORT_RUNS_H

#include "scenario/expect.h"

/* An expectation holds when it does in this share of the runs. */
#define RUNS_SHARE 0.95

struct runs {
	double *values; /* owned: METRICS of each run, run by run; NULL: none are kept */
	int count;
};

/* Room for `count` runs. */
void runs_init(struct runs *r, int count);
void runs_release(struct runs *r);

/* The METRICS of a run, to be filled in. */
double *runs_at(struct runs *r, int run);

/* The value below which share `q` of the runs lie (nearest rank). What was not measured counts as
 * more than all else, for it is what never came; NaN when the rank is one of those. */
double runs_quantile(const struct runs *r, enum metric metric, double q);

/* In how many it was measured. */
int runs_measured(const struct runs *r, enum metric metric);

/* In how many it held. */
int runs_hold(const struct runs *r, const struct expect *e);

#endif
