/*
 * scaling - a path that grows under load, as it is seen from outside: connects suddenly take far
 * longer, and then do not any more.
 *
 * An event begins when, under load, the median of the last SCALING_RECENT connects is over
 * SCALING_STEP_FACTOR times the median of those before and SCALING_STEP_LEAST_NS longer. Each
 * further connect of which that holds, and that is itself no quicker than that median, is a sign
 * that it goes on. It is over hold_ns after the last
 * sign; what is told as its end is when connects had become quick again: their median had come
 * back below half of the step. (A path that stays slow is not scaling: what was a step becomes what
 * is usual. Its event ends without gain.)
 *
 * What came of it is read off before, during and after: how many connections were carried, how much
 * was moved, how long a connect and its handshake took. The last SCALING_KEPT events are kept.
 */
#ifndef STANDPIPE_CORE_SCALING_H
#define STANDPIPE_CORE_SCALING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/instant.h"
#include "core/quantiles.h"

#define SCALING_RECENT        4
#define SCALING_STEP_FACTOR   3.0
#define SCALING_STEP_LEAST_NS (500 * NS_PER_MS)
#define SCALING_KEPT          4

/* What the path did at a time. */
struct scaling_reading {
	int connections;
	double bit_s;
	int64_t connect_ns, tcp_ns; /* medians */
};

struct scaling_event {
	instant began_at;
	instant ended_at; /* -1: it goes on */
	struct scaling_reading before, during, after; /* `during`: the most, and the longest */
};

struct scaling {
	int64_t begun, ended; /* ever; the newest event is at (begun - 1) % SCALING_KEPT */
	instant until; /* the end, if no further sign is seen; -1: nothing goes on */
	instant quick_at; /* connects have been quick again since then; -1: they are not */
	struct scaling_event events[SCALING_KEPT];
};

/* What an event is seen in; the quantiles are borrowed for the call. */
struct scaling_sight {
	const struct quantiles *connects, *handshakes; /* the newest just came in */
	int connections;
	double bit_s;
	bool loaded;
	int64_t hold_ns;
};

void scaling_init(struct scaling *s);

/* A connect succeeded. */
void scaling_look(struct scaling *s, const struct scaling_sight *sight, instant now);

/* Ends what is to end by now. */
void scaling_tick(struct scaling *s, const struct scaling_sight *sight, instant now);

static inline bool scaling_goes_on(const struct scaling *s)
{
	return s->until >= 0;
}

/* The newest event but `age`; NULL: there are not so many, or it is not kept any more. */
const struct scaling_event *scaling_event_at(const struct scaling *s, int age);

#endif
