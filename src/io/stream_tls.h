/*
 * stream_tls - TLS under a stream; between stream.c and OpenSSL.
 *
 * OpenSSL reads and writes through the reactor's backend, as a plain stream does: what it writes in
 * a turn goes out with all else that the turn has written, and what one call has read for many
 * streams it gets from there.
 */
#ifndef STANDPIPE_IO_STREAM_TLS_H
#define STANDPIPE_IO_STREAM_TLS_H

#include "io/stream.h"

/* Takes the place of what `stream.ssl` read from and wrote to before, from `ahead` (copied) on. */
void stream_tls_begin(struct stream *s, struct bytes ahead);

/* What OpenSSL still says, for it says goodbye, is sent at once or not at all. */
void stream_tls_end(struct stream *s);

/* As a backend's read and write do. */
ssize_t stream_tls_read(struct stream *s, uint8_t *at, size_t len);
ssize_t stream_tls_write(struct stream *s, const void *at, size_t len);

#endif
