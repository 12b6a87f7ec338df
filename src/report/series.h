/*
 * series - what an arm looked like over time, for the picture and the JSON.
 */
#ifndef STANDPIPE_REPORT_SERIES_H
#define STANDPIPE_REPORT_SERIES_H

#include "core/path_state.h"

/* More are thinned out: every second point goes, and the next ones come half as often. */
#define SERIES_MAX 1200

struct series_point {
	double at_s; /* since the arm's begin */
	int starting, ready, waiting; /* instances: under way, up, waiting for their restart */
	int connections; /* at the database */
	int flows; /* on the path */
	int room; /* flows that the path carries now; 0: no limit */
	int served, failed; /* requests since the point before */
	int states
		[PATH_STATE_COUNT]; /* instances that see the path in each state; all 0: not known */
};

struct series {
	struct series_point *points; /* owned */
	int count;
	int every; /* one in so many that are added is kept, with the requests of all; a power of 2 */
	int skipped; /* since the last that was kept */
	int served, failed; /* of those skipped */
};

/* All zero is an empty series. */
void series_add(struct series *s, const struct series_point *point);
void series_release(struct series *s);

#endif
