/*
 * io_uring as a way to do many things by one system call: epoll tells which streams have something,
 * one call reads from all of them, and one sends all that the turn has written.
 *
 * Nothing is under way in the ring between turns: receives and sends do not wait (MSG_DONTWAIT), so
 * they are over when the call that submitted them returns. So a stream owns no buffer, and can be
 * closed at any time. Where a turn has little to do it is done by recv(2) and send(2), which cost
 * less then.
 *
 * What was received for a stream that another's event has just paused is kept (stream.spill); what is
 * under TLS is lent to OpenSSL, which asks for it by the backend's read as it asks for all else.
 *
 * Small messages are gathered in `room` until the turn ends. Their sends are silent when they
 * succeed; what a socket does not take comes back, and is kept until there is room.
 */
#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "io/backend.h"
#include "io/backend_epoll.h"

/* From so many on one call for all costs less than one for each. */
#define BATCH_MIN 3

#define SUBMISSIONS  256
#define COMPLETIONS  4096 /* more than GATHERED_MAX */
#define SUBMIT_TRIES 100
#define READERS_MAX  64
#define BUFFER_SIZE  16384

/* Longer messages are sent from where they lie: a copy would cost more than a system call. */
#define SMALL        4096
#define ROOM         65536
#define GATHERED_MAX 2048

/* What could not be passed on at once. */
struct stream_spill {
	struct buffer in; /* received while nobody wanted it */
	struct buffer out; /* taken from the owner, and not by the socket */
};

struct uring {
	struct epoll_set set;
	struct io_uring ring;
	struct stream *readers[READERS_MAX]; /* of this turn */
	int readers_count;
	const struct stream *lent_to; /* reads this first; NULL: nobody */
	struct bytes lent;
	bool lent_all; /* that is all that there was */
	uint8_t *memory; /* for each reader BUFFER_SIZE bytes */
	uint8_t *room; /* what is gathered in this turn */
	uint32_t used; /* of it */
	struct stream *gathered[GATHERED_MAX]; /* that have something there; NULL: no more */
	uint32_t gathered_count;
};

static struct uring *uring_of(const struct stream *s)
{
	return s->reactor->state;
}

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

static struct io_uring_sqe *next_submission(struct uring *u)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
	if (sqe)
		return sqe;
	submit_all(u);
	sqe = io_uring_get_sqe(&u->ring);
	assert(sqe);
	return sqe;
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

static void on_want_room(struct stream *s)
{
	epoll_set_want_room(&uring_of(s)->set, s);
}

static void keep_rest(struct stream *s, const uint8_t *at, size_t len)
{
	buffer_append(&spill_of(s)->out, at, len);
	s->wants_room = true;
	on_want_room(s);
}

static void on_broken(struct stream *s)
{
	s->broken = s->hung_up = s->readable = true;
	if (s->open)
		reactor_list(s);
}

/* ---- writing ---- */

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

/* Sends what is gathered now, for something else is to follow. */
static void flush_now(struct stream *s)
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

static ssize_t on_write(struct stream *s, const void *at, size_t len)
{
	const struct uring *u = uring_of(s);
	if (s->broken)
		return -1;
	if (s->spill && buffer_len(&s->spill->out) > 0) {
		s->wants_room = true;
		on_want_room(s);
		return 0;
	}
	bool fits = s->gathered_len + len <= SMALL && u->used + s->gathered_len + len <= ROOM &&
		    u->gathered_count < GATHERED_MAX;
	if (fits) {
		gather(s, at, len);
		return (ssize_t)len;
	}
	flush_now(s);
	if (s->broken)
		return -1;
	return s->wants_room ? 0 : stream_send(s, at, len);
}

/* What was not sent whole comes back. */
static void take_unsent(struct uring *u)
{
	struct io_uring_cqe *cqe;
	unsigned head, count = 0;
	io_uring_for_each_cqe(&u->ring, head, cqe)
	{
		struct stream *s = u->gathered[cqe->user_data];
		count++;
		on_sent(s, take_gathered(s), cqe->res);
	}
	io_uring_cq_advance(&u->ring, count);
}

