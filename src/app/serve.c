/* serve - the gate alone: beside a service, in the middle for many, or behind PID 1. */
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/commands.h"
#include "app/live.h"
#include "app/successor.h"
#include "app/workers.h"
#include "base/control.h"
#include "gate/gate.h"
#include "io/entropy.h"
#include "io/listen.h"

/* A descriptor that was left in the environment, or -1. It is for no child of ours. */
static int inherited_fd(const char *variable)
{
	const char *text = getenv(variable);
	int fd = text && *text ? atoi(text) : -1;
	if (fd >= 0)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	return fd;
}

/* To PID 1. */
static int control_fd(void)
{
	return inherited_fd(CONTROL_FD_VARIABLE);
}

/* What migrations and the like are given: the same as the service itself. */
static void fill_in_environment(struct config *config)
{
	int inherited = listen_inherited(LISTEN_GATE);
	char gate_host[LISTEN_HOST_MAX];
	listen_reached(config->gate.listen_host, gate_host);
	struct config_command command = {
		.gate_host = gate_host,
		.gate_port = inherited >= 0 ? listen_port(inherited) : config->gate.listen_port,
		.command_port = config->gate.command_port,
	};
	config->gate.command_environment = config_command_environment(config, &command);
}

static void complete(struct config *config)
{
	config->gate.has_command = config->mode == CONFIG_RUN;
	fill_in_environment(config);
}

static int serve(struct live *live, struct successor *successor)
{
	struct error error;
	uint64_t seed = 0;
	entropy_fill(&seed, sizeof(seed));
	for (int i = 0; i < live->config->notes_count; i++)
		log_info(&live->log, live->config->notes[i]);
	struct gate_options options = {
		.settings = &live->config->gate,
		.source = {.reload = live_reload, .forget = live_forget, .context = live},
		.log = &live->log,
		.secrets = &live->secrets,
		.seed = seed,
		.control_fd = control_fd(),
		.predecessor_fd = inherited_fd(PREDECESSOR_FD_VARIABLE),
		.start = successor_start,
		.start_context = successor,
	};
	int code = gate_run(&options, &error);
	if (code < 0) {
		log_error(&live->log, "standpipe can't begin", field_error(&error));
		code = EXIT_USAGE;
	}
	return code;
}

int serve_main(int argc, char **argv)
{
	static const struct option long_options[] = {
		{"config", required_argument, NULL, 'c'}, {NULL, 0, NULL, 0}};
	static struct live live; /* large, and needed to the end */
	static struct successor successor;
	struct error error;
	struct config_options options = {
		.environment = (const char *const *)environ,
		.mode = control_fd() >= 0 && !getenv(WORKER_VARIABLE) ? CONFIG_RUN : CONFIG_SERVE,
	};
	int letter;
	successor_init(&successor, argv - 1); /* the program's name is before the command's */
	opterr = 0;
	while ((letter = getopt_long(argc, argv, "+:c:", long_options, NULL)) >= 0) {
		if (letter != 'c')
			return option_error("serve", letter, argv);
		options.file = optarg;
	}
	if (optind < argc)
		return usage_error("serve", "unexpected argument %s", argv[optind]);
	int result = live_init(&live, &options, complete, &error);
	int code;
	if (result != 0)
		code = config_error(&error);
	else if (workers_wanted(live.config))
		code = workers_run(&live, &successor);
	else
		code = serve(&live, &successor);
	live_release(&live);
	return code;
}
