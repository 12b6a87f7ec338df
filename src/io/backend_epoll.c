/*
 * epoll, edge-triggered: a descriptor is added once and never touched on the way of a transaction.
 * That something is there to be read is remembered (stream.readable) while nobody wants it.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "io/backend.h"

#define EVENTS_MAX 256

struct epoll {
	int fd;
	int count;
	struct epoll_event events[EVENTS_MAX];
};

static int on_init(struct reactor *r)
{
	struct epoll *e = calloc(1, sizeof(*e));
	if (!e)
		abort();
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
	e->fd = epoll_create1(EPOLL_CLOEXEC);
	if (e->fd < 0 || epoll_ctl(e->fd, EPOLL_CTL_ADD, uv_backend_fd(r->loop), &event) != 0) {
		if (e->fd >= 0)
			close(e->fd);
		free(e);
		return -1;
	}
	r->state = e;
	return 0;
}

static void on_release(struct reactor *r)
{
	struct epoll *e = r->state;
	close(e->fd);
	free(e);
}

static void on_wait(struct reactor *r, int timeout_ms)
{
	struct epoll *e = r->state;
	e->count = epoll_wait(e->fd, e->events, EVENTS_MAX, timeout_ms);
	if (e->count < 0)
		e->count = 0; /* EINTR: a turn without news */
}

/* Room is waited for only while there is none: a Unix socket would tell of it with each message
 * that its other side reads. */
static void change(struct stream *s, int operation)
{
	const struct epoll *e = s->reactor->state;
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLRDHUP | EPOLLET |
			  (s->watches_room ? (unsigned)EPOLLOUT : 0),
		.data.ptr = s,
	};
	epoll_ctl(e->fd, operation, s->fd, &event);
}

static void take(struct stream *s, unsigned events)
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

static bool on_dispatch(struct reactor *r)
{
	struct epoll *e = r->state;
	bool due = false;
	for (int i = 0; i < e->count; i++) {
		struct stream *s = e->events[i].data.ptr;
		if (s)
			take(s, e->events[i].events);
		else
			due = true;
	}
	e->count = 0;
	return due;
}

static int on_add(struct stream *s)
{
	const struct epoll *e = s->reactor->state;
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLRDHUP | EPOLLET,
		.data.ptr = s,
	};
	return epoll_ctl(e->fd, EPOLL_CTL_ADD, s->fd, &event);
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

const struct backend backend_epoll = {
	.name = "epoll",
	.init = on_init,
	.release = on_release,
	.wait = on_wait,
	.dispatch = on_dispatch,
	.add = on_add,
	.remove = on_remove,
	.write = stream_send,
	.want_room = on_want_room,
};
