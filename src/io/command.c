#include "io/command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/instant.h"

#define COMPLAINT_MAX 120
#define STAGE         "auth" /* what such a command is for */

/* One end of a pipe from it, and what of a line has come. */
struct mouth {
	uv_pipe_t pipe;
	char bytes[1024]; /* one read's */
};

struct command {
	uv_process_t process;
	struct mouth out, err;
	uv_timer_t timer;
	int handles;
	command_ended *ended; /* NULL: abandoned */
	void *context;
	bool timed_out, line_ended, too_long;
	size_t len;
	char line[COMMAND_LINE_MAX + 1]; /* the first of stdout */
	size_t complaint_len;
	char complaint[COMPLAINT_MAX + 1], last_complaint[COMPLAINT_MAX + 1]; /* of stderr */
};

/* ---- what it says ---- */

static void take_line(struct command *c, const char *at, size_t len)
{
	for (size_t i = 0; i < len && !c->line_ended; i++) {
		if (at[i] == '\n')
			c->line_ended = true;
		else if (c->len == COMMAND_LINE_MAX)
			c->too_long = c->line_ended = true;
		else if (at[i] != '\r')
			c->line[c->len++] = at[i];
	}
}

static void take_complaint(struct command *c, const char *at, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char byte = (unsigned char)at[i];
		if (byte == '\n' && c->complaint_len > 0) {
			memcpy(c->last_complaint, c->complaint, sizeof(c->complaint));
			memset(c->complaint, 0, sizeof(c->complaint));
			c->complaint_len = 0;
		} else if (byte != '\n' && c->complaint_len < COMPLAINT_MAX) {
			c->complaint[c->complaint_len++] = byte < ' ' || byte == 0x7f ? ' '
										      : (char)byte;
		}
	}
}

static void take(struct command *c, struct mouth *m, size_t len)
{
	if (m == &c->out)
		take_line(c, m->bytes, len);
	else
		take_complaint(c, m->bytes, len);
	explicit_bzero(m->bytes, sizeof(m->bytes));
}

static struct mouth *mouth_of(struct command *c, const void *pipe)
{
	return pipe == (const void *)&c->out.pipe ? &c->out : &c->err;
}

static void on_room(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
	struct mouth *m = mouth_of(handle->data, handle);
	*buf = uv_buf_init(m->bytes, sizeof(m->bytes));
}

static void on_output(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
	struct command *c = stream->data;
	if (got > 0)
		take(c, mouth_of(c, stream), (size_t)got);
	else if (got < 0)
		uv_read_stop(stream);
}

/* What it wrote last may still be in the pipe when its end is reported; what a child of it goes on
 * writing is not waited for. */
static void take_rest(struct command *c, struct mouth *m)
{
	uv_os_fd_t fd;
	if (uv_fileno((uv_handle_t *)&m->pipe, &fd) != 0)
		return;
	for (int reads = 0; reads < 64; reads++) {
		ssize_t got = read(fd, m->bytes, sizeof(m->bytes));
		if (got <= 0)
			break;
		take(c, m, (size_t)got);
	}
}

/* ---- its end ---- */

static void on_closed(uv_handle_t *handle)
{
	struct command *c = handle->data;
	if (--c->handles > 0)
		return;
	explicit_bzero(c->line, sizeof(c->line));
	free(c);
}

static void close_all(struct command *c)
{
	uv_close((uv_handle_t *)&c->process, on_closed);
	uv_close((uv_handle_t *)&c->out.pipe, on_closed);
	uv_close((uv_handle_t *)&c->err.pipe, on_closed);
	uv_close((uv_handle_t *)&c->timer, on_closed);
}

static int fill_error(const struct command *c, int64_t code, int signal_number, struct error *error)
{
	const char *said = *c->complaint ? c->complaint : c->last_complaint;
	const char *before = *said ? ": " : "";
	if (c->timed_out)
		return error_set(error, STAGE, ETIMEDOUT, "did not end in time and was killed%s%s",
			before, said);
	if (signal_number)
		return error_set(error, STAGE, 128 + signal_number, "was ended by signal %d%s%s",
			signal_number, before, said);
	if (code)
		return error_set(
			error, STAGE, (int)code, "exited with %d%s%s", (int)code, before, said);
	if (c->too_long)
		return error_set(
			error, STAGE, 0, "said a line of more than %d bytes", COMMAND_LINE_MAX);
	if (c->len == 0)
		return error_set(error, STAGE, 0, "said nothing%s%s", before, said);
	return 0;
}

