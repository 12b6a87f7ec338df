/*
 * uring - the ring of backend_uring.c, between it and uring_send.c.
 */
#ifndef STANDPIPE_IO_URING_H
#define STANDPIPE_IO_URING_H

#include <liburing.h>

#include "io/backend.h"

/* Longer messages are sent from where they lie: a copy would cost more than a system call. */
#define URING_SMALL    4096
#define URING_ROOM     65536
#define URING_GATHERED 2048
#define URING_READERS  64
#define URING_BUFFER   16384
#define URING_WATCHES  16

/* What could not be passed on at once. */
struct stream_spill {
	struct buffer in; /* received while nobody wanted it */
	struct buffer out; /* taken from the owner, and not by the socket */
};

/* What a completion is of: the lowest bits of its data. The others are a pointer or an index. */
enum uring_tag {
	URING_STREAM, /* its poll */
	URING_LACKING, /* a stream's poll for room */
	URING_RECEIVE, /* by a reader */
	URING_SEND, /* of one that is gathered */
	URING_WATCH,
	URING_LOOP, /* libuv's descriptor */
	URING_ALARM,
	URING_CANCEL,
};
#define URING_TAGS 8

struct uring {
	struct io_uring ring;
	struct stream *told, **told_last; /* that polls have told of, and are not dealt with */
	int told_count;
	struct reactor_watch *watches[URING_WATCHES];
	int watches_count;
	bool loop_armed, alarm_armed, alarm_rang;

	struct stream *readers[URING_READERS]; /* who are read from by one call */
	int readers_count;
	int results[URING_READERS];
	int results_missing;
	uint8_t *memory; /* for each reader URING_BUFFER bytes */

	uint8_t *room; /* what is gathered in this turn */
	uint32_t used; /* of it */
	struct stream *gathered[URING_GATHERED]; /* that have something there; NULL: no more */
	uint32_t gathered_count;
};

static inline struct uring *uring_of(const struct stream *s)
{
	return s->reactor->state;
}

/* ---- of backend_uring.c ---- */

/* To be filled in; goes down with the next call. */
struct io_uring_sqe *uring_submission(struct uring *u);

/* ---- of uring_send.c ---- */

struct stream_spill *uring_spill(struct stream *s);
/* Frees it if there is nothing in it. */
void uring_spill_trim(struct stream *s);

/* backend.write, backend.flush and backend.want_room. */
ssize_t uring_write(struct stream *s, const void *at, size_t len);
void uring_flush(struct stream *s);
void uring_want_room(struct stream *s);

/* Sends what has been kept. False: there is no room for all of it. */
bool uring_send_kept(struct stream *s);

/* All that is gathered goes down with the next call... */
void uring_prepare_sends(struct uring *u);
/* ... one that has not been sent whole comes back (`index` and `result` of its completion)... */
void uring_sent(struct uring *u, uint64_t index, int result);
/* ... and after that none is gathered. */
void uring_forget_sends(struct uring *u);

#endif
