/*
 * retry - when to try again: exponential back-off with full jitter.
 *
 *   delay = U(0, min(cap, base x factor^n)), n = failures in a row before this one
 *
 * (Brooker, "Exponential Backoff And Jitter", 2015: full jitter does the least work.)
 *
 * And a budget, as Finagle's: a try that follows a failure costs a token, and one that does not
 * earns `budget` of one, so that retries are that share of all tries in the long run. It begins
 * with as many tokens as `retries`, the most that it holds. Whoever has none is not refused, but
 * waits: U(cap / 2, cap), whatever the back-off says. Else a connection that is lost again and
 * again, with a success in between each time, would be retried at the base delay for ever.
 *
 * A pool connects so seldom while all is well that its tries alone would earn back what an outage
 * cost in days only, and the next outage would find it without. So time earns, too, from a success
 * on: a token for each half of the cap, which is no more than whoever has none may try anyway.
 * (Finagle's has minRetriesPerSec for the same reason.)
 */
#ifndef STANDPIPE_CORE_RETRY_H
#define STANDPIPE_CORE_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/instant.h"
#include "base/random.h"

struct retry_settings {
	int retries; /* after the first try; a wall-clock deadline may govern instead */
	int64_t base_ns;
	int64_t cap_ns;
	double factor;
	double budget; /* tokens earned by a try that is none; 0: no budget */
};

struct retry {
	struct retry_settings settings;
	int failures; /* in a row */
	instant next_at; /* not before; INT64_MIN..: at once */
	instant failed_at; /* the last failure; INT64_MIN: there was none */
	double tokens; /* 0 .. retries, or 1 if that is more; without what time earned since failed_at */
	int64_t broke; /* times that there was no token */
};

void retry_init(struct retry *r, const struct retry_settings *settings);

/* Other settings from now on; a pause that is under way is not longer than the new cap. */
void retry_configure(struct retry *r, const struct retry_settings *settings, instant now);

/* A try begins. */
void retry_begins(struct retry *r);

/* A try failed at `now`: draws the delay, sets next_at. */
void retry_failed(struct retry *r, instant now, struct random *random);

/* A try succeeded: starts over. */
void retry_succeeded(struct retry *r);

/* The peer is there again, as another one found: a pause that is under way is over. */
void retry_waive(struct retry *r, instant now);

/* May the next try begin? */
bool retry_admits(const struct retry *r, instant now);

/* Tokens there are now, what time earned among them. */
double retry_tokens(const struct retry *r, instant now);

/* All retries used up (where the count governs). */
bool retry_is_exhausted(const struct retry *r);

/* The upper bound of the delay after `failures` failures in a row (1 or more), in ns. */
int64_t retry_bound(const struct retry_settings *settings, int failures);

#endif
