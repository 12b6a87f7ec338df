/* What the gate is told from outside: by PID 1, by signals. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gate/console.h"
#include "gate/gate_inside.h"

/* ---- PID 1 ---- */

void gate_tell_init(struct gate *g, enum control_kind kind, int code)
{
	struct control_message message = {.kind = kind, .code = code};
	if (control_send(g->options->control_fd, &message) != 0)
		log_error(g->log, "PID 1 could not be told", field_int("kind", kind),
			field_text("reason", strerror(errno)));
}

void gate_start_command(void *context)
{
	struct gate *g = context;
	gate_tell_init(g, CONTROL_START, 0);
}

static void command_ended(struct gate *g, int code)
{
	g->command = COMMAND_ENDED;
	g->command_code = code;
	log_info(g->log, "the command ended", field_int("code", code));
	if (g->door)
		door_close(g->door);
	phases_command(&g->phases, false, code);
	if (g->stopping) {
		gate_end(g, code);
		return;
	}
	hub_tell(&g->hub, (struct engine_event){.kind = EVENT_COMMAND_EXITED, .code = code});
	if (!g->ended)
		gate_tell_init(g, CONTROL_STAY, 0);
}

static void succeed(struct gate *g, int code)
{
	switch (code) {
	case CONTROL_SUCCEED_FIRST:
		g->succeeds = g->follows = g->phases.succeeds = true;
		break;
	case CONTROL_SUCCEED_ALONE:
		gate_predecessor_gone(g);
		return;
	case CONTROL_SUCCEED_SOON:
		g->awaits = true;
		break;
	case CONTROL_SUCCEED_NOT:
	default:
		log_error(g->log, "goes on, and is not replaced");
		g->awaits = false;
		break;
	}
	gate_share(g);
}

void gate_take_message(struct gate *g, const struct control_message *message)
{
	switch (message->kind) {
	case CONTROL_HELLO:
		g->hub.slot = (int)message->key;
		g->command = (enum control_command)message->code;
		if (g->command != COMMAND_RUNNING)
			break;
		/* A gate died before this one; the command went on. */
		phases_command(&g->phases, true, 0);
		hub_tell(&g->hub, (struct engine_event){.kind = EVENT_COMMAND_UP});
		break;
	case CONTROL_STARTED:
		g->command = COMMAND_RUNNING;
		g->command_pid = message->code;
		log_info(g->log, "the command runs", field_int("pid", message->code));
		phases_command(&g->phases, true, 0);
		break;
	case CONTROL_EXITED:
		command_ended(g, message->code);
		break;
	case CONTROL_STOPPING:
		g->stopping = true;
		log_info(g->log, "stopping", field_int("signal", message->code));
		if (g->command != COMMAND_RUNNING)
			gate_end(g, 128 + message->code);
		break;
	case CONTROL_RELOAD:
		gate_reload(g, &(struct error){0});
		break;
	case CONTROL_SUCCEED:
		succeed(g, message->code);
		break;
	case CONTROL_RETIRE:
		gate_retire(g);
		break;
	case CONTROL_CANCEL:
		/* The asker's connection is closed already, but nothing of the client's is read
		 * before this is carried out. */
		gate_take_cancel(g, message, -1);
		break;
	case CONTROL_CONSOLE: /* it came with a socket: on_control's */
	case CONTROL_READY:
	case CONTROL_REPLACE:
	case CONTROL_BEQUEATH:
	case CONTROL_START:
	case CONTROL_STOP:
	case CONTROL_EXIT:
	case CONTROL_STAY:
		break; /* ours to say */
	}
}

int gate_bring_console(void *context, int worker, int fd)
{
	const struct gate *g = context;
	struct control_message message = {CONTROL_CONSOLE, worker, 0};
	return control_send_fd(g->options->control_fd, &message, fd);
}

/* What came along is only for one of them. */
static void take_with(struct gate *g, const struct control_message *message, int passed)
{
	if (message->kind == CONTROL_CONSOLE && passed >= 0) {
		console_accept(&g->hub, passed);
		return;
	}
	if (passed >= 0)
		close(passed);
	gate_take_message(g, message);
}

