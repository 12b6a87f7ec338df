/*
 * scenario - one YAML format for load, faults and expectations, read by the lab (real processes)
 * and by the simulator (virtual time).
 *
 *	name: incident
 *	instances: 20                     # how many start at once
 *	duration: 60s                     # an arm ends then, or when all are up and stay up
 *	database: {max_connections: 100}
 *	path: {instances_min: 2, flows: 25, connect_rate: 8, ...}     # scenario/capacity.h
 *	platform: {restart_delay: 1s, ...}                            # scenario/platform.h
 *	load: {rate: 200, transaction: 5ms}
 *	faults:
 *	  - {at: 10s, kind: partition, for: 5s}
 *	command: [/usr/bin/python3, main.py]
 *	arms:
 *	  - {name: direct, path: connector, env: {DB_POOL_SIZE: 20}, timeouts: {...: 20s}}
 *	expect:
 *	  - direct.success_rate < 0.5
 *
 * All times are the scenario's; a run takes `time_scale` seconds for each of its seconds. The
 * table in scenario/rows.c names every key.
 */
#ifndef STANDPIPE_SCENARIO_SCENARIO_H
#define STANDPIPE_SCENARIO_SCENARIO_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "conf/arena.h"
#include "conf/setting.h"
#include "scenario/capacity.h"
#include "scenario/expect.h"
#include "scenario/platform.h"

#define SCENARIO_INSTANCES_MAX 100000
#define SCENARIO_ARMS_MAX      32
#define SCENARIO_FAULTS_MAX    64
#define SCENARIO_EXPECTS_MAX   64
#define SCENARIO_ENV_MAX       64 /* variables of an arm */

struct scenario_database {
	int max_connections;
	int superuser_reserved; /* superuser_reserved_connections */
	struct setting_texts setup; /* SQL, run once by the application's user before the arms */
	/* The simulator's: what a login costs the server, and how many it works on at a time; the
	 * same for transactions. */
	int64_t login_ns;
	int cores;
	/* What the fleet may use of it, as in core/budget.h. */
	int agents;
	double margin;
	int buffer;
};

/* What a service's own liveness endpoint looks at, in the simulator. Behind Standpipe it is the
 * gate that is asked, and that never fails for the database's sake. */
enum scenario_health { HEALTH_PROCESS, HEALTH_DATABASE };

/* What instances do of themselves. The lab's are real processes and take the time that they take;
 * the simulator's take these. */
struct scenario_service {
	int64_t start_min_ns; /* from its start until it asks for the database, drawn evenly */
	int64_t start_max_ns;
	int64_t spread_ns; /* the instances are started evenly over so long; 0: all at once */
	enum scenario_health health;
};

/* What the instances' users ask for, from `at` on: requests that come as a Poisson process, each to
 * an instance that is up, and of one transaction each. One that fails is asked again. */
struct scenario_load {
	double rate; /* requests a second, of the whole fleet; 0: none */
	int64_t at_ns;
	int64_t transaction_ns; /* the database's time for one */
	int64_t bytes; /* of its answer, over the path; the simulator's */
	int64_t timeout_ns; /* a user waits no longer */
	int retries; /* after the first try */
	const char *path; /* the lab's requests: GET this of the instance's PORT */
};

enum scenario_fault_kind {
	FAULT_DATABASE_RESTART, /* stopped fast (every session is cut), started again after `for` */
	FAULT_PARTITION, /* nothing passes the connector and nothing new begins, for `for` */
	FAULT_CONNECTOR_RESTART, /* every flow is cut, and nothing new begins for `for` */
	FAULT_SLOW, /* every round trip through the path takes `factor` times as long, for `for` */
	FAULT_FAILOVER, /* every session is cut, and nothing answers for `for`; then another server does,
	                 * which is cold: its work takes `factor` times as long for as long again */
	FAULT_DEPLOY, /* a new revision: as many new instances; an old one ends when a new one is up */
	FAULT_SCALE_OUT, /* `instances` more are started */
};

