/*
 * connects - how many connect attempts this instance may have under way at once.
 *
 * Strangers who share a path settle near its capacity without talking to each other when each does
 * what TCP does: begins with one, grows while it goes well, and gives way at once when it does not.
 * What differs is how the window grows; the rules are to be compared (core/engine.h drives them all
 * alike), with L the window, and swell = how many times its least of late the worst stage took:
 *
 *   fixed     L = window_max, whatever happens: what a pooler without a rule does.
 *   aimd      +1 for each success below the threshold (slow start: doubles with each window's worth),
 *             +1/L above it. A swell over CONNECTS_SWELL holds it where it is.  (Jacobson 1988)
 *   vegas     q = L (1 - 1/swell), the attempts of ours that only stand in a queue: slow start until
 *             q >= 1; then +1/L while q < 1, -1/L when q > 2.  (Brakmo and Peterson 1995)
 *   gradient  g = clamp(1.5 / swell, 0.5, 1); L' = g L + sqrt(L), spread over a window's worth.
 *             (Envoy's gradient controller, with the tolerance of Netflix's Gradient2)
 *
 * All but fixed give way alike:
 *
 *   refused   (53300, reset, ...) or a handshake dropped: half, once for each round - an attempt that
 *             began before the last time has nothing new to tell
 *   silence   (an attempt that timed out): one, and half of what it was is the threshold, as TCP
 *             after its retransmission timeout. From then on attempts come one by one, at
 *             core/retry's pace: that is what a window of less than one would be.
 *
 * A window that was not used is not known to be good: it grows to twice what was under way at most.
 */
#ifndef STANDPIPE_CORE_CONNECTS_H
#define STANDPIPE_CORE_CONNECTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/instant.h"
#include "core/outcome.h"

#define CONNECTS_SWELL 4.0
/* Added to the least that a stage took: below it, differences are the scheduler's. */
#define CONNECTS_NOISE_NS (5 * NS_PER_MS)

enum connects_rule {
	CONNECTS_AIMD,
	CONNECTS_FIXED,
	CONNECTS_VEGAS,
	CONNECTS_GRADIENT,
	CONNECTS_RULE_COUNT
};

struct connects_settings {
	int window_max; /* 1 or more */
	enum connects_rule rule;
};

/* What a connect took, stage by stage, and the least that one took of late; 0: not known. */
struct connects_sample {
	int64_t stage_ns[STAGE_COUNT];
	int64_t least_ns[STAGE_COUNT];
};

struct connects {
	struct connects_settings settings;
	double window; /* 1.0 .. window_max */
	double threshold; /* slow start below it */
	int under_way;
	int peak; /* the most of it since it gave way last */
	instant cut_at; /* gave way last; INT64_MIN: never */
	int64_t cuts;
};

void connects_init(struct connects *c, const struct connects_settings *settings);

/* Other settings from now on; the window stays where it is as far as they allow. */
void connects_configure(struct connects *c, const struct connects_settings *settings);

/* May one more begin? Counts it when so; each one must end in one of the three below. */
bool connects_admit(struct connects *c);

/* May one more begin? Counts nothing. */
bool connects_has_room(const struct connects *c);

void connects_succeeded(struct connects *c, const struct connects_sample *sample);
/* It began at `began_at` and is lost at `now`; `silence`: nobody answered, or nobody knows. */
void connects_lost(struct connects *c, bool silence, instant began_at, instant now);
/* Ended without telling anything about the path. */
void connects_abandoned(struct connects *c);

/* A handshake that was dialled at `dialled_at` got no answer in time. Its attempt is under way
 * still, and dials afresh. */
void connects_dropped(struct connects *c, instant dialled_at, instant now);

/* How many times its least (and CONNECTS_NOISE_NS) the worst stage took; 1.0 or more. Which stages
 * tell: tcp of the path, tls and auth of the server; not dns, which is somebody else's. */
double connects_swell(const struct connects_sample *sample);

/* "fixed", "aimd", "vegas", "gradient" */
const char *connects_rule_name(enum connects_rule rule);

/* The path is back after a while without any: the window starts at one again. */
void connects_restart(struct connects *c);

#endif
