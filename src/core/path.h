/*
 * path - the estimator: what real connects and live connections tell about the way to the database.
 *
 * Utilisation = max(connections / limit, throughput / baseline).
 *
 * The state is decided anew whenever something is told or time passes. It does not flap: each
 * cause counts at once, and is gone only PATH_SETTLE_NS after it last held (core/hysteresis), where
 * what it is measured by must have come down to a lower bound than that it was entered at.
 *
 *   overloaded  utilisation > 0.9 (until 0.8); PATH_TIMEOUTS_OVERLOADED timeouts among the last
 *               PATH_RECENT attempts, the last of them less than PATH_CALM_NS ago; the server
 *               refused one for want of room (53300: all of its connections are in use) less than
 *               PATH_CALM_NS ago; more than PATH_RETRANSMITS_OVERLOADED of the segments sent again
 *   scaling     core/scaling: a step in the time of connects under load (utilisation >= threshold,
 *               or a timeout or a dropped SYN within PATH_CALM_NS), and for scaling_ns after that
 *   pressure    utilisation > threshold (until PATH_HYSTERESIS below); SYNs of
 *               PATH_SYN_PRESSED of the last PATH_RECENT attempts were dropped, the last less than
 *               PATH_CALM_NS ago; round trips over PATH_RTT_PRESSED times their floor (until
 *               PATH_RTT_RELIEVED); more than PATH_RETRANSMITS_PRESSED of the segments sent again
 *   unknown     nothing has ever connected, and nothing above holds
 *   normal      else
 * Worst first: overloaded, scaling, pressure.
 *
 * All of it ages: times of connects after PATH_MEMORY_NS, the fastest one after PATH_LEAST_NS,
 * what TCP tells after FLOW_FRESH_NS.
 */
#ifndef STANDPIPE_CORE_PATH_H
#define STANDPIPE_CORE_PATH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/instant.h"
#include "core/flow.h"
#include "core/history.h"
#include "core/hysteresis.h"
#include "core/minmax.h"
#include "core/outcome.h"
#include "core/path_state.h"
#include "core/quantiles.h"
#include "core/scaling.h"

#define PATH_OVERLOADED_AT       0.9
#define PATH_HYSTERESIS          0.1
#define PATH_SETTLE_NS           (5 * NS_PER_S)
#define PATH_RECENT              8
#define PATH_TIMEOUTS_OVERLOADED 2
#define PATH_SYN_PRESSED         2
#define PATH_CALM_NS             (10 * NS_PER_S)
#define PATH_MEMORY_NS           (600 * NS_PER_S)
#define PATH_LEAST_NS            (3600 * NS_PER_S)

/* A queue that trebles the round trip is one; a TCP that repeats 2 % is hampered (its rate goes
 * with 1 / sqrt(loss), Mathis 1997), and one that repeats 10 % hardly moves. Half of each to
 * leave. */
#define PATH_RTT_PRESSED            3.0
#define PATH_RTT_RELIEVED           2.0
#define PATH_RETRANSMITS_PRESSED    0.02
#define PATH_RETRANSMITS_OVERLOADED 0.10

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
	int syn_lost; /* SYNs that were dropped, as far as it shows (core/syn) */
};

/* What connects spend in one stage, and how it ends there. */
struct path_stage {
	struct quantiles took; /* of those that succeeded */
	struct history history; /* of all that got there */
};

struct path {
	struct path_settings settings;
	enum path_state state;
	instant changed_at;
	int connections; /* over the path, as far as is known */
	double throughput_bit_s; /* both ways */
	double sent_bit_s; /* of it, to the database */
	int64_t attempts, failures;
	int64_t syn_lost; /* SYNs dropped, ever */
	struct history history; /* of attempts: failed */
	struct history timeouts; /* the same: timed out */
	struct history syns; /* the same: lost a SYN */
	struct path_stage stages[STAGE_READY];
	struct quantiles total; /* of successful connects */
	int64_t total_p95_ns; /* of that; 0: none. Kept, for it is asked for often */
	struct minmax least, least_tcp;
	int64_t least_ns; /* the fastest connect of PATH_LEAST_NS; 0: none */
	instant timed_out_at, syn_lost_at, full_at; /* the last; -1: never */
	struct scaling scaling;
	struct flow flow;
	/* What the state is made of. */
	struct hysteresis by_use, by_retransmits; /* overloaded */
	struct hysteresis pressed_by_use, pressed_by_rtt, pressed_by_retransmits;
	bool by_timeouts, by_refusal, pressed_by_syns;
	instant look_at; /* before, nothing changes by time alone */
};

void path_init(struct path *p, const struct path_settings *settings, instant now);

/* Other settings from now on; all that was measured stays. */
void path_configure(struct path *p, const struct path_settings *settings, instant now);

/* An attempt ended. */
void path_attempt(struct path *p, const struct path_attempt *attempt, instant now);

/* A light probe ended (core/probe.h). What its handshake took is as good as a connect's; it is no
 * attempt, so it is counted nowhere, and one that failed says nothing here. */
void path_probe(struct path *p, const struct path_attempt *how, instant now);

/* How many SYNs a handshake of that time lost, by what it takes else. */
int path_syn_losses(const struct path *p, int64_t tcp_ns);

/* Connections now over the path: the fleet's, if known, else this instance's x instances. Cheap
 * when they are as many as before. */
void path_connections(struct path *p, int connections, instant now);
void path_limit(struct path *p, int limit, instant now);

/* Bits per second now over the path, both ways, and of them those to the database. */
void path_throughput(struct path *p, double bit_s, double sent_bit_s, instant now);

/* TCP told of one of the connections. */
void path_flow(struct path *p, const struct flow_sample *sample, instant now);

/* Time passed: states that end by themselves end. */
void path_tick(struct path *p, instant now);

/* When the state may change by itself; INSTANT_NEVER if it can't. */
instant path_deadline(const struct path *p);

double path_utilisation(const struct path *p);

/* Quantile `q` (0..1) of the last successful connects' total time, nearest rank, 0 if none. */
int64_t path_connect_quantile(const struct path *p, double q);
/* The same of one stage. */
int64_t path_stage_quantile(const struct path *p, enum stage stage, double q);

/* The 95th percentile of the whole: at no cost. */
static inline int64_t path_connect_p95(const struct path *p)
{
	return p->total_p95_ns;
}

#endif
