/*
 * acceptor - takes connections off a listening socket and hands them on, one by one.
 *
 * Out of descriptors, it rests for ACCEPTOR_REST_MS instead of spinning; a burst is taken
 * ACCEPTOR_BURST at a time, so that the rest of the loop goes on. On a reactor one is taken at a
 * time, and twice as many in each turn that comes right after another: most come alone, and asking
 * whether there is one more is a system call.
 */
#ifndef STANDPIPE_IO_ACCEPTOR_H
#define STANDPIPE_IO_ACCEPTOR_H

#include <uv.h>

#include "base/error.h"

struct reactor;

#define ACCEPTOR_BURST   64
#define ACCEPTOR_REST_MS 100

struct acceptor;

/* `fd` is a connected socket, non-blocking and close-on-exec, now the callee's. */
typedef void acceptor_take(void *context, int fd);

/* Begins to accept. `listen_fd` is borrowed: it must listen and stay open until acceptor_free. It
 * becomes non-blocking, for every process that shares it: a neighbour may take the connection
 * between poll and accept. NULL with `error` if it can't be watched. */
struct acceptor *acceptor_new(
	uv_loop_t *loop, int listen_fd, acceptor_take *take, void *context, struct error *error);

/* ... of a reactor's: it waits for them by itself, and does not turn libuv's loop to take them. */
struct acceptor *acceptor_new_on(
	struct reactor *r, int listen_fd, acceptor_take *take, void *context, struct error *error);

/* Paused, connections wait in the kernel's backlog, or go to others that share the socket. Both
 * may be called at any time, from inside `take` too. */
void acceptor_pause(struct acceptor *a);
void acceptor_resume(struct acceptor *a);

/* `take` is not called any more; the memory goes with the loop's next turn. NULL is let pass. */
void acceptor_free(struct acceptor *a);

#endif
