#include "app/successor.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/control.h"
#include "init/spawn.h"

void successor_init(struct successor *s, char **argv)
{
	ssize_t len = readlink("/proc/self/exe", s->path, sizeof(s->path) - 1);
	s->path[len > 0 ? len : 0] = 0;
	s->argv = argv;
}

/* Ours, but for what is said to this very process. */
static const char **environment(void)
{
	size_t count = 0, kept = 0;
	while (environ[count])
		count++;
	const char **copy = calloc(count + 1, sizeof(*copy));
	if (!copy)
		abort();
	for (size_t i = 0; i < count; i++)
		if (strncmp(environ[i], "WATCHDOG_PID=", 13) != 0)
			copy[kept++] = environ[i];
	return copy;
}

int successor_start(void *context, const struct gate_start *start, struct error *error)
{
	const struct successor *s = context;
	struct init_listener listeners[GATE_LISTENERS_MAX];
	struct sigaction child_action = {.sa_handler = SIG_DFL};
	sigset_t mask;
	sigprocmask(SIG_BLOCK, NULL, &mask);
	for (int i = 0; i < start->listeners_count; i++)
		listeners[i] = (struct init_listener){
			.name = start->names[i], .fd = start->listeners[i]};
	const char **variables = environment();
	struct spawn spawned = {
		.path = access(s->path, X_OK) == 0 ? s->path : "/proc/self/exe",
		.argv = (const char *const *)s->argv,
		.environment = variables,
		.listeners = listeners,
		.listeners_count = start->listeners_count,
		.control_fd = start->predecessor_fd,
		.control_variable = PREDECESSOR_FD_VARIABLE,
		.same_group = true,
		.mask = &mask,
		.child_action = &child_action,
	};
	int pid = (int)spawn(&spawned, error);
	free(variables);
	return pid;
}
