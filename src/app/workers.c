#include "app/workers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/commands.h"
#include "base/control.h"
#include "base/instant.h"
#include "init/foreman.h"
#include "io/footprint.h"
#include "io/listen.h"
#include "io/notify.h"
#include "io/privilege.h"

/* For each process, besides its clients and servers. */
#define OTHER_DESCRIPTORS 256

/* After the last client's time is up, for a worker to end. */
#define END_NS (5 * NS_PER_S)

struct workers {
	struct live *live;
	struct foreman_worker list[FOREMAN_WORKERS_MAX];
	char names[FOREMAN_WORKERS_MAX][32];
	char variables[FOREMAN_WORKERS_MAX][48];
	const char **environments[FOREMAN_WORKERS_MAX];
	int unix_fd;
	char socket_path[LISTEN_PATH_MAX]; /* to be removed at the end; empty: none */
};

bool workers_wanted(const struct config *config)
{
	return config->gate.workers > 1 && !getenv(WORKER_VARIABLE) && !getenv(CONTROL_FD_VARIABLE);
}

static void report(void *context, enum init_severity severity, const char *text)
{
	struct workers *w = context;
	if (severity == INIT_ERROR)
		log_error(&w->live->log, text);
	else if (severity == INIT_WARNING)
		log_warning(&w->live->log, text);
	else
		log_info(&w->live->log, text);
}

static void tell(void *context, enum foreman_news news)
{
	struct workers *w = context;
	char text[NOTIFY_STATUS_MAX] = "READY=1";
	struct error error;
	if (news == FOREMAN_STOPPING)
		snprintf(text, sizeof(text), "STOPPING=1");
	else if (news == FOREMAN_WATCHDOG)
		snprintf(text, sizeof(text), "WATCHDOG=1");
	else if (news == FOREMAN_RELOADING)
		notify_reloading(text, sizeof(text));
	if (notify_send(text, &error) != 0)
		log_warning(&w->live->log, "the service manager could not be told",
			field_error(&error));
}

static void add(struct workers *w, int worker, int fd, const char *name)
{
	struct foreman_worker *one = &w->list[worker];
	one->listeners[one->listeners_count++] = (struct init_listener){
		.fd = fd, .name = name, .unheard = strcmp(name, LISTEN_GATE) == 0};
}

/* For each sockets of its own on the same port, among which the kernel spreads the connects. */
static int bind_shared(struct workers *w, int *port, struct error *error)
{
	const struct gate_settings *s = &w->live->config->gate;
	int fds[LISTEN_HOSTS_MAX];
	/* Alone first: or a stranger's socket of the same user would be joined without a word. */
	int count = listen_tcp_hosts(s->listen_host, s->listen_port, false, fds, error);
	if (count < 0)
		return -1;
	*port = listen_port(fds[0]);
	for (int j = 0; j < count; j++)
		close(fds[j]);
	for (int i = 0; i < s->workers; i++) {
		count = listen_tcp_hosts(s->listen_host, *port, true, fds, error);
		for (int j = 0; j < count; j++)
			add(w, i, fds[j], LISTEN_GATE);
		if (count < 0)
			return -1;
	}
	return 0;
}

static int bind_gates(struct workers *w, struct error *error)
{
	const struct gate_settings *s = &w->live->config->gate;
	int port;
	if (bind_shared(w, &port, error) != 0) {
		error_origin(error, "listen.port");
		return -1;
	}
	if (!*s->socket_dir)
		return 0;
	w->unix_fd = listen_postgres_unix(s->socket_dir, port, w->socket_path, error);
	if (w->unix_fd < 0) {
		*w->socket_path = 0;
		return -1;
	}
	for (int i = 0; i < s->workers; i++)
		add(w, i, w->unix_fd, LISTEN_UNIX);
	return 0;
}

