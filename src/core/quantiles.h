/*
 * quantiles - of the spans measured lately: the last QUANTILES_SAMPLES, less what is too old.
 *
 * Connects are few (one to ten at a start, then one an hour for each server), so each sample is
 * kept as it is: a histogram would be wrong by its buckets' width exactly where there is least to
 * tell. What bounds the number at a busy gate is the ring, what bounds the age at a quiet one is
 * quantiles_age: the slow day of last week says nothing of today.
 *
 * To the microsecond, up to 71 minutes; fixed memory. Adding is O(1), asking sorts: not for the way
 * of a transaction.
 */
#ifndef STANDPIPE_CORE_QUANTILES_H
#define STANDPIPE_CORE_QUANTILES_H

#include <stdint.h>

#include "base/instant.h"

#define QUANTILES_SAMPLES 32

/* Ages are kept in units of 2^30 ns, 1.07 s. */
#define QUANTILES_TICK_SHIFT 30

/* All zero is empty. */
struct quantiles {
	uint32_t us[QUANTILES_SAMPLES]; /* rings: the newest at (added - 1) % SAMPLES */
	uint32_t tick[QUANTILES_SAMPLES];
	uint32_t added;
	uint32_t held; /* of the newest: 0 .. SAMPLES */
};

void quantiles_add(struct quantiles *q, int64_t span_ns, instant now);

/* Forgets what is `age_ns` old or older, to within 1.1 s. */
void quantiles_age(struct quantiles *q, int64_t age_ns, instant now);
/* When the oldest sample will be of that age: INSTANT_NEVER if there is none. */
instant quantiles_deadline(const struct quantiles *q, int64_t age_ns, instant now);

/* Quantile `part` (0..1) by nearest rank, of those that are held; 0: there are none. */
int64_t quantiles_value(const struct quantiles *q, double part);

/* The median of `count` samples of which the newest is the `skip`-th newest; of fewer if there are
 * not so many; 0: none. */
int64_t quantiles_median(const struct quantiles *q, int skip, int count);

#endif
