#include "lab/fetch.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUEST_MAX 512
#define SCRAP       2048 /* for what is read and forgotten */

struct fetch {
	uv_tcp_t tcp;
	uv_timer_t timer;
	uv_connect_t connect;
	uv_write_t write;
	int handles;
	fetch_done *done; /* NULL: told, or cancelled */
	void *context;
	char request[REQUEST_MAX];
	char scrap[SCRAP];
	size_t room, len;
	char answer[]; /* `room` bytes and a zero */
};

static void handle_closed(uv_handle_t *handle)
{
	struct fetch *f = handle->data;

	if (--f->handles == 0)
		free(f);
}

static void close_all(struct fetch *f)
{
	if (uv_is_closing((uv_handle_t *)&f->tcp))
		return;
	uv_close((uv_handle_t *)&f->tcp, handle_closed);
	uv_close((uv_handle_t *)&f->timer, handle_closed);
}

static void tell(struct fetch *f, bool answered)
{
	fetch_done *done = f->done;
	const char *body = "";
	int status = 0;

	f->answer[f->len] = '\0';
	if (answered && sscanf(f->answer, "HTTP/1.%*d %d", &status) == 1) {
		body = strstr(f->answer, "\r\n\r\n");
		body = body ? body + 4 : "";
	}
	f->done = NULL;
	close_all(f);
	if (done)
		done(f->context, status, body);
}

static void late(uv_timer_t *timer)
{
	tell(timer->data, false);
}

static void give_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
	struct fetch *f = handle->data;

	(void)suggested;
	*buffer = f->len < f->room ? uv_buf_init(f->answer + f->len, (unsigned)(f->room - f->len))
				   : uv_buf_init(f->scrap, sizeof f->scrap);
}

static void came(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
	struct fetch *f = stream->data;

	if (n > 0 && buffer->base != f->scrap)
		f->len += (size_t)n;
	if (n < 0)
		tell(f, n == UV_EOF || f->len > 0);
}

static void written(uv_write_t *write, int status)
{
	struct fetch *f = write->data;

	if (status < 0 && f->done)
		tell(f, false);
}

static void connected(uv_connect_t *connect, int status)
{
	struct fetch *f = connect->data;
	uv_buf_t buffer = uv_buf_init(f->request, (unsigned)strlen(f->request));

	if (!f->done)
		return;
	f->write.data = f;
	if (status < 0 || uv_read_start((uv_stream_t *)&f->tcp, give_room, came) < 0 ||
		uv_write(&f->write, (uv_stream_t *)&f->tcp, &buffer, 1, written) < 0)
		tell(f, false);
}

struct fetch *fetch_start(uv_loop_t *loop, uint16_t port, const char *path, int timeout_ms,
	size_t room, fetch_done *done, void *context)
{
	struct fetch *f = calloc(1, sizeof *f + room + 1);
	struct sockaddr_in to;

	if (!f)
		abort();
	f->done = done;
	f->context = context;
	f->room = room;
	/* 1.0: the server closes when all is said. */
	snprintf(f->request, sizeof f->request,
		"GET %s HTTP/1.0\r\nHost: 127.0.0.1:%d\r\nAccept: application/json\r\n\r\n", path,
		port);
	int failed = uv_tcp_init(loop, &f->tcp) || uv_timer_init(loop, &f->timer) ||
		     uv_ip4_addr("127.0.0.1", port, &to);
	assert(!failed);
	f->handles = 2;
	f->tcp.data = f->timer.data = f->connect.data = f;
	int code = uv_tcp_connect(&f->connect, &f->tcp, (struct sockaddr *)&to, connected);
	/* What fails at once is told from the loop too. */
	uv_timer_start(&f->timer, late, code < 0 ? 0 : (uint64_t)timeout_ms, 0);
	return f;
}

void fetch_cancel(struct fetch *f)
{
	f->done = NULL;
	close_all(f);
}
