/*
 * storm - one arm: the fleet, its users and the faults, until all is well and stays so, or the
 * arm's time is over, and what was measured of it.
 */
#ifndef STANDPIPE_LAB_STORM_H
#define STANDPIPE_LAB_STORM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "base/error.h"
#include "lab/connector.h"
#include "lab/postgres.h"
#include "lab/sampler.h"
#include "report/result.h"
#include "scenario/scenario.h"

struct storm;

struct storm_settings {
	uv_loop_t *loop;
	const struct scenario *scenario;
	const struct scenario_arm *arm;
	bool calm; /* what the instances take without trouble is measured: no faults, no load */
	struct postgres *postgres; /* it runs */
	struct connector *connector; /* NULL: straight to the database */
	struct sampler *sampler;
	double time_scale;
	const char *program; /* Standpipe's own path */
	const char *logs; /* directory for the instances' output; it exists */
	int max_connections;
};

struct storm_progress {
	double elapsed_s;
	int starts, failed, ready, starting, waiting, wanted;
	int connections, flows, connector_instances;
	int64_t refused, served, lost;
};

/* All that `settings` points to is borrowed until storm_free. NULL with `error`. */
struct storm *storm_new(const struct storm_settings *settings, struct error *error);

/* Starts the instances. 0, or -1 with `error`: the command cannot be run. */
int storm_start(struct storm *s, struct error *error);

/* A child ended. True when it was the storm's. */
bool storm_exited(struct storm *s, pid_t pid, int wait_status);

/* The arm's time is over; or all instances have been up for the settling time, no fault is to come
 * and, if there was one, all is well again. */
bool storm_is_over(const struct storm *s);

/* A fault keeps the database down. */
bool storm_database_is_down(const struct storm *s);

/* Something that ends the lab, as a command that cannot be run any more; NULL: nothing. */
const struct error *storm_error(const struct storm *s);

struct storm_progress storm_progress(struct storm *s);

/* The measurements up to now, into `result`, which result_init has prepared. Once. */
void storm_measure(struct storm *s, struct result *result);

/* Tells all instances to end (SIGTERM), or kills them. */
void storm_stop(struct storm *s, bool kill_them);
bool storm_is_empty(const struct storm *s);

/* Stops the timer; NULL is allowed. Its memory goes when the loop has closed its handles. */
void storm_free(struct storm *s);

#endif
