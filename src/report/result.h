/*
 * result - what an arm gave in the lab or in the simulator: the report's numbers, and how they are
 * worked out.
 */
#ifndef STANDPIPE_REPORT_RESULT_H
#define STANDPIPE_REPORT_RESULT_H

#include <stdbool.h>
#include <stdint.h>

#include "report/series.h"
#include "scenario/expect.h"
#include "scenario/scenario.h"

#define RESULT_EXITS_MAX  16
#define RESULT_PHASES_MAX 16
#define RESULT_TEXT_MAX   256

/* What passed the connector. */
struct result_connector {
	int flows_peak;
	int instances; /* connector instances at the end */
	int64_t completed; /* handshakes that were completed */
	int64_t dropped; /* SYNs that were dropped, each repetition counted */
	int64_t bytes; /* both directions */
};

/* The time that a startup phase took, over the instances. */
struct result_phase {
	char name[32];
	double *seconds; /* owned, sorted when the arm is over */
	int count;
};

struct result {
	const struct scenario_arm *arm;
	bool ran;
	bool interrupted;
	double values[METRICS]; /* NaN: not measured */
	double reference_s; /* part (a) of the bound; NaN: not measured */
	double earliest_s; /* part (b); NaN: never */
	double elapsed_s; /* how long the arm ran */
	int warm; /* connections each instance opens at start; -1: not said */
	int max_connections;
	int64_t samples;
	struct result_connector connector;
	int64_t turned_away; /* requests that the lab itself could not make; they count as lost */
	struct series series;
	struct {
		int code, count;
	} exits[RESULT_EXITS_MAX]; /* of starts that ended by themselves or were killed by the
				    * probe; what does not fit counts in the last */
	int exit_count;
	struct result_phase phases[RESULT_PHASES_MAX];
	int phase_count;
	char last_words[RESULT_TEXT_MAX]; /* the last line of the latest start that failed */
};

void result_init(struct result *r, const struct scenario_arm *arm);
void result_release(struct result *r);

void result_exit(struct result *r, int code);
/* The same so many times. */
void result_exits(struct result *r, int code, int count);

/* One instance's time in a phase; names beyond RESULT_PHASES_MAX are passed over. */
void result_phase(struct result *r, const char *name, double seconds);

/* Works out the times: `ready_s` holds those of the instances that came up, `count` of them; it is
 * sorted. The makespan is the longest, if all `instances` came up. */
void result_times(struct result *r, double *ready_s, int count, int instances);

/* The bound is the larger of its parts; both are needed. */
void result_bound(struct result *r);

/* The value below which share `q` of the sorted `values` lie (nearest rank); NaN when empty. */
double result_quantile(const double *values, int count, double q);

#endif
