/* What changes something. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "gate/console.h"
#include "gate/console_inside.h"
#include "gate/pools.h"
#include "gate/server.h"

#define PREREQUISITE "55000" /* object_not_in_prerequisite_state */

/* ---- which pools a command is about ---- */

static bool is_about(const struct gate_pool *pool, const char *database)
{
	return !*database || strcmp(pool->database, database) == 0;
}

/* 0, or -1: there is no such database. */
static int check_database(
	const struct client *c, const struct command *command, struct error *error)
{
	if (!*command->word || pools_know(c->hub, command->word))
		return 0;
	if (console_is_meant(c->hub, command->word))
		return command_fail(error, "0A000", "%s is not for the console", command->tag);
	return command_fail(error, "3D000", "there is no database \"%.63s\"", command->word);
}

/* What is connected, or about to be, to the database. */
static bool has_servers(const struct hub *h, const char *database)
{
	for (int group = 0; group < h->pools.top; group++) {
		const struct gate_pool *pool = h->pools.by_group[group];
		if (pool && is_about(pool, database) && pool->servers > 0)
			return true;
	}
	return false;
}

/* ---- holding up ---- */

const char *console_state(const struct hub *h)
{
	return h->holds.suspended ? "suspended" : h->holds.paused ? "paused" : "active";
}

static void set_pause(struct hub *h, const char *database, bool on)
{
	if (*database)
		holds_note(&h->holds, database)->paused = on;
	else
		h->holds.paused = on;
	pools_hold(h);
}

static bool is_paused(const struct hub *h, const char *database)
{
	return *database ? holds_is_paused(&h->holds, database) : h->holds.paused;
}

static bool pause_is_over(struct client *c)
{
	return !has_servers(c->hub, c->console->awaited);
}

static void pause_cancelled(struct client *c)
{
	set_pause(c->hub, c->console->awaited, false);
}

static bool suspend_is_over(struct client *c)
{
	const struct hub *h = c->hub;
	if (h->engine.pool.busy > 0)
		return false;
	for (int i = 0; i < h->memory.clients_max; i++)
		if (h->clients[i] && h->clients[i] != c && buffer_len(&h->clients[i]->out) > 0)
			return false;
	return true;
}

static void end_suspension(struct hub *h)
{
	h->holds.suspended = false;
	pools_hold(h);
}

static void suspend_cancelled(struct client *c)
{
	end_suspension(c->hub);
}

static const struct console_wait pausing = {
	"PAUSE", pause_is_over, pause_cancelled, COMMAND_RESUME};
static const struct console_wait suspending = {
	"SUSPEND", suspend_is_over, suspend_cancelled, COMMAND_EMPTY};

static int wait_for(struct client *c, const struct console_wait *wait, const char *database)
{
	struct console *k = c->console;
	snprintf(k->awaited, sizeof(k->awaited), "%s", database);
	if (wait->is_over(c))
		return ACT_DONE;
	k->wait = wait;
	c->hub->consoles_waiting++;
	return ACT_WAITS;
}

static int check_active(const struct hub *h, struct error *error)
{
	if (h->holds.paused || h->holds.suspended)
		return command_fail(
			error, PREREQUISITE, "everything is %s already", console_state(h));
	return 0;
}

static int act_pause(struct client *c, const struct command *command, struct error *error)
{
	if (check_database(c, command, error) != 0 || check_active(c->hub, error) != 0)
		return ACT_FAILED;
	set_pause(c->hub, command->word, true);
	return wait_for(c, &pausing, command->word);
}

static int act_suspend(struct client *c, const struct command *command, struct error *error)
{
	struct hub *h = c->hub;
	(void)command;
	if (check_active(h, error) != 0)
		return ACT_FAILED;
	h->holds.suspended = true;
	h->holds.suspended_by = c->serial;
	pools_hold(h);
	return wait_for(c, &suspending, "");
}

/* Whoever waits for a pause to be complete need not any more. */
static void tell_pausers(struct hub *h)
{
	for (int i = 0; i < h->memory.clients_max; i++) {
		struct client *c = h->clients[i];
		if (!c || c->state != CLIENT_CONSOLE)
			continue;
		const struct console *k = c->console;
		if ((k->wait == &pausing && !is_paused(h, k->awaited)) ||
			(k->wait == &suspending && !h->holds.suspended))
			console_end_wait(c, "57014", "it was resumed before it was complete");
	}
}

