/*
 * stream - a connected socket, plain or under TLS, watched on a loop.
 *
 * Level-triggered: `ready` is called while there is something to do that was asked for. The
 * interest in reading and in writing is the owner's to set; a change costs nothing until the loop
 * waits again.
 */
#ifndef STANDPIPE_IO_STREAM_H
#define STANDPIPE_IO_STREAM_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "base/error.h"

/* What stream_read and stream_write return besides a count of bytes. */
#define STREAM_END   0 /* the other side will send no more */
#define STREAM_AGAIN (-1) /* nothing now: wait for ready */
#define STREAM_FAIL  (-2) /* broken; errno says why where it can */

struct stream {
	uv_poll_t poll;
	int fd;
	SSL *ssl; /* borrowed; NULL: plain */
	int events; /* that are watched, as libuv has them */
	bool open;
	bool wants_write; /* TLS has to send before it can be read from */
	void (*ready)(struct stream *s, bool readable, bool writable);
	void (*closed)(struct stream *s);
	void *owner;
};

/* Borrows `fd`, which must be non-blocking; 0, or -1 with errno. Nothing is watched yet. */
int stream_open(struct stream *s, uv_loop_t *loop, int fd, SSL *ssl,
	void (*ready)(struct stream *s, bool readable, bool writable), void *owner);

/* From now on under TLS, which is borrowed: the first reads shake hands. */
void stream_encrypt(struct stream *s, SSL *ssl);

/* Shakes hands as far as it goes now: 1 when that is done, else STREAM_AGAIN or STREAM_FAIL. Only
 * where bytes of the handshake were read before (tls_accept), of which the loop can't tell. */
ssize_t stream_shake(struct stream *s);

/* What to be told of. `end` without `read`: only that the other side has gone (as readable). */
void stream_watch(struct stream *s, bool read, bool write, bool end);

ssize_t stream_read(struct stream *s, void *at, size_t len);
/* Before TLS's handshake is over nothing can be said: STREAM_FAIL. */
ssize_t stream_write(struct stream *s, const void *at, size_t len);

/* TLS holds bytes that were read from the socket already: reading again gives some. */
bool stream_has_pending(const struct stream *s);

/* Stops watching. `closed` is called from the loop, once: then the memory may go. The descriptor
 * is not closed here: it must stay open until `closed`, and is the owner's to close. */
void stream_close(struct stream *s, void (*closed)(struct stream *s));

#endif