struct scenario_fault {
	int64_t at_ns; /* since the arm began */
	enum scenario_fault_kind kind;
	int64_t for_ns;
	double factor; /* FAULT_SLOW, FAULT_FAILOVER */
	int instances; /* FAULT_SCALE_OUT: how many; FAULT_DEPLOY: started at a time, 0: all at once */
};

enum scenario_path_kind {
	ARM_PATH_NONE, /* straight to the database */
	ARM_PATH_CONNECTOR, /* through the emulated connector */
};

/* NAME=value; where it is a time (`timeouts`), value_ns holds it and `text` only NAME. */
struct scenario_variable {
	const char *text;
	int64_t value_ns; /* -1: not a time */
};

struct scenario_arm {
	const char *name;
	enum scenario_path_kind path;
	bool standpipe; /* behind `standpipe run` */
	const char *reference; /* the arm without path whose makespan is the bound's first part;
	                        * empty: the same arm is measured without path */
	int max_connections; /* 0: the scenario's */
	int64_t duration_ns; /* 0: the scenario's */
	const struct tree_node *env_node, *timeouts_node;
	struct scenario_variable env[SCENARIO_ENV_MAX]; /* the scenario's first, then its own */
	int env_count;
};

struct scenario {
	struct arena arena; /* everything below points into it */
	const char *file;
	const char *name;
	const char *description;
	int seed;
	double time_scale;
	int instances;
	int64_t duration_ns;
	int64_t settle_ns; /* all must stay up for so long */
	struct scenario_database database;
	struct capacity_settings path;
	int64_t egress_warmup_min_ns; /* nothing leaves an instance for so long after its start */
	int64_t egress_warmup_max_ns;
	int syn_linear; /* repetitions of a SYN that come a second apart before the pauses double;
	                 * the simulator's: the lab's kernel has its own */
	int64_t rtt_ns; /* a round trip through the path */
	struct scenario_service service;
	struct scenario_load load;
	struct platform_settings platform;
	struct setting_texts command;
	const char *directory; /* the command's working directory, from the scenario's file on */
	const struct tree_node *env_node, *timeouts_node, *faults_node, *arms_node, *expect_node;
	struct scenario_fault faults[SCENARIO_FAULTS_MAX]; /* by their time */
	int fault_count;
	struct scenario_arm *arms;
	int arm_count;
	struct expect expects[SCENARIO_EXPECTS_MAX];
	const char *expect_texts[SCENARIO_EXPECTS_MAX];
	int expect_count;
};

/* 0, or -1 with the place and the mend in `error`; scenario_release in either case. */
int scenario_load(struct scenario *s, const char *file, struct error *error);

/* The same from memory; `file` is the name for messages. */
int scenario_parse(
	struct scenario *s, const char *file, const char *text, size_t len, struct error *error);

void scenario_release(struct scenario *s);

/* NULL: there is no such arm. */
const struct scenario_arm *scenario_arm(const struct scenario *s, const char *name);

/* The value of a variable of the arm (of a time: ""), or NULL; the last one counts. */
const char *scenario_arm_get(const struct scenario_arm *arm, const char *name);

/* How many connections the fleet may use, by core/budget.h: of the arm's database, and of the
 * path as it is before it has grown. */
int scenario_budget(const struct scenario *s, const struct scenario_arm *arm);

/* How many instances can have a connection each at the same time: by the database, and by the path
 * when it has grown as far as it may. */
int scenario_fitting(const struct scenario *s, const struct scenario_arm *arm);

/* From the begin of the first fault, the least time until all instances have a connection again:
 * what that fault lasts, and the path's time to admit them anew. INSTANT_NEVER: there is no fault,
 * or no room for all. */
instant scenario_recovery(const struct scenario *s, const struct scenario_arm *arm);

/* Part (b) of the bound: the earliest moment at which path and database can have admitted one
 * connection for each instance that fits, since the start of the arm. INSTANT_NEVER: they never
 * can. */
instant scenario_earliest(const struct scenario *s, const struct scenario_arm *arm);

#endif