static int act_resume(struct client *c, const struct command *command, struct error *error)
{
	struct hub *h = c->hub;
	struct holds *holds = &h->holds;
	bool any = holds->paused || holds->suspended;
	if (check_database(c, command, error) != 0)
		return ACT_FAILED;
	if (*command->word) {
		struct hold *hold = holds_note(holds, command->word);
		if (!hold->paused)
			return command_fail(error, PREREQUISITE,
				"database \"%.63s\" is not paused%s", command->word,
				any ? " by itself: RESUME all" : "");
		hold->paused = false;
	} else {
		for (struct hold *hold = holds->first; hold; hold = hold->next) {
			any = any || hold->paused;
			hold->paused = false;
		}
		if (!any)
			return command_fail(error, PREREQUISITE, "nothing is paused");
		holds->paused = holds->suspended = false;
	}
	pools_hold(h);
	tell_pausers(h);
	return ACT_DONE;
}

static int act_able(struct client *c, const struct command *command, struct error *error)
{
	if (check_database(c, command, error) != 0)
		return ACT_FAILED;
	holds_note(&c->hub->holds, command->word)->disabled = command->verb == COMMAND_DISABLE;
	return ACT_DONE;
}

void console_gone(struct client *c)
{
	struct holds *holds = &c->hub->holds;
	crew_leave(c);
	if (c->console && holds->suspended && holds->suspended_by == c->serial)
		end_suspension(c->hub);
}

/* ---- servers ---- */

static int act_reconnect(struct client *c, const struct command *command, struct error *error)
{
	struct hub *h = c->hub;
	if (check_database(c, command, error) != 0)
		return ACT_FAILED;
	for (int group = 0; group < h->pools.top; group++) {
		const struct gate_pool *pool = h->pools.by_group[group];
		if (pool && is_about(pool, command->word))
			hub_reconnect(h, group);
	}
	return ACT_DONE;
}

static bool close_is_over(struct client *c)
{
	struct hub *h = c->hub;
	for (int i = 0; i < h->memory.servers_max; i++) {
		const struct server *s = &h->servers[i];
		if (s->pool && s->link && is_about(s->pool, c->console->awaited) &&
			hub_now(h) >= h->engine.pool.servers[i].retire_at)
			return false;
	}
	return true;
}

static int act_wait_close(struct client *c, const struct command *command, struct error *error)
{
	static const struct console_wait closing = {
		"WAIT_CLOSE", close_is_over, NULL, COMMAND_EMPTY};
	if (check_database(c, command, error) != 0)
		return ACT_FAILED;
	return wait_for(c, &closing, command->word);
}

/* ---- killing ---- */

static void kill_session(struct client *c)
{
	client_fail(c, "57P01", "terminating connection due to administrator command", NULL, NULL);
}

/* Its clients first, which are told; then the servers, whatever they are at. */
static int act_kill(struct client *c, const struct command *command, struct error *error)
{
	struct hub *h = c->hub;
	if (check_database(c, command, error) != 0)
		return ACT_FAILED;
	set_pause(h, command->word, true);
	for (int i = 0; i < h->memory.clients_max; i++) {
		struct client *other = h->clients[i];
		if (other && other->pool && !other->inquiry && is_about(other->pool, command->word))
			kill_session(other);
	}
	for (int i = 0; i < h->memory.servers_max; i++) {
		struct server *s = &h->servers[i];
		if (!s->link || !s->pool || !is_about(s->pool, command->word))
			continue;
		/* Or what it runs would go on, uncounted. */
		if (s->debts.count > 0)
			server_cancel(s);
		server_lost(s, OUTCOME_OK, "the console's KILL");
	}
	return ACT_DONE;
}

static int act_kill_client(struct client *asker, const struct command *command, struct error *error)
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
		kill_session(c);
		return ACT_DONE;
	}
	return command_fail(error, "42704", "there is no client with the id %.60s", command->word);
}

/* ---- the breaker ---- */

/* For all databases: they share the way. */
static int act_breaker(struct client *c, const struct command *command, struct error *error)
{
	static const struct {
		const char *word;
		enum breaker_mode mode;
	} modes[] = {
		{"open", BREAKER_HELD_OPEN},
		{"close", BREAKER_HELD_CLOSED},
		{"auto", BREAKER_AUTO},
		{"metrics", BREAKER_METRICS},
	};
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcasecmp(command->word, modes[i].word) != 0)
			continue;
		hub_tell(c->hub, (struct engine_event){
					 .kind = EVENT_BREAKER, .breaker_mode = modes[i].mode});
		return ACT_DONE;
	}
	return command_fail(error, "42601", "BREAKER can OPEN, CLOSE, AUTO or METRICS, not %.60s",
		command->word);
}

