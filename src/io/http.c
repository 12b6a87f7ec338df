#include "io/http.h"

#include <assert.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/acceptor.h"

/* One connection; in the list of those that may still finish a request, longest waiting first. */
struct peer {
	struct http *http;
	struct peer *next, *previous;
	uv_poll_t poll; /* for the end of its stream */
	bool polled; /* poll is initialised */
	int fd;
	enum { PEER_IDLE, PEER_ASKING, PEER_ANSWERED } state; /* since a request's first line */
	bool bad; /* a first line that can't be meant well */
	bool cut; /* shut down by us, out of the list; libmicrohttpd will notice */
	uint64_t until_ms;
	uint64_t answered_in; /* the turn of the last answer */
};

struct http {
	uv_loop_t *loop;
	uv_poll_t poll;
	uv_timer_t timer;
	int closing; /* handles still open while it is freed */
	struct MHD_Daemon *daemon;
	struct acceptor *acceptor; /* or NULL */
	http_handler *handler;
	void *context;
	struct peer *first, *last;
	int connections;
	uint64_t turn; /* counts those of libmicrohttpd, from 1 */
};

const char *http_request_header(const struct http_request *request, const char *name)
{
	return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

struct argument {
	const char *name, *value;
};

static enum MHD_Result find_argument(
	void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct argument *wanted = context;
	if (strcmp(name, wanted->name) != 0)
		return MHD_YES;
	wanted->value = value ? value : "";
	return MHD_NO;
}

const char *http_request_argument(const struct http_request *request, const char *name)
{
	struct argument wanted = {.name = name};
	MHD_get_connection_values(
		request->connection, MHD_GET_ARGUMENT_KIND, find_argument, &wanted);
	return wanted.value;
}

void http_response_header(struct http_response *r, const char *name, const char *format, ...)
{
	assert(r->header_count < HTTP_HEADERS_MAX);
	va_list args;
	va_start(args, format);
	vsnprintf(r->headers[r->header_count].value, HTTP_HEADER_LEN_MAX, format, args);
	va_end(args);
	r->headers[r->header_count++].name = name;
}

void http_response_take(struct http_response *r, int status, const char *content_type, char *text)
{
	free(r->body);
	r->status = status;
	r->content_type = content_type;
	r->body = text;
	r->body_len = text ? strlen(text) : 0;
}

/* NULL when it has none any more. */
static struct peer *peer_of(struct MHD_Connection *connection)
{
	return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
		->socket_context;
}

static void unlink_peer(struct http *h, struct peer *p)
{
	*(p->previous ? &p->previous->next : &h->first) = p->next;
	*(p->next ? &p->next->previous : &h->last) = p->previous;
	p->next = p->previous = NULL;
}

/* At the end of the list, with all the time that a request may take. */
static void append_peer(struct http *h, struct peer *p)
{
	p->until_ms = uv_now(h->loop) + HTTP_REQUEST_MS;
	p->next = NULL;
	p->previous = h->last;
	*(h->last ? &h->last->next : &h->first) = p;
	h->last = p;
}

/* libmicrohttpd finds the end of the stream at its next turn and closes. */
static void cut_peer(struct http *h, struct peer *p)
{
	unlink_peer(h, p);
	p->cut = true;
	shutdown(p->fd, SHUT_RDWR);
}

static bool has_bytes(const struct peer *p)
{
	char byte;
	return recv(p->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* libmicrohttpd, whose events are edge-triggered, never hears of an end of stream that came
 * together with the last bytes, and would keep the connection until its time is over. */
static void on_hang_up(uv_poll_t *poll, int status, int events)
{
	struct peer *p = poll->data;
	if (p->cut || p->state == PEER_ANSWERED)
		uv_poll_stop(poll); /* until the answer is sent, see on_completed */
	else if (!has_bytes(p))
		cut_peer(p->http, p);
	/* Else they are read before we come here again. */
}

static void watch_peer(struct peer *p)
{
	if (p->polled)
		uv_poll_start(&p->poll, UV_DISCONNECT, on_hang_up);
}

static void on_peer_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void free_peer(struct peer *p)
{
	if (p->polled)
		uv_close((uv_handle_t *)&p->poll, on_peer_closed);
	else
		free(p);
}

static void on_connection(void *context, struct MHD_Connection *connection, void **socket_context,
	enum MHD_ConnectionNotificationCode code)
{
	struct http *h = context;
	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		struct peer *p = calloc(1, sizeof(*p));
		if (!p)
			abort();
		p->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)
				->connect_fd;
		p->http = h;
		p->polled = uv_poll_init(h->loop, &p->poll, p->fd) == 0;
		p->poll.data = p;
		watch_peer(p);
		append_peer(h, p);
		h->connections++;
		*socket_context = p;
		return;
	}
	struct peer *p = *socket_context;
	if (!p)
		return;
	if (!p->cut)
		unlink_peer(h, p);
	h->connections--;
	*socket_context = NULL;
	free_peer(p);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **request_context,
	enum MHD_RequestTerminationCode code)
{
	struct http *h = context;
	struct peer *p = peer_of(connection);
	if (!p || p->cut)
		return;
	p->state = PEER_IDLE;
	p->bad = false;
	watch_peer(p);
	unlink_peer(h, p);
	append_peer(h, p);
}

static void *on_first_line(void *context, const char *uri, struct MHD_Connection *connection)
{
	struct peer *p = peer_of(connection);
	if (p) {
		p->state = PEER_ASKING;
		/* Decoded it would end the path: another than the one that was asked for. */
		p->bad = strstr(uri, "%00") != NULL;
	}
	return NULL; /* what the request's context is at first */
}

/* Requests that were sent without waiting for answers are all answered in one turn of
 * libmicrohttpd's, and thousands of them would hold up the loop. So a second one is the last. */
static bool is_last(const struct http *h, struct peer *p)
{
	bool second = p && p->answered_in == h->turn;
	if (p)
		p->answered_in = h->turn;
	return second;
}

static enum MHD_Result answer(
	const struct http *h, struct MHD_Connection *connection, struct http_response *r)
{
	struct MHD_Response *response = r->body_len ? MHD_create_response_from_buffer(r->body_len,
							      r->body, MHD_RESPMEM_MUST_FREE)
						    : MHD_create_response_from_buffer(
							      0, NULL, MHD_RESPMEM_PERSISTENT);
	if (!response || !r->body_len)
		free(r->body);
	if (!response)
		return MHD_NO;
	if (r->content_type)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, r->content_type);
	for (int i = 0; i < r->header_count; i++)
		MHD_add_response_header(response, r->headers[i].name, r->headers[i].value);
	struct peer *p = peer_of(connection);
	if (is_last(h, p) || r->close)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
	enum MHD_Result rc = MHD_queue_response(connection, (unsigned)r->status, response);
	MHD_destroy_response(response);
	if (p)
		p->state = PEER_ANSWERED;
	return rc;
}

