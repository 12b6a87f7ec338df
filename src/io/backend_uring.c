/*
 * io_uring as a way to do many things by one system call: the one that waits sends before that all
 * that the turn has written, and where many have something to be read, one reads from all of them.
 *
 * What waits in the ring are polls, which stay armed: one for each stream, as with epoll, but that their
 * wait has no descriptor of its own, so that it can share a call with the sends. A receive that waits
 * would cost more, and own a buffer. Receives and sends do not wait (MSG_DONTWAIT): they are over when
 * the call that submitted them returns. Few receives are done by recv(2), which costs less then.
 *
 * Reading is by the ring only for streams that are plain and will stay so (stream.settled): the bytes
 * of one that another's event has just paused are kept (stream.spill), and OpenSSL would miss them.
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "io/uring.h"

/* From so many on one call for all costs less than one for each. */
#define BATCH_MIN 3

#define SUBMISSIONS  256
#define COMPLETIONS  4096
#define SUBMIT_TRIES 100

/* ---- the ring ---- */

static void submit_all(struct uring *u)
{
	/* Only without memory does the kernel leave any. */
	for (int tries = 0; io_uring_sq_ready(&u->ring) > 0; tries++) {
		if (tries == SUBMIT_TRIES)
			abort();
		io_uring_submit(&u->ring);
	}
}

struct io_uring_sqe *uring_submission(struct uring *u)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
	if (sqe)
		return sqe;
	submit_all(u);
	sqe = io_uring_get_sqe(&u->ring);
	assert(sqe);
	return sqe;
}

/* Told each time that something comes. */
static void arm(struct uring *u, int fd, unsigned events, uint64_t data)
{
	struct io_uring_sqe *sqe = uring_submission(u);
	io_uring_prep_poll_multishot(sqe, fd, events);
	sqe->user_data = data;
}

/* Told once, if something is there or when it comes. */
static void arm_once(struct uring *u, int fd, uint64_t data)
{
	struct io_uring_sqe *sqe = uring_submission(u);
	io_uring_prep_poll_add(sqe, fd, POLLIN);
	sqe->user_data = data;
}

static void arm_stream(struct uring *u, struct stream *s)
{
	arm(u, s->fd, POLLIN | POLLRDHUP, (uintptr_t)s | URING_STREAM);
	s->polls++;
}

static void arm_watch(struct uring *u, struct reactor_watch *w)
{
	arm_once(u, w->fd, (uintptr_t)w | URING_WATCH);
	w->armed = true;
}

/* ---- completions ---- */

/* To be dealt with by the next dispatch. */
static void note(struct uring *u, struct stream *s, int events)
{
	s->polled |= events > 0 ? (uint32_t)events : 0;
	if (s->told)
		return;
	s->told = true;
	s->told_next = NULL;
	*u->told_last = s;
	u->told_last = &s->told_next;
	u->told_count++;
}

static void take_polled(struct uring *u, struct stream *s, const struct io_uring_cqe *cqe)
{
	bool over = !(cqe->flags & IORING_CQE_F_MORE);
	if (over)
		s->polls--;
	if (over && s->open) /* the kernel was short of something */
		arm_stream(u, s);
	note(u, s, cqe->res);
}

static void take_one(struct uring *u, const struct io_uring_cqe *cqe)
{
	uint64_t data = cqe->user_data & ~(uint64_t)(URING_TAGS - 1);
	struct stream *s = (void *)(uintptr_t)data;
	switch ((enum uring_tag)(cqe->user_data & (URING_TAGS - 1))) {
	case URING_STREAM:
		take_polled(u, s, cqe);
		break;
	case URING_LACKING:
		s->polls--;
		s->watches_room = false;
		note(u, s, POLLOUT); /* or it is broken, which sending will tell */
		break;
	case URING_RECEIVE:
		u->results[data / URING_TAGS] = cqe->res;
		u->results_missing--;
		break;
	case URING_SEND:
		uring_sent(u, data / URING_TAGS, cqe->res);
		break;
	case URING_WATCH:
		((struct reactor_watch *)(uintptr_t)data)->armed = false;
		break;
	case URING_LOOP:
		u->loop_armed = false;
		break;
	case URING_ALARM:
		u->alarm_rang = true;
		u->alarm_armed = cqe->flags & IORING_CQE_F_MORE;
		break;
	case URING_CANCEL:
		break;
	}
}

