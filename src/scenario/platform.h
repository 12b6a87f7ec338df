/*
 * platform - how the platform treats an instance whose start failed: it starts it again after a
 * back-off, and kills a start that its startup probe has not seen ready within the budget.
 * Pure arithmetic, for the lab and the simulator.
 */
#ifndef STANDPIPE_SCENARIO_PLATFORM_H
#define STANDPIPE_SCENARIO_PLATFORM_H

#include <stdint.h>

struct platform_settings {
	int64_t restart_delay_ns; /* before the first restart */
	double restart_factor; /* each further delay is so many times the one before; 1 or more */
	int64_t restart_max_ns; /* and no longer than this */
	int64_t probe_timeout_ns; /* a start that is not ready by then is killed */
	int64_t probe_interval_ns; /* between two probes */
	const char *probe_path; /* asked with GET on the instance's PORT; 200 means ready */
	double scale_at; /* requests under way for each instance that is up, over which one more is
	                  * started; 0: never */
	int instances_max; /* so it has at most */
	const char *liveness_path; /* the same of an instance that is up; empty: never */
	int64_t liveness_interval_ns; /* between two, and how long each may take */
	int liveness_failures; /* so many in a row and it is killed, to be started again */
};

/* The delay before the restart that follows `failures` failed starts in a row; 1 or more. */
int64_t platform_restart_ns(const struct platform_settings *p, int failures);

#endif