static enum MHD_Result refuse(const struct http *h, struct MHD_Connection *connection, int status)
{
	struct http_response r = {.status = status, .close = true};
	return answer(h, connection, &r);
}

static bool is_bad(struct MHD_Connection *connection)
{
	const struct peer *p = peer_of(connection);
	return p && p->bad;
}

static bool body_is_too_large(struct MHD_Connection *connection)
{
	const char *length = MHD_lookup_connection_value(
		connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
	return length && strtoull(length, NULL, 10) > HTTP_BODY_MAX;
}

/* libmicrohttpd calls this once for the headers, then for each piece of the body, then once more.
 * The request's context counts the body's bytes, plus one for having been here. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
	const char *method, const char *version, const char *body, size_t *body_len,
	void **request_context)
{
	struct http *h = context;
	uintptr_t seen = (uintptr_t)*request_context;
	bool expects = MHD_lookup_connection_value(
			       connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_EXPECT) != NULL;
	if (seen == 0) {
		*request_context = (void *)(uintptr_t)1;
		if (is_bad(connection))
			return refuse(h, connection, MHD_HTTP_BAD_REQUEST);
		if (body_is_too_large(connection))
			return refuse(h, connection, MHD_HTTP_CONTENT_TOO_LARGE);
		/* Who asks whether to send the body gets the answer instead of it. */
		if (!expects)
			return MHD_YES;
	}
	if (*body_len) {
		/* In the midst of a body no answer can be given any more, only an end. */
		if (seen + *body_len > HTTP_BODY_MAX)
			return MHD_NO;
		*request_context = (void *)(seen + *body_len);
		*body_len = 0;
		return MHD_YES;
	}
	struct http_request request = {.method = method, .path = url, .connection = connection};
	struct http_response r = {.status = MHD_HTTP_INTERNAL_SERVER_ERROR};
	h->handler(h->context, &request, &r);
	return answer(h, connection, &r);
}

static void on_timer(uv_timer_t *timer);

