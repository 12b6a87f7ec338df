/*
 * faults - what goes wrong in an arm, when the scenario says so: at the database, on the path, in
 * the fleet.
 */
#ifndef STANDPIPE_LAB_FAULTS_H
#define STANDPIPE_LAB_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "lab/connector.h"
#include "lab/fleet.h"
#include "lab/postgres.h"
#include "lab/rollout.h"
#include "report/milestones.h"
#include "scenario/scenario.h"

enum fault_state { FAULT_AHEAD, FAULT_ON, FAULT_PAST };

/* All that is pointed to is borrowed. */
struct faults_settings {
	const struct scenario *scenario;
	bool none; /* a reference: no fault comes */
	struct postgres *postgres;
	int max_connections; /* it is started again with so many */
	struct connector *connector; /* NULL: there is none, and nothing happens to it */
	struct fleet *fleet;
	struct milestones *milestones;
	double time_scale;
};

struct faults {
	struct faults_settings settings;
	uint64_t begun_ns;
	enum fault_state states[SCENARIO_FAULTS_MAX];
	struct rollout rollouts[SCENARIO_FAULTS_MAX];
	uint64_t over_ns; /* the last one was over; 0: not yet, or there is none */
};

/* How many instances an arm needs, with those that its faults start. */
int faults_instances(const struct scenario *s);

/* Time runs from `now` on. */
void faults_init(struct faults *f, const struct faults_settings *settings, uint64_t now);

/* Begins and ends what is due. 0, or -1 with `error`: the database cannot be started again. */
int faults_tick(struct faults *f, uint64_t now, struct error *error);

/* None is under way, and none will come. */
bool faults_are_over(const struct faults *f);

/* It is down on purpose. */
bool faults_database_is_down(const struct faults *f);

#endif
