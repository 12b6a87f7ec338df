/*
 * view - all that the pages about this instance need, gathered by the gate for one call.
 *
 * Everything is *borrowed* for the call. Pages, metrics and the error context are pure functions
 * of a view: they read no clock and change nothing.
 */
#ifndef STANDPIPE_GATE_VIEW_H
#define STANDPIPE_GATE_VIEW_H

#include <stdint.h>

#include "base/control.h"
#include "base/error.h"
#include "base/histogram.h"
#include "base/instant.h"
#include "core/engine.h"
#include "gate/cloud_report.h"
#include "gate/pools.h"
#include "gate/secrets.h"
#include "gate/settings.h"

/* Why a client keeps its server between transactions. */
enum gate_pin {
	PIN_LISTEN,
	PIN_TEMPORARY, /* a table, or anything else in pg_temp */
	PIN_CURSOR, /* WITH HOLD */
	PIN_LOCK, /* an advisory lock of the session */
	PIN_PREPARED, /* by SQL */
	PIN_LIBRARY, /* LOAD */
	PIN_SETTINGS, /* more than a profile holds, or not to be learned */
	PIN_COUNT,
};

/* "listen", for metrics. */
const char *gate_pin_name(enum gate_pin pin);

/* What a client may run into, each counted: the limits of time (enum gate_limit), and behind
 * them: */
enum gate_bound {
	BOUND_POOL_WAIT = GATE_LIMIT_COUNT, /* for a server */
	BOUND_CLIENTS, /* of the gate; and of one database, one user: */
	BOUND_DATABASE_CLIENTS,
	BOUND_USER_CLIENTS,
	GATE_BOUND_COUNT
};

/* Its key in the configuration: "timeouts.query". */
const char *gate_bound_key(int bound);

struct pools;

/* Since the process began, but for `clients` and `pinned`. */
struct gate_counters {
	int clients; /* connected now */
	int pinned; /* that keep their servers now */
	int pinned_by[PIN_COUNT]; /* the same by reason: one may have more than one */
	int64_t asked; /* questions to servers about what a transaction left behind */
	int64_t clients_total;
	int64_t client_errors; /* clients dropped for what they sent */
	int64_t login_failures; /* clients that did not prove who they are */
	int64_t bounds
		[GATE_BOUND_COUNT]; /* clients ended, turned away or (query) cancelled for that */
	int64_t transactions, queries;
	int64_t bytes_in; /* from clients */
	int64_t bytes_out; /* to clients */
};

/* What was said when an attempt failed; kept at place (serial - 1) % ENGINE_ATTEMPTS_MAX. */
struct gate_attempt_error {
	uint64_t serial; /* 0: none here */
	struct error error;
};

struct gate_view {
	const struct engine *engine;
	const struct gate_settings *settings;
	const struct secrets *secrets; /* to be hidden; may be NULL */

	instant now; /* on the engine's clock */
	instant began_at; /* when the process did, on the same clock */
	int64_t wall_ns; /* the wall clock at `now`: ns since 1970, UTC */

	const struct error *phase_errors; /* PHASE_COUNT of them */
	const struct gate_attempt_error *attempt_errors; /* ENGINE_ATTEMPTS_MAX of them */
	/* The last failed attempt's or lost server connection's; NULL or not set: none. */
	const struct error *database_error;
	/* Time spent in each stage by connects that succeeded, since the process began: STAGE_COUNT
	 * of them, the last for the whole; may be NULL. */
	const struct histogram *connect_times;
	struct gate_counters counters;
	const struct pools *pools; /* NULL: none */
	const struct cloud_report *cloud; /* NULL: Cloud Monitoring is not asked */

	enum control_command command; /* what runs behind the gate */
	int command_pid; /* while it runs */
	int command_code; /* when it has ended */

	const char *error_context; /* the last one, JSON; NULL: none yet */
	const char *version;
};

/* The error of the attempt `serial`, or NULL if none is remembered. */
const struct error *view_attempt_error(const struct gate_view *view, uint64_t serial);

/* The newest attempt that ended otherwise than well, or NULL. */
const struct engine_attempt *view_last_failure(const struct gate_view *view);

/* The attempt under way that began first, or NULL. */
const struct engine_attempt *view_oldest_under_way(const struct gate_view *view);

/* `at` on the wall clock, as RFC 3339 in UTC with milliseconds: "2024-05-06T07:08:09.123Z". */
#define VIEW_TIME_SIZE 32
void view_time(const struct gate_view *view, instant at, char out[VIEW_TIME_SIZE]);

#endif
