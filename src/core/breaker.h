/*
 * breaker - the circuit breaker over connects to the database.
 *
 *   closed    --threshold failures in a row, or a rate over the window-->  open
 *   open      --its time is over, or a probe got through-->  half-open
 *   half-open --one success-->  closed      --one failure-->  open, for longer
 *
 * The window rule is for a path that fails often but not always, and for one that is merely slow:
 * of the last `window` attempts that ended within window_ns the share that failed, or that took
 * slow_ns or more, is looked at once there are `minimum` of them. Starts make few attempts, so
 * windows and minimums are small (the usual 100 would never trip).
 *
 * The time open is open_ns, times `growth` for each opening since the last time it was closed, up
 * to open_max_ns, and jittered: a fleet whose breakers opened together does not come back together.
 *
 * Half-open lets at most `probes` attempts be under way that began since it opened. Those from
 * before hold no place, and their failure tells of the path as it was; their success is one like
 * any other. While open nothing that ends changes anything. Every admitted attempt must end in
 * breaker_succeeded, breaker_failed or breaker_abandoned, or its place is held for ever.
 *
 * By hand (`mode`) it may be held open or closed, or be asked for its opinion only: `judged` is
 * what the rules say, `state` is what is in force.
 */
#ifndef STANDPIPE_CORE_BREAKER_H
#define STANDPIPE_CORE_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/instant.h"
#include "base/random.h"
#include "core/outcome.h"

#define BREAKER_WINDOW_MAX 64
#define BREAKER_CHANGES    8 /* that are remembered */

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN, BREAKER_STATE_COUNT };

enum breaker_mode {
	BREAKER_AUTO, /* the rules decide */
	BREAKER_HELD_OPEN, /* nothing is let through */
	BREAKER_HELD_CLOSED, /* all is let through, and nothing is counted */
	BREAKER_METRICS, /* all is let through; the rules say what they would do */
	BREAKER_MODE_COUNT
};

/* Why the state changed. */
enum breaker_cause {
	BREAKER_BY_COUNT, /* so many failures in a row */
	BREAKER_BY_FAILURE_RATE,
	BREAKER_BY_SLOW_RATE,
	BREAKER_BY_TIME, /* it was open for long enough */
	BREAKER_BY_PROBE, /* one got through */
	BREAKER_BY_SUCCESS,
	BREAKER_BY_FAILURE, /* of an attempt while half-open */
	BREAKER_BY_REST, /* no attempt is wanted that could decide */
	BREAKER_BY_HAND, /* another mode, or other settings */
	BREAKER_CAUSE_COUNT
};

struct breaker_settings {
	bool enabled; /* off: as held closed, whatever the mode */
	int failure_threshold; /* in a row */
	int64_t open_ns; /* how long it stays open at first, before jitter */
	double jitter; /* open for the time x U(1 - jitter, 1 + jitter) */
	int probes; /* attempts at a time while half-open */
	int64_t open_max_ns; /* what that grows to; less than open_ns: it does not grow */
	double growth; /* less than 1: none */
	int window; /* attempts, BREAKER_WINDOW_MAX at most */
	int64_t window_ns; /* older ones do not count; 0: of any age */
	int minimum; /* so many must have ended within the window, 1 or more */
	double failure_rate; /* share that opens it; 0: not looked at */
	double slow_rate; /* the same of slow ones */
	int64_t slow_ns; /* an attempt that takes so long is slow */
	uint32_t failures; /* outcomes that count, bit by bit; 0: those of outcome_is_capacity */
	enum breaker_mode mode;
};

struct breaker_change {
	instant at;
	enum breaker_state from, to;
	enum breaker_cause cause;
};

/* What an attempt that was admitted hands back at its end. */
struct breaker_pass {
	instant began_at;
	int64_t opening; /* of opened_count */
	bool holds_place; /* in half-open */
	bool probes; /* it was let through while open: its failure is no news, its success closes */
};

