/*
 * path - the estimator: what real connects tell about the way to the database.
 *
 * Utilisation = max(connections / limit, throughput / baseline).
 *
 * The state is decided anew whenever something is told or time passes, with hysteresis so that
 * it does not flap: a state that utilisation caused is left only PATH_HYSTERESIS below the bound
 * that it was entered at, and one that timeouts caused only when PATH_CALM_NS passed without one.
 * A step in latency is looked for whenever a connect succeeds, which is when there is news of it:
 * on a path where nobody connects any more, scaling ends.
 *
 *   overloaded  utilisation > 0.9, or PATH_TIMEOUTS_OVERLOADED timeouts among the last
 *               PATH_RECENT attempts, the last of them less than PATH_CALM_NS ago
 *   scaling     under load (utilisation >= threshold, or an attempt timed out within PATH_CALM_NS)
 *               the median of the last four connects is over PATH_STEP_FACTOR times the median of
 *               those before and PATH_STEP_MIN_NS longer; and for scaling_ns after that
 *   pressure    utilisation > threshold
 *   unknown     nothing has ever connected, and nothing above holds
 *   normal      else
 * Worst first: overloaded, scaling, pressure.
 */
#ifndef STANDPIPE_CORE_PATH_H
#define STANDPIPE_CORE_PATH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/instant.h"
#include "core/outcome.h"
#include "core/path_state.h"

#define PATH_OVERLOADED_AT       0.9
#define PATH_HYSTERESIS          0.1
#define PATH_RECENT              8
#define PATH_TIMEOUTS_OVERLOADED 2
#define PATH_CALM_NS             (10 * NS_PER_S)
#define PATH_STEP_FACTOR         3.0
#define PATH_STEP_MIN_NS         (500 * NS_PER_MS)
#define PATH_SAMPLES             32

struct path_settings {
	bool monitoring; /* off: state is unknown until a connect, then normal */
	double threshold; /* pressure above this utilisation, 0..1 */
	int limit; /* connections that the path carries; 0: not looked at */
	double baseline_bit_s; /* throughput at which it is full; 0: not looked at */
	int64_t scaling_ns; /* how long the state holds after a step */
};

/* One connect as it went: time spent in each stage, in ns (0 where it did not get). */
struct path_attempt {
	int64_t stage_ns[STAGE_COUNT];
	enum stage stage; /* where it ended; STAGE_READY on success */
	enum outcome outcome;
};

struct path {
	struct path_settings settings;
	enum path_state state;
	bool overloaded_by_use, overloaded_by_timeouts, pressed; /* what the state is made of */
	int connections; /* over the path, as far as is known */
	double throughput_bit_s;
	uint64_t history; /* one bit an attempt, newest lowest; set: failed */
	uint64_t timeouts; /* the same, set: timed out */
	int64_t attempts, failures;
	int64_t total_ns[PATH_SAMPLES]; /* the last successful connects, a ring */
	int64_t stage_ns[STAGE_COUNT][PATH_SAMPLES];
	uint32_t samples; /* ever; the ring's place is samples % PATH_SAMPLES */
	int64_t least_ns; /* the fastest connect ever; 0: none */
	instant timed_out_at; /* the last timeout; -1: never */
	instant scaling_until; /* -1: not scaling */
	int64_t scaling_events;
	instant changed_at;
};

void path_init(struct path *p, const struct path_settings *settings, instant now);

/* Other settings from now on; all that was measured stays. */
void path_configure(struct path *p, const struct path_settings *settings, instant now);

/* An attempt ended. */
void path_attempt(struct path *p, const struct path_attempt *attempt, instant now);

/* Connections now over the path: the fleet's, if known, else this instance's x instances. */
void path_connections(struct path *p, int connections, instant now);
void path_limit(struct path *p, int limit, instant now);

/* Bits per second now over the path. */
void path_throughput(struct path *p, double bit_s, instant now);

/* Time passed: states that end by themselves end. */
void path_tick(struct path *p, instant now);

/* When the state may change by itself; INSTANT_NEVER if it can't. */
instant path_deadline(const struct path *p);

double path_utilisation(const struct path *p);

/* Quantile `q` (0..1) of the last successful connects' total time, nearest rank, 0 if none. */
int64_t path_connect_quantile(const struct path *p, double q);
/* The same of one stage. */
int64_t path_stage_quantile(const struct path *p, enum stage stage, double q);

#endif
