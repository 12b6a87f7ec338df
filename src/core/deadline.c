#include "core/deadline.h"

#include <assert.h>

static const char *const kind_names[DEADLINE_COUNT] = {
	[DEADLINE_INITIALIZATION] = "initialization",
	[DEADLINE_TABLE_SETUP] = "table_setup",
	[DEADLINE_CONNECTION] = "connection",
	[DEADLINE_POOL] = "pool",
	[DEADLINE_HEALTH_CHECK] = "health_check",
};

static const double factors[PATH_STATE_COUNT] = {
	[PATH_UNKNOWN] = 1.0,
	[PATH_NORMAL] = 1.0,
	[PATH_PRESSURE] = 1.3,
	[PATH_SCALING] = 1.5,
	[PATH_OVERLOADED] = 2.0,
};

static int64_t longer(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* To the nearest nanosecond, and never past what an int64_t holds. */
static int64_t span_of(double span_ns)
{
	if (span_ns >= (double)INT64_MAX)
		return INT64_MAX;
	return (int64_t)(span_ns + 0.5);
}

const char *deadline_kind_name(enum deadline_kind kind)
{
	assert(kind < DEADLINE_COUNT);
	return kind_names[kind];
}

double deadline_factor(enum path_state state)
{
	assert(state < PATH_STATE_COUNT);
	return factors[state];
}

int64_t deadline_span(const struct deadline_settings *settings, enum deadline_kind kind,
	enum path_state state, int64_t measured_ns)
{
	assert(kind < DEADLINE_COUNT);
	int64_t span_ns = settings->base_ns[kind];
	if (settings->capacity_aware) {
		double buffer_ns = state == PATH_SCALING ? (double)settings->scaling_buffer_ns
							 : 0.0;
		double stretched_ns = (double)span_ns * deadline_factor(state) + buffer_ns;
		span_ns = longer(longer(span_ns, span_of(stretched_ns)), measured_ns);
	}
	if (settings->cap_ns > 0 && span_ns > settings->cap_ns)
		span_ns = settings->cap_ns;
	return span_ns;
}

int64_t deadline_stage_span(int64_t span_ns, int64_t p99_ns)
{
	if (p99_ns <= 0 || p99_ns > span_ns / DEADLINE_STAGE_FACTOR)
		return span_ns;
	return longer(p99_ns * DEADLINE_STAGE_FACTOR, span_ns / 2);
}
