/*
 * breaker - the circuit breaker over connects to the database.
 *
 *   closed    --threshold failures in a row-->  open
 *   open      --its (jittered) time is over-->  half-open
 *   half-open --one success-->  closed      --one failure-->  open
 *
 * Only failures that outcome_is_capacity() says so are to be told to it. Half-open lets at most
 * `probes` attempts be under way; an attempt whose end is never told would hold its place, so
 * every admitted attempt must end in breaker_succeeded, breaker_failed or breaker_abandoned.
 * One that began before the breaker opened and ends while it is half-open is a probe like any
 * other; one that ends while it is open changes nothing.
 */
#ifndef STANDPIPE_CORE_BREAKER_H
#define STANDPIPE_CORE_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/instant.h"
#include "base/random.h"

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN, BREAKER_STATE_COUNT };

struct breaker_settings {
	bool enabled;
	int failure_threshold; /* in a row */
	int64_t open_ns; /* how long it stays open, before jitter */
	double jitter; /* open for open_ns x U(1 - jitter, 1 + jitter) */
	int probes; /* attempts at a time while half-open */
};

struct breaker {
	struct breaker_settings settings;
	enum breaker_state state;
	int failures; /* in a row, while closed */
	int probing; /* admitted attempts under way, in every state */
	instant until; /* open until; INSTANT_NEVER when not open */
	int64_t opened_count;
};

void breaker_init(struct breaker *b, const struct breaker_settings *settings);

/* May an attempt begin? Turns open into half-open when its time is over, and counts the probe
 * when it says yes in half-open. A disabled breaker always says yes. */
bool breaker_admit(struct breaker *b, instant now);

/* Would it say yes? Changes nothing. */
bool breaker_would_admit(const struct breaker *b, instant now);

/* The end of an admitted attempt. */
void breaker_succeeded(struct breaker *b);
void breaker_failed(struct breaker *b, instant now, struct random *random);
/* It ended without telling anything about the path (given up, or a permanent error). */
void breaker_abandoned(struct breaker *b);

/* While open: be half-open at `at` at the latest. No effect otherwise. */
void breaker_cap(struct breaker *b, instant at);

/* Other settings from now on. What is open stays so, but not for longer than the new time; one that
 * is disabled closes. */
void breaker_configure(struct breaker *b, const struct breaker_settings *settings, instant now);

/* When the state changes by itself: `until` while open, else INSTANT_NEVER. */
instant breaker_deadline(const struct breaker *b);

/* "closed", "open", "half_open" */
const char *breaker_state_name(enum breaker_state state);

#endif
