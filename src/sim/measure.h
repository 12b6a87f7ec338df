/*
 * measure - what the arm's result is made of: counts by the second, the series, the metrics.
 */
#ifndef STANDPIPE_SIM_MEASURE_H
#define STANDPIPE_SIM_MEASURE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/instant.h"

struct world;

/* Of the users who came in that second. */
struct measure_second {
	int came, served_at_once; /* by their first try */
};

struct measure {
	struct measure_second *seconds; /* owned */
	int count;
	int64_t sample_ns;
	int ready_before; /* up when the first fault began */
	instant up_again_at; /* after it as many were up again; -1: not yet, or down again */
};

void measure_start(struct world *w);
void measure_release(struct measure *m);

void measure_came(struct world *w);
void measure_served_at_once(struct world *w, instant asked_at);

/* The number of instances that are up has changed. */
void measure_ready(struct world *w);
/* An instance that is up for the first time had these phases. */
void measure_phases(struct world *w, int instance);

/* A point of the series. */
void measure_sample(struct world *w);

/* All that the result says. */
void measure_end(struct world *w);

#endif
