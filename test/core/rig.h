/*
 * rig - an engine in virtual time, driven by hand: say what happens, look at what it wants done.
 *
 * The settings are those of BEHAVIOUR's production table for a fleet of one, without redials;
 * change them before rig_init.
 */
#ifndef STANDPIPE_TEST_RIG_H
#define STANDPIPE_TEST_RIG_H

#include <stdbool.h>

#include "core/engine.h"

#define RIG_SERVERS 40
#define RIG_CLIENTS 200
#define RIG_GROUPS  8
#define RIG_LOG     1024

#define S NS_PER_S

struct rig {
	struct engine engine;
	struct engine_settings settings;
	struct pool_server servers[RIG_SERVERS];
	struct engine_attempt attempts[RIG_SERVERS];
	struct pool_client clients[RIG_CLIENTS];
	struct pool_group pool_groups[RIG_GROUPS];
	struct engine_group groups[RIG_GROUPS];
	instant now;
	struct engine_action log[RIG_LOG]; /* what was wanted since the last rig_ call */
	int log_count;
};

void rig_settings(struct rig *r);
void rig_init(struct rig *r, uint64_t seed);

/* One step at r->now. */
void rig_tell(struct rig *r, struct engine_event event);
/* Ticks at every deadline until `until` is reached, which becomes now. */
void rig_go(struct rig *r, instant until);

void rig_tick(struct rig *r);
void rig_start(struct rig *r);
void rig_done(struct rig *r, enum phase phase, bool ok);
void rig_stage(struct rig *r, int server, enum stage stage);
void rig_ok(struct rig *r, int server);
void rig_failed(struct rig *r, int server, enum outcome outcome);
void rig_released(struct rig *r, int server);
void rig_gone(struct rig *r, int server, enum outcome outcome, bool requeue);
void rig_waits(struct rig *r, int client);
void rig_waits_in(struct rig *r, int client, int group);
void rig_waits_patiently(struct rig *r, int client);

/* Starts, and does init and dependencies in no time: the database phase has just begun, and with
 * it the attempt on server 0 if one is to be kept. */
void rig_to_database(struct rig *r);
/* All seven phases done, in no time, server 0 idle (if one is kept). */
void rig_to_run_time(struct rig *r);

/* Opens the group or changes it. */
void rig_group(struct rig *r, int group, struct pool_group_settings settings);

/* In the log: how many of a kind; the first of a kind after `from` others, NULL if there is none. */
int rig_count(const struct rig *r, enum engine_action_kind kind);
const struct engine_action *rig_nth(const struct rig *r, enum engine_action_kind kind, int from);
const struct engine_action *rig_first(const struct rig *r, enum engine_action_kind kind);
/* The first notice of a kind, NULL if there is none. */
const struct engine_action *rig_notice(const struct rig *r, enum engine_notice notice);

/* What the engine knows of its attempts agrees everywhere. */
void rig_check(const struct rig *r);

#endif
