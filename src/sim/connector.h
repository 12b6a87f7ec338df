/*
 * connector - the path between instances and database, in virtual time: the rule of
 * scenario/capacity.h and what can be wrong with it.
 *
 * A SYN is answered, refused or dropped. What was dropped nobody is told of.
 */
#ifndef STANDPIPE_SIM_CONNECTOR_H
#define STANDPIPE_SIM_CONNECTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/instant.h"
#include "scenario/capacity.h"

struct connector {
	bool exists; /* false: straight to the database */
	struct capacity capacity;
	int64_t rtt_ns;
	double slow; /* a round trip takes so many times as long now */
	instant partitioned_until; /* nothing passes before */
	instant down_until; /* nothing new begins before */
	int flows, flows_peak;
	int64_t completed, dropped; /* handshakes; SYNs, each repetition counted */
};

/* `settings` NULL: there is no connector. */
void connector_init(struct connector *c, const struct capacity_settings *settings, int64_t rtt_ns);

/* A SYN comes: the connector's instance that carries the flow, or -1, dropped. */
int connector_syn(struct connector *c, instant now);

/* A SYN was lost before it came so far: the instance's egress is not warm yet. */
void connector_lost(struct connector *c);

/* The flow that connector_syn gave ended. */
void connector_end(struct connector *c, int machine, instant now);

/* `trips` round trips that begin now. */
int64_t connector_trips_ns(const struct connector *c, double trips);

/* So many bytes of a flow on `machine` come: how long they wait for those that came before. */
int64_t connector_pass(struct connector *c, int machine, int64_t bytes, instant now);

/* Flows that it carries now at most; 0: no limit. */
int connector_room(struct connector *c, instant now);

#endif
