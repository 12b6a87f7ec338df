/*
 * connector - the emulated path between instances and database: one shared resource with the
 * capacity of scenario/capacity.h, on a thread and a loop of its own, so that it keeps its pace
 * while the machine is busy.
 *
 * Every instance reaches it at an address of its own (127.0.1.1, 127.0.1.2, ...) on one port,
 * behind which stands one listening socket: the kernel completes exactly as many handshakes as the
 * capacity has room for and drops the SYNs of all others (lab/doorway.h). An instance whose egress
 * is not warm yet finds at its address a listener that drops everything.
 *
 * Time is the scenario's: a run with time_scale 0.1 fills tokens and moves bytes ten times as fast.
 * What cannot be scaled is the client's kernel: it sends a SYN again after 1, 3, 7 s, or, from
 * Linux 6.5 on, once a second to begin with (net.ipv4.tcp_syn_linear_timeouts).
 */
#ifndef STANDPIPE_LAB_CONNECTOR_H
#define STANDPIPE_LAB_CONNECTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/instant.h"
#include "scenario/capacity.h"

struct connector;

struct connector_settings {
	struct capacity_settings capacity;
	double time_scale;
	uint16_t database_port; /* on 127.0.0.1 */
	int clients; /* instances that use it */
};

struct connector_stats {
	int flows; /* now */
	int flows_peak;
	int instances; /* connector instances now */
	int64_t completed; /* handshakes that were completed */
	int64_t dropped; /* SYNs that were dropped, each repetition counted */
	int64_t bytes; /* both directions */
};

/* Starts it. `settings` is copied. NULL with `error` when it cannot. */
struct connector *connector_new(const struct connector_settings *settings, struct error *error);

/* Resets all flows, stops the thread, frees. NULL is allowed. */
void connector_free(struct connector *c);

/* Where instance `client` (0..clients-1) finds it. */
uint16_t connector_port(const struct connector *c);
void connector_address(const struct connector *c, int client, char text[16]);

/* Nothing leaves instance `client` for so long, in the scenario's time; in force on return. */
void connector_cold(struct connector *c, int client, int64_t for_ns);

/* Nothing passes and nothing begins, or all is well again. */
void connector_partition(struct connector *c, bool partitioned);

/* It is restarting: every flow is cut, and nothing begins; or it is there again. */
void connector_restart(struct connector *c, bool down);

/* What passes arrives so much later, each way, in the scenario's time. What is less than a
 * millisecond of real time is passed over: a loop's timers are no finer. */
void connector_delay(struct connector *c, int64_t delay_ns);

/* The database's host refuses connects (it is stopped), or takes them again. */
void connector_refuse(struct connector *c, bool refuse);

struct connector_stats connector_stats(struct connector *c);

#endif