static void take_there(struct uring *u)
{
	struct io_uring_cqe *cqe;
	unsigned head, count = 0;
	io_uring_for_each_cqe(&u->ring, head, cqe)
	{
		count++;
		take_one(u, cqe);
	}
	io_uring_cq_advance(&u->ring, count);
}

static void take_all(struct uring *u)
{
	take_there(u);
	while (io_uring_cq_has_overflow(&u->ring)) {
		io_uring_get_events(&u->ring);
		take_there(u);
	}
}

/* ---- reading ---- */

static ssize_t on_read(struct stream *s, uint8_t *at, size_t len)
{
	struct stream_spill *spill = s->spill;
	struct bytes in = spill ? buffer_bytes(&spill->in) : (struct bytes){0};
	if (in.len == 0)
		return stream_receive(s, at, len);
	size_t there = in.len < len ? in.len : len;
	memcpy(at, in.at, there);
	buffer_take(&spill->in, there);
	uring_spill_trim(s);
	return (ssize_t)there;
}

/* A receive that was tried. */
static void on_receive(struct stream *s, uint8_t *at, int result)
{
	if (!s->open || result == -EAGAIN)
		return;
	/* If it gave less, the socket is empty, and what comes next will be told. */
	s->readable = result <= 0 || result == URING_BUFFER;
	if (result > 0 && !s->reading) {
		/* Another's bytes have paused it meanwhile. */
		buffer_append(&uring_spill(s)->in, at, (size_t)result);
		s->readable = true;
	} else if (result > 0) {
		if (s->readable)
			reactor_list(s);
		s->events->received(s, (struct bytes){at, (size_t)result});
	} else {
		stream_work(s); /* which meets the end, too */
	}
}

static void receive_by_ring(struct uring *u)
{
	u->results_missing = u->readers_count;
	for (int i = 0; i < u->readers_count; i++) {
		struct io_uring_sqe *sqe = uring_submission(u);
		io_uring_prep_recv(sqe, u->readers[i]->fd, u->memory + (size_t)i * URING_BUFFER,
			URING_BUFFER, MSG_DONTWAIT);
		sqe->user_data = (uint64_t)i * URING_TAGS | URING_RECEIVE;
	}
	submit_all(u);
	take_all(u);
	/* They are there by now; if ever they are not, they are waited for. */
	while (u->results_missing > 0) {
		io_uring_submit_and_wait(&u->ring, 1);
		take_all(u);
	}
	for (int i = 0; i < u->readers_count; i++)
		on_receive(u->readers[i], u->memory + (size_t)i * URING_BUFFER, u->results[i]);
}

/* ---- telling ---- */

static void tell(struct stream *s, unsigned events)
{
	const unsigned hung_up = POLLRDHUP | POLLHUP | POLLERR;
	if (!s->open)
		return;
	if ((events & POLLOUT) && !uring_send_kept(s)) {
		uring_want_room(s);
		events &= ~(unsigned)POLLOUT;
	}
	stream_signalled(s, events & POLLIN, events & POLLOUT, events & hung_up);
}

/* It has something to read, which is wanted, and nothing else. */
static bool is_reader(const struct stream *s, unsigned events)
{
	return events == POLLIN && s->open && s->settled && s->reading && !s->readable;
}

static void read_from_readers(struct uring *u)
{
	if (u->readers_count >= BATCH_MIN)
		receive_by_ring(u);
	else
		for (int i = 0; i < u->readers_count; i++)
			tell(u->readers[i], POLLIN);
	u->readers_count = 0;
}

static void tell_next(struct uring *u)
{
	struct stream *s = u->told;
	uint32_t events = s->polled;
	u->told = s->told_next;
	if (!u->told)
		u->told_last = &u->told;
	u->told_count--;
	s->told = false;
	s->polled = 0;
	if (!s->open && s->polls == 0)
		stream_gone(s);
	else if (is_reader(s, events))
		u->readers[u->readers_count++] = s;
	else
		tell(s, events);
}

