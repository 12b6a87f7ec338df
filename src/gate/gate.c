#include "gate/gate.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "base/control.h"
#include "gate/client.h"
#include "gate/context.h"
#include "gate/door.h"
#include "gate/hub.h"
#include "gate/page.h"
#include "gate/phases.h"
#include "gate/status.h"
#include "gate/view.h"
#include "io/acceptor.h"
#include "io/http.h"
#include "io/listen.h"
#include "io/notify.h"

/* In `serve`, how long clients may take to finish after SIGTERM. */
#define DRAIN_MS      8000
#define DRAIN_LOOK_MS 100

enum listener { LISTENER_GATE, LISTENER_UNIX, LISTENER_ADMIN, LISTENER_DOOR, LISTENER_COUNT };

struct gate {
	const struct gate_options *options;
	const struct gate_settings *settings;
	struct log *log;
	uv_loop_t loop;
	struct hub hub;
	struct phases phases;
	int listeners[LISTENER_COUNT]; /* -1: none */
	char socket_path[LISTEN_PATH_MAX]; /* made here and to be removed; empty: none */
	struct acceptor *acceptors[2]; /* TCP, Unix */
	struct http *admin;
	struct door *door;
	struct notify *notify;
	uv_poll_t control;
	uv_signal_t terminate, interrupt;
	uv_timer_t drain;
	int drain_left_ms;
	bool stopping, ended;
	int exit_code;
	instant began_at;
	enum control_command command;
	int command_pid, command_code;
	char *context; /* the last error context */
};

static void gate_end(struct gate *g, int code);

/* ---- what pages see ---- */

static struct gate_view view_of(struct gate *g)
{
	struct timespec wall;
	clock_gettime(CLOCK_REALTIME, &wall);
	return (struct gate_view){
		.engine = &g->hub.engine,
		.settings = g->settings,
		.secrets = g->options->secrets,
		.now = (instant)uv_hrtime(),
		.began_at = g->began_at,
		.wall_ns = wall.tv_sec * NS_PER_S + wall.tv_nsec,
		.phase_errors = g->phases.errors,
		.attempt_errors = g->hub.attempt_errors,
		.database_error = &g->hub.database_error,
		.connect_times = g->hub.connect_times,
		.counters = g->hub.counters,
		.command = g->command,
		.command_pid = g->command_pid,
		.command_code = g->command_code,
		.error_context = g->context,
		.version = STANDPIPE_VERSION,
	};
}

static void answer_admin(
	void *context, const struct http_request *request, struct http_response *response)
{
	struct gate_view view = view_of(context);
	status_answer(&view, request, response);
}

static void answer_door(
	void *context, const struct http_request *request, struct http_response *response)
{
	struct gate_view view = view_of(context);
	page_answer(&view, request, response);
}

/* ---- what the engine wants that is not about sessions ---- */

static void keep_context(struct gate *g, enum phase phase)
{
	struct gate_view view = view_of(g);
	const struct error *error = &g->phases.errors[phase];
	bool critical = g->hub.engine.startup.settings.critical[phase];
	int code = critical ? ENGINE_EXIT_STARTUP_FAILED : -1;
	char hint[CONTEXT_HINT_SIZE];
	struct error trouble;
	free(g->context);
	g->context = context_text(&view, phase, code);
	context_hint(g->context, hint);
	log_error(g->log, critical ? "startup failed" : "a phase failed, going on without it",
		field_text("phase", phase_name(phase)), field_error(error),
		field_text("hint", hint), field_json("context", g->context));
	if (*g->settings->error_file &&
		context_write_file(g->settings->error_file, g->context, &trouble) != 0)
		log_warning(g->log, "the error file could not be written", field_error(&trouble));
	if (*g->settings->termination_log &&
		context_write_termination_log(g->settings->termination_log, g->context, &trouble) !=
			0)
		log_warning(
			g->log, "the termination log could not be written", field_error(&trouble));
}

