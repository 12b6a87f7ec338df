/*
 * connects - how many connect attempts this instance may have under way at once.
 *
 * Starts at one and grows by one on each success, and so doubles with each window's worth of them,
 * up to a threshold (slow start: window_max until something is lost); above it, by one for each
 * window's worth (additive increase). A loss halves the window, never below one, and makes that
 * the threshold (multiplicative decrease): TCP's rule (Jacobson 1988), so that strangers who share
 * a path settle near its capacity without talking to each other. A success whose time is over
 * CONNECTS_SWELL times the fastest seen holds the window where it is.
 */
#ifndef STANDPIPE_CORE_CONNECTS_H
#define STANDPIPE_CORE_CONNECTS_H

#include <stdbool.h>
#include <stdint.h>

#define CONNECTS_SWELL 4.0

struct connects_settings {
	int window_max; /* 1 or more */
};

struct connects {
	struct connects_settings settings;
	double window; /* 1.0 .. window_max */
	double threshold; /* slow start below it */
	int under_way;
};

void connects_init(struct connects *c, const struct connects_settings *settings);

/* Other settings from now on; the window stays where it is as far as they allow. */
void connects_configure(struct connects *c, const struct connects_settings *settings);

/* May one more begin? Counts it when so; each one must end in one of the three below. */
bool connects_admit(struct connects *c);

/* May one more begin? Counts nothing. */
bool connects_has_room(const struct connects *c);

/* `total_ns`: what it took; `least_ns`: the fastest ever seen, 0 for unknown. */
void connects_succeeded(struct connects *c, int64_t total_ns, int64_t least_ns);
void connects_lost(struct connects *c);
/* Ended without telling anything about the path. */
void connects_abandoned(struct connects *c);

#endif
