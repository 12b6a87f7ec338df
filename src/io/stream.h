/*
 * stream - a connected socket, plain or under TLS, on a reactor.
 *
 * What arrives is brought to the owner; what the socket does not take the owner keeps, until it is
 * told that there is room again. Pausing is a flag: it costs no system call unless the other side
 * goes on talking.
 */
#ifndef STANDPIPE_IO_STREAM_H
#define STANDPIPE_IO_STREAM_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "base/bytes.h"

struct reactor;
struct stream;
struct stream_spill;

/* All are called from the reactor's turn, never from inside a verb of the stream, and each may
 * close any stream. */
struct stream_events {
	/* Bytes have come. They are lent for the call. */
	void (*received)(struct stream *s, struct bytes in);
	/* The other side will send no more, or the connection broke; told once. While it is read
	 * from, after all that it sent; else at once, if the end is watched for. */
	void (*ended)(struct stream *s);
	/* There is room again, after a write that was not taken whole. */
	void (*writable)(struct stream *s);
};

struct stream {
	struct reactor *reactor; /* borrowed */
	const struct stream_events *events; /* borrowed */
	void *owner;
	SSL *ssl; /* borrowed; NULL: plain */
	void (*closed)(struct stream *s);
	struct stream *next; /* in one of the reactor's lists */
	int fd;
	bool open;
	bool reading; /* what comes is wanted */
	bool watches_end; /* ... and if not: the end is, at once */
	bool readable; /* there may be something to read */
	bool hung_up; /* the other side has ended it: reading comes to an end, too */
	bool told_end;
	bool wants_room; /* the last write was not taken whole */
	bool listed; /* in the reactor's list of those that go on without being woken */
	bool watches_room; /* epoll's: it waits for room */

	/* io_uring's (backend_uring.c). */
	bool broken; /* nothing more can be sent */
	uint32_t gathered_at, gathered_len, gathered_slot; /* to be sent when the turn ends */
	struct stream_spill *spill; /* what could not be passed on at once; NULL: nothing */
};

/* Borrows `fd`, which must be non-blocking, and `ssl`; 0, or -1 with errno. Nothing is read before
 * stream_watch. */
int stream_open(struct stream *s, struct reactor *r, int fd, SSL *ssl,
	const struct stream_events *events, void *owner);

/* From now on under TLS, which is borrowed, and needs nothing to read from: the first reads shake
 * hands, and until that is done nothing can be written. Of all that shake hands one goes on in each
 * turn, in the order in which they came: it takes half a millisecond, and longer with a large key,
 * which those who are in session would wait for. What was written before goes out in plain
 * text; `ahead` was read already, and is the handshake's: it is copied. */
void stream_encrypt(struct stream *s, SSL *ssl, struct bytes ahead);

/* Shall it be read from? If not: is its end to be told at once? What comes meanwhile waits, in the
 * kernel for the most part. */
void stream_watch(struct stream *s, bool read, bool end);

/* How much of it was taken (from 0 to `len`; less than `len`: `writable` will be called), or -1
 * when the connection is broken. What is taken is copied, and sent within this turn. */
ssize_t stream_write(struct stream *s, const void *at, size_t len);

/* Stops all events. `closed` is called from the loop, once: then the memory may go. The descriptor
 * is not closed here: it must stay open until `closed`, and is the owner's to close. */
void stream_close(struct stream *s, void (*closed)(struct stream *s));

#endif