static void on_control(uv_poll_t *poll, int status, int events)
{
	struct gate *g = poll->data;
	struct control_message message;
	int got, passed;
	(void)status;
	(void)events;
	while (!g->ended &&
		(got = control_receive(g->options->control_fd, &message, &passed)) != 0) {
		if (got < 0) {
			log_error(g->log, "PID 1 has gone");
			g->exit_code = EXIT_FAILURE;
			gate_leave(g);
			return;
		}
		take_with(g, &message, passed);
	}
}

/* ---- the end ---- */

void gate_end(struct gate *g, int code)
{
	if (g->ended)
		return;
	g->ended = true;
	g->exit_code = code;
	log_info(g->log, "ends", field_int("code", code));
	if (g->options->control_fd >= 0 && !g->retired)
		gate_tell_init(g, CONTROL_EXIT, code);
	else
		gate_leave(g);
}

static void on_drained(void *context)
{
	struct gate *g = context;
	if (g->settings->has_command && !g->retired) {
		gate_end(g, 0);
		return;
	}
	g->ended = true;
	gate_leave(g);
}

/* A replaced gate ends when what it relays at the front door has, too. */
static int count_tunnels(void *context)
{
	const struct gate *g = context;
	return g->retired && g->door ? door_tunnels(g->door) : 0;
}

/* `grace_ns` and `span_ns` as drain_begin has them. */
static void begin_drain(struct gate *g, int64_t grace_ns, int64_t span_ns)
{
	g->stopping = true;
	gate_manager_stopping(g);
	gate_refuse_clients(g);
	drain_begin(&g->drain, grace_ns, span_ns);
}

void gate_shut_down(void *context, enum hub_shutdown how)
{
	struct gate *g = context;
	switch (how) {
	case SHUTDOWN_NOW:
		gate_end(g, 0);
		break;
	case SHUTDOWN_AFTER_SERVERS:
		begin_drain(g, 0, INT64_MAX);
		break;
	case SHUTDOWN_AFTER_CLIENTS:
		begin_drain(g, INT64_MAX, INT64_MAX);
		break;
	}
}

static void on_signal(uv_signal_t *handle, int signal_number)
{
	struct gate *g = handle->data;
	/* PID 1 says when; and who is told twice ends at once. */
	if (g->settings->has_command || g->stopping || g->ended) {
		gate_leave(g);
		return;
	}
	log_info(g->log, "draining", field_int("signal", signal_number));
	begin_drain(g, g->settings->grace_ns, g->settings->drain_ns);
}

static void on_replace(uv_signal_t *handle, int signal_number)
{
	(void)signal_number;
	gate_replace(handle->data);
}

static void on_hangup(uv_signal_t *handle, int signal_number)
{
	struct gate *g = handle->data;
	struct error error;
	(void)signal_number;
	gate_reload(g, &error); /* which has logged it */
}

/* ---- listening to them ---- */

void gate_orders_begin(struct gate *g)
{
	uv_signal_init(&g->loop, &g->terminate);
	uv_signal_init(&g->loop, &g->interrupt);
	uv_signal_init(&g->loop, &g->hangup);
	g->terminate.data = g->interrupt.data = g->hangup.data = g;
	uv_signal_start(&g->hangup, on_hangup, SIGHUP);
	uv_signal_init(&g->loop, &g->replace);
	g->replace.data = g;
	uv_signal_start(&g->replace, on_replace, SIGUSR2);
	uv_signal_start(&g->terminate, on_signal, SIGTERM);
	drain_init(&g->drain, &g->hub, on_drained, g);
	g->drain.others = count_tunnels;
	if (g->options->control_fd < 0) {
		uv_signal_start(&g->interrupt, on_signal, SIGINT);
		return;
	}
	/* The terminal's ^C is PID 1's to deal with. */
	signal(SIGINT, SIG_IGN);
	uv_poll_init(&g->loop, &g->control, g->options->control_fd);
	g->control.data = g;
	uv_poll_start(&g->control, UV_READABLE, on_control);
}

void gate_orders_of_init(struct gate *g)
{
	if (g->options->control_fd >= 0)
		on_control(&g->control, 0, UV_READABLE);
}

void gate_orders_end(struct gate *g)
{
	uv_close((uv_handle_t *)&g->terminate, NULL);
	uv_close((uv_handle_t *)&g->interrupt, NULL);
	uv_close((uv_handle_t *)&g->hangup, NULL);
	uv_close((uv_handle_t *)&g->replace, NULL);
	drain_close(&g->drain);
	if (g->options->control_fd >= 0)
		uv_close((uv_handle_t *)&g->control, NULL);
}
