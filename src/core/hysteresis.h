/*
 * hysteresis - is a value too high? An answer that does not flap: yes at once when it is over one
 * bound, no only when it stayed at or under a lower one for a while without a break.
 */
#ifndef STANDPIPE_CORE_HYSTERESIS_H
#define STANDPIPE_CORE_HYSTERESIS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/instant.h"

/* All zero is off. */
struct hysteresis {
	bool on;
	bool settling; /* on, and under the lower bound since... */
	instant since;
};

struct hysteresis_bounds {
	double enter; /* on above it */
	double leave; /* off after settle_ns at or under it; enter or less */
	int64_t settle_ns;
};

/* The value is that from now on; gives `on`. */
bool hysteresis_update(
	struct hysteresis *h, double value, const struct hysteresis_bounds *bounds, instant now);

/* When it may go off by time alone; INSTANT_NEVER: it will not. */
static inline instant hysteresis_deadline(const struct hysteresis *h, int64_t settle_ns)
{
	return h->on && h->settling ? instant_add(h->since, settle_ns) : INSTANT_NEVER;
}

#endif