static void phase_changed(struct gate *g, const struct engine_action *a)
{
	const struct phase_record *record = &g->hub.engine.startup.phases[a->phase];
	const char *name = phase_name(a->phase);
	switch ((enum phase_status)a->to) {
	case PHASE_IN_PROGRESS:
		log_info(g->log, "phase begins", field_text("phase", name));
		break;
	case PHASE_COMPLETED:
		log_info(g->log, "phase completed", field_text("phase", name),
			field_s("duration_s", record->ended_at - record->began_at));
		break;
	case PHASE_SKIPPED:
		log_debug(g->log, "phase skipped", field_text("phase", name));
		break;
	case PHASE_FAILED:
		keep_context(g, a->phase);
		break;
	case PHASE_PENDING:
	case PHASE_STATUS_COUNT:
		break;
	}
}

static void started(struct gate *g)
{
	const struct startup *startup = &g->hub.engine.startup;
	struct error error;
	log_info(g->log, "started", field_s("elapsed_s", startup->ended_at - startup->began_at),
		field_text("availability", availability_name(g->hub.engine.availability)));
	if (g->door && g->hub.engine.command_up)
		door_open(g->door);
	if (g->options->control_fd < 0 && notify_send("READY=1", &error) != 0)
		log_warning(g->log, "the service manager could not be told", field_error(&error));
}

static void noticed(struct gate *g, const struct engine_action *a)
{
	switch (a->notice) {
	case NOTICE_PHASE:
		phase_changed(g, a);
		break;
	case NOTICE_BREAKER:
		/* A probe that fails like all before it is no news. */
		log_write(g->log, a->from == BREAKER_CLOSED ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO,
			"circuit breaker",
			field_text("from", breaker_state_name((enum breaker_state)a->from)),
			field_text("to", breaker_state_name((enum breaker_state)a->to)), LOG_END);
		break;
	case NOTICE_PATH:
		log_info(g->log, "path", field_text("from", path_state_name(a->from)),
			field_text("to", path_state_name(a->to)),
			field_real("utilisation", path_utilisation(&g->hub.engine.path)));
		break;
	case NOTICE_AVAILABILITY:
		log_info(g->log, "availability", field_text("from", availability_name(a->from)),
			field_text("to", availability_name(a->to)));
		break;
	case NOTICE_STARTED:
		started(g);
		break;
	}
}

static void on_action(void *context, const struct engine_action *action)
{
	struct gate *g = context;
	switch (action->kind) {
	case ACTION_PHASE_BEGIN:
		phases_begin(&g->phases, action->phase);
		break;
	case ACTION_PHASE_CANCEL:
		phases_cancel(&g->phases, action->phase);
		break;
	case ACTION_NOTICE:
		noticed(g, action);
		break;
	case ACTION_EXIT:
		gate_end(g, action->code);
		break;
	case ACTION_CONNECT:
	case ACTION_REDIAL:
	case ACTION_ABANDON:
	case ACTION_CLOSE:
	case ACTION_ASSIGN:
	case ACTION_REJECT:
		break; /* the hub's */
	}
}

/* ---- PID 1 ---- */

static void tell_init(struct gate *g, enum control_kind kind, int code)
{
	struct control_message message = {.kind = kind, .code = code};
	if (control_send(g->options->control_fd, &message) != 0)
		log_error(g->log, "PID 1 could not be told", field_int("kind", kind),
			field_text("reason", strerror(errno)));
}

static void start_command(void *context)
{
	struct gate *g = context;
	tell_init(g, CONTROL_START, 0);
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
		tell_init(g, CONTROL_STAY, 0);
}

static void take_message(struct gate *g, const struct control_message *message)
{
	switch (message->kind) {
	case CONTROL_HELLO:
		g->command = (enum control_command)message->code;
		if (g->command != COMMAND_RUNNING)
			break;
		/* A gate died before this one; the command went on. */
		phases_command(&g->phases, true, 0);
		hub_tell(&g->hub, (struct engine_event){.kind = EVENT_COMMAND_UP});
		if (g->door)
			door_open(g->door); /* it serves, whatever the phases find now */
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
	case CONTROL_START:
	case CONTROL_STOP:
	case CONTROL_EXIT:
	case CONTROL_STAY:
		break; /* ours to say */
	}
}

static void on_control(uv_poll_t *poll, int status, int events)
{
	struct gate *g = poll->data;
	struct control_message message;
	int got;
	(void)status;
	(void)events;
	while (!g->ended && (got = control_receive(g->options->control_fd, &message)) != 0) {
		if (got < 0) {
			log_error(g->log, "PID 1 has gone");
			g->exit_code = EXIT_FAILURE;
			uv_stop(&g->loop);
			return;
		}
		take_message(g, &message);
	}
}

