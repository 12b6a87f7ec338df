/*
 * instant - points in time and spans of it, as nanoseconds in 64 bits.
 *
 * An `instant` counts from an arbitrary start that never moves (CLOCK_MONOTONIC in the daemon,
 * zero in tests and in the simulator). Spans carry their unit in their name: `wait_ns`.
 * Nothing below io/ reads a clock: time comes in with the event.
 */
#ifndef STANDPIPE_BASE_INSTANT_H
#define STANDPIPE_BASE_INSTANT_H

#include <stdint.h>

typedef int64_t instant;

#define NS_PER_US INT64_C(1000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S  INT64_C(1000000000)

/* Later than every event: a deadline that is not set. */
#define INSTANT_NEVER INT64_MAX

/* `at` + `span_ns`, which may be negative; saturates at INSTANT_NEVER, which stays what it is. */
static inline instant instant_add(instant at, int64_t span_ns)
{
	if (at == INSTANT_NEVER)
		return INSTANT_NEVER;
	if (span_ns > 0 && at > INSTANT_NEVER - span_ns)
		return INSTANT_NEVER;
	return at + span_ns;
}

static inline instant instant_min(instant a, instant b)
{
	return a < b ? a : b;
}

static inline instant instant_max(instant a, instant b)
{
	return a > b ? a : b;
}

static inline int64_t ns_from_s(double seconds)
{
	return (int64_t)(seconds * 1e9 + (seconds < 0 ? -0.5 : 0.5));
}

static inline double s_from_ns(int64_t span_ns)
{
	return (double)span_ns / 1e9;
}

#endif
