#include "io/acceptor.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

struct acceptor {
	uv_poll_t poll;
	uv_timer_t rest;
	int closing; /* handles still open while it is freed */
	int listen_fd;
	bool paused;
	acceptor_take *take;
	void *context;
};

static void on_readable(uv_poll_t *poll, int status, int events);

static void listen_again(struct acceptor *a)
{
	if (!a->paused && !uv_is_closing((uv_handle_t *)&a->poll))
		uv_poll_start(&a->poll, UV_READABLE, on_readable);
}

static void on_rested(uv_timer_t *timer)
{
	listen_again(timer->data);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct acceptor *a = poll->data;
	for (int i = 0; i < ACCEPTOR_BURST && !a->paused; i++) {
		int fd = accept4(a->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			a->take(a->context, fd);
			continue;
		}
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			return;
		if (errno == EINTR || errno == ECONNABORTED || errno == EPROTO)
			continue;
		/* No descriptors or no memory: the connection stays in the backlog and the socket
		 * readable, so look away for a while. */
		uv_poll_stop(&a->poll);
		uv_timer_start(&a->rest, on_rested, ACCEPTOR_REST_MS, 0);
		return;
	}
}

static void on_closed(uv_handle_t *handle)
{
	struct acceptor *a = handle->data;
	if (--a->closing == 0)
		free(a);
}

struct acceptor *acceptor_new(
	uv_loop_t *loop, int listen_fd, acceptor_take *take, void *context, struct error *error)
{
	struct acceptor *a = calloc(1, sizeof(*a));
	if (!a)
		abort();
	*a = (struct acceptor){.listen_fd = listen_fd, .take = take, .context = context};
	int rc = uv_poll_init(loop, &a->poll, listen_fd);
	if (rc) {
		free(a);
		error_set(error, "listen", -rc, "cannot watch the listening socket: %s",
			uv_strerror(rc));
		return NULL;
	}
	uv_timer_init(loop, &a->rest);
	a->poll.data = a->rest.data = a;
	listen_again(a);
	return a;
}

void acceptor_pause(struct acceptor *a)
{
	a->paused = true;
	uv_poll_stop(&a->poll);
	uv_timer_stop(&a->rest);
}

void acceptor_resume(struct acceptor *a)
{
	a->paused = false;
	listen_again(a);
}

void acceptor_free(struct acceptor *a)
{
	if (!a)
		return;
	a->paused = true;
	a->closing = 2;
	uv_close((uv_handle_t *)&a->poll, on_closed);
	uv_close((uv_handle_t *)&a->rest, on_closed);
}