static void tell_watches(struct uring *u)
{
	/* Any may go meanwhile; then the last takes its place. */
	for (int i = u->watches_count - 1; i >= 0; i--)
		if (i < u->watches_count && !u->watches[i]->armed)
			u->watches[i]->ready(u->watches[i]);
}

/* ---- the backend ---- */

static bool on_dispatch(struct reactor *r)
{
	struct uring *u = r->state;
	bool due = !u->loop_armed || u->alarm_rang;
	if (u->alarm_rang)
		r->alarm_ms = UINT64_MAX;
	u->alarm_rang = false;
	tell_watches(u);
	/* Those that come meanwhile are the next turn's. */
	for (int left = u->told_count; left > 0; left--) {
		tell_next(u);
		if (u->readers_count == URING_READERS)
			read_from_readers(u);
	}
	read_from_readers(u);
	return due;
}

static void arm_others(struct reactor *r)
{
	struct uring *u = r->state;
	if (!u->loop_armed)
		arm_once(u, uv_backend_fd(r->loop), URING_LOOP);
	/* Nobody reads from it: each time that it rings is told. */
	if (!u->alarm_armed)
		arm(u, r->alarm, POLLIN, URING_ALARM);
	u->loop_armed = u->alarm_armed = true;
	for (int i = 0; i < u->watches_count; i++)
		if (!u->watches[i]->armed)
			arm_watch(u, u->watches[i]);
}

static void on_wait(struct reactor *r, bool waits)
{
	struct uring *u = r->state;
	arm_others(r);
	uring_prepare_sends(u);
	/* A send that fails ends the wait: it is a completion, as well. */
	if (waits && !u->told && !u->alarm_rang)
		io_uring_submit_and_wait(&u->ring, 1);
	else
		io_uring_submit_and_get_events(&u->ring);
	submit_all(u); /* there is nothing left, but for want of memory */
	take_all(u);
	uring_forget_sends(u);
}

static int on_watch(struct reactor *r, struct reactor_watch *w)
{
	struct uring *u = r->state;
	assert(u->watches_count < URING_WATCHES);
	u->watches[u->watches_count++] = w;
	arm_watch(u, w);
	return 0;
}

static void on_unwatch(struct reactor *r, struct reactor_watch *w)
{
	struct uring *u = r->state;
	int i = 0;
	while (u->watches[i] != w)
		i++;
	u->watches[i] = u->watches[--u->watches_count];
	if (!w->armed)
		return;
	struct io_uring_sqe *sqe = uring_submission(u);
	io_uring_prep_cancel64(sqe, (uintptr_t)w | URING_WATCH, 0);
	sqe->user_data = URING_CANCEL;
	/* Neither its memory nor its descriptor is the ring's after this. */
	while (w->armed) {
		io_uring_submit_and_wait(&u->ring, 1);
		take_all(u);
	}
}

static int on_add(struct stream *s)
{
	arm_stream(uring_of(s), s);
	return 0;
}

static void on_remove(struct stream *s)
{
	uring_flush(s);
	if (s->spill) {
		buffer_release(&s->spill->in);
		buffer_release(&s->spill->out);
		uring_spill_trim(s);
	}
	/* The last of its polls that is over lets it go: in the next turn. */
	struct io_uring_sqe *sqe = uring_submission(uring_of(s));
	io_uring_prep_cancel_fd(sqe, s->fd, IORING_ASYNC_CANCEL_ALL);
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	sqe->user_data = URING_CANCEL;
}

static void unmake(struct uring *u)
{
	free(u->memory);
	free(u->room);
	free(u);
}

static void on_release(struct reactor *r)
{
	struct uring *u = r->state;
	io_uring_queue_exit(&u->ring);
	unmake(u);
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
	u->told_last = &u->told;
	u->memory = malloc((size_t)URING_READERS * URING_BUFFER);
	u->room = malloc(URING_ROOM);
	if (!u->memory || !u->room)
		abort();
	int failed = io_uring_queue_init_params(SUBMISSIONS, &u->ring, &params);
	if (failed) {
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
	.watch = on_watch,
	.unwatch = on_unwatch,
	.add = on_add,
	.remove = on_remove,
	.flush = uring_flush,
	.read = on_read,
	.write = uring_write,
	.want_room = uring_want_room,
};
