/*
 * backend_epoll - a set of streams that is waited for by epoll; of two backends, which both have one.
 */
#ifndef STANDPIPE_IO_BACKEND_EPOLL_H
#define STANDPIPE_IO_BACKEND_EPOLL_H

#include <sys/epoll.h>

#include "io/reactor.h"
#include "io/stream.h"

#define EPOLL_SET_EVENTS 256

struct epoll_set {
	int fd;
	int count;
	struct epoll_event events[EPOLL_SET_EVENTS];
};

/* Watches libuv's descriptor and the alarm. 0, or -1 with errno. */
int epoll_set_init(struct epoll_set *e, struct reactor *r);
void epoll_set_release(struct epoll_set *e);

/* Fills in `events`. If not `waits`, only with what is there. */
void epoll_set_wait(struct epoll_set *e, bool waits);

/* Whose event it is. NULL: no stream's. If it is a watch's, that has been told; else libuv has something
 * to do, for its own descriptor or because the alarm rang, and `due` is set. */
struct stream *epoll_set_stream(struct reactor *r, const struct epoll_event *event, bool *due);

/* Tells the stream of what epoll said of it. May close it. */
void epoll_set_signal(struct epoll_set *e, struct stream *s, unsigned events);

/* As reactor_watch and reactor_unwatch. */
int epoll_set_watch(struct epoll_set *e, struct reactor_watch *w);
void epoll_set_unwatch(struct epoll_set *e, struct reactor_watch *w);

/* 0, or -1 with errno. */
int epoll_set_add(struct epoll_set *e, struct stream *s);
void epoll_set_remove(struct epoll_set *e, struct stream *s);

/* Until there is: tells of it. */
void epoll_set_want_room(struct epoll_set *e, struct stream *s);

#endif