static void on_notified(void *context, const struct notify_message *message)
{
	struct gate *g = context;
	if (message->ready)
		phases_command_ready(&g->phases);
}

/* ---- the end ---- */

/* The end is decided. Behind PID 1 it is its to say when: SIGTERM comes once the command is gone;
 * until then the pages go on answering. */
static void gate_end(struct gate *g, int code)
{
	if (g->ended)
		return;
	g->ended = true;
	g->exit_code = code;
	log_info(g->log, "ends", field_int("code", code));
	if (g->options->control_fd >= 0)
		tell_init(g, CONTROL_EXIT, code);
	else
		uv_stop(&g->loop);
}

static void on_drain(uv_timer_t *timer)
{
	struct gate *g = timer->data;
	g->drain_left_ms -= DRAIN_LOOK_MS;
	if (g->hub.engine.pool.holding + g->hub.engine.pool.waiting > 0 && g->drain_left_ms > 0)
		return;
	g->ended = true;
	uv_stop(&g->loop);
}

static void on_signal(uv_signal_t *handle, int signal_number)
{
	struct gate *g = handle->data;
	struct error error;
	if (g->options->control_fd >= 0) {
		uv_stop(&g->loop); /* PID 1 says when */
		return;
	}
	if (g->stopping) { /* told twice: at once */
		uv_stop(&g->loop);
		return;
	}
	g->stopping = true;
	log_info(g->log, "draining", field_int("signal", signal_number));
	notify_send("STOPPING=1", &error);
	for (int i = 0; i < 2; i++) {
		acceptor_free(g->acceptors[i]);
		g->acceptors[i] = NULL;
		/* Closed too, or the kernel would go on accepting for nobody. */
		if (g->listeners[LISTENER_GATE + i] >= 0)
			close(g->listeners[LISTENER_GATE + i]);
		g->listeners[LISTENER_GATE + i] = -1;
	}
	g->drain_left_ms = DRAIN_MS;
	uv_timer_start(&g->drain, on_drain, 0, DRAIN_LOOK_MS);
}

/* ---- the beginning ---- */

static void on_accept(void *context, int fd)
{
	struct gate *g = context;
	int on = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* a Unix socket has none */
	client_accept(&g->hub, fd);
}

/* `key` is the setting that names the port: where to mend it. */
static int listener(
	const char *name, const char *host, int port, const char *key, struct error *error)
{
	int fd = listen_inherited(name);
	if (fd < 0 && (fd = listen_tcp(host, port, error)) < 0)
		error_origin(error, key);
	return fd;
}

static int bind_listeners(struct gate *g, struct error *error)
{
	const struct gate_settings *s = g->settings;
	int *fds = g->listeners;
	fds[LISTENER_ADMIN] = listener(
		LISTEN_ADMIN, s->admin_host, s->admin_port, "admin.port", error);
	if (fds[LISTENER_ADMIN] < 0)
		return -1;
	fds[LISTENER_GATE] = listener(
		LISTEN_GATE, s->listen_host, s->listen_port, "listen.port", error);
	if (fds[LISTENER_GATE] < 0)
		return -1;
	fds[LISTENER_UNIX] = listen_inherited(LISTEN_UNIX);
	if (fds[LISTENER_UNIX] < 0 && *s->socket_dir) {
		char path[LISTEN_PATH_MAX];
		fds[LISTENER_UNIX] = listen_postgres_unix(
			s->socket_dir, listen_port(fds[LISTENER_GATE]), path, error);
		if (fds[LISTENER_UNIX] < 0)
			return -1;
		memcpy(g->socket_path, path, sizeof(path));
	}
	if (s->door_mode != DOOR_OFF && s->door_port > 0) {
		fds[LISTENER_DOOR] = listener(
			LISTEN_DOOR, s->door_host, s->door_port, "door.port (PORT)", error);
		if (fds[LISTENER_DOOR] < 0)
			return -1;
	}
	return 0;
}

