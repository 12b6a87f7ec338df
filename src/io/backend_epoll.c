/*
 * epoll, edge-triggered: a descriptor is added once and never touched on the way of a transaction.
 * That something is there to be read is remembered (stream.readable) while nobody wants it.
 */
#include "io/backend_epoll.h"

#include <stdlib.h>
#include <unistd.h>

#include "io/backend.h"

int epoll_set_init(struct epoll_set *e, struct reactor *r)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
	/* Nobody reads from it: each time that it rings is told once. */
	struct epoll_event rings = {.events = EPOLLIN | EPOLLET, .data.ptr = r};
	e->count = 0;
	e->fd = epoll_create1(EPOLL_CLOEXEC);
	if (e->fd < 0)
		return -1;
	if (epoll_ctl(e->fd, EPOLL_CTL_ADD, uv_backend_fd(r->loop), &event) == 0 &&
		epoll_ctl(e->fd, EPOLL_CTL_ADD, r->alarm, &rings) == 0)
		return 0;
	close(e->fd);
	return -1;
}

void epoll_set_release(struct epoll_set *e)
{
	close(e->fd);
}

void epoll_set_wait(struct epoll_set *e, bool waits)
{
	e->count = epoll_wait(e->fd, e->events, EPOLL_SET_EVENTS, waits ? -1 : 0);
	if (e->count < 0)
		e->count = 0; /* EINTR: a turn without news */
}

/* A pointer's lowest bit is never set: here it says that it is a watch's. */
#define WATCHES UINT64_C(1)

static uint64_t watch_data(const struct reactor_watch *w)
{
	return (uint64_t)(uintptr_t)w | WATCHES;
}

struct stream *epoll_set_stream(struct reactor *r, const struct epoll_event *event, bool *due)
{
	if (event->data.u64 & WATCHES) {
		struct reactor_watch *w = (void *)(uintptr_t)(event->data.u64 & ~WATCHES);
		w->ready(w);
		return NULL;
	}
	if (event->data.ptr && event->data.ptr != r)
		return event->data.ptr;
	if (event->data.ptr == r)
		r->alarm_ms = UINT64_MAX;
	*due = true;
	return NULL;
}

int epoll_set_watch(struct epoll_set *e, struct reactor_watch *w)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = watch_data(w)};
	return epoll_ctl(e->fd, EPOLL_CTL_ADD, w->fd, &event);
}

void epoll_set_unwatch(struct epoll_set *e, struct reactor_watch *w)
{
	/* Not left to close(2): others may have the descriptor. */
	struct epoll_event event = {0};
	epoll_ctl(e->fd, EPOLL_CTL_DEL, w->fd, &event);
	/* An event of this turn that is yet to come is taken for one of libuv's, which finds nothing. */
	for (int i = 0; i < e->count; i++)
		if (e->events[i].data.u64 == watch_data(w))
			e->events[i].data.ptr = NULL;
}

/* Room is waited for only while there is none: a Unix socket would tell of it with each message
 * that its other side reads. */
static int change(const struct epoll_set *e, struct stream *s, int operation)
{
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLRDHUP | EPOLLET |
			  (s->watches_room ? (unsigned)EPOLLOUT : 0),
		.data.ptr = s,
	};
	return epoll_ctl(e->fd, operation, s->fd, &event);
}

void epoll_set_signal(struct epoll_set *e, struct stream *s, unsigned events)
{
	const unsigned hung_up = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
	if (!s->open)
		return; /* closed by another's event of this turn */
	stream_signalled(s, events & EPOLLIN, events & EPOLLOUT, events & hung_up);
	if (s->open && s->watches_room && !s->wants_room) {
		s->watches_room = false;
		change(e, s, EPOLL_CTL_MOD);
	}
}

int epoll_set_add(struct epoll_set *e, struct stream *s)
{
	return change(e, s, EPOLL_CTL_ADD);
}

void epoll_set_remove(struct epoll_set *e, struct stream *s)
{
	/* Not left to close(2): a child may have the descriptor until it executes. */
	change(e, s, EPOLL_CTL_DEL);
	stream_gone(s);
}

void epoll_set_want_room(struct epoll_set *e, struct stream *s)
{
	if (s->watches_room)
		return;
	s->watches_room = true;
	change(e, s, EPOLL_CTL_MOD);
}

/* ---- the backend ---- */

static int on_init(struct reactor *r)
{
	struct epoll_set *e = calloc(1, sizeof(*e));
	if (!e)
		abort();
	if (epoll_set_init(e, r) != 0) {
		free(e);
		return -1;
	}
	r->state = e;
	return 0;
}

static void on_release(struct reactor *r)
{
	epoll_set_release(r->state);
	free(r->state);
}

static void on_wait(struct reactor *r, bool waits)
{
	epoll_set_wait(r->state, waits);
}

static bool on_dispatch(struct reactor *r)
{
	struct epoll_set *e = r->state;
	bool due = false;
	for (int i = 0; i < e->count; i++) {
		struct stream *s = epoll_set_stream(r, &e->events[i], &due);
		if (s)
			epoll_set_signal(e, s, e->events[i].events);
	}
	e->count = 0;
	return due;
}

static int on_watch(struct reactor *r, struct reactor_watch *w)
{
	return epoll_set_watch(r->state, w);
}

static void on_unwatch(struct reactor *r, struct reactor_watch *w)
{
	epoll_set_unwatch(r->state, w);
}

static int on_add(struct stream *s)
{
	return epoll_set_add(s->reactor->state, s);
}

static void on_remove(struct stream *s)
{
	epoll_set_remove(s->reactor->state, s);
}

static void on_want_room(struct stream *s)
{
	epoll_set_want_room(s->reactor->state, s);
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
