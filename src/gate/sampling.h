/*
 * sampling - asks the kernel's TCP about the connections to the database, a few of them a second:
 * round trips, retransmits, the rate at which data arrives (core/flow.h). No traffic, and nothing
 * on the way of a transaction.
 */
#ifndef STANDPIPE_GATE_SAMPLING_H
#define STANDPIPE_GATE_SAMPLING_H

#include "gate/hub.h"

/* So many are asked at most, each time. */
#define SAMPLING_MAX 4

/* Its attempt's handshake has just ended: how many SYNs that lost, as the kernel counted; -1: it is
 * no TCP, or it ended before. */
int sampling_syns(const struct server *s);

/* It has just logged in: the round trips of that are news. */
void sampling_first(struct server *s);

/* Once a second: asks the next few in turn. */
void sampling_look(struct hub *h);

#endif
