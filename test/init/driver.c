/*
 * driver - runs PID 1 alone, for test/e2e/test_init.py:
 *
 *   driver [--grace-ms N] [--listener NAME=FD[,command]]... -- GATE... -- COMMAND...
 *
 * GATE[0] is a path. The listeners are inherited from the test. Reports go to stderr, a line each.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/instant.h"
#include "init/init.h"

static void report(void *context, enum init_severity severity, const char *text)
{
	static const char *const names[] = {"info", "warning", "error"};
	dprintf(STDERR_FILENO, "init: %s: %s\n", names[severity], text);
}

static int usage(void)
{
	fputs("usage: driver [--grace-ms N] [--listener NAME=FD[,command]]... -- GATE... -- "
	      "COMMAND...\n",
		stderr);
	return 64;
}

int main(int argc, char **argv)
{
	struct init_settings s = {
		.gate_environment = (const char *const *)environ,
		.command_environment = (const char *const *)environ,
		.grace_ns = 10 * NS_PER_S,
		.report = report,
	};
	int i = 1;
	for (; i + 1 < argc && strcmp(argv[i], "--") != 0; i += 2) {
		if (strcmp(argv[i], "--grace-ms") == 0) {
			s.grace_ns = atoll(argv[i + 1]) * NS_PER_MS;
			continue;
		}
		char *fd = strchr(argv[i + 1], '=');
		if (strcmp(argv[i], "--listener") != 0 || !fd ||
			s.listeners_count == INIT_LISTENERS_MAX)
			return usage();
		*fd++ = '\0';
		s.listeners[s.listeners_count++] = (struct init_listener){
			.fd = atoi(fd), .name = argv[i + 1], .command = strstr(fd, ",command")};
	}
	int gate = ++i;
	while (i < argc && strcmp(argv[i], "--") != 0)
		i++;
	if (gate >= argc || i + 1 >= argc)
		return usage();
	argv[i] = NULL;
	s.gate_path = argv[gate];
	s.gate_argv = (const char *const *)&argv[gate];
	s.command_argv = (const char *const *)&argv[i + 1];
	return init_run(&s);
}