static void on_exit_status(uv_process_t *process, int64_t code, int signal_number)
{
	struct command *c = process->data;
	struct error error;
	take_rest(c, &c->out);
	take_rest(c, &c->err);
	bool failed = fill_error(c, code, signal_number, &error) != 0;
	close_all(c);
	if (c->ended)
		c->ended(c->context, failed ? NULL : c->line, failed ? &error : NULL);
}

/* UV_PROCESS_DETACHED made it the leader of a session, and so of a group. */
static void kill_group(struct command *c)
{
	kill(-c->process.pid, SIGKILL);
}

static void on_timeout(uv_timer_t *timer)
{
	struct command *c = timer->data;
	c->timed_out = true;
	kill_group(c);
}

void command_abandon(struct command *c)
{
	c->ended = NULL;
	kill_group(c);
}

/* ---- its beginning ---- */

/* Both ends close on exec; the read end is non-blocking. */
static int open_mouth(struct command *c, uv_loop_t *loop, struct mouth *m, int *write_end)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	uv_pipe_init(loop, &m->pipe, 0);
	m->pipe.data = c;
	c->handles++;
	*write_end = ends[1];
	return uv_pipe_open(&m->pipe, ends[0]);
}

static int spawn(struct command *c, uv_loop_t *loop, const char *text,
	const char *const *environment, int out, int err)
{
	char *copy = strdup(text);
	if (!copy)
		abort();
	char *argv[] = {"sh", "-c", copy, NULL};
	uv_stdio_container_t stdio[] = {
		{.flags = UV_IGNORE},
		{.flags = UV_INHERIT_FD, .data.fd = out},
		{.flags = UV_INHERIT_FD, .data.fd = err},
	};
	uv_process_options_t options = {
		.exit_cb = on_exit_status,
		.file = "/bin/sh",
		.args = argv,
		.env = (char **)environment,
		.flags = UV_PROCESS_DETACHED,
		.stdio = stdio,
		.stdio_count = 3,
	};
	c->process.data = c;
	c->handles++;
	int result = uv_spawn(loop, &c->process, &options);
	free(copy);
	return result;
}

struct command *command_start(uv_loop_t *loop, const char *text, const char *const *environment,
	int64_t timeout_ns, command_ended *ended, void *context, struct error *error)
{
	struct command *c = calloc(1, sizeof(*c));
	if (!c)
		abort();
	c->ended = ended;
	c->context = context;
	uv_timer_init(loop, &c->timer);
	c->timer.data = c;
	c->handles++;
	int out = -1, err = -1;
	int result = open_mouth(c, loop, &c->out, &out);
	if (result == 0)
		result = open_mouth(c, loop, &c->err, &err);
	bool spawning = result == 0;
	if (spawning)
		result = spawn(c, loop, text, environment, out, err);
	if (out >= 0)
		close(out);
	if (err >= 0)
		close(err);
	if (result == 0) {
		uv_read_start((uv_stream_t *)&c->out.pipe, on_room, on_output);
		uv_read_start((uv_stream_t *)&c->err.pipe, on_room, on_output);
		uv_timer_start(&c->timer, on_timeout, (uint64_t)(timeout_ns / NS_PER_MS) + 1, 0);
		return c;
	}
	error_set(error, STAGE, -result, "cannot be run: %s", uv_strerror(result));
	if (spawning)
		uv_close((uv_handle_t *)&c->process, on_closed);
	if (err >= 0)
		uv_close((uv_handle_t *)&c->err.pipe, on_closed);
	if (out >= 0)
		uv_close((uv_handle_t *)&c->out.pipe, on_closed);
	uv_close((uv_handle_t *)&c->timer, on_closed);
	return NULL;
}
