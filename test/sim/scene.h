/*
 * scene - a small scenario built in code, for the tests: change what matters, then play.
 */
#ifndef STANDPIPE_TEST_SCENE_H
#define STANDPIPE_TEST_SCENE_H

#include "sim/world.h"

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

/* The same by hand: a world at time zero, which goes on when all is well; and its end. */
void scene_open(struct scene *s, struct world *w, uint64_t seed);
void scene_close(struct scene *s, struct world *w);

double scene_value(const struct scene *s, enum metric metric);
void scene_end(struct scene *s);

#endif
