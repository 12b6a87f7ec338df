/*
 * throttle - asks a peer less often that mostly refuses.
 *
 *   p(hold back) = max(0, (requests - K accepts) / (requests + 1)), over the last minute or two
 *
 * ("Handling Overload" in Google's "Site Reliability Engineering", 2016: client-side throttling.)
 * What is held back counts as a request, too. Refusing costs a database a process and a login,
 * which is what it has too little of.
 *
 * Connects are few, so two things are added. It is never total: p is THROTTLE_MOST at most, and
 * whoever was held back for as long as its caller allows is let through. And what was refused
 * before an accept is forgotten, or a database that is back would be asked little for two minutes
 * more.
 */
#ifndef STANDPIPE_CORE_THROTTLE_H
#define STANDPIPE_CORE_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/instant.h"
#include "base/random.h"

#define THROTTLE_PERIOD_NS (60 * NS_PER_S) /* counted are this one and the one before */
#define THROTTLE_MOST      0.9
#define THROTTLE_PAUSE_NS  (100 * NS_PER_MS) /* the least between two draws */

struct throttle_settings {
	double k; /* the fewer, the sooner it throttles; 0: never */
	int64_t pause_ns; /* held back for U(half of it, all of it), then drawn again */
};

struct throttle {
	struct throttle_settings settings;
	int64_t requests[2], accepts[2]; /* in this period, and in the one before */
	instant period_at; /* this one began */
	bool holding;
	instant held_since, until; /* while it holds back */
	int64_t held_count;
};

void throttle_init(struct throttle *t, const struct throttle_settings *settings, instant now);

/* Other settings from now on; what was counted stays. */
void throttle_configure(struct throttle *t, const struct throttle_settings *settings);

/* The peer accepted a request, or refused it. What fails on the way to it is not told. */
void throttle_told(struct throttle *t, bool accepted, instant now);

/* May a request be made that is about to be? Draws when refusals say so; if not, there is a pause.
 * `longest_ns`: none is held back for longer than that. */
bool throttle_admit(struct throttle *t, int64_t longest_ns, instant now, struct random *random);

/* Until when it certainly holds back; in the past when it does not. */
instant throttle_until(const struct throttle *t);

/* The chance that the next one is held back, 0 .. THROTTLE_MOST. */
double throttle_chance(const struct throttle *t, instant now);

#endif