static int open_door(struct gate *g, struct error *error)
{
	if (g->listeners[LISTENER_DOOR] < 0)
		return 0;
	struct door_settings settings = {
		.mode = g->settings->door_mode,
		.listen_fd = g->listeners[LISTENER_DOOR],
		.command_port = g->settings->command_port,
	};
	g->door = door_new(&g->loop, &settings, answer_door, g, error);
	g->phases.door = g->door;
	return g->door ? 0 : -1;
}

static int begin_serving(struct gate *g, struct error *error)
{
	/* The pages first: they answer from before the first phase. */
	g->admin = http_new(&g->loop, g->listeners[LISTENER_ADMIN], answer_admin, g, error);
	if (!g->admin || open_door(g, error) != 0)
		return -1;
	for (int i = 0; i < 2; i++) {
		if (g->listeners[LISTENER_GATE + i] < 0)
			continue;
		g->acceptors[i] = acceptor_new(
			&g->loop, g->listeners[LISTENER_GATE + i], on_accept, g, error);
		if (!g->acceptors[i])
			return -1;
	}
	const char *notify_name = getenv(GATE_NOTIFY_VARIABLE);
	if (notify_name) {
		int fd = notify_bind(notify_name, error);
		if (fd < 0)
			return -1;
		g->notify = notify_new(&g->loop, fd, on_notified, g);
	}
	return 0;
}

static void begin_listening_to_orders(struct gate *g)
{
	uv_signal_init(&g->loop, &g->terminate);
	uv_signal_init(&g->loop, &g->interrupt);
	g->terminate.data = g->interrupt.data = g;
	uv_signal_start(&g->terminate, on_signal, SIGTERM);
	uv_timer_init(&g->loop, &g->drain);
	g->drain.data = g;
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

static void finish(struct gate *g)
{
	acceptor_free(g->acceptors[0]);
	acceptor_free(g->acceptors[1]);
	phases_close(&g->phases);
	hub_close(&g->hub);
	http_free(g->admin);
	door_free(g->door);
	if (g->notify)
		notify_free(g->notify);
	uv_close((uv_handle_t *)&g->terminate, NULL);
	uv_close((uv_handle_t *)&g->interrupt, NULL);
	uv_close((uv_handle_t *)&g->drain, NULL);
	if (g->options->control_fd >= 0)
		uv_close((uv_handle_t *)&g->control, NULL);
}

int gate_run(const struct gate_options *options, struct error *error)
{
	struct gate g = {
		.options = options,
		.settings = options->settings,
		.log = options->log,
		.listeners = {-1, -1, -1, -1},
		.exit_code = 0,
	};
	struct hub_duties duties = {on_action, &g};
	signal(SIGPIPE, SIG_IGN);
	if (bind_listeners(&g, error) != 0)
		return -1;
	uv_loop_init(&g.loop);
	g.began_at = (instant)uv_hrtime();
	if (hub_init(&g.hub, &g.loop, g.settings, g.log, &duties, options->seed) != 0)
		return error_set(error, "memory", ENOMEM, "no memory for pool.clients = %d",
			g.settings->clients_max);
	phases_init(&g.phases, &g.hub, start_command, &g);
	g.phases.admin_port = listen_port(g.listeners[LISTENER_ADMIN]);
	g.phases.gate_port = listen_port(g.listeners[LISTENER_GATE]);
	begin_listening_to_orders(&g);
	int failed = begin_serving(&g, error);
	/* PID 1's greeting first: it tells whether the door is the gate's to answer at. */
	if (!failed && options->control_fd >= 0)
		on_control(&g.control, 0, UV_READABLE);
	if (!failed) {
		log_info(g.log, "standpipe", field_text("version", STANDPIPE_VERSION),
			field_int("gate_port", g.phases.gate_port),
			field_int("admin_port", g.phases.admin_port),
			field_text("database", g.settings->host),
			field_text("environment", g.settings->environment));
		hub_tell(&g.hub, (struct engine_event){.kind = EVENT_START});
		uv_run(&g.loop, UV_RUN_DEFAULT);
	}
	finish(&g);
	uv_run(&g.loop, UV_RUN_DEFAULT);
	hub_release(&g.hub);
	uv_loop_close(&g.loop);
	if (*g.socket_path)
		unlink(g.socket_path);
	for (int i = 0; i < LISTENER_COUNT; i++)
		if (g.listeners[i] >= 0)
			close(g.listeners[i]);
	free(g.context);
	return failed ? -1 : g.exit_code;
}
