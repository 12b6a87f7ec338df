/*
 * rollout - a new revision of a fleet's service, as a platform rolls it out: as many new instances
 * as there are old ones, each at an address of its own, and an old one is told to end for each new
 * one that has come up. So for a while there are more of both than there ever are of one.
 */
#ifndef STANDPIPE_LAB_ROLLOUT_H
#define STANDPIPE_LAB_ROLLOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "lab/fleet.h"

struct rollout {
	int revision; /* the new one */
	int at_a_time; /* so many new ones may be on their way up at once */
	int total, started, retired;
};

/* `at_a_time` 0: all at once. */
void rollout_begin(struct rollout *r, struct fleet *f, int at_a_time, uint64_t now);

/* Goes on with it. True: there is no old one any more. */
bool rollout_tick(struct rollout *r, struct fleet *f, uint64_t now);

#endif
