/*
 * rate - how many a second, of what comes while there is something to do.
 *
 * Told is how long each took since the one before, so the time in which there was nothing to do
 * does not count. An exponentially weighted mean with a time constant, of samples of
 * RATE_SAMPLE_NS:
 *
 *   rate' = rate + w (sample - rate),  w = t / (t + RATE_TIME_NS), at most RATE_WEIGHT_MAX
 *
 * which is 1 - exp(-t / T) to the first order, without libm. One long gap is one event: it does not
 * undo what hundreds before have told.
 */
#ifndef STANDPIPE_CORE_RATE_H
#define STANDPIPE_CORE_RATE_H

#include <stdint.h>

#include "base/instant.h"

#define RATE_SAMPLE_NS  NS_PER_S
#define RATE_TIME_NS    (10 * NS_PER_S)
#define RATE_WEIGHT_MAX 0.5
#define RATE_LEAST      8 /* so many must have been told before anything is said */

struct rate {
	double per_s; /* of the samples that are complete; 0: none is */
	int64_t count; /* told, ever */
	int64_t sample_count, sample_ns; /* of the sample under way */
};

/* Zeroed memory is a rate of which nothing is known. */

/* One more, `elapsed_ns` after the one before or after there was something to do. */
void rate_add(struct rate *r, int64_t elapsed_ns);

/* In 1/s; 0: not known yet. */
double rate_per_s(const struct rate *r);

#endif
