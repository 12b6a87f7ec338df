/*
 * minmax - the least or the greatest of what was measured lately, in constant space.
 *
 * Keeps the best three samples of a sliding window, each newer and worse than the one before
 * (Kathleen Nichols' algorithm, as in Linux's lib/minmax and BBR): when the best one grows too old
 * the second takes its place. The answer is exact as long as samples come more often than every
 * quarter of the window, and never older than the window when they do. While none comes the last
 * answer stays: no news is no reason to forget what a path can do.
 *
 * A struct is for either the least or the greatest, never for both.
 */
#ifndef STANDPIPE_CORE_MINMAX_H
#define STANDPIPE_CORE_MINMAX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/instant.h"

struct minmax_sample {
	instant at;
	int64_t value;
};

/* All zero is empty. */
struct minmax {
	bool any;
	struct minmax_sample best[3];
};

/* Takes a sample in; gives the least of the last `window_ns`. */
int64_t minmax_least(struct minmax *m, int64_t value, int64_t window_ns, instant now);
/* The same for the greatest. */
int64_t minmax_greatest(struct minmax *m, int64_t value, int64_t window_ns, instant now);

/* As of the last sample; 0: there was none. */
static inline int64_t minmax_value(const struct minmax *m)
{
	return m->any ? m->best[0].value : 0;
}

#endif
