/* The command's environment. */
#include <stdio.h>
#include <string.h>

#include "app/settings.h"
#include "base/control.h"

/* Only Standpipe's, or only the real server's: the command does not get them. */
static const char *const dropped[] = {
	CONTROL_FD_VARIABLE,
	PREDECESSOR_FD_VARIABLE,
	WORKER_VARIABLE,
	"STANDPIPE_DATABASE_URL", /* leads past the gate */
	"LISTEN_FDS",
	"LISTEN_FDNAMES",
	"LISTEN_PID",
	"NOTIFY_SOCKET",
	"PGCHANNELBINDING",
	"PGGSSDELEGATION",
	"PGGSSENCMODE",
	"PGGSSLIB",
	"PGHOSTADDR",
	"PGKRBSRVNAME",
	"PGLOADBALANCEHOSTS",
	"PGREQUIREAUTH",
	"PGREQUIREPEER",
	"PGREQUIRESSL",
	"PGSERVICE",
	"PGSERVICEFILE",
	"PGSSLCERT",
	"PGSSLCERTMODE",
	"PGSSLCOMPRESSION",
	"PGSSLCRL",
	"PGSSLCRLDIR",
	"PGSSLKEY",
	"PGSSLMAXPROTOCOLVERSION",
	"PGSSLMINPROTOCOLVERSION",
	"PGSSLNEGOTIATION",
	"PGSSLROOTCERT",
	"PGSSLSNI",
	"PGTARGETSESSIONATTRS",
};

/* An environment in the making: `list` has room for all that may be put into it. */
struct variables {
	const char **list;
	int count;
};

/* `entry` is NAME=value; one of the same name is replaced. */
static void put(struct variables *v, const char *entry)
{
	size_t len = strcspn(entry, "=") + 1;
	for (int i = 0; i < v->count; i++) {
		if (!strncmp(v->list[i], entry, len)) {
			v->list[i] = entry;
			return;
		}
	}
	v->list[v->count++] = entry;
}

static bool is_dropped(const char *entry)
{
	size_t len = strcspn(entry, "=");
	for (size_t i = 0; i < sizeof(dropped) / sizeof(dropped[0]); i++) {
		if (strlen(dropped[i]) == len && !strncmp(dropped[i], entry, len))
			return true;
	}
	return false;
}

static int count_of(const char *const *list)
{
	int count = 0;
	while (list && list[count])
		count++;
	return count;
}

const char *const *config_command_environment(
	struct config *c, const struct config_command *command)
{
	struct arena *a = &c->arena;
	int most = count_of(c->variables) + count_of(command->extra) + 8;
	struct variables v = {arena_alloc(a, ((size_t)most + 1) * sizeof(*v.list)), 0};
	for (const char *const *at = c->variables; *at; at++) {
		if (!is_dropped(*at))
			put(&v, *at);
	}
	if (c->has_url)
		put(&v, arena_format(a, "DATABASE_URL=%s",
				url_to_gate(&c->url, a, command->gate_host, command->gate_port)));
	put(&v, arena_format(a, "PGHOST=%s", command->gate_host));
	put(&v, arena_format(a, "PGPORT=%d", command->gate_port));
	put(&v, arena_format(a, "PGUSER=%s", c->gate.user));
	put(&v, arena_format(a, "PGDATABASE=%s", c->gate.database));
	put(&v, "PGSSLMODE=disable");
	if (command->command_port > 0)
		put(&v, arena_format(a, "PORT=%d", command->command_port));
	for (const char *const *at = command->extra; at && *at; at++)
		put(&v, *at);
	return v.list;
}
