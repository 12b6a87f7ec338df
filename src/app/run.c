/*
 * run - PID 1 of a container: binds what is listened on, then starts the gate, and through it the
 * command.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/commands.h"
#include "app/config.h"
#include "init/init.h"
#include "io/entropy.h"
#include "io/footprint.h"
#include "io/listen.h"
#include "io/notify.h"

struct run {
	struct config config;
	struct log log;
	struct secrets secrets;
	struct init_settings init;
	int gate_port, command_port;
	char socket_path[LISTEN_PATH_MAX]; /* ours to remove at the end; empty: none */
	char notify[64]; /* the name of the command's sd_notify socket, or empty */
	char notify_pair[128]; /* NAME=value for the command */
	char port_pair[64]; /* for the gate */
	const char **gate_environment;
	const char *gate_argv[5];
};

static void report(void *context, enum init_severity severity, const char *text)
{
	struct run *r = context;
	if (severity == INIT_ERROR)
		log_error(&r->log, text);
	else if (severity == INIT_WARNING)
		log_warning(&r->log, text);
	else
		log_info(&r->log, text);
}

static void add_listener(struct run *r, int fd, const char *name, bool command)
{
	r->init.listeners[r->init.listeners_count++] = (struct init_listener){
		.fd = fd, .name = name, .command = command};
}

/* `key` is the setting that names the port: where to mend it. */
static int bind_one(struct run *r, const char *name, const char *key, const char *host, int port,
	bool command, struct error *error)
{
	int fd = listen_tcp(host, port, error);
	if (fd >= 0)
		add_listener(r, fd, name, command);
	else
		error_origin(error, key);
	return fd;
}

/* In a container the admin port is free. Where several instances share a host, one that nobody gave
 * a port of its own takes any: that beats not starting. */
static int bind_admin(struct run *r, struct error *error)
{
	const struct gate_settings *s = &r->config.gate;
	int fd = bind_one(
		r, LISTEN_ADMIN, "admin.port", s->admin_host, s->admin_port, false, error);
	const struct setting_origin *origin = settings_origin(&r->config.settings, "admin.port");
	if (fd >= 0 || error->code != EADDRINUSE || origin->source != SETTING_DEFAULT)
		return fd;
	log_warning(
		&r->log, "the default admin port is taken: using any free one", field_error(error));
	return bind_one(r, LISTEN_ADMIN, "admin.port", s->admin_host, 0, false, error);
}

/* All sockets are bound here and stay bound while gates come and go. */
static int bind_all(struct run *r, struct error *error)
{
	const struct gate_settings *s = &r->config.gate;
	if (bind_admin(r, error) < 0)
		return -1;
	int fds[LISTEN_HOSTS_MAX], fd;
	int count = listen_tcp_hosts(s->listen_host, s->listen_port, false, fds, error);
	if (count < 0) {
		error_origin(error, "listen.port");
		return -1;
	}
	for (int i = 0; i < count; i++)
		add_listener(r, fds[i], LISTEN_GATE, false);
	r->gate_port = listen_port(fds[0]);
	if (*s->socket_dir) {
		char path[LISTEN_PATH_MAX];
		fd = listen_postgres_unix(s->socket_dir, r->gate_port, path, error);
		if (fd < 0)
			return -1;
		memcpy(r->socket_path, path, sizeof(path));
		add_listener(r, fd, LISTEN_UNIX, false);
	}
	if (s->door_mode == DOOR_OFF || s->door_port == 0)
		return 0;
	fd = bind_one(r, LISTEN_DOOR, "door.port (PORT)", s->door_host, s->door_port,
		s->door_mode == DOOR_INHERIT, error);
	return fd < 0 ? -1 : 0;
}

/* A port for the command that is free now. Nobody holds it until the command does: PID 1 can't
 * bind it for a program that wants to do so itself. */
static int choose_command_port(struct run *r, struct error *error)
{
	const struct gate_settings *s = &r->config.gate;
	if (s->door_mode != DOOR_RELAY || s->door_port == 0)
		return 0;
	r->command_port = s->command_port;
	if (r->command_port > 0)
		return 0;
	int fd = listen_tcp("127.0.0.1", 0, error);
	if (fd < 0)
		return -1;
	r->command_port = listen_port(fd);
	close(fd);
	return 0;
}

