/*
 * instance - a gate's insides for tests: a real engine in virtual time and the view of it.
 */
#ifndef STANDPIPE_TEST_GATE_INSTANCE_H
#define STANDPIPE_TEST_GATE_INSTANCE_H

#include <jansson.h>

#include "gate/view.h"

#define INSTANCE_SERVERS 4
#define INSTANCE_CLIENTS 8

/* 2024-05-06T07:08:09Z, at the engine's time zero. */
#define INSTANCE_WALL_NS (INT64_C(1714979289) * NS_PER_S)

#define INSTANCE_PASSWORD "s3cr3t/pass"

struct instance {
	struct engine_settings engine_settings;
	struct gate_settings settings;
	struct pool_server servers[INSTANCE_SERVERS];
	struct engine_attempt attempts[INSTANCE_SERVERS];
	struct pool_client clients[INSTANCE_CLIENTS];
	struct pool_group pool_group;
	struct engine_group group;
	struct engine engine;
	struct engine_actions actions; /* of the last step */
	struct error phase_errors[PHASE_COUNT];
	struct gate_attempt_error attempt_errors[ENGINE_ATTEMPTS_MAX];
	struct histogram connect_times[STAGE_COUNT];
	struct secrets secrets;
	struct gate_view view;
};

/* At time zero, nothing begun; all phases wanted; settings as in production. */
void instance_init(struct instance *i);
/* The engine anew, with engine_settings as they are now. */
void instance_engine(struct instance *i);
void instance_release(struct instance *i);

/* Steps the engine at `at_s`, and moves the view there. */
void instance_step(struct instance *i, double at_s, struct engine_event event);

void instance_start(struct instance *i, double at_s);
void instance_phase(struct instance *i, double at_s, enum phase phase, bool ok);
/* All phases up to and without `phase` go well. */
void instance_reach(struct instance *i, double at_s, enum phase phase);

/* What the attempt for server 0 comes to. */
void instance_stage(struct instance *i, double at_s, enum stage stage);
void instance_connected(struct instance *i, double at_s);
void instance_failed(struct instance *i, double at_s, enum outcome outcome, const char *sqlstate,
	const char *text);

/* `path` as in "attempts.recent.0.stage"; NULL if there is none. Borrowed from `json`. */
json_t *instance_get(json_t *json, const char *path);

#endif
