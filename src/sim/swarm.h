/*
 * swarm - random scenarios: a seed draws the fleet, the path, the database, the faults and
 * Standpipe's own settings, and the run must keep what is always promised.
 *
 * Each kind of fault and each unusual trait is on or off for a whole run (Groce et al., "Swarm
 * Testing", ISSTA 2012: a run with everything in it hides what a run without some of it finds). A
 * run has two parts:
 *
 *   safety     things go wrong; after every event the invariants hold (sim/invariant.h)
 *   liveness   all is well again, and there is room for all: within SWARM_LIVENESS_NS every instance
 *              is up, and stays up
 */
#ifndef STANDPIPE_SIM_SWARM_H
#define STANDPIPE_SIM_SWARM_H

#include "sim/sim.h"

#define SWARM_LIVENESS_NS (900 * NS_PER_S)
#define SWARM_TEXT_MAX    512

/* What a seed draws. */
struct swarm_case {
	struct scenario scenario; /* without texts of its own: nothing is to be released */
	struct scenario_arm arm;
	struct sim_settings settings;
	bool may_starve; /* nobody told the instances how many they are, and they are under load: who is
	                  * first may take it all, and the last may never be up */
	char text[SWARM_TEXT_MAX]; /* the traits, for people */
};

/* `preset`: what is not drawn. */
void swarm_draw(struct swarm_case *c, uint64_t seed, const struct sim_settings *preset);

/* Draws and plays it. 0, or -1 with `error`: what was broken, and when. */
int swarm_run(struct swarm_case *c, uint64_t seed, const struct sim_settings *preset,
	struct sim_stats *stats, struct error *error);

#endif
