#include "gate/tunnel.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buffer.h"

/* Reads in a row on one side before the others get their turn. */
#define TUNNEL_TURNS 4

/* An idle peer is asked for a sign of life after this; without one it is gone soon after. */
#define TUNNEL_KEEPALIVE_S 60

struct end {
	uv_poll_t poll;
	bool polled; /* poll is initialised */
	int fd;
	bool ended; /* it sends no more */
	bool shut; /* it is told that nothing more comes, or would not hear it */
	struct buffer out; /* what it has not taken yet */
};

struct tunnel {
	struct end client, server;
	uv_timer_t timer; /* for the connect */
	int closing; /* handles still open while it is freed */
	uint8_t *scratch;
	struct tunnel_events events;
	uint64_t bytes;
};

static void on_end(uv_poll_t *poll, int status, int events);

static struct end *other(struct tunnel *t, struct end *end)
{
	return end == &t->client ? &t->server : &t->client;
}

/* ---- the end ---- */

static void on_closed(uv_handle_t *handle)
{
	struct tunnel *t = handle->data;
	if (--t->closing == 0)
		free(t);
}

static void close_end(struct tunnel *t, struct end *end)
{
	if (end->polled) {
		t->closing++;
		uv_close((uv_handle_t *)&end->poll, on_closed);
	}
	if (end->fd >= 0)
		close(end->fd);
	end->fd = -1;
	buffer_release(&end->out);
}

void tunnel_free(struct tunnel *t)
{
	t->closing = 1;
	uv_close((uv_handle_t *)&t->timer, on_closed);
	close_end(t, &t->client);
	close_end(t, &t->server);
}

static void finish(struct tunnel *t)
{
	t->events.ended(t->events.context, t, t->bytes);
	tunnel_free(t);
}

static void refuse(struct tunnel *t)
{
	int fd = t->client.fd;
	t->client.fd = -1;
	t->events.refused(t->events.context, fd);
	finish(t);
}

/* ---- the flow ---- */

/* It takes no more. What it has sent may still be read: an answer given before an abrupt end. */
static void give_up_sending(struct end *end)
{
	end->shut = true;
	buffer_release(&end->out);
}

static void send_to(struct end *end, const uint8_t *at, size_t len)
{
	while (len > 0 && !end->shut && buffer_len(&end->out) == 0) {
		ssize_t n = send(end->fd, at, len, MSG_NOSIGNAL);
		if (n >= 0) {
			at += n;
			len -= (size_t)n;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			break;
		} else if (errno != EINTR) {
			give_up_sending(end);
		}
	}
	if (!end->shut)
		buffer_append(&end->out, at, len);
}

static void drain(struct end *end)
{
	while (buffer_len(&end->out) > 0) {
		struct bytes left = buffer_bytes(&end->out);
		ssize_t n = send(end->fd, left.at, left.len, MSG_NOSIGNAL);
		if (n >= 0)
			buffer_take(&end->out, (size_t)n);
		else if (errno == EAGAIN || errno == EWOULDBLOCK)
			return;
		else if (errno != EINTR)
			give_up_sending(end);
	}
	buffer_trim(&end->out);
}

static void pump(struct tunnel *t, struct end *from)
{
	struct end *to = other(t, from);
	for (int i = 0; i < TUNNEL_TURNS && !from->ended && !to->shut; i++) {
		if (buffer_len(&to->out) > 0)
			return;
		ssize_t n = recv(from->fd, t->scratch, TUNNEL_READ, 0);
		if (n > 0) {
			t->bytes += (uint64_t)n;
			send_to(to, t->scratch, (size_t)n);
		} else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			return;
		} else if (n == 0) {
			from->ended = true;
		} else if (errno != EINTR) {
			/* Reset: it neither sends nor takes any more. */
			from->ended = true;
			give_up_sending(from);
		}
	}
}

/* Passes the end of one side's stream on when the other has all that came before it. */
static void pass_end(struct end *from, struct end *to)
{
	if (!from->ended || to->shut || buffer_len(&to->out) > 0)
		return;
	shutdown(to->fd, SHUT_WR);
	to->shut = true;
}

static void watch(struct end *end, const struct end *to)
{
	int events = 0;
	if (!end->ended && !to->shut && buffer_len(&to->out) == 0)
		events |= UV_READABLE;
	if (buffer_len(&end->out) > 0)
		events |= UV_WRITABLE;
	if (events)
		uv_poll_start(&end->poll, events, on_end);
	else
		uv_poll_stop(&end->poll);
}

static void go_on(struct tunnel *t)
{
	pass_end(&t->client, &t->server);
	pass_end(&t->server, &t->client);
	/* A direction is over when its reader was told so; whether the other side of a broken one
	 * still sends is of no use to anybody. */
	if (t->client.shut && t->server.shut) {
		finish(t);
		return;
	}
	watch(&t->client, &t->server);
	watch(&t->server, &t->client);
}

static void on_end(uv_poll_t *poll, int status, int events)
{
	struct tunnel *t = poll->data;
	struct end *end = poll == &t->client.poll ? &t->client : &t->server;
	/* An error shows as readable and writable to recv and send, which say which one it is. */
	if (status < 0 || events & UV_WRITABLE)
		drain(end);
	if (status < 0 || events & UV_READABLE)
		pump(t, end);
	go_on(t);
}

/* ---- the beginning ---- */

static void tune(int fd)
{
	int on = 1, idle_s = TUNNEL_KEEPALIVE_S;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
}

static void on_connected(uv_poll_t *poll, int status, int events)
{
	struct tunnel *t = poll->data;
	int code = 0;
	socklen_t len = sizeof(code);
	getsockopt(t->server.fd, SOL_SOCKET, SO_ERROR, &code, &len);
	uv_timer_stop(&t->timer);
	if (code != 0 || status < 0 ||
		uv_poll_init(t->timer.loop, &t->client.poll, t->client.fd) != 0) {
		refuse(t);
		return;
	}
	t->client.polled = true;
	t->client.poll.data = t;
	tune(t->client.fd);
	tune(t->server.fd);
	go_on(t);
}

static void on_connect_timeout(uv_timer_t *timer)
{
	refuse(timer->data);
}

struct tunnel *tunnel_new(uv_loop_t *loop, int client_fd, const struct sockaddr_in *address,
	uint8_t *scratch, const struct tunnel_events *events)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return NULL;
	struct tunnel *t = calloc(1, sizeof(*t));
	if (!t)
		abort();
	*t = (struct tunnel){
		.client.fd = client_fd, .server.fd = fd, .scratch = scratch, .events = *events};
	/* A refusal that comes at once is found again at the first event. */
	(void)connect(fd, (const struct sockaddr *)address, sizeof(*address));
	if (uv_poll_init(loop, &t->server.poll, fd) != 0) {
		close(fd);
		free(t);
		return NULL;
	}
	t->server.polled = true;
	t->server.poll.data = t;
	uv_timer_init(loop, &t->timer);
	t->timer.data = t;
	uv_timer_start(&t->timer, on_connect_timeout, TUNNEL_CONNECT_MS, 0);
	uv_poll_start(&t->server.poll, UV_WRITABLE, on_connected);
	return t;
}
