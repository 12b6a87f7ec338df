/*
 * doorway - a listening socket of which the kernel completes exactly as many handshakes as the
 * owner allows, and drops the SYNs of all others without a word: the client's kernel sends them
 * again later, as it does in the field.
 *
 * How: the kernel drops a SYN when the queue of connections that wait for accept() is full, and
 * listen() on a listening socket changes that queue's length at once. So for n allowed handshakes
 * the length is n - 1 (the kernel takes one more than the length). None at all cannot be said that
 * way, so the doorway then connects to itself and leaves that connection, the plug, in the queue.
 * This needs no privilege and no packet filter (new kernels keep those from ordinary users).
 *
 * The kernel counts the SYNs that it drops (SO_MEMINFO), and so does the doorway.
 * Linux only; loopback only (bound to the device `lo`).
 */
#ifndef STANDPIPE_LAB_DOORWAY_H
#define STANDPIPE_LAB_DOORWAY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct doorway {
	int fd; /* owned; -1: not open */
	int plug; /* owned; the plug's outer end, -1: unplugged */
	uint16_t plug_port;
	uint32_t address; /* IPv4 in host order; 0: every address of loopback */
	uint16_t port;
	int allowed; /* handshakes that may still complete, told to the kernel */
	bool refusing;
	int64_t dropped_before; /* SYNs, on sockets that are closed by now */
	uint32_t dropped_last;
};

/* Opens it, with none allowed. Doorways on one port share it by address: the one that names the
 * address gets the SYN. `port` must not be 0. 0, or -1 with `error`. */
int doorway_open(struct doorway *d, uint32_t address, uint16_t port, struct error *error);

void doorway_close(struct doorway *d);

/* From now on `count` more handshakes may complete. */
void doorway_allow(struct doorway *d, int count);

/* From now on (or no longer) connects are refused with a reset, as by a host where nothing
 * listens. */
void doorway_refuse(struct doorway *d, bool refuse);

/* The next connection that was allowed, as a non-blocking socket, which the caller takes, with the
 * address that the client asked for in `*address`; -1: none now. Takes one off what is allowed. */
int doorway_accept(struct doorway *d, uint32_t *address);

/* SYNs dropped so far. */
int64_t doorway_dropped(struct doorway *d);

#endif
