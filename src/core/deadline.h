/*
 * deadline - how long to wait, by kind of wait and state of the path.
 *
 *   max(base, base x factor(state) + buffer(state), measured), capped by the platform
 *
 * The factors and the buffer are those of the incident's remedy, kept as a floor: what was
 * measured may only lengthen a deadline, never shorten it.
 */
#ifndef STANDPIPE_CORE_DEADLINE_H
#define STANDPIPE_CORE_DEADLINE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/path_state.h"

enum deadline_kind {
	DEADLINE_INITIALIZATION, /* the database phase */
	DEADLINE_TABLE_SETUP, /* schema check, migrations */
	DEADLINE_CONNECTION, /* one attempt */
	DEADLINE_POOL, /* a client's wait for a server connection */
	DEADLINE_HEALTH_CHECK, /* one check of something outside */
	DEADLINE_COUNT
};

struct deadline_settings {
	int64_t base_ns[DEADLINE_COUNT];
	bool capacity_aware; /* off: the base alone */
	int64_t scaling_buffer_ns; /* added while the path is scaling */
	int64_t cap_ns; /* what the platform allows at most; 0: no cap */
};

/* "initialization", "table_setup", ... */
const char *deadline_kind_name(enum deadline_kind kind);

/* 1.0 / 1.3 / 1.5 / 2.0 for normal / capacity_pressure / scaling / overloaded; unknown as
 * normal. */
double deadline_factor(enum path_state state);

/* The wait allowed, in ns. `measured_ns` is what observation says is needed, 0 for nothing. */
int64_t deadline_span(const struct deadline_settings *settings, enum deadline_kind kind,
	enum path_state state, int64_t measured_ns);

/*
 * How long an attempt may stay in one of the stages after the handshake, in ns: the 99th percentile
 * of what that stage takes, `p99_ns`, DEADLINE_STAGE_FACTOR times; at least half of what the kind
 * of wait allows, `span_ns`, and at most all of it, which it is where nothing is known (0). A place
 * in a queue is held there, and one who is about to be served must not start over.
 */
#define DEADLINE_STAGE_FACTOR 4
int64_t deadline_stage_span(int64_t span_ns, int64_t p99_ns);

#endif
