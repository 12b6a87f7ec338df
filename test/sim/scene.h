/*
 * scene - a small scenario built in code, for the tests: change what matters, then play.
 */
#ifndef STANDPIPE_TEST_SCENE_H
#define STANDPIPE_TEST_SCENE_H

#include "sim/sim.h"

struct scene {
	struct scenario scenario;
	struct scenario_arm arm;
	struct sim_settings settings;
	struct result result;
};

/* Four instances with a pool of 3 + 2, behind a connector of one machine with 50 flows, before a
 * database for 50; 60 s; behind Standpipe or not. */
void scene_init(struct scene *s, bool standpipe);

/* NAME=value for the arm. */
void scene_set(struct scene *s, const char *variable);

/* Plays it with every check; fails the test when an invariant is broken. */
void scene_play(struct scene *s, uint64_t seed);

double scene_value(const struct scene *s, enum metric metric);
void scene_end(struct scene *s);

#endif