/* The timer goes off when libmicrohttpd wants to run or the longest waiting one is to be cut. */
static void arm(struct http *h)
{
	unsigned long long wanted_ms;
	uint64_t wait_ms = UINT64_MAX;
	if (MHD_get_timeout(h->daemon, &wanted_ms) == MHD_YES)
		wait_ms = wanted_ms;
	if (h->first) {
		uint64_t now = uv_now(h->loop);
		uint64_t left_ms = h->first->until_ms > now ? h->first->until_ms - now : 0;
		if (left_ms < wait_ms)
			wait_ms = left_ms;
	}
	if (wait_ms == UINT64_MAX)
		uv_timer_stop(&h->timer);
	else
		uv_timer_start(&h->timer, on_timer, wait_ms, 0);
}

static void run(struct http *h)
{
	while (h->first && h->first->until_ms <= uv_now(h->loop))
		cut_peer(h, h->first);
	h->turn++;
	MHD_run(h->daemon);
	arm(h);
}

static void on_timer(uv_timer_t *timer)
{
	run(timer->data);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	run(poll->data);
}

void http_add_connection(struct http *h, int fd)
{
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);
	/* A peer that has gone already is nobody to serve. */
	if (getpeername(fd, (struct sockaddr *)&address, &len) != 0) {
		close(fd);
		return;
	}
	if (h->connections >= HTTP_CONNECTIONS_MAX && h->first)
		cut_peer(h, h->first);
	/* Refused, the socket has been closed. */
	MHD_add_connection(h->daemon, fd, (struct sockaddr *)&address, len);
	uv_timer_start(&h->timer, on_timer, 0, 0);
}

static void on_accepted(void *context, int fd)
{
	http_add_connection(context, fd);
}

static void on_closed(uv_handle_t *handle)
{
	struct http *h = handle->data;
	if (--h->closing == 0)
		free(h);
}

/* libmicrohttpd, without threads and without a listener of its own. Those that we cut are still
 * counted until its next turn, hence the room above our own limit. */
static struct MHD_Daemon *start_daemon(struct http *h)
{
	return MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL, on_request,
		h, MHD_OPTION_CONNECTION_LIMIT, (unsigned)(2 * HTTP_CONNECTIONS_MAX),
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_MEMORY_MAX,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, h, MHD_OPTION_NOTIFY_COMPLETED,
		on_completed, h, MHD_OPTION_URI_LOG_CALLBACK, on_first_line, h, MHD_OPTION_END);
}

struct http *http_new(
	uv_loop_t *loop, int listen_fd, http_handler *handler, void *context, struct error *error)
{
	struct http *h = calloc(1, sizeof(*h));
	if (!h)
		abort();
	*h = (struct http){.loop = loop, .handler = handler, .context = context};
	h->daemon = start_daemon(h);
	if (!h->daemon) {
		free(h);
		error_set(error, "http", 0, "libmicrohttpd does not start (descriptors used up?)");
		return NULL;
	}
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	int rc = uv_poll_init(loop, &h->poll, info->epoll_fd);
	if (rc) {
		MHD_stop_daemon(h->daemon);
		free(h);
		error_set(error, "http", -rc, "cannot watch libmicrohttpd: %s", uv_strerror(rc));
		return NULL;
	}
	uv_timer_init(loop, &h->timer);
	h->poll.data = h->timer.data = h;
	uv_poll_start(&h->poll, UV_READABLE, on_poll);
	if (listen_fd >= 0) {
		h->acceptor = acceptor_new(loop, listen_fd, on_accepted, h, error);
		if (!h->acceptor) {
			http_free(h);
			return NULL;
		}
	}
	return h;
}

void http_pause(struct http *h)
{
	if (h->acceptor)
		acceptor_pause(h->acceptor);
}

void http_resume(struct http *h)
{
	if (h->acceptor)
		acceptor_resume(h->acceptor);
}

void http_cut_idle(struct http *h)
{
	struct peer *next;
	for (struct peer *p = h->first; p; p = next) {
		next = p->next;
		/* Bytes that wait to be read are a request that has begun. */
		if (p->state == PEER_IDLE && !has_bytes(p))
			cut_peer(h, p);
	}
}

int http_connections(const struct http *h)
{
	return h->connections;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	acceptor_free(h->acceptor);
	/* libuv lets go of the epoll descriptor before it is closed. */
	h->closing = 2;
	uv_close((uv_handle_t *)&h->poll, on_closed);
	uv_close((uv_handle_t *)&h->timer, on_closed);
	MHD_stop_daemon(h->daemon);
}
