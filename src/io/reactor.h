/*
 * reactor - the gate's wait: streams, and libuv's loop for all else.
 *
 * Streams are what a transaction passes through, so they are waited for directly, with as few
 * system calls as the kernel allows, and so are the sockets where they come from. Timers, children,
 * pages and the like stay with libuv: its descriptor is one of those that the reactor waits for, its nearest timer sets
 * an alarm, and uv_run is called only when one of the two has come. So uv_run and uv_stop are not
 * for the loop's owner to call while a reactor has it: reactor_run and reactor_stop are.
 *
 * There are two backends. epoll is always there. io_uring needs a kernel and a sandbox that allow
 * it (Linux 6.1; gVisor and many seccomp profiles do not): that is found out when it begins.
 */
#ifndef STANDPIPE_IO_REACTOR_H
#define STANDPIPE_IO_REACTOR_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/error.h"

/* The most that is read at once. */
#define REACTOR_READ 65536

struct backend;
struct stream;

/* A descriptor that is no stream: what is there to be read, or accepted, is told in each turn. */
struct reactor_watch {
	int fd;
	void (*ready)(struct reactor_watch *w);
};

enum reactor_choice {
	REACTOR_AUTO, /* the best that is there */
	REACTOR_EPOLL,
	REACTOR_URING, /* ... if it is there; else epoll */
};

struct reactor {
	uv_loop_t *loop; /* borrowed */
	const struct backend *backend;
	void *state; /* the backend's, owned */
	void (*before_wait)(void *context); /* or NULL: a last word before each wait */
	void *context;
	struct stream *ready, **ready_last; /* have something to do without being woken */
	int ready_count;
	int alarm; /* a timer's descriptor: rings when libuv's nearest timer is due, or before */
	uint64_t alarm_ms; /* at this time of libuv's clock; UINT64_MAX: it is not set */
	struct stream *closing; /* only to be told that they are closed */
	int streams; /* that are not closed yet */
	uint64_t turns; /* so far */
	bool may_shake; /* the next TLS handshake that is listed may go on */
	bool stopped;
	uint8_t *scratch; /* REACTOR_READ bytes, for one read at a time */
};

/* Borrows `loop`. 0, or -1 with `error`. */
int reactor_init(
	struct reactor *r, uv_loop_t *loop, enum reactor_choice choice, struct error *error);

/* Everything must be closed. */
void reactor_release(struct reactor *r);

/* "epoll" or "io_uring": which of them it became. */
const char *reactor_backend(const struct reactor *r);

/* Borrows `w` until reactor_unwatch, which may be called from inside any event. 0, or -1 with errno. */
int reactor_watch(struct reactor *r, struct reactor_watch *w);
void reactor_unwatch(struct reactor *r, struct reactor_watch *w);

/* Until reactor_stop. */
void reactor_run(struct reactor *r);
void reactor_stop(struct reactor *r);

/* One turn: waits, if `wait`, and does what there is to do. */
void reactor_turn(struct reactor *r, bool wait);

/* Until all streams and all of libuv's handles are closed. */
void reactor_drain(struct reactor *r);

#endif
