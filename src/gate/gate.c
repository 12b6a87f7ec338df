#include "gate/gate.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "gate/gate_inside.h"
#include "io/privilege.h"

struct gate_view gate_view(struct gate *g)
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
		.pools = &g->hub.pools,
		.cloud = g->cloud ? &g->cloud_report : NULL,
		.command = g->command,
		.command_pid = g->command_pid,
		.command_code = g->command_code,
		.error_context = g->context,
		.version = STANDPIPE_VERSION,
	};
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
		gate_noticed(g, action);
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
	case ACTION_PROBE:
		break; /* the hub's */
	}
}

void gate_leave(struct gate *g)
{
	reactor_stop(&g->reactor);
}

static void finish(struct gate *g)
{
	phases_close(&g->phases);
	hub_close(&g->hub);
	gate_listeners_stop(g);
	gate_orders_end(g);
	gate_manager_end(g);
	gate_cloud_end(g);
	gate_succession_end(g);
}

/* Besides a descriptor for each connection: listeners, epoll, pipes, the admin pages, checks. */
#define OTHER_DESCRIPTORS 256

/* What the process itself needs before the first client: descriptors, and no privileges. */
static int settle(struct gate *g, struct error *error)
{
	const struct gate_settings *s = g->settings;
	long door = g->listeners[LISTENER_DOOR] < 0 ? 0 : 2L * DOOR_TUNNELS_MAX;
	long needed = s->clients_max + s->servers_max + door + OTHER_DESCRIPTORS;
	long have = privilege_descriptors(needed);
	if (have < needed)
		log_warning(g->log,
			"too few file descriptors for pool.clients and the pool: raise the limit "
			"(ulimit -n, LimitNOFILE=, --ulimit nofile), or lower pool.clients",
			field_int("limit", have), field_int("needed", needed));
	if (*s->run_as && privilege_drop(s->run_as, error) != 0) {
		error_origin(error, "user");
		return -1;
	}
	if (geteuid() == 0)
		log_warning(g->log, "runs as root, which it has no need of: set `user`, or start "
				    "it as another user");
	return 0;
}

int gate_run(const struct gate_options *options, struct error *error)
{
	struct gate g = {
		.options = options,
		.settings = options->settings,
		.log = options->log,
		.exit_code = 0,
	};
	struct hub_duties duties = {
		.action = on_action,
		.reload = gate_reload,
		.set = gate_set,
		.shutdown = gate_shut_down,
		.console = options->control_fd >= 0 ? gate_bring_console : NULL,
		.cancel = gate_pass_cancel,
		.context = &g,
	};
	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < LISTENER_COUNT; i++)
		g.listeners[i] = -1;
	if (gate_listeners_bind(&g, error) != 0 || settle(&g, error) != 0) {
		gate_listeners_close(&g);
		return -1;
	}
	uv_loop_init(&g.loop);
	g.began_at = (instant)uv_hrtime();
	if (reactor_init(&g.reactor, &g.loop, g.settings->loop_backend, error) != 0)
		return -1;
	if (hub_init(&g.hub, &g.reactor, g.settings, g.log, &duties, options->seed) != 0)
		return error_set(error, "memory", ENOMEM, "no memory for pool.clients = %d",
			g.settings->clients_max);
	g.hub.token.secrets = options->secrets;
	int failed = auth_load(&g.hub.auth, error);
	phases_init(&g.phases, &g.hub, gate_start_command, &g);
	g.phases.admin_port = listen_port(g.listeners[LISTENER_ADMIN]);
	g.phases.gate_port = listen_port(g.listeners[LISTENER_GATE]);
	gate_orders_begin(&g);
	gate_manager_begin(&g);
	gate_cloud_begin(&g);
	/* First, since they tell whether this gate is the one to answer. */
	gate_succession_begin(&g);
	gate_orders_of_init(&g);
	if (!failed)
		failed = gate_listeners_open(&g, error);
	if (!failed) {
		log_info(g.log, "standpipe", field_text("version", STANDPIPE_VERSION),
			field_int("gate_port", g.phases.gate_port),
			field_int("admin_port", g.phases.admin_port),
			field_int("worker", g.settings->worker),
			field_text("database", g.settings->host),
			field_text("loop", reactor_backend(&g.reactor)),
			field_text("environment", g.settings->environment));
		hub_tell(&g.hub, (struct engine_event){.kind = EVENT_START});
		reactor_run(&g.reactor);
	}
	finish(&g);
	reactor_drain(&g.reactor);
	hub_release(&g.hub);
	reactor_release(&g.reactor);
	uv_loop_close(&g.loop);
	gate_listeners_close(&g);
	free(g.context);
	gate_forget_outdated(&g);
	return failed ? -1 : g.exit_code;
}