struct breaker {
	struct breaker_settings settings;
	enum breaker_mode mode; /* the settings', until breaker_set_mode */
	enum breaker_state state; /* in force */
	enum breaker_state judged; /* by the rules; other than `state` with BREAKER_METRICS only */
	int failures; /* in a row, while closed */
	int under_way; /* admitted attempts, in every state */
	int probing; /* those that hold a place in half-open */
	int openings; /* since it was last closed */
	instant until; /* open until; INSTANT_NEVER when not open, or held so */
	int64_t opened_count;
	int64_t spared; /* with BREAKER_METRICS: let through, though it would have been refused */
	int64_t changes_count; /* ever; the last at place (count - 1) % BREAKER_CHANGES */
	struct breaker_change changes[BREAKER_CHANGES];
	int64_t transitions[BREAKER_STATE_COUNT][BREAKER_STATE_COUNT]; /* from, to */
	/* The window: attempts that ended since it was last closed, one bit each, newest lowest. */
	uint64_t failed, slow;
	int64_t ended; /* ever; the newest's time at place (ended - 1) % BREAKER_WINDOW_MAX */
	int window_count; /* of them, BREAKER_WINDOW_MAX at most */
	instant ended_at[BREAKER_WINDOW_MAX];
};

/* What the window says now. */
struct breaker_rates {
	int attempts;
	double failed, slow; /* shares, 0 without attempts */
};

void breaker_init(struct breaker *b, const struct breaker_settings *settings);

/* May an attempt begin? Turns open into half-open when its time is over, and counts the attempt
 * when it says yes, for which `pass` is filled in. A disabled breaker always says yes. */
bool breaker_admit(struct breaker *b, instant now, struct breaker_pass *pass);

/* While open by its own judgement: lets one attempt through all the same, as a probe. */
void breaker_admit_probe(struct breaker *b, instant now, struct breaker_pass *pass);

/* Would it say yes? Changes nothing. */
bool breaker_would_admit(const struct breaker *b, instant now);

/* Is the outcome one of those that breaker_failed is to be told of? */
bool breaker_counts(const struct breaker *b, enum outcome outcome);

/* The end of an admitted attempt. */
void breaker_succeeded(
	struct breaker *b, const struct breaker_pass *pass, instant now, struct random *random);
void breaker_failed(
	struct breaker *b, const struct breaker_pass *pass, instant now, struct random *random);
/* It ended without telling anything about the path (given up, or a permanent error). */
void breaker_abandoned(struct breaker *b, const struct breaker_pass *pass);

/* A light probe got through: what is open is half-open at once, and the next attempt decides. True
 * if that changed anything; not when it is held open. */
bool breaker_probed(struct breaker *b, instant now);

/* Nobody wants to connect: one that is half-open, or whose time is over, closes, for there is no
 * attempt that could do it. True if that changed anything. */
bool breaker_rest(struct breaker *b, instant now);

/* While open: be half-open at `at` at the latest. No effect otherwise, or when it is held open. */
void breaker_cap(struct breaker *b, instant at);

/* Other settings from now on. What is open stays so, but not for longer than the new time; one that
 * is disabled closes. The mode stays unless the settings' is another than before. */
void breaker_configure(struct breaker *b, const struct breaker_settings *settings, instant now);

/* By hand. One that was held open is half-open afterwards: an attempt decides. */
void breaker_set_mode(struct breaker *b, enum breaker_mode mode, instant now);

/* When the state changes by itself: `until` while open, else INSTANT_NEVER. */
instant breaker_deadline(const struct breaker *b);

struct breaker_rates breaker_rates(const struct breaker *b, instant now);

/* The i-th of the last changes, 0 the newest; NULL: there are not so many, or it is forgotten. */
const struct breaker_change *breaker_change(const struct breaker *b, int i);

/* "closed", "open", "half_open" */
const char *breaker_state_name(enum breaker_state state);
/* "auto", "open", "closed", "metrics" */
const char *breaker_mode_name(enum breaker_mode mode);
/* "count", "failure_rate", "slow_rate", "time", "probe", "success", "failure", "rest",
 * "hand" */
const char *breaker_cause_name(enum breaker_cause cause);

#endif
