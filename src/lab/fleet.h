/*
 * fleet - the instances of one arm: real processes, each started, probed, killed and started again
 * as a container platform would.
 *
 * An instance has its ports, its address on the path and its log for life, whatever process it is
 * at the moment. All that an arm may need, with those of its faults, are there from the beginning;
 * who is not wanted yet is INSTANCE_UNUSED. Times are uv_hrtime()'s.
 */
#ifndef STANDPIPE_LAB_FLEET_H
#define STANDPIPE_LAB_FLEET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "base/error.h"
#include "base/random.h"
#include "conf/arena.h"
#include "lab/connector.h"
#include "lab/fetch.h"
#include "lab/postgres.h"
#include "report/result.h"
#include "scenario/scenario.h"

enum instance_state {
	INSTANCE_UNUSED, /* a fault may want it */
	INSTANCE_WAITING, /* for its (re)start */
	INSTANCE_STARTING, /* it runs, and is probed */
	INSTANCE_READY, /* it runs, and a probe was answered 200 */
	INSTANCE_LEAVING, /* it was told to end, for good */
	INSTANCE_GONE, /* it has ended for good */
	INSTANCE_STATES,
};

struct instance {
	struct fleet *fleet;
	int index;
	int revision; /* of the service, by deployments */
	enum instance_state state;
	pid_t pid; /* 0: it does not run */
	uint16_t port, admin_port, gate_port;
	uint64_t due_ns; /* WAITING: its start; LEAVING: its end by force */
	uint64_t started_ns; /* the start under way */
	uint64_t probe_ns; /* STARTING, READY: the next probe */
	uint64_t first_ready_ns; /* 0: never */
	int failures; /* in a row */
	int misses; /* READY: liveness probes in a row without a 200 */
	struct fetch *fetch; /* a probe, or the phases */
	bool has_phases;
};

struct fleet_settings {
	uv_loop_t *loop;
	const struct scenario *scenario;
	const struct scenario_arm *arm;
	struct postgres *postgres; /* it runs */
	struct connector *connector; /* NULL: straight to the database */
	double time_scale;
	const char *program; /* Standpipe's own path */
	const char *logs; /* directory for the instances' output; it exists */
	int instances; /* as many as there ever are */
};

struct fleet {
	struct fleet_settings settings;
	struct arena arena;
	struct instance *instances;
	int count;
	int in_state[INSTANCE_STATES];
	int starts, succeeded, failed, died;
	int revision; /* of who is added now */
	bool stopping;
	struct random random;
	struct result *gathered; /* borrowed: exits, phases, last words, as they come */
	struct error error; /* a command that cannot be run; none: all is well */
};

/* All that `settings` points to is borrowed until fleet_release. 0, or -1 with `error`. */
int fleet_init(struct fleet *f, const struct fleet_settings *settings, struct result *gathered,
	struct error *error);
void fleet_release(struct fleet *f);

/* Wants the first `count` instances: they are started evenly over the time of service.spread. */
void fleet_begin(struct fleet *f, int count, uint64_t now);

/* Wants one more instance, at once. False: there are no more. */
bool fleet_add(struct fleet *f, uint64_t now);

/* Tells it to end, and not to come back. */
void fleet_retire(struct fleet *f, struct instance *at, uint64_t now);

/* Starts, probes and kills who is due; call it every few hundredths of a second. */
void fleet_tick(struct fleet *f, uint64_t now);

/* A child ended. True when it was one of these. */
bool fleet_exited(struct fleet *f, pid_t pid, int wait_status);

/* How many are wanted: those that wait, start, or are up. */
int fleet_wanted(const struct fleet *f);

/* One that is up, drawn evenly; NULL: none is. */
struct instance *fleet_draw(struct fleet *f, struct random *random);

/* Tells all to end (SIGTERM), or kills them; none comes back. */
void fleet_stop(struct fleet *f, bool kill_them);
bool fleet_is_empty(const struct fleet *f);

#endif