/* Where the command is to say that it is ready: bound here, as all that is listened on. */
static int bind_notify(struct run *r, struct error *error)
{
	uint64_t unique = 0;
	if (strcmp(r->config.gate.ready, "notify") != 0)
		return 0;
	entropy_fill(&unique, sizeof(unique));
	snprintf(r->notify, sizeof(r->notify), "@standpipe-%016llx", (unsigned long long)unique);
	snprintf(r->notify_pair, sizeof(r->notify_pair), "NOTIFY_SOCKET=%s", r->notify);
	int fd = notify_bind(r->notify, error);
	if (fd < 0)
		return -1;
	add_listener(r, fd, LISTEN_NOTIFY, false);
	return 0;
}

/* Ours, and what was decided here. */
static int build_gate_environment(struct run *r)
{
	size_t count = 0;
	while (environ[count])
		count++;
	r->gate_environment = calloc(count + 2, sizeof(*r->gate_environment));
	if (!r->gate_environment)
		return -1;
	size_t at = 0;
	for (size_t i = 0; i < count; i++)
		if (strncmp(environ[i], "STANDPIPE_DOOR_COMMAND_PORT=", 28) != 0)
			r->gate_environment[at++] = environ[i];
	if (r->command_port > 0) {
		snprintf(r->port_pair, sizeof(r->port_pair), "STANDPIPE_DOOR_COMMAND_PORT=%d",
			r->command_port);
		r->gate_environment[at++] = r->port_pair;
	}
	return 0;
}

static int run(struct run *r, const char *file, char **command)
{
	struct error error;
	if (bind_all(r, &error) != 0 || bind_notify(r, &error) != 0 ||
		choose_command_port(r, &error) != 0)
		return config_error(&error);
	if (build_gate_environment(r) != 0)
		return EXIT_FAILURE;
	const char *extra[] = {r->notify_pair, NULL};
	char gate_host[LISTEN_HOST_MAX];
	listen_reached(r->config.gate.listen_host, gate_host);
	struct config_command want = {
		.gate_host = gate_host,
		.gate_port = r->gate_port,
		.command_port = r->command_port,
		.extra = *r->notify ? extra : NULL,
	};
	int at = 0;
	r->gate_argv[at++] = "standpipe";
	r->gate_argv[at++] = "serve";
	if (file) {
		r->gate_argv[at++] = "-c";
		r->gate_argv[at++] = file;
	}
	r->init.gate_argv = r->gate_argv;
	r->init.gate_environment = r->gate_environment;
	r->init.command_argv = (const char *const *)command;
	r->init.command_environment = config_command_environment(&r->config, &want);
	r->init.grace_ns = r->config.grace_ns;
	r->init.report = report;
	r->init.context = r;
	footprint_trim();
	return init_run(&r->init);
}

static void release(struct run *r)
{
	for (int i = 0; i < r->init.listeners_count; i++)
		close(r->init.listeners[i].fd);
	if (*r->socket_path)
		unlink(r->socket_path);
	free(r->gate_environment);
	log_release(&r->log, 100);
	secrets_release(&r->secrets);
	config_release(&r->config);
}

int run_main(int argc, char **argv)
{
	static const struct option long_options[] = {
		{"config", required_argument, NULL, 'c'}, {NULL, 0, NULL, 0}};
	static struct run r; /* large, and needed to the end */
	struct error error;
	struct config_options options = {
		.environment = (const char *const *)environ,
		.mode = CONFIG_RUN,
	};
	int letter;
	opterr = 0;
	while ((letter = getopt_long(argc, argv, "+:c:", long_options, NULL)) >= 0) {
		if (letter != 'c')
			return option_error("run", letter, argv);
		options.file = optarg;
	}
	if (optind >= argc)
		return usage_error("run", "what is to be run? standpipe run -- COMMAND...");
	if (config_load(&r.config, &options, &error) != 0) {
		config_release(&r.config);
		return config_error(&error);
	}
	config_secrets(&r.config, &r.secrets);
	log_init(&r.log, STDERR_FILENO, r.config.log_format, r.config.log_level, &r.secrets);
	int code = run(&r, options.file, argv + optind);
	release(&r);
	return code;
}
