/*
 * tunnel - bytes both ways between two sockets: a client of the front door and the command.
 *
 * What one side sends goes to the other at once; what the other does not take is kept, at most one
 * read's worth (TUNNEL_READ), and nothing more is read until it is gone: TCP's own back-pressure
 * does the rest. An idle tunnel owns no buffer. An end of stream is passed on when all before it
 * was; the tunnel ends when both directions have.
 */
#ifndef STANDPIPE_GATE_TUNNEL_H
#define STANDPIPE_GATE_TUNNEL_H

#include <netinet/in.h>
#include <stdint.h>
#include <uv.h>

#define TUNNEL_READ       65536
#define TUNNEL_CONNECT_MS 10000

struct tunnel;

struct tunnel_events {
	/* The far side can't be reached; `fd` is the client's socket, untouched, the callee's now.
	 * `ended` follows. */
	void (*refused)(void *context, int fd);
	/* The tunnel has gone; `bytes` went through it, both ways together. Called once, not after
	 * tunnel_free. */
	void (*ended)(void *context, struct tunnel *tunnel, uint64_t bytes);
	void *context;
};

/* Connects to `address` and joins it with `client_fd`, which is taken. `scratch` is TUNNEL_READ
 * bytes that many tunnels on a loop share; borrowed. Never calls back from inside. NULL when there
 * are no descriptors left: `client_fd` is the caller's still. */
struct tunnel *tunnel_new(uv_loop_t *loop, int client_fd, const struct sockaddr_in *address,
	uint8_t *scratch, const struct tunnel_events *events);

/* Cuts both sides; the memory goes with the loop's next turn. */
void tunnel_free(struct tunnel *t);

#endif
