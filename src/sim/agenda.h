/*
 * agenda - what is still to happen, in the order of its time; at the same time, in the order in
 * which it was put there.
 *
 * A radix heap (Ahuja, Mehlhorn, Orlin, Tarjan, "Faster Algorithms for the Shortest Path Problem",
 * 1990): time never goes back, so an occurrence lies in the bucket of the highest bit in which its
 * time differs from the present, and is moved to a lower one as the present comes closer. All moves
 * are appends in memory order, and equal times are always in the same bucket, in order.
 */
#ifndef STANDPIPE_SIM_AGENDA_H
#define STANDPIPE_SIM_AGENDA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/instant.h"

#define AGENDA_BUCKETS 64

struct occurrence {
	instant at;
	uint32_t kind; /* the caller's */
	int32_t subject; /* what it happens to */
	uint32_t serial; /* of the subject then: it is void if that has changed since */
};

struct agenda_bucket {
	struct occurrence *items; /* owned */
	uint32_t count, size;
};

struct agenda {
	struct agenda_bucket buckets[AGENDA_BUCKETS];
	uint64_t filled; /* a bit for each bucket that is not empty */
	uint32_t head; /* of bucket 0: what is before has been taken */
	instant now; /* of what was taken last */
};

/* All zero is an empty queue at time zero. */
void agenda_release(struct agenda *q);

/* `at` is not before what was taken last. INSTANT_NEVER is never. */
void agenda_put(struct agenda *q, struct occurrence o);

/* Takes the next. False: there is none at `until` or before. */
bool agenda_take(struct agenda *q, instant until, struct occurrence *o);

#endif
