/*
 * relay - the flows that an emulated connector carries: bytes between a client and the database,
 * both ways, within the bandwidth of the connector instance that a flow began on.
 *
 * Plain non-blocking reads and writes through one scratch buffer. A side that cannot take what was
 * read gets it from a queue of the flow's own, and nothing more is read for it until then. On a
 * path with latency all goes through that queue, and at most RELAY_QUEUE_MAX bytes are on their way
 * per direction. Ends are passed on as they come: a half-close as a half-close, a reset as a reset.
 *
 * Latency: what one side sends reaches the other `delay_ns` later. The handshake is the kernel's
 * and takes no time; the round trip that it would have taken is added to the first bytes.
 */
#ifndef STANDPIPE_LAB_RELAY_H
#define STANDPIPE_LAB_RELAY_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/instant.h"
#include "scenario/capacity.h"

#define RELAY_READ_MAX  65536
#define RELAY_QUEUE_MAX ((size_t)4 * RELAY_READ_MAX)

struct flow;

struct relay {
	uv_loop_t *loop; /* borrowed */
	struct capacity *capacity; /* borrowed */
	struct sockaddr_in upstream; /* the database */
	uint64_t begun_ns; /* uv_hrtime() at the scenario's zero */
	double time_scale;
	bool partitioned; /* nothing moves */
	int64_t delay_ns; /* each way, in the scenario's time; 0: none */
	struct flow *flows; /* a list, owned */
	int count;
	instant woken; /* by relay_wake, last */
	int64_t bytes; /* moved, both directions */
	uint8_t scratch[RELAY_READ_MAX];
};

/* The scenario's time. */
instant relay_now(const struct relay *r);

/* Takes `client`, a connected non-blocking socket; `instance` is what capacity_begin gave, and
 * capacity_end follows when the flow ends. */
void relay_begin(struct relay *r, int client, int instance);

/* From now on nothing moves, or it moves again. */
void relay_partition(struct relay *r, bool partitioned);

/* Goes on with the flows that waited for bandwidth, or whose bytes have arrived. */
void relay_wake(struct relay *r);

/* When relay_wake is due next; INSTANT_NEVER: no flow waits for time to pass. */
instant relay_next(struct relay *r);

/* Resets all flows. Their memory goes when the loop has closed their handles. */
void relay_end(struct relay *r);

#endif
