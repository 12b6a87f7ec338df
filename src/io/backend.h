/*
 * backend - how a reactor waits; between the files of reactor, stream and the backends.
 */
#ifndef STANDPIPE_IO_BACKEND_H
#define STANDPIPE_IO_BACKEND_H

#include "io/reactor.h"
#include "io/stream.h"

struct backend {
	const char *name;
	/* Watches libuv's descriptor and the reactor's alarm. -1 with errno when it is not to be had
	 * here. */
	int (*init)(struct reactor *r);
	void (*release)(struct reactor *r);
	/* Until there is something to do; if not `waits`, only looks. */
	void (*wait)(struct reactor *r, bool waits);
	/* Calls the streams' events, and the watches'. Says whether libuv has something to do. */
	bool (*dispatch)(struct reactor *r);
	/* As reactor_watch and reactor_unwatch. */
	int (*watch)(struct reactor *r, struct reactor_watch *w);
	void (*unwatch)(struct reactor *r, struct reactor_watch *w);
	/* 0, or -1 with errno. */
	int (*add)(struct stream *s);
	/* Calls stream_gone once nothing can come of it any more, at once or from dispatch. */
	void (*remove)(struct stream *s);
	/* stream_receive, for one where something may be kept. NULL: nothing ever is. */
	ssize_t (*read)(struct stream *s, uint8_t *at, size_t len);
	/* Bytes as they go over the wire: as stream_write. */
	ssize_t (*write)(struct stream *s, const void *at, size_t len);
	/* stream.wants_room has been set. */
	void (*want_room)(struct stream *s);
};

/* What reading gives besides a count of bytes. */
#define STREAM_END   0
#define STREAM_AGAIN (-1)
#define STREAM_FAIL  (-2)

extern const struct backend backend_epoll;
extern const struct backend backend_uring;

/* ---- of stream.c, for the backends ---- */

/* The descriptor is ready for it. May close it. */
void stream_signalled(struct stream *s, bool readable, bool writable, bool hung_up);

/* Does what there is to do for it. May close it. */
void stream_work(struct stream *s);

/* By send(2), without waiting: as stream_write. */
ssize_t stream_send(struct stream *s, const void *at, size_t len);

/* What the other side sent, as it came over the wire: by the backend's read, if it has one. As
 * stream_receive. */
ssize_t stream_read(struct stream *s, uint8_t *at, size_t len);

/* By recv(2), without waiting: a count of bytes, or one of the above. Takes note of it when there is no
 * more to come. */
ssize_t stream_receive(struct stream *s, uint8_t *at, size_t len);

/* ---- of reactor.c ---- */

/* It has something to do that the kernel will not tell of: before the next wait. */
void reactor_list(struct stream *s);
void reactor_unlist(struct stream *s);

/* It is out of the backend. */
void stream_gone(struct stream *s);

#endif
