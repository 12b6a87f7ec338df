/*
 * milestones - the moments of an arm that its report tells: when as many instances were up as fit,
 * when all were, and when, after a fault, all was well again. No clock: what happens is told with
 * its time, in nanoseconds since some moment long before (0 is never), which never goes back.
 */
#ifndef STANDPIPE_REPORT_MILESTONES_H
#define STANDPIPE_REPORT_MILESTONES_H

#include <stdbool.h>
#include <stdint.h>

struct milestones {
	int fitting; /* instances that fit */
	bool load; /* there are requests, so that recovery needs a second in which all are served */
	int ready, wanted; /* instances that are up, and that there are */
	/* 0: not yet */
	uint64_t fit_ns, all_ns;
	uint64_t fault_ns, fault_over_ns; /* of the first fault */
	int ready_before; /* instances up when it began */
	uint64_t up_again_ns; /* since then as many are up; 0: fewer are */
	uint64_t recovered_ns;
};

void milestones_init(struct milestones *m, int fitting, bool load);

/* How many are up, and are wanted; also when it is as before. */
void milestones_up(struct milestones *m, int ready, int wanted, uint64_t now);

/* The first fault begins; it is over. */
void milestones_fault(struct milestones *m, uint64_t now);
void milestones_fault_over(struct milestones *m, uint64_t now);

/* All requests that came from `begun_ns` to `over_ns`, which is past, have been served at once. It
 * is known later than that, for a request takes its time also when all is well. */
void milestones_served(struct milestones *m, uint64_t begun_ns, uint64_t over_ns);

#endif
