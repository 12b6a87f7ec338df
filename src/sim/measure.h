/*
 * measure - what the arm's result is made of: counts by the second, the series, the metrics.
 */
#ifndef STANDPIPE_SIM_MEASURE_H
#define STANDPIPE_SIM_MEASURE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/instant.h"
#include "report/milestones.h"

struct world;

/* Of the users who came in that second. */
struct measure_second {
	int came, served_at_once; /* by their first try */
};

struct measure {
	struct milestones milestones; /* in measure_stamp's time */
	struct measure_second *seconds; /* owned; since load.at */
	int count;
	int64_t sample_ns;
};

void measure_start(struct world *w);
void measure_release(struct measure *m);

/* Now, as the milestones have it: they know no zero. */
uint64_t measure_stamp(const struct world *w);

void measure_came(struct world *w);
void measure_served_at_once(struct world *w, instant asked_at);

/* A second of the load is over. */
void measure_second(struct world *w, int number);

/* The first fault begins; it is over. */
void measure_fault(struct world *w);
void measure_fault_over(struct world *w);

/* All are up and stay up, and nothing more is to come. */
bool measure_is_settled(const struct world *w);

/* The number of instances that are up has changed. */
void measure_ready(struct world *w);
/* An instance that is up for the first time had these phases. */
void measure_phases(struct world *w, int instance);

/* A point of the series. */
void measure_sample(struct world *w, int unused);

/* All that the result says. */
void measure_end(struct world *w);

#endif