/* Each has its own pages, on the ports from admin.port on. */
static int bind_admins(struct workers *w, struct error *error)
{
	const struct gate_settings *s = &w->live->config->gate;
	for (int i = 0; i < s->workers; i++) {
		int port = s->admin_port > 0 ? s->admin_port + i : 0;
		int fd = listen_tcp(s->admin_host, port, error);
		if (fd < 0) {
			error_origin(error, "admin.port (one for each of the workers)");
			return -1;
		}
		add(w, i, fd, LISTEN_ADMIN);
	}
	return 0;
}

static void name_worker(struct workers *w, int worker)
{
	size_t count = 0, at = 0;
	while (environ[count])
		count++;
	const char **list = calloc(count + 2, sizeof(*list));
	if (!list)
		abort();
	for (size_t i = 0; i < count; i++)
		if (strncmp(environ[i], "NOTIFY_SOCKET=", 14) != 0 &&
			strncmp(environ[i], "WATCHDOG_", 9) != 0)
			list[at++] = environ[i];
	snprintf(w->variables[worker], sizeof(w->variables[worker]), WORKER_VARIABLE "=%d", worker);
	snprintf(w->names[worker], sizeof(w->names[worker]), "worker %d", worker);
	list[at] = w->variables[worker];
	w->environments[worker] = list;
	w->list[worker].environment = list;
	w->list[worker].name = w->names[worker];
}

/* The service's own port is the first one's. */
static int bind_door(struct workers *w, struct error *error)
{
	const struct gate_settings *s = &w->live->config->gate;
	if (s->door_mode == DOOR_OFF || s->door_port == 0)
		return 0;
	int fd = listen_tcp(s->door_host, s->door_port, error);
	if (fd < 0) {
		error_origin(error, "door.port (PORT)");
		return -1;
	}
	add(w, 0, fd, LISTEN_DOOR);
	return 0;
}

/* The workers inherit both. */
static int settle(struct workers *w, struct error *error)
{
	const struct gate_settings *s = &w->live->config->gate;
	privilege_descriptors((long)s->clients_max + s->servers_max + OTHER_DESCRIPTORS);
	if (!*s->run_as || privilege_drop(s->run_as, error) == 0)
		return 0;
	error_origin(error, "user");
	return -1;
}

static int run(struct workers *w, const struct successor *program)
{
	const struct gate_settings *s = &w->live->config->gate;
	const char *watchdog = getenv("WATCHDOG_USEC");
	struct error error;
	if (bind_admins(w, &error) != 0 || bind_gates(w, &error) != 0 ||
		bind_door(w, &error) != 0 || settle(w, &error) != 0) {
		log_error(&w->live->log, "standpipe can't begin", field_error(&error));
		return EXIT_USAGE;
	}
	for (int i = 0; i < s->workers; i++)
		name_worker(w, i);
	struct foreman_settings settings = {
		.path = access(program->path, X_OK) == 0 ? program->path : NULL,
		.argv = (const char *const *)program->argv,
		.workers = w->list,
		.workers_count = s->workers,
		.backlog = LISTEN_BACKLOG,
		.patience_ns = instant_add(s->drain_ns, END_NS),
		.watchdog_ns = watchdog ? atoll(watchdog) * NS_PER_US / 2 : 0,
		.report = report,
		.tell = tell,
		.context = w,
	};
	footprint_trim();
	return foreman_run(&settings);
}

int workers_run(struct live *live, const struct successor *program)
{
	static struct workers w;
	w = (struct workers){.live = live, .unix_fd = -1};
	int code = run(&w, program);
	if (*w.socket_path)
		unlink(w.socket_path);
	for (int i = 0; i < live->config->gate.workers; i++) {
		struct foreman_worker *one = &w.list[i];
		for (int j = 0; j < one->listeners_count; j++)
			if (one->listeners[j].fd != w.unix_fd)
				close(one->listeners[j].fd);
		free(w.environments[i]);
	}
	if (w.unix_fd >= 0)
		close(w.unix_fd);
	return code;
}
