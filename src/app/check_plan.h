/*
 * check_plan - does the plan fit the capacity? The arithmetic of core/budget in words.
 */
#ifndef STANDPIPE_APP_CHECK_PLAN_H
#define STANDPIPE_APP_CHECK_PLAN_H

#include <stddef.h>

#include "core/budget.h"

#define PLAN_ROWS     6
#define PLAN_TEXT_MAX 400

/* What each instance gets when there are so many. */
struct plan_row {
	int instances;
	int connections; /* each; 0 when it does not fit */
	int size, overflow; /* of a pool that fits */
	bool fits;
	bool wanted_fits; /* even with the whole pool.size + pool.overflow each */
};

struct plan {
	struct budget budget;
	struct plan_row rows[PLAN_ROWS]; /* for 1, 2, 5, 10, 20, 50 instances */
	int wanted; /* instances x (pool.size + pool.overflow) */
	char sentence[PLAN_TEXT_MAX]; /* whether it fits and, if not, the mend */
};

void plan_init(struct plan *p, const struct budget_settings *settings);

#endif