static void submit_sends(struct uring *u)
{
	for (uint32_t i = 0; i < u->gathered_count; i++) {
		const struct stream *s = u->gathered[i];
		if (!s)
			continue;
		struct io_uring_sqe *sqe = next_submission(u);
		io_uring_prep_send(sqe, s->fd, u->room + s->gathered_at, s->gathered_len,
			MSG_NOSIGNAL | MSG_DONTWAIT | MSG_WAITALL);
		sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
		sqe->user_data = i;
	}
	submit_all(u);
	take_unsent(u);
}

static void send_gathered(struct uring *u)
{
	if (u->gathered_count >= BATCH_MIN)
		submit_sends(u);
	for (uint32_t i = 0; i < u->gathered_count; i++) {
		struct stream *s = u->gathered[i];
		if (s && u->gathered_count < BATCH_MIN)
			flush_now(s);
		else if (s)
			s->gathered_len = 0;
	}
	u->used = u->gathered_count = 0;
}

static void on_room(struct stream *s)
{
	struct stream_spill *spill = s->spill;
	struct bytes out = spill ? buffer_bytes(&spill->out) : (struct bytes){0};
	if (out.len == 0)
		return;
	ssize_t sent = stream_send(s, out.at, out.len);
	if (sent < 0) {
		on_broken(s);
		return;
	}
	buffer_take(&spill->out, (size_t)sent);
	spill_trim(s);
}

/* ---- reading ---- */

static size_t copy_some(uint8_t *to, size_t len, struct bytes from)
{
	size_t some = from.len < len ? from.len : len;
	memcpy(to, from.at, some);
	return some;
}

static ssize_t read_lent(struct stream *s, uint8_t *at, size_t len)
{
	struct uring *u = uring_of(s);
	size_t some = copy_some(at, len, u->lent);
	u->lent = (struct bytes){u->lent.at + some, u->lent.len - some};
	if (u->lent.len == 0 && u->lent_all && !s->hung_up)
		s->readable = false;
	return (ssize_t)some;
}

static ssize_t on_read(struct stream *s, uint8_t *at, size_t len)
{
	const struct uring *u = uring_of(s);
	struct stream_spill *spill = s->spill;
	struct bytes in = spill ? buffer_bytes(&spill->in) : (struct bytes){0};
	if (in.len == 0 && u->lent_to == s && u->lent.len > 0)
		return read_lent(s, at, len);
	if (in.len == 0)
		return stream_receive(s, at, len);
	size_t some = copy_some(at, len, in);
	buffer_take(&spill->in, some);
	spill_trim(s);
	return (ssize_t)some;
}

static void keep_received(struct stream *s, struct bytes bytes)
{
	buffer_append(&spill_of(s)->in, bytes.at, bytes.len);
	s->readable = true;
}

/* Received under TLS: what it says is OpenSSL's to find out. */
static void lend(struct stream *s, struct bytes bytes)
{
	struct uring *u = uring_of(s);
	u->lent_to = s;
	u->lent = bytes;
	u->lent_all = bytes.len < BUFFER_SIZE;
	s->readable = true;
	stream_work(s);
	if (s->open && u->lent.len > 0)
		keep_received(s, u->lent);
	u->lent_to = NULL;
}

/* A receive that was tried. */
static void on_receive(struct stream *s, uint8_t *at, int result)
{
	if (!s->open || result == -EAGAIN)
		return;
	struct bytes bytes = {at, result > 0 ? (size_t)result : 0};
	/* If it gave less, the socket is empty, and what comes next will be told. */
	s->readable = result <= 0 || result == BUFFER_SIZE;
	if (bytes.len == 0) {
		stream_work(s); /* which meets the end, too */
	} else if (!s->reading) {
		keep_received(s, bytes); /* another's bytes have paused it meanwhile */
	} else if (s->ssl) {
		lend(s, bytes);
	} else {
		if (s->readable)
			reactor_list(s);
		s->events->received(s, bytes);
	}
}

