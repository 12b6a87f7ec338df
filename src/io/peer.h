/*
 * peer - who is at the other end of a connected socket.
 */
#ifndef STANDPIPE_IO_PEER_H
#define STANDPIPE_IO_PEER_H

#include <stdbool.h>
#include <stdint.h>

#define PEER_HOST_MAX 64 /* bytes of the longest text, with its zero */

struct peer {
	bool local; /* on this machine: over a Unix socket, or from a loopback address */
	int port; /* 0: over a Unix socket */
	char host[PEER_HOST_MAX]; /* "10.0.0.5", "fe80::1%eth0", "unix"; "gone" if it has gone */
};

/* Asks the kernel. `fd` is borrowed. Whoever has gone already is not local. */
void peer_of(int fd, struct peer *peer);

#endif
