/*
 * epoll, edge-triggered: a descriptor is added once and never touched on the way of a transaction.
 * That something is there to be read is remembered (stream.readable) while nobody wants it.
 */
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "io/backend.h"

#define EVENTS 256

struct epoll_set {
	int fd;
	int count;
	struct epoll_event events[EVENTS];
};

/* Whose event it is, says its data: a stream's, or of these; a pointer's lowest bit is never set. */
#define OF_LOOP  UINT64_C(1)
#define OF_ALARM UINT64_C(3)
#define OF_WATCH UINT64_C(1) /* besides its pointer */

static uint64_t watch_data(const struct reactor_watch *w)
{
	return (uint64_t)(uintptr_t)w | OF_WATCH;
}

/* ---- streams ---- */

/* Room is waited for only while there is none: a Unix socket would tell of it with each message
 * that its other side reads. */
static int change(struct stream *s, int operation)
{
	const struct epoll_set *e = s->reactor->state;
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLRDHUP | EPOLLET |
			  (s->watches_room ? (unsigned)EPOLLOUT : 0),
		.data.ptr = s,
	};
	return epoll_ctl(e->fd, operation, s->fd, &event);
}

static int on_add(struct stream *s)
{
	return change(s, EPOLL_CTL_ADD);
}

static void on_remove(struct stream *s)
{
	/* Not left to close(2): a child may have the descriptor until it executes. */
	change(s, EPOLL_CTL_DEL);
	stream_gone(s);
}

static void on_want_room(struct stream *s)
{
	if (s->watches_room)
		return;
	s->watches_room = true;
	change(s, EPOLL_CTL_MOD);
}

static void tell(struct stream *s, unsigned events)
{
	const unsigned hung_up = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
	if (!s->open)
		return; /* closed by another's event of this turn */
	stream_signalled(s, events & EPOLLIN, events & EPOLLOUT, events & hung_up);
	if (s->open && s->watches_room && !s->wants_room) {
		s->watches_room = false;
		change(s, EPOLL_CTL_MOD);
	}
}

/* ---- all others ---- */

static int on_watch(struct reactor *r, struct reactor_watch *w)
{
	const struct epoll_set *e = r->state;
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = watch_data(w)};
	return epoll_ctl(e->fd, EPOLL_CTL_ADD, w->fd, &event);
}

static void on_unwatch(struct reactor *r, struct reactor_watch *w)
{
	struct epoll_set *e = r->state;
	struct epoll_event event = {0};
	epoll_ctl(e->fd, EPOLL_CTL_DEL, w->fd, &event);
	/* An event of this turn that is yet to come is taken for libuv's, which finds nothing. */
	for (int i = 0; i < e->count; i++)
		if (e->events[i].data.u64 == watch_data(w))
			e->events[i].data.u64 = OF_LOOP;
}

/* ---- the backend ---- */

static int on_init(struct reactor *r)
{
	struct epoll_event loop = {.events = EPOLLIN, .data.u64 = OF_LOOP};
	/* Nobody reads from it: each time that it rings is told once. */
	struct epoll_event alarm = {.events = EPOLLIN | EPOLLET, .data.u64 = OF_ALARM};
	struct epoll_set *e = calloc(1, sizeof(*e));
	if (!e)
		abort();
	e->fd = epoll_create1(EPOLL_CLOEXEC);
	if (e->fd >= 0 && epoll_ctl(e->fd, EPOLL_CTL_ADD, uv_backend_fd(r->loop), &loop) == 0 &&
		epoll_ctl(e->fd, EPOLL_CTL_ADD, r->alarm, &alarm) == 0) {
		r->state = e;
		return 0;
	}
	if (e->fd >= 0)
		close(e->fd);
	free(e);
	return -1;
}

static void on_release(struct reactor *r)
{
	struct epoll_set *e = r->state;
	close(e->fd);
	free(e);
}

static void on_wait(struct reactor *r, bool waits)
{
	struct epoll_set *e = r->state;
	e->count = epoll_wait(e->fd, e->events, EVENTS, waits ? -1 : 0);
	if (e->count < 0)
		e->count = 0; /* EINTR: a turn without news */
}

/* Says whether it is libuv's. */
static bool dispatch_one(struct reactor *r, const struct epoll_event *event)
{
	uint64_t data = event->data.u64;
	if (data == OF_ALARM)
		r->alarm_ms = UINT64_MAX;
	if (data == OF_ALARM || data == OF_LOOP)
		return true;
	if (data & OF_WATCH) {
		struct reactor_watch *w = (void *)(uintptr_t)(data & ~OF_WATCH);
		w->ready(w);
	} else {
		tell(event->data.ptr, event->events);
	}
	return false;
}

static bool on_dispatch(struct reactor *r)
{
	struct epoll_set *e = r->state;
	bool due = false;
	for (int i = 0; i < e->count; i++)
		due = dispatch_one(r, &e->events[i]) || due;
	e->count = 0;
	return due;
}

const struct backend backend_epoll = {
	.name = "epoll",
	.init = on_init,
	.release = on_release,
	.wait = on_wait,
	.dispatch = on_dispatch,
	.watch = on_watch,
	.unwatch = on_unwatch,
	.add = on_add,
	.remove = on_remove,
	.write = stream_send,
	.want_room = on_want_room,
};
