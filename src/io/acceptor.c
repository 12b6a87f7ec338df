#include "io/acceptor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "io/reactor.h"

struct acceptor {
	struct reactor *reactor; /* NULL: libuv's loop watches */
	struct reactor_watch watch;
	uv_poll_t poll;
	uv_timer_t rest;
	int closing; /* handles still open while it is freed */
	int listen_fd;
	int burst; /* on a reactor: so many were asked for in `turn` */
	uint64_t turn;
	bool watching, paused;
	acceptor_take *take;
	void *context;
};

static void look(struct acceptor *a);

/* ---- being told ---- */

static void on_rested(uv_timer_t *timer)
{
	look(timer->data);
}

static void look_away(struct acceptor *a)
{
	if (a->watching && a->reactor)
		reactor_unwatch(a->reactor, &a->watch);
	else if (a->watching)
		uv_poll_stop(&a->poll);
	a->watching = false;
}

static void rest(struct acceptor *a)
{
	look_away(a);
	uv_timer_start(&a->rest, on_rested, ACCEPTOR_REST_MS, 0);
}

/* Says whether there may be more. */
static bool accept_some(struct acceptor *a, int burst)
{
	for (int i = 0; i < burst && !a->paused; i++) {
		int fd = accept4(a->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			a->take(a->context, fd);
			continue;
		}
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			return false;
		if (errno == EINTR || errno == ECONNABORTED || errno == EPROTO)
			continue;
		/* No descriptors or no memory: the connection stays in the backlog and the socket
		 * readable, so look away for a while. */
		rest(a);
		return false;
	}
	return true;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	accept_some(poll->data, ACCEPTOR_BURST);
}

static void on_ready(struct reactor_watch *w)
{
	struct acceptor *a = (void *)((char *)w - offsetof(struct acceptor, watch));
	bool goes_on = a->burst > 0 && a->reactor->turns == a->turn + 1;
	a->turn = a->reactor->turns;
	a->burst = goes_on ? a->burst * 2 : 1;
	if (a->burst > ACCEPTOR_BURST)
		a->burst = ACCEPTOR_BURST;
	if (!accept_some(a, a->burst))
		a->burst = 0;
}

static void look(struct acceptor *a)
{
	if (a->paused || a->watching)
		return;
	if (!a->reactor)
		uv_poll_start(&a->poll, UV_READABLE, on_readable);
	else if (reactor_watch(a->reactor, &a->watch) != 0) {
		rest(a);
		return;
	}
	a->watching = true;
}

/* ---- its life ---- */

static struct acceptor *make(uv_loop_t *loop, int listen_fd, acceptor_take *take, void *context)
{
	struct acceptor *a = calloc(1, sizeof(*a));
	if (!a)
		abort();
	*a = (struct acceptor){.listen_fd = listen_fd, .take = take, .context = context};
	a->watch = (struct reactor_watch){.fd = listen_fd, .ready = on_ready};
	uv_timer_init(loop, &a->rest);
	a->poll.data = a->rest.data = a;
	a->closing = 1;
	return a;
}

static void on_closed(uv_handle_t *handle)
{
	struct acceptor *a = handle->data;
	if (--a->closing == 0)
		free(a);
}

static struct acceptor *unmake(struct acceptor *a, int number, struct error *error)
{
	error_set(
		error, "listen", number, "cannot watch the listening socket: %s", strerror(number));
	uv_close((uv_handle_t *)&a->rest, on_closed);
	return NULL;
}

struct acceptor *acceptor_new(
	uv_loop_t *loop, int listen_fd, acceptor_take *take, void *context, struct error *error)
{
	struct acceptor *a = make(loop, listen_fd, take, context);
	int rc = uv_poll_init(loop, &a->poll, listen_fd);
	if (rc)
		return unmake(a, -rc, error);
	a->closing++;
	look(a);
	return a;
}

struct acceptor *acceptor_new_on(
	struct reactor *r, int listen_fd, acceptor_take *take, void *context, struct error *error)
{
	struct acceptor *a = make(r->loop, listen_fd, take, context);
	int flags = fcntl(listen_fd, F_GETFL);
	a->reactor = r;
	if (flags < 0 || fcntl(listen_fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
		reactor_watch(r, &a->watch) != 0)
		return unmake(a, errno, error);
	a->watching = true;
	return a;
}

void acceptor_pause(struct acceptor *a)
{
	a->paused = true;
	look_away(a);
	uv_timer_stop(&a->rest);
}

void acceptor_resume(struct acceptor *a)
{
	a->paused = false;
	look(a);
}

void acceptor_free(struct acceptor *a)
{
	if (!a)
		return;
	acceptor_pause(a);
	if (!a->reactor)
		uv_close((uv_handle_t *)&a->poll, on_closed);
	uv_close((uv_handle_t *)&a->rest, on_closed);
}
