/* What changes something. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "gate/console_inside.h"
#include "gate/pools.h"

const char *console_state(const struct hub *h)
{
	(void)h;
	return "active";
}

/* ---- clients ---- */

static int kill_client(struct client *asker, const struct command *command, struct error *error)
{
	struct hub *h = asker->hub;
	char *end;
	uint64_t id = strtoull(command->word, &end, 10);
	if (*end || end == command->word)
		return command_fail(
			error, "22023", "\"%.60s\" is no id of a client", command->word);
	for (int i = 0; i < h->memory.clients_max; i++) {
		struct client *c = h->clients[i];
		if (!c || c->serial != id || c->inquiry || c->state == CLIENT_GONE)
			continue;
		if (c == asker)
			return command_fail(error, "22023", "that is this very session");
		client_fail(c, "57P01", "terminating connection due to administrator command", NULL,
			NULL);
		return ACT_DONE;
	}
	return command_fail(error, "42704", "there is no client with the id %.60s", command->word);
}

/* ---- the gate itself ---- */

static int reload(struct client *c, struct error *error)
{
	const struct hub_duties *duties = &c->hub->duties;
	if (!duties->reload)
		return command_fail(error, "0A000", "there is nothing to reload here");
	return duties->reload(duties->context, error) == 0 ? ACT_DONE : ACT_FAILED;
}

static int shut_down(struct client *c, const struct command *command, struct error *error)
{
	const struct hub_duties *duties = &c->hub->duties;
	enum hub_shutdown how = SHUTDOWN_NOW;
	if (strcasecmp(command->word, "WAIT_FOR_SERVERS") == 0)
		how = SHUTDOWN_AFTER_SERVERS;
	else if (strcasecmp(command->word, "WAIT_FOR_CLIENTS") == 0)
		how = SHUTDOWN_AFTER_CLIENTS;
	else if (*command->word)
		return command_fail(error, "42601",
			"SHUTDOWN waits for WAIT_FOR_SERVERS or WAIT_FOR_CLIENTS, not for %.60s",
			command->word);
	if (!duties->shutdown)
		return command_fail(error, "0A000", "it is not for the console to end this");
	duties->shutdown(duties->context, how);
	return ACT_DONE;
}

int console_act(struct client *c, const struct command *command, struct error *error)
{
	switch (command->verb) {
	case COMMAND_KILL_CLIENT:
		return kill_client(c, command, error);
	case COMMAND_RELOAD:
		return reload(c, error);
	case COMMAND_SHUTDOWN:
		return shut_down(c, command, error);
	case COMMAND_SET:
		return command_fail(error, "0A000",
			"\"%.60s\" can't be set here: write it in the configuration",
			command->word);
	case COMMAND_PAUSE:
	case COMMAND_RESUME:
	case COMMAND_DISABLE:
	case COMMAND_ENABLE:
	case COMMAND_RECONNECT:
	case COMMAND_KILL:
	case COMMAND_WAIT_CLOSE:
	case COMMAND_SUSPEND:
	case COMMAND_EMPTY:
	case COMMAND_SHOW:
	case COMMAND_SELECT:
	case COMMAND_NOTHING:
	case COMMAND_VERB_COUNT:
		break;
	}
	abort();
}
