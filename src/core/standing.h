/*
 * standing - is there a standing queue, one that more servers would help?
 *
 * CoDel's question (Nichols and Jacobson, "Controlling Queue Delay", 2012; for requests in Facebook's
 * "Fail at Scale", 2015): a burst drains within an interval, and then somebody has waited less than
 * the target; a standing queue does not. A service that opens its pool of twenty at once and asks
 * each something is a burst: one server answers it in less time than a second one takes to open.
 */
#ifndef STANDPIPE_CORE_STANDING_H
#define STANDPIPE_CORE_STANDING_H

#include <stdint.h>

#include "base/instant.h"

struct standing_settings {
	int64_t target_ns; /* a wait shorter than this is none */
	int64_t interval_ns; /* of longer waits only; 0: every queue stands at once */
};

struct standing {
	struct standing_settings settings;
	instant above_since; /* every wait since then was too long; -1: the last one was not */
	instant answered_at; /* something was done about it; -1: never */
};

void standing_init(struct standing *s, const struct standing_settings *settings);

/* Somebody left the queue's head at `now`, having waited `wait_ns`. */
void standing_waited(struct standing *s, int64_t wait_ns, instant now);

/* From when on the queue is standing, if its head has waited since `head_since` and nobody leaves
 * it until then. Each answer buys an interval. */
instant standing_at(const struct standing *s, instant head_since);

/* Something is being done about it at `now`: a server more. */
void standing_answered(struct standing *s, instant now);

#endif
