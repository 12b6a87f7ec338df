/*
 * io_uring: the kernel reads for us, and all that a turn writes goes out in the same system call
 * that then waits. So a message that comes and goes on costs one call in all when there is little
 * to do, and less than one when there is much.
 *
 * Reading: a receive that stays armed (multishot) and puts what comes into one of the ring's
 * buffers. It is not cancelled when a stream is paused, but when something comes then: that is kept
 * (stream.spill), and the socket is left alone from there on. Streams that are under TLS, or may
 * come to be, are waited for by single polls, and read from as stream.c does.
 *
 * Writing: small messages are gathered in `room` and sent with the next wait. The sends do not wait
 * and are silent when they succeed (IOSQE_CQE_SKIP_SUCCESS), so they are over when that call
 * returns: there is no send under way between turns, no buffer of a stream's own, and the wait is
 * not ended by them. What a socket does not take comes back, and is kept until there is room.
 */
#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/backend.h"

#define SUBMISSIONS  256
#define COMPLETIONS  4096
#define SUBMIT_TRIES 100
#define BUFFERS      128 /* a power of two; touched as they are used, one after another */
#define BUFFER_SIZE  16384

/* Longer messages are sent from where they lie: a copy would cost more than a system call. */
#define SMALL 4096
#define ROOM  65536

/* What is under way for a stream: the lowest bits of user_data, and places in stream.armed. */
enum operation { OTHER, RECEIVE, SEND, WAIT_IN, WAIT_END, WAIT_ROOM, LIBUV, OPERATION_MASK };

/* What could not be passed on at once. */
struct stream_spill {
	struct buffer in; /* received while nobody wanted it */
	struct buffer out; /* taken from the owner, and not by the socket */
};

struct uring {
	struct io_uring ring;
	struct io_uring_buf_ring *buffers;
	uint8_t *memory; /* the buffers' */
	uint8_t *room[2]; /* what is gathered in this turn, and what was sent with the last wait */
	uint32_t used; /* of room[0] */
	struct stream *gathered[ROOM / 16]; /* that have something in room[0]; NULL: no more */
	uint32_t gathered_count;
	bool polls_libuv;
	bool sends; /* with the last wait */
};

static struct uring *uring_of(const struct stream *s)
{
	return s->reactor->state;
}

/* ---- submitting ---- */

static struct io_uring_sqe *next_submission(struct uring *u)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
	if (sqe)
		return sqe;
	io_uring_submit(&u->ring);
	sqe = io_uring_get_sqe(&u->ring);
	assert(sqe);
	return sqe;
}

static uint64_t tag(const struct stream *s, enum operation operation)
{
	return (uintptr_t)s | operation;
}

static bool is_armed(const struct stream *s, enum operation operation)
{
	return s->armed & (1 << operation);
}

/* For one that is not under way yet. */
static struct io_uring_sqe *begin(struct stream *s, enum operation operation)
{
	struct io_uring_sqe *sqe = next_submission(uring_of(s));
	s->armed |= (uint8_t)(1 << operation);
	return sqe;
}

static void poll_for(struct stream *s, enum operation operation, unsigned events)
{
	if (is_armed(s, operation))
		return;
	struct io_uring_sqe *sqe = begin(s, operation);
	io_uring_prep_poll_add(sqe, s->fd, events);
	sqe->user_data = tag(s, operation);
}

