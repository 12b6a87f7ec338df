#include "io/check_exec.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 160
/* Read after its end at most; a child that it left behind may write for ever. */
#define REST_MAX 65536

struct check_exec {
	uv_process_t process;
	uv_pipe_t output;
	int handles;
	const struct check_target *target;
	check_exec_ended *ended;
	void *context;
	char bytes[4096]; /* one read's */
	char line[LINE_MAX_BYTES + 1]; /* the one that is being received */
	size_t line_len;
	char last[LINE_MAX_BYTES + 1]; /* the last whole one that was not blank */
};

static void line_ended(struct check_exec *e)
{
	e->line[e->line_len] = '\0';
	if (e->line[strspn(e->line, " \t")] != '\0')
		memcpy(e->last, e->line, e->line_len + 1);
	e->line_len = 0;
}

static void take(struct check_exec *e, const char *at, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)at[i];
		if (c == '\n')
			line_ended(e);
		else if (c != '\r' && e->line_len < LINE_MAX_BYTES)
			e->line[e->line_len++] = c < ' ' || c == 0x7f ? ' ' : (char)c;
	}
}

static void on_room(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
	struct check_exec *e = handle->data;
	*buf = uv_buf_init(e->bytes, sizeof(e->bytes));
}

static void on_output(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
	struct check_exec *e = stream->data;
	if (got > 0)
		take(e, buf->base, (size_t)got);
	else if (got < 0)
		uv_read_stop(stream);
}

/* What it wrote last may still be in the pipe when its end is reported. */
static void take_rest(struct check_exec *e)
{
	uv_os_fd_t fd;
	if (uv_fileno((uv_handle_t *)&e->output, &fd) != 0)
		return;
	ssize_t got;
	for (size_t seen = 0; seen < REST_MAX; seen += (size_t)got) {
		got = read(fd, e->bytes, sizeof(e->bytes));
		if (got <= 0)
			break;
		take(e, e->bytes, (size_t)got);
	}
	line_ended(e);
}

static void on_closed(uv_handle_t *handle)
{
	struct check_exec *e = handle->data;
	if (--e->handles == 0)
		free(e);
}

static const char *mend_of(int64_t code)
{
	return code == 127   ? " (not found: is it installed, and in PATH?)"
	       : code == 126 ? " (may this user execute it?)"
			     : "";
}

static void on_exit_status(uv_process_t *process, int64_t code, int signal_number)
{
	struct check_exec *e = process->data;
	struct error error;
	take_rest(e);
	const char *before = *e->last ? ": " : "";
	if (signal_number)
		error_set(&error, "exec", 128 + signal_number, "%s: was ended by signal %d%s%s",
			e->target->name, signal_number, before, e->last);
	else if (code)
		error_set(&error, "exec", (int)code, "%s: exited with %d%s%s%s", e->target->name,
			(int)code, mend_of(code), before, e->last);
	uv_close((uv_handle_t *)&e->process, on_closed);
	uv_close((uv_handle_t *)&e->output, on_closed);
	e->ended(e->context, signal_number || code ? &error : NULL);
}

/* Both ends close on exec; the read end is non-blocking. */
static int make_pipe(int ends[2])
{
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	return 0;
}

struct check_exec *check_exec_start(uv_loop_t *loop, const struct check_target *target,
	const char *const *environment, check_exec_ended *ended, void *context, struct error *error)
{
	int ends[2];
	int result = make_pipe(ends);
	if (result < 0) {
		error_set(error, "exec", -result, "%s: no pipe: %s", target->name,
			uv_strerror(result));
		return NULL;
	}
	struct check_exec *e = calloc(1, sizeof(*e));
	assert(e);
	e->target = target;
	e->ended = ended;
	e->context = context;
	e->process.data = e->output.data = e;
	e->handles = 2;
	uv_pipe_init(loop, &e->output, 0);
	result = uv_pipe_open(&e->output, ends[0]);
	assert(result == 0);

	char *argv[] = {"sh", "-c", target->text, NULL};
	uv_stdio_container_t stdio[] = {
		{.flags = UV_IGNORE},
		{.flags = UV_INHERIT_FD, .data.fd = ends[1]},
		{.flags = UV_INHERIT_FD, .data.fd = ends[1]},
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
	result = uv_spawn(loop, &e->process, &options);
	close(ends[1]);
	if (result < 0) {
		error_set(error, "exec", -result, "%s: cannot run /bin/sh: %s", target->name,
			uv_strerror(result));
		uv_close((uv_handle_t *)&e->process, on_closed);
		uv_close((uv_handle_t *)&e->output, on_closed);
		return NULL;
	}
	uv_read_start((uv_stream_t *)&e->output, on_room, on_output);
	return e;
}

void check_exec_kill(struct check_exec *e)
{
	/* UV_PROCESS_DETACHED made it the leader of a session, and so of a group. */
	kill(-e->process.pid, SIGKILL);
}

int check_exec_describe_timeout(const struct check_exec *e, struct error *error)
{
	return error_set(error, "exec", ETIMEDOUT, "%s: did not end in time and was killed%s%s",
		e->target->name, *e->last ? ": " : "", e->last);
}