/* ---- the gate itself ---- */

static int act_reload(struct client *c, const struct command *command, struct error *error)
{
	const struct hub_duties *duties = &c->hub->duties;
	(void)command;
	if (!duties->reload)
		return command_fail(error, "0A000", "there is nothing to reload here");
	if (duties->reload(duties->context, error) == 0)
		return ACT_DONE;
	error_sqlstate(error, "F0000"); /* config_file_error */
	return ACT_FAILED;
}

static int act_shut_down(struct client *c, const struct command *command, struct error *error)
{
	const struct hub_duties *duties = &c->hub->duties;
	enum hub_shutdown how = SHUTDOWN_NOW;
	if (strcasecmp(command->word, "WAIT_FOR_SERVERS") == 0)
		how = SHUTDOWN_AFTER_SERVERS;
	else if (strcasecmp(command->word, "WAIT_FOR_CLIENTS") == 0)
		how = SHUTDOWN_AFTER_CLIENTS;
	else if (*command->word)
		return command_fail(error, "42601",
			"SHUTDOWN can WAIT_FOR_SERVERS or WAIT_FOR_CLIENTS, not %.60s",
			command->word);
	/* A worker that ended by itself would be started again. */
	if (how != SHUTDOWN_NOW && c->hub->settings->workers > 1)
		return command_fail(error, "0A000",
			"with several workers: send SIGTERM to their parent process, for all to "
			"end as shutdown.grace and shutdown.drain say");
	if (!duties->shutdown)
		return command_fail(error, "0A000", "it is not for the console to end this");
	duties->shutdown(duties->context, how);
	return ACT_DONE;
}

static int act_set(struct client *c, const struct command *command, struct error *error)
{
	const struct hub_duties *duties = &c->hub->duties;
	if (!duties->set)
		return command_fail(error, "0A000", "there is nothing to be set here");
	error->sqlstate[0] = 0;
	if (duties->set(duties->context, command->word, command->value, error) == 0)
		return ACT_DONE;
	if (!*error->sqlstate)
		error_sqlstate(error, "22023");
	return ACT_FAILED;
}

/* ---- all workers ---- */

static bool always(struct client *c)
{
	(void)c;
	return true;
}

/* The others are asked for the same; `result`, `error`: what came of it here. */
static int act_with_crew(
	struct client *c, const struct command *command, int result, struct error *error)
{
	struct console *k = c->console;
	k->crew_obeyed = false;
	error_init(&k->crew_error);
	error_init(&k->crew_idle);
	crew_note(k, result == ACT_FAILED ? error : NULL);
	if (error_is_set(&k->crew_error))
		return ACT_FAILED;
	crew_ask(c, command);
	if (result != ACT_WAITS) {
		/* What is over here may have to be undone all the same. */
		k->crew_wait = (struct console_wait){.tag = command->tag, .is_over = always};
		k->wait = command->verb == COMMAND_PAUSE     ? &pausing
			  : command->verb == COMMAND_SUSPEND ? &suspending
							     : &k->crew_wait;
		c->hub->consoles_waiting++;
	}
	return ACT_WAITS;
}

int console_act(struct client *c, const struct command *command, struct error *error)
{
	static int (*const acts[COMMAND_VERB_COUNT])(
		struct client * c, const struct command *command, struct error *error) = {
		[COMMAND_SET] = act_set,
		[COMMAND_PAUSE] = act_pause,
		[COMMAND_RESUME] = act_resume,
		[COMMAND_DISABLE] = act_able,
		[COMMAND_ENABLE] = act_able,
		[COMMAND_RECONNECT] = act_reconnect,
		[COMMAND_KILL] = act_kill,
		[COMMAND_WAIT_CLOSE] = act_wait_close,
		[COMMAND_KILL_CLIENT] = act_kill_client,
		[COMMAND_SUSPEND] = act_suspend,
		[COMMAND_BREAKER] = act_breaker,
		[COMMAND_RELOAD] = act_reload,
		[COMMAND_SHUTDOWN] = act_shut_down,
	};
	int result = acts[command->verb](c, command, error);
	/* The end of one is the end of all. */
	if (!crew_is_there(c) || command->verb == COMMAND_SHUTDOWN)
		return result;
	return act_with_crew(c, command, result, error);
}