static void receive_on(struct stream *s)
{
	if (is_armed(s, RECEIVE))
		return;
	struct io_uring_sqe *sqe = begin(s, RECEIVE);
	io_uring_prep_recv_multishot(sqe, s->fd, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = 0;
	sqe->user_data = tag(s, RECEIVE);
}

static void cancel(struct stream *s, enum operation operation)
{
	struct io_uring_sqe *sqe = next_submission(uring_of(s));
	io_uring_prep_cancel64(sqe, tag(s, operation), 0);
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	sqe->user_data = OTHER;
}

/* Under way what its flags ask for. */
static void arm(struct stream *s)
{
	if (!s->open || s->told_end)
		return;
	if (s->reading && !s->readable && s->settled)
		receive_on(s);
	else if (s->reading && !s->readable)
		poll_for(s, WAIT_IN, POLLIN | POLLRDHUP);
	else if (!s->reading && s->watches_end && !s->hung_up && !is_armed(s, RECEIVE))
		poll_for(s, WAIT_END, POLLRDHUP);
	if (s->wants_room)
		poll_for(s, WAIT_ROOM, POLLOUT);
}

/* ---- what could not be passed on ---- */

static struct stream_spill *spill_of(struct stream *s)
{
	if (!s->spill)
		s->spill = calloc(1, sizeof(*s->spill));
	if (!s->spill)
		abort();
	return s->spill;
}

static void spill_trim(struct stream *s)
{
	struct stream_spill *spill = s->spill;
	if (!spill || buffer_len(&spill->in) + buffer_len(&spill->out) > 0)
		return;
	buffer_release(&spill->in);
	buffer_release(&spill->out);
	free(spill);
	s->spill = NULL;
}

static void keep_rest(struct stream *s, const uint8_t *at, size_t len)
{
	buffer_append(&spill_of(s)->out, at, len);
	s->wants_room = true;
	arm(s);
}

static void on_broken(struct stream *s)
{
	s->broken = s->over = s->hung_up = s->readable = true;
	if (s->open)
		reactor_list(s);
}

/* ---- writing ---- */

/* What of it is gathered is taken out again. */
static struct bytes take_gathered(struct stream *s)
{
	struct uring *u = uring_of(s);
	struct bytes bytes = {u->room[0] + s->gathered_at, s->gathered_len};
	u->gathered[s->gathered_slot] = NULL;
	s->gathered_len = 0;
	return bytes;
}

/* Sends what is gathered now, for something else is to follow. */
static void flush_now(struct stream *s)
{
	if (s->gathered_len == 0)
		return;
	struct bytes bytes = take_gathered(s);
	ssize_t sent = stream_send(s, bytes.at, bytes.len);
	if (sent < 0)
		on_broken(s);
	else if ((size_t)sent < bytes.len)
		keep_rest(s, bytes.at + sent, bytes.len - (size_t)sent);
}

/* Behind what is gathered of it already. */
static void gather(struct stream *s, const void *at, size_t len)
{
	struct uring *u = uring_of(s);
	if (s->gathered_len > 0 && s->gathered_at + s->gathered_len != u->used) {
		/* Another's came after: move it to the end. */
		memcpy(u->room[0] + u->used, u->room[0] + s->gathered_at, s->gathered_len);
		s->gathered_at = u->used;
		u->used += s->gathered_len;
	} else if (s->gathered_len == 0) {
		s->gathered_at = u->used;
		s->gathered_slot = u->gathered_count++;
		u->gathered[s->gathered_slot] = s;
	}
	memcpy(u->room[0] + u->used, at, len);
	u->used += (uint32_t)len;
	s->gathered_len += (uint32_t)len;
}

static ssize_t on_write(struct stream *s, const void *at, size_t len)
{
	const struct uring *u = uring_of(s);
	if (s->broken)
		return -1;
	if (s->spill && buffer_len(&s->spill->out) > 0) {
		s->wants_room = true;
		arm(s);
		return 0;
	}
	bool fits = s->gathered_len + len <= SMALL && u->used + s->gathered_len + len <= ROOM &&
		    u->gathered_count < sizeof(u->gathered) / sizeof(u->gathered[0]);
	if (fits) {
		gather(s, at, len);
		return (ssize_t)len;
	}
	flush_now(s);
	if (s->broken)
		return -1;
	return s->wants_room ? 0 : stream_send(s, at, len);
}

/* All that was gathered, into the submission queue. */
static void send_gathered(struct uring *u)
{
	for (uint32_t i = 0; i < u->gathered_count; i++) {
		struct stream *s = u->gathered[i];
		if (!s)
			continue;
		struct io_uring_sqe *sqe = next_submission(u);
		io_uring_prep_send(sqe, s->fd, u->room[0] + s->gathered_at, s->gathered_len,
			MSG_NOSIGNAL | MSG_DONTWAIT | MSG_WAITALL);
		sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
		sqe->user_data = tag(s, SEND);
		s->sent_len = s->gathered_len;
		s->gathered_len = 0;
	}
	u->sends = u->gathered_count > 0;
	uint8_t *sent = u->room[0];
	u->room[0] = u->room[1];
	u->room[1] = sent;
	u->used = u->gathered_count = 0;
}

/* A send that was not taken whole. */
static void on_unsent(struct stream *s, int result)
{
	const struct uring *u = uring_of(s);
	size_t sent = result > 0 ? (size_t)result : 0;
	if (!s->open)
		return;
	if (result < 0 && result != -EAGAIN && result != -EINTR)
		on_broken(s);
	else
		keep_rest(s, u->room[1] + s->gathered_at + sent, s->sent_len - sent);
}

static void on_room(struct stream *s)
{
	struct stream_spill *spill = s->spill;
	if (spill && buffer_len(&spill->out) > 0) {
		struct bytes out = buffer_bytes(&spill->out);
		ssize_t sent = stream_send(s, out.at, out.len);
		if (sent < 0) {
			on_broken(s);
			return;
		}
		buffer_take(&spill->out, (size_t)sent);
		if (buffer_len(&spill->out) > 0)
			return; /* stream_send has asked for more room */
		spill_trim(s);
	}
	stream_signalled(s, false, true, false);
}

/* ---- reading ---- */

static ssize_t on_read(struct stream *s, uint8_t *at, size_t len)
{
	struct stream_spill *spill = s->spill;
	struct bytes in = spill ? buffer_bytes(&spill->in) : (struct bytes){0};
	size_t there = in.len;
	if (!in.at || there == 0) {
		if (s->over)
			return STREAM_END;
		return STREAM_AGAIN;
	}
	if (there > len)
		there = len;
	memcpy(at, in.at, there);
	buffer_take(&spill->in, there);
	spill_trim(s);
	return (ssize_t)there;
}

static void bring(struct stream *s, struct bytes in)
{
	if (!s->open)
		return;
	if (s->reading && !s->readable) {
		s->events->received(s, in);
		return;
	}
	buffer_append(&spill_of(s)->in, in.at, in.len);
	if (s->reading)
		reactor_list(s);
	else if (!s->readable && is_armed(s, RECEIVE))
		cancel(s, RECEIVE);
	s->readable = true;
}

static void on_receive(struct stream *s, int result, unsigned flags)
{
	struct uring *u = uring_of(s);
	if (flags & IORING_CQE_F_BUFFER) {
		unsigned id = flags >> IORING_CQE_BUFFER_SHIFT;
		uint8_t *at = u->memory + (size_t)id * BUFFER_SIZE;
		if (result > 0)
			bring(s, (struct bytes){at, (size_t)result});
		io_uring_buf_ring_add(u->buffers, at, BUFFER_SIZE, (unsigned short)id,
			io_uring_buf_ring_mask(BUFFERS), 0);
		io_uring_buf_ring_advance(u->buffers, 1);
	}
	bool again = result == -ENOBUFS || result == -ECANCELED || result == -EINTR ||
		     result == -EAGAIN;
	if (result > 0 || again || !s->open)
		return;
	s->over = s->hung_up = s->readable = true;
	stream_work(s);
}

/* ---- the backend ---- */

static void take(struct stream *s, enum operation operation, int result, unsigned flags)
{
	if (!(flags & IORING_CQE_F_MORE))
		s->armed &= (uint8_t) ~(1 << operation);
	unsigned events = result > 0 ? (unsigned)result : result < 0 ? POLLERR : 0;
	bool hung_up = events & (POLLRDHUP | POLLHUP | POLLERR);
	if (operation == RECEIVE)
		on_receive(s, result, flags);
	else if (s->open && operation == WAIT_ROOM)
		on_room(s);
	else if (s->open)
		stream_signalled(s, events & POLLIN, false, hung_up);
	arm(s);
	if (!s->open && s->armed == 0 && !s->gone) {
		s->gone = true;
		stream_gone(s);
	}
}

static struct stream *stream_at(const struct io_uring_cqe *cqe)
{
	return (struct stream *)(uintptr_t)(cqe->user_data & ~(uint64_t)OPERATION_MASK);
}

static bool on_dispatch(struct reactor *r)
{
	struct uring *u = r->state;
	struct io_uring_cqe *cqe;
	unsigned head, count = 0;
	bool due = false;
	/* What could not be sent comes before all that is going to be. */
	if (u->sends)
		io_uring_for_each_cqe(&u->ring, head, cqe)
		{
			if ((cqe->user_data & OPERATION_MASK) == SEND)
				on_unsent(stream_at(cqe), cqe->res);
		}
	u->sends = false;
	io_uring_for_each_cqe(&u->ring, head, cqe)
	{
		enum operation operation = cqe->user_data & OPERATION_MASK;
		count++;
		if (operation == LIBUV) {
			u->polls_libuv = false;
			due = true;
		} else if (operation != OTHER && operation != SEND) {
			take(stream_at(cqe), operation, cqe->res, cqe->flags);
		}
	}
	io_uring_cq_advance(&u->ring, count);
	return due;
}

static void on_wait(struct reactor *r, int timeout_ms)
{
	struct uring *u = r->state;
	struct io_uring_cqe *first;
	struct __kernel_timespec limit = {
		.tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000L};
	if (!u->polls_libuv) {
		/* Each time anew: that asks whether it is ready still. */
		struct io_uring_sqe *sqe = next_submission(u);
		io_uring_prep_poll_add(sqe, uv_backend_fd(r->loop), POLLIN);
		sqe->user_data = LIBUV;
		u->polls_libuv = true;
	}
	send_gathered(u);
	if (timeout_ms == 0)
		io_uring_submit_and_get_events(&u->ring);
	else
		io_uring_submit_and_wait_timeout(
			&u->ring, &first, 1, timeout_ms < 0 ? NULL : &limit, NULL);
	/* What the kernel left would be sent later, from room that is another's by then. Only without
	 * memory does it leave any. */
	for (int tries = 0; io_uring_sq_ready(&u->ring) > 0; tries++) {
		if (tries == SUBMIT_TRIES)
			abort();
		io_uring_submit(&u->ring);
	}
}

static int on_add(struct stream *s)
{
	return 0; /* nothing is waited for yet */
}

static void on_remove(struct stream *s)
{
	flush_now(s);
	for (enum operation operation = RECEIVE; operation <= WAIT_ROOM; operation++)
		if (is_armed(s, operation))
			cancel(s, operation);
	if (s->spill) {
		buffer_release(&s->spill->in);
		buffer_release(&s->spill->out);
		spill_trim(s);
	}
	if (s->armed == 0) {
		s->gone = true;
		stream_gone(s);
	}
}

static void unmake(struct uring *u)
{
	free(u->buffers);
	free(u->memory);
	free(u->room[0]);
	free(u->room[1]);
	free(u);
}

static void on_release(struct reactor *r)
{
	struct uring *u = r->state;
	io_uring_queue_exit(&u->ring);
	unmake(u);
}

static int provide_buffers(struct uring *u)
{
	void *ring;
	if (posix_memalign(&ring, (size_t)sysconf(_SC_PAGESIZE),
		    BUFFERS * sizeof(struct io_uring_buf)) != 0)
		abort();
	u->buffers = ring;
	io_uring_buf_ring_init(u->buffers);
	struct io_uring_buf_reg registration = {
		.ring_addr = (uintptr_t)ring, .ring_entries = BUFFERS};
	int failed = io_uring_register_buf_ring(&u->ring, &registration, 0);
	if (failed)
		return failed;
	for (int i = 0; i < BUFFERS; i++)
		io_uring_buf_ring_add(u->buffers, u->memory + (size_t)i * BUFFER_SIZE, BUFFER_SIZE,
			(unsigned short)i, io_uring_buf_ring_mask(BUFFERS), i);
	io_uring_buf_ring_advance(u->buffers, BUFFERS);
	return 0;
}

static int on_init(struct reactor *r)
{
	/* The last of the features that are used came with Linux 6.1, as these flags did. */
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			 IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE,
		.cq_entries = COMPLETIONS,
	};
	struct uring *u = calloc(1, sizeof(*u));
	if (!u)
		abort();
	int failed = io_uring_queue_init_params(SUBMISSIONS, &u->ring, &params);
	if (failed) {
		free(u);
		errno = -failed;
		return -1;
	}
	u->memory = malloc((size_t)BUFFERS * BUFFER_SIZE);
	u->room[0] = malloc(ROOM);
	u->room[1] = malloc(ROOM);
	if (!u->memory || !u->room[0] || !u->room[1])
		abort();
	failed = provide_buffers(u);
	if (failed) {
		io_uring_queue_exit(&u->ring);
		unmake(u);
		errno = -failed;
		return -1;
	}
	io_uring_register_ring_fd(&u->ring); /* a little less in each call; or not */
	r->state = u;
	return 0;
}

const struct backend backend_uring = {
	.name = "io_uring",
	.init = on_init,
	.release = on_release,
	.wait = on_wait,
	.dispatch = on_dispatch,
	.add = on_add,
	.remove = on_remove,
	.changed = arm,
	.flush = flush_now,
	.read = on_read,
	.write = on_write,
	.want_room = arm,
};
