/*
 * capacity - the rule of an emulated connector: may a new flow begin now, and on which of the
 * connector's own instances? Pure: no clock, no I/O; the lab asks it in scaled real time, the
 * bound and the simulator ask it in virtual time.
 *
 * What it takes from the field (the project's facts about Serverless VPC Access):
 *   - A connector is a few small machines ("connector instances"). Each carries so many flows at
 *     once, begins so many a second and moves so many bits a second, both directions together.
 *   - It scales out when it is busy, one step at a time, each after a delay. It never scales in.
 *   - New connector instances carry new flows only: a flow stays where it began.
 *   - When there is no room, the handshake is dropped; nobody is told.
 *
 * Numbers that no vendor documents are settings, and the scenario says them.
 */
#ifndef STANDPIPE_SCENARIO_CAPACITY_H
#define STANDPIPE_SCENARIO_CAPACITY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/instant.h"
#include "base/random.h"

#define CAPACITY_INSTANCES_MAX 64

struct capacity_settings {
	int instances_min; /* connector instances at the start, 1..CAPACITY_INSTANCES_MAX */
	int instances_max; /* it never has more */
	int flows; /* at once, per connector instance; 1 or more */
	double connect_rate; /* new flows a second, per connector instance; 0: no limit */
	double connect_burst; /* new flows at once after a rest, per connector instance; 1 or more */
	double bandwidth_bit_s; /* per connector instance, both directions; 0: no limit */
	double scale_at; /* share of all flows in use that starts a step, 0..1 */
	int scale_step; /* connector instances a step adds; 1 or more */
	int64_t scale_delay_min_ns; /* a step takes a time between these two, drawn evenly */
	int64_t scale_delay_max_ns;
	uint64_t seed;
};

struct capacity_instance {
	int flows;
	double tokens; /* new flows that may begin */
	double bytes; /* that may pass; below zero after a read that was larger */
};

struct capacity {
	struct capacity_settings settings;
	struct random random;
	struct capacity_instance instances[CAPACITY_INSTANCES_MAX];
	int count; /* connector instances there are */
	instant now; /* up to here tokens and bytes are filled */
	instant scale_at; /* the step under way ends here; INSTANT_NEVER: none is */
	bool refused; /* a handshake was dropped since the last step ended */
	int flows; /* on all instances */
	int64_t flows_begun;
};

/* `settings` is copied; its limits are asserted. */
void capacity_init(struct capacity *c, const struct capacity_settings *settings, instant now);

/* Brings tokens, bytes and scaling up to `now`, which never goes back (an earlier one counts as
 * the last). Every verb below does this first. */
void capacity_advance(struct capacity *c, instant now);

/* How many flows could begin right now. */
int capacity_permits(struct capacity *c, instant now);

/* Begins a flow on the least loaded connector instance that has room and a token: its index, or -1
 * when there is none. */
int capacity_begin(struct capacity *c, instant now);

/* A flow on `instance` ended. */
void capacity_end(struct capacity *c, int instance, instant now);

/* A handshake was dropped for want of room: the connector notices that it is too small. */
void capacity_refuse(struct capacity *c, instant now);

/* When, without any other event, capacity_permits may next grow; INSTANT_NEVER: not by itself. */
instant capacity_next(const struct capacity *c);

/* Bytes that may be read for a flow on `instance` now; 0: wait until capacity_bytes_at. Without a
 * limit INT64_MAX. */
int64_t capacity_bytes(struct capacity *c, int instance, instant now);
instant capacity_bytes_at(const struct capacity *c, int instance);

/* `bytes` passed on `instance`. */
void capacity_spend(struct capacity *c, int instance, int64_t bytes);

/* The earliest moment at which this path can have admitted one flow for each of `instances`
 * that all ask from time zero on and keep what they get, with every scaling step as quick as it
 * may be: a lower bound. INSTANT_NEVER when it never can. */
instant capacity_earliest(const struct capacity_settings *settings, int instances);

#endif
