/*
 * standing - is there a standing queue, one that more servers would help?
 *
 * CoDel's distinction (Nichols and Jacobson, "Controlling Queue Delay", 2012): a burst drains
 * within an interval, a standing queue does not. A service that opens its pool of twenty at once
 * and asks each something is a burst: one server answers it in less time than a second one takes to
 * open.
 *
 * Counted is for how long the queue has never been empty although there was a server to drain it.
 * After an interval of that one more server is opened, and while it goes on another after 1/2, 1/3,
 * 1/4 ... of an interval: twenty in 3.6 intervals.
 */
#ifndef STANDPIPE_CORE_STANDING_H
#define STANDPIPE_CORE_STANDING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/instant.h"

struct standing_settings {
	int64_t interval_ns; /* 0: every queue stands at once */
};

struct standing {
	struct standing_settings settings;
	instant since; /* never empty since then, or since it was last answered; -1: it is empty */
	int answers; /* to this one */
};

void standing_init(struct standing *s, const struct standing_settings *settings);

/* How it is at `now`: somebody waits, and there is a server to be waited for. */
void standing_update(struct standing *s, bool waiting, instant now);

/* From when on the queue stands, if it is not empty until then; INSTANT_NEVER: it is empty. */
instant standing_at(const struct standing *s);

/* A server more is being opened for it at `now`. */
void standing_answered(struct standing *s, instant now);

#endif
