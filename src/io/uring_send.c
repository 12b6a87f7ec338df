/*
 * Sending by the ring: small messages are gathered in `room` until the turn ends, and go down with the
 * call that waits. Their sends are silent when they succeed; what a socket does not take comes back,
 * and is kept until there is room.
 */
#include "io/uring.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* ---- what could not be passed on ---- */

struct stream_spill *uring_spill(struct stream *s)
{
	if (!s->spill)
		s->spill = calloc(1, sizeof(*s->spill));
	if (!s->spill)
		abort();
	return s->spill;
}

void uring_spill_trim(struct stream *s)
{
	struct stream_spill *spill = s->spill;
	if (!spill || buffer_len(&spill->in) + buffer_len(&spill->out) > 0)
		return;
	buffer_release(&spill->in);
	buffer_release(&spill->out);
	free(spill);
	s->spill = NULL;
}

void uring_want_room(struct stream *s)
{
	if (s->watches_room)
		return;
	struct io_uring_sqe *sqe = uring_submission(uring_of(s));
	io_uring_prep_poll_add(sqe, s->fd, POLLOUT);
	sqe->user_data = (uintptr_t)s | URING_LACKING;
	s->watches_room = true;
	s->polls++;
}

static void keep_rest(struct stream *s, const uint8_t *at, size_t len)
{
	buffer_append(&uring_spill(s)->out, at, len);
	s->wants_room = true;
	uring_want_room(s);
}

static void on_broken(struct stream *s)
{
	s->broken = s->hung_up = s->readable = true;
	if (s->open)
		reactor_list(s);
}

/* ---- sending ---- */

/* A send that was tried: its result as the kernel tells it. */
static void on_sent(struct stream *s, struct bytes bytes, int result)
{
	if (!s->open || result == (int)bytes.len)
		return;
	size_t sent = result > 0 ? (size_t)result : 0;
	if (result < 0 && result != -EAGAIN && result != -EINTR)
		on_broken(s);
	else
		keep_rest(s, bytes.at + sent, bytes.len - sent);
}

/* What of it is gathered is taken out again. */
static struct bytes take_gathered(struct stream *s)
{
	struct uring *u = uring_of(s);
	struct bytes bytes = {u->room + s->gathered_at, s->gathered_len};
	u->gathered[s->gathered_slot] = NULL;
	s->gathered_len = 0;
	return bytes;
}

static void send_now(struct stream *s, struct bytes bytes)
{
	ssize_t sent;
	do {
		sent = send(s->fd, bytes.at, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	on_sent(s, bytes, sent < 0 ? -errno : (int)sent);
}

void uring_flush(struct stream *s)
{
	if (s->gathered_len > 0)
		send_now(s, take_gathered(s));
}

/* Behind what is gathered of it already. */
static void gather(struct stream *s, const void *at, size_t len)
{
	struct uring *u = uring_of(s);
	if (s->gathered_len > 0 && s->gathered_at + s->gathered_len != u->used) {
		/* Another's came after: move it to the end. */
		memcpy(u->room + u->used, u->room + s->gathered_at, s->gathered_len);
		s->gathered_at = u->used;
		u->used += s->gathered_len;
	} else if (s->gathered_len == 0) {
		s->gathered_at = u->used;
		s->gathered_slot = u->gathered_count++;
		u->gathered[s->gathered_slot] = s;
	}
	memcpy(u->room + u->used, at, len);
	u->used += (uint32_t)len;
	s->gathered_len += (uint32_t)len;
}

ssize_t uring_write(struct stream *s, const void *at, size_t len)
{
	const struct uring *u = uring_of(s);
	if (s->broken)
		return -1;
	if (s->spill && buffer_len(&s->spill->out) > 0) {
		s->wants_room = true;
		uring_want_room(s);
		return 0;
	}
	bool fits = s->gathered_len + len <= URING_SMALL &&
		    u->used + s->gathered_len + len <= URING_ROOM &&
		    u->gathered_count < URING_GATHERED;
	if (fits) {
		gather(s, at, len);
		return (ssize_t)len;
	}
	uring_flush(s);
	if (s->broken)
		return -1;
	return s->wants_room ? 0 : stream_send(s, at, len);
}

bool uring_send_kept(struct stream *s)
{
	struct stream_spill *spill = s->spill;
	struct bytes out = spill ? buffer_bytes(&spill->out) : (struct bytes){0};
	if (out.len == 0 || s->broken)
		return true;
	ssize_t sent = stream_send(s, out.at, out.len);
	if (sent < 0) {
		on_broken(s);
		return true;
	}
	buffer_take(&spill->out, (size_t)sent);
	uring_spill_trim(s);
	return (size_t)sent == out.len;
}

/* ---- all of a turn ---- */

void uring_prepare_sends(struct uring *u)
{
	for (uint32_t i = 0; i < u->gathered_count; i++) {
		const struct stream *s = u->gathered[i];
		if (!s)
			continue;
		struct io_uring_sqe *sqe = uring_submission(u);
		io_uring_prep_send(sqe, s->fd, u->room + s->gathered_at, s->gathered_len,
			MSG_NOSIGNAL | MSG_DONTWAIT | MSG_WAITALL);
		sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
		sqe->user_data = (uint64_t)i * URING_TAGS | URING_SEND;
	}
}

void uring_sent(struct uring *u, uint64_t index, int result)
{
	struct stream *s = u->gathered[index];
	assert(s);
	on_sent(s, take_gathered(s), result);
}

void uring_forget_sends(struct uring *u)
{
	for (uint32_t i = 0; i < u->gathered_count; i++)
		if (u->gathered[i])
			u->gathered[i]->gathered_len = 0;
	u->used = u->gathered_count = 0;
}