static void receive_all(struct uring *u)
{
	struct io_uring_cqe *cqe;
	unsigned head, count = 0;
	for (int i = 0; i < u->readers_count; i++) {
		struct io_uring_sqe *sqe = next_submission(u);
		io_uring_prep_recv(sqe, u->readers[i]->fd, u->memory + (size_t)i * BUFFER_SIZE,
			BUFFER_SIZE, MSG_DONTWAIT);
		sqe->user_data = (uint64_t)i;
	}
	submit_all(u);
	/* They are there by now; if ever they are not, they are waited for. */
	while (io_uring_cq_ready(&u->ring) < (unsigned)u->readers_count)
		io_uring_submit_and_wait(&u->ring, (unsigned)u->readers_count);
	io_uring_for_each_cqe(&u->ring, head, cqe)
	{
		uint64_t i = cqe->user_data;
		count++;
		on_receive(u->readers[i], u->memory + i * BUFFER_SIZE, cqe->res);
	}
	io_uring_cq_advance(&u->ring, count);
}

/* ---- the backend ---- */

static void tell(struct uring *u, struct stream *s, unsigned events)
{
	if (!s->open)
		return;
	if (events & EPOLLOUT)
		on_room(s);
	if (s->spill && buffer_len(&s->spill->out) > 0)
		events &= ~(unsigned)EPOLLOUT;
	epoll_set_signal(&u->set, s, events);
}

/* It has something to read, which is wanted, and nothing else. (OpenSSL may wait for the one before it
 * can do the other.) */
static bool is_reader(const struct stream *s, unsigned events)
{
	return events == EPOLLIN && s->open && s->reading && !s->readable &&
	       !(s->ssl && s->wants_room);
}

static bool on_dispatch(struct reactor *r)
{
	struct uring *u = r->state;
	struct epoll_set *e = &u->set;
	bool due = false;
	u->readers_count = 0;
	for (int i = 0; i < e->count; i++) {
		struct stream *s = epoll_set_stream(r, &e->events[i], &due);
		if (!s)
			continue;
		if (u->readers_count < READERS_MAX && is_reader(s, e->events[i].events))
			u->readers[u->readers_count++] = s;
		else
			tell(u, s, e->events[i].events);
	}
	e->count = 0;
	if (u->readers_count >= BATCH_MIN)
		receive_all(u);
	else
		for (int i = 0; i < u->readers_count; i++)
			tell(u, u->readers[i], EPOLLIN);
	return due;
}

static void on_wait(struct reactor *r, bool waits)
{
	struct uring *u = r->state;
	send_gathered(u);
	/* A send that failed has given it something to do. */
	epoll_set_wait(&u->set, waits && !r->ready);
}

static int on_watch(struct reactor *r, struct reactor_watch *w)
{
	struct uring *u = r->state;
	return epoll_set_watch(&u->set, w);
}

static void on_unwatch(struct reactor *r, struct reactor_watch *w)
{
	struct uring *u = r->state;
	epoll_set_unwatch(&u->set, w);
}

static int on_add(struct stream *s)
{
	return epoll_set_add(&uring_of(s)->set, s);
}

static void on_remove(struct stream *s)
{
	flush_now(s);
	if (s->spill) {
		buffer_release(&s->spill->in);
		buffer_release(&s->spill->out);
		spill_trim(s);
	}
	epoll_set_remove(&uring_of(s)->set, s);
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
	epoll_set_release(&u->set);
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
	u->memory = malloc((size_t)READERS_MAX * BUFFER_SIZE);
	u->room = malloc(ROOM);
	if (!u->memory || !u->room)
		abort();
	int failed = io_uring_queue_init_params(SUBMISSIONS, &u->ring, &params);
	if (failed) {
		unmake(u);
		errno = -failed;
		return -1;
	}
	if (epoll_set_init(&u->set, r) != 0) {
		io_uring_queue_exit(&u->ring);
		unmake(u);
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
	.read = on_read,
	.write = on_write,
	.want_room = on_want_room,
};
