#include "lab/launch.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/instant.h"

#define ADDED_MAX 8 /* variables that the lab sets itself */

/* A whole name, or the beginning of names when it ends in '_'. */
static const char *const steering[] = {"DATABASE_URL", "PORT", "ENVIRONMENT", "REDIS_URL",
	"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "PGHOST", "PGPORT", "PGUSER",
	"PGPASSWORD", "PGDATABASE", "PGSERVICE", "PGOPTIONS", "PGSSLMODE", "DB_", "STANDPIPE_",
	"VPC_", "CIRCUIT_BREAKER_"};

static bool is_steering(const char *variable)
{
	for (size_t i = 0; i < sizeof steering / sizeof steering[0]; i++) {
		size_t len = strlen(steering[i]);
		if (strncmp(variable, steering[i], len) == 0 &&
			(steering[i][len - 1] == '_' || variable[len] == '='))
			return true;
	}
	return false;
}

const char **launch_command(struct arena *arena, const struct scenario *s,
	const struct scenario_arm *arm, const struct launch *launch)
{
	const char **argv = arena_alloc(arena, sizeof *argv * (size_t)(s->command.count + 4));
	int n = 0;

	if (arm->standpipe) {
		argv[n++] = launch->program;
		argv[n++] = "run";
		argv[n++] = "--";
	}
	for (int i = 0; i < s->command.count; i++)
		argv[n++] = s->command.list[i];
	return argv;
}

static const char *variable(
	struct arena *arena, const struct scenario_variable *v, double time_scale)
{
	if (v->value_ns < 0)
		return v->text;
	return arena_format(arena, "%s=%.9g", v->text, s_from_ns(v->value_ns) * time_scale);
}

/* The last one of a name counts. */
static void put(const char **environment, int *count, const char *text)
{
	size_t len = strcspn(text, "=") + 1;
	int i = 0;

	while (i < *count && strncmp(environment[i], text, len) != 0)
		i++;
	environment[i] = text;
	*count += i == *count;
}

const char **launch_environment(struct arena *arena, const struct scenario_arm *arm,
	const struct launch *launch, const char *const *own)
{
	int count = 0, most = 0;

	while (own[most])
		most++;
	const char **environment = arena_alloc(
		arena, sizeof *environment * (size_t)(most + arm->env_count + ADDED_MAX + 1));
	for (int i = 0; own[i]; i++)
		if (!is_steering(own[i]))
			put(environment, &count, own[i]);
	if (arm->standpipe) {
		put(environment, &count, "STANDPIPE_ADMIN_HOST=127.0.0.1");
		put(environment, &count,
			arena_format(arena, "STANDPIPE_ADMIN_PORT=%d", launch->admin_port));
		put(environment, &count,
			arena_format(arena, "STANDPIPE_LISTEN_PORT=%d", launch->gate_port));
		put(environment, &count, "STANDPIPE_DOOR_HOST=127.0.0.1");
	}
	for (int i = 0; i < arm->env_count; i++)
		put(environment, &count, variable(arena, &arm->env[i], launch->time_scale));
	put(environment, &count,
		arena_format(arena, "DATABASE_URL=postgresql+asyncpg://%s:%s@%s:%d/%s",
			launch->user, launch->password, launch->database_host,
			launch->database_port, launch->database));
	put(environment, &count, arena_format(arena, "PORT=%d", launch->port));
	return environment;
}
