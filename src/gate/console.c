#include "gate/console.h"

#include <assert.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gate/console_inside.h"
#include "gate/pools.h"
#include "io/entropy.h"
#include "wire/message.h"
#include "wire/startup.h"

static const char *const names[] = {"standpipe", "pgbouncer"};
#define NAME_COUNT (sizeof(names) / sizeof(names[0]))

/* ---- who may ---- */

bool console_is_meant(const struct hub *h, const char *database)
{
	for (size_t i = 0; i < NAME_COUNT; i++)
		if (strcmp(database, names[i]) == 0)
			return strcmp(h->settings->database, database) != 0;
	return false;
}

static bool is_listed(const char *const *list, const char *user)
{
	for (; list && *list; list++)
		if (strcmp(*list, user) == 0)
			return true;
	return false;
}

/* SO_PEERCRED of a TCP socket has nobody in it, and must not be asked. */
static bool is_unix(int fd)
{
	int domain = AF_UNSPEC;
	socklen_t len = sizeof(domain);
	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX;
}

bool console_knows_peer(const struct client *c, const char *user)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);
	if (!is_unix(c->stream.fd) ||
		getsockopt(c->stream.fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
		return false;
	if (peer.uid != geteuid() && peer.uid != 0)
		return false;
	for (size_t i = 0; i < NAME_COUNT; i++)
		if (strcmp(user, names[i]) == 0)
			return true;
	const struct passwd *entry = getpwuid(peer.uid);
	return entry && strcmp(user, entry->pw_name) == 0;
}

static enum console_rights rights_of(const struct client *c, const char *user)
{
	const struct gate_settings *settings = c->hub->settings;
	if (console_knows_peer(c, user) || is_listed(settings->console_admins, user))
		return RIGHTS_ADMIN;
	return is_listed(settings->console_readers, user) ? RIGHTS_STATS : RIGHTS_NONE;
}

/* ---- its beginning and end ---- */

static char *copy(const char *text)
{
	char *copied = strdup(text);
	if (!copied)
		abort();
	return copied;
}

static void welcome(struct client *c)
{
	/* What tools go by when they want to know whether they talk to PgBouncer's console, and
	 * which of its columns there are. SHOW VERSION says who it is. */
	static const char *const reported[][2] = {
		{"server_version", "1.25.0/bouncer"},
		{"client_encoding", "UTF8"},
		{"server_encoding", "UTF8"},
		{"DateStyle", "ISO"},
		{"TimeZone", "GMT"},
		{"standard_conforming_strings", "on"},
		{"integer_datetimes", "on"},
		{"is_superuser", "on"},
	};
	struct buffer *out = &c->out;
	client_identify(c);
	message_authentication_ok(out);
	for (size_t i = 0; i < sizeof(reported) / sizeof(reported[0]); i++)
		message_parameter(out, reported[i][0], reported[i][1]);
	message_parameter(out, "application_name", c->console->application_name);
	message_backend_key(out, c->pid, c->key);
	message_ready(out, 'I');
	c->state = CLIENT_CONSOLE;
	client_send(c, NULL, 0);
}

void console_enter(
	struct client *c, const char *user, const char *database, struct bytes parameters)
{
	const char *name, *value, *application = "";
	enum console_rights rights = rights_of(c, user);
	if (rights == RIGHTS_NONE) {
		char message[ERROR_TEXT_MAX];
		snprintf(message, sizeof(message), "user \"%.60s\" may not use the console", user);
		c->hub->counters.client_errors++;
		if (log_limit_allows(&c->hub->refusals, hub_now(c->hub)))
			log_warning(c->hub->log, "console refused", field_text("user", user));
		client_fail(c, "28000", message, NULL,
			"It is for the users in admin.users and admin.stats_users, and over the "
			"Unix socket for the system's user that standpipe runs as.");
		return;
	}
	while (wire_pair_next(&parameters, &name, &value))
		if (strcmp(name, "application_name") == 0)
			application = value;
	c->console = calloc(1, sizeof(*c->console));
	if (!c->console)
		abort();
	c->console->rights = rights;
	c->console->user = copy(user);
	c->console->database = copy(database);
	c->console->application_name = copy(application);
	client_login_release(c);
	welcome(c);
}

static void stop_waiting(struct client *c)
{
	if (!c->console->wait)
		return;
	c->console->wait = NULL;
	c->hub->consoles_waiting--;
}

void console_leave(struct client *c)
{
	struct console *k = c->console;
	if (!k)
		return;
	stop_waiting(c);
	assert(!k->crew); /* console_gone */
	console_forget_prepared(&k->statements);
	console_forget_prepared(&k->portals);
	free(k->user);
	free(k->database);
	free(k->application_name);
	free(k->text);
	free(k);
	c->console = NULL;
}

/* ---- one command ---- */

/* What drivers ask for or set by themselves, and stumble over if it fails. */
static const struct {
	struct column column;
	const char *value;
} parameters_shown[] = {
	{{"client_encoding", COLUMN_TEXT}, "UTF8"},
	{{"server_encoding", COLUMN_TEXT}, "UTF8"},
	{{"default_transaction_isolation", COLUMN_TEXT}, "read committed"},
	{{"transaction_isolation", COLUMN_TEXT}, "read committed"},
	{{"standard_conforming_strings", COLUMN_TEXT}, "on"},
	{{"datestyle", COLUMN_TEXT}, "ISO"},
	{{"timezone", COLUMN_TEXT}, "GMT"},
	{{"extra_float_digits", COLUMN_TEXT}, "2"},
	{{"application_name", COLUMN_TEXT}, ""},
};

static int find_parameter(const char *name)
{
	for (size_t i = 0; i < sizeof(parameters_shown) / sizeof(parameters_shown[0]); i++)
		if (strcasecmp(name, parameters_shown[i].column.name) == 0)
			return (int)i;
	return -1;
}

static int result_of_select(
	const struct command *command, struct console_result *result, struct error *error)
{
	static const struct column number[] = {{"?column?", COLUMN_INT4}};
	if (command->word[strspn(command->word, "0123456789")])
		return command_fail(error, "0A000", "this is the console: it knows no SQL");
	*result = (struct console_result){.columns = number, .count = 1, .value = command->word};
	return 0;
}

int console_result_of(
	const struct command *command, struct console_result *result, struct error *error)
{
	*result = (struct console_result){0};
	if (command->verb == COMMAND_SELECT)
		return result_of_select(command, result, error);
	if (command->verb != COMMAND_SHOW)
		return 0;
	int parameter = find_parameter(command->word);
	if (parameter >= 0) {
		result->columns = &parameters_shown[parameter].column;
		result->count = 1;
		result->value = parameters_shown[parameter].value;
		return 0;
	}
	if (strcasecmp(command->word, "help") == 0)
		return 0;
	if (strcasecmp(command->word, "fds") == 0)
		return command_fail(error, "0A000",
			"file descriptors are not shown: see SHOW SOCKETS for what they are of");
	const struct console_show *show = console_show_find(command->word);
	if (!show)
		return command_fail(error, "42704", "there is no \"%.60s\" to show: see SHOW HELP",
			command->word);
	result->columns = show->columns;
	result->count = show->count;
	result->fill = show->fill;
	return 0;
}

int64_t console_fill(
	struct client *c, const struct console_result *result, uint64_t binary, struct buffer *out)
{
	struct table table = {
		.columns = result->columns, .count = result->count, .binary = binary, .out = out};
	if (result->fill) {
		result->fill(c, &table);
		return table.rows;
	}
	assert(result->value);
	table_row(&table);
	if (result->columns->type == COLUMN_TEXT)
		table_text(&table, result->value);
	else
		table_int(&table, strtoll(result->value, NULL, 10));
	table_end(&table);
	return table.rows;
}

static const char help[] =
	"\n"
	"\tSHOW HELP|VERSION|CONFIG|STATE\n"
	"\tSHOW DATABASES|POOLS|USERS|CLIENTS|SERVERS|LISTS\n"
	"\tSHOW STATS|STATS_TOTALS|STATS_AVERAGES|TOTALS\n"
	"\tSHOW SOCKETS|ACTIVE_SOCKETS|MEM|DNS_HOSTS|DNS_ZONES|PEERS|PEER_POOLS\n"
	"\tSHOW BREAKER|PATH|STAGES|BUDGET|STARTUP|CONNECTS|QUEUES\n"
	"\tSET key = value\n"
	"\tRELOAD\n"
	"\tPAUSE [database]\n"
	"\tRESUME [database]\n"
	"\tDISABLE database\n"
	"\tENABLE database\n"
	"\tRECONNECT [database]\n"
	"\tWAIT_CLOSE [database]\n"
	"\tKILL [database]\n"
	"\tKILL_CLIENT id\n"
	"\tBREAKER OPEN|CLOSE|AUTO|METRICS\n"
	"\tSUSPEND\n"
	"\tSHUTDOWN [WAIT_FOR_SERVERS|WAIT_FOR_CLIENTS]";

static void note_courtesy(struct console *k, const char *tag)
{
	if (strcmp(tag, "BEGIN") == 0 || strcmp(tag, "START TRANSACTION") == 0)
		k->in_transaction = true;
	if (strcmp(tag, "COMMIT") == 0 || strcmp(tag, "ROLLBACK") == 0)
		k->in_transaction = false;
}

int console_run(struct client *c, const struct command *command, struct error *error)
{
	if (command->verb == COMMAND_NOTHING) {
		note_courtesy(c->console, command->tag);
		return ACT_DONE;
	}
	if (command->verb == COMMAND_SHOW) { /* HELP: the one that has no rows */
		message_notice(&c->out, "Console usage", help);
		return ACT_DONE;
	}
	if (command->verb == COMMAND_SET && find_parameter(command->word) >= 0) {
		message_notice(&c->out, "SET is ignored here", NULL);
		return ACT_DONE;
	}
	if (c->console->rights != RIGHTS_ADMIN)
		return command_fail(
			error, "42501", "%s is for the users in admin.users", command->tag);
	log_info(c->hub->log, "console", field_text("command", command->tag),
		field_text("about", command->word), field_text("user", c->console->user));
	return console_act(c, command, error);
}

void console_error(struct client *c, const struct error *error)
{
	message_error(&c->out, "ERROR", *error->sqlstate ? error->sqlstate : "XX000", error->text,
		NULL, NULL);
}

void console_ready(struct client *c)
{
	struct console *k = c->console;
	/* Some drivers fetch the rest of a portal in later messages, if there is a transaction. */
	if (!k->in_transaction)
		console_forget_prepared(&k->portals);
	message_ready(&c->out, k->in_transaction ? 'T' : 'I');
}

/* ---- a simple query ---- */

static void end_query(struct client *c)
{
	free(c->console->text);
	c->console->text = NULL;
	console_ready(c);
}

/* For people: what is shown is one worker's. */
static void note_worker(struct client *c, const struct console_result *result)
{
	const struct gate_settings *s = c->hub->settings;
	char text[64];
	if (s->workers <= 1 || !result->fill)
		return;
	snprintf(text, sizeof(text), "this is worker %d of 0 to %d", s->worker, s->workers - 1);
	message_notice(
		&c->out, text, "SHOW tells of one worker; what changes something is done by all.");
}

static int run_simple(struct client *c, const struct command *command, struct error *error)
{
	struct console_result result;
	if (console_result_of(command, &result, error) != 0)
		return ACT_FAILED;
	if (result.count == 0)
		return console_run(c, command, error);
	note_worker(c, &result);
	table_describe(&c->out, result.columns, result.count, 0);
	console_fill(c, &result, 0, &c->out);
	return ACT_DONE;
}

/* Until its end, an error, or a command that takes its time. */
static void go_on(struct client *c)
{
	struct console *k = c->console;
	struct command command;
	struct error error;
	error_init(&error);
	for (bool first = k->next == k->text;; first = false) {
		int result = ACT_FAILED;
		if (command_next(&k->next, &command, &error) == 0) {
			if (command.verb == COMMAND_EMPTY && first)
				message_empty(&c->out, MSG_EMPTY_QUERY);
			if (command.verb == COMMAND_EMPTY)
				break;
			if (buffer_len(&c->out) > HUB_HIGH_WATER) {
				command_fail(&error, "54000",
					"so many answers at once are too much: ask one by one");
				console_error(c, &error);
				break;
			}
			result = run_simple(c, &command, &error);
		}
		if (result == ACT_WAITS)
			return;
		if (result == ACT_FAILED) {
			console_error(c, &error);
			break;
		}
		message_complete(&c->out, command.tag);
	}
	end_query(c);
}

static void query(struct client *c, struct bytes body)
{
	struct console *k = c->console;
	if (body.len == 0 || memchr(body.at, 0, body.len) != body.at + body.len - 1) {
		client_fail(c, "08P01", "invalid query string", NULL, NULL);
		return;
	}
	k->text = copy((const char *)body.at);
	k->next = k->text;
	k->extended = false;
	go_on(c);
}

/* ---- messages ---- */

static void take_message(struct client *c, const struct frame *frame, struct bytes body)
{
	struct error error;
	switch (frame->type) {
	case MSG_QUERY:
		c->console->skips = false;
		query(c, body);
		return;
	case MSG_PARSE:
	case MSG_BIND:
	case MSG_DESCRIBE:
	case MSG_EXECUTE:
	case MSG_CLOSE:
	case MSG_FLUSH:
	case MSG_SYNC:
		console_extended(c, frame->type, body);
		return;
	case MSG_FUNCTION_CALL:
		command_fail(&error, "0A000", "the console has no functions");
		console_error(c, &error);
		console_ready(c);
		return;
	case MSG_TERMINATE:
		client_finish(c);
		return;
	default:
		client_fail(c, "08P01", "unexpected message type", NULL, NULL);
		return;
	}
}

size_t console_take(struct client *c, struct bytes in)
{
	struct bytes left = in;
	c->blocked = false;
	while (left.len > 0) {
		struct frame frame;
		c->blocked = console_waits(c) || client_is_held(c);
		enum wire_result result = c->blocked ? WIRE_PARTIAL : frame_parse(left, &frame);
		if (result == WIRE_BAD || (result == WIRE_OK && frame.len > CONSOLE_MESSAGE_MAX)) {
			client_fail(c, "08P01", "invalid message length",
				"The console takes messages of 65536 bytes at most.", NULL);
			return in.len;
		}
		if (result == WIRE_PARTIAL || left.len < frame.len)
			break;
		if (c->console->wait) /* of_crew: what is waited for is not wanted any more */
			console_cancel(c);
		if (c->state == CLIENT_CONSOLE)
			take_message(c, &frame, frame_body(left, &frame));
		if (c->state != CLIENT_CONSOLE)
			return in.len;
		left.at += frame.len;
		left.len -= frame.len;
	}
	if (buffer_len(&c->out) > 0)
		client_send(c, NULL, 0);
	return in.len - left.len;
}

/* ---- what takes its time ---- */

bool console_waits(const struct client *c)
{
	return c->console && c->console->wait && !c->console->of_crew;
}

/* The command is over, well or not: what came behind it is next. */
static void conclude(struct client *c, const struct error *error)
{
	struct console *k = c->console;
	const char *tag = k->wait->tag;
	crew_forget_answers(c);
	stop_waiting(c);
	if (error)
		console_error(c, error);
	else if (!k->extended)
		message_complete(&c->out, tag);
	if (k->extended) {
		if (error)
			k->skips = true;
		else
			console_extended_done(c, tag);
	} else if (error) {
		end_query(c);
	} else {
		go_on(c);
	}
	client_send(c, NULL, 0);
	if (c->state == CLIENT_CONSOLE)
		client_work(c);
}

void console_end_wait(struct client *c, const char *sqlstate, const char *why)
{
	struct error error;
	command_fail(&error, sqlstate, "%s", why);
	conclude(c, &error);
}

void console_cancel(struct client *c)
{
	const struct console_wait *wait = c->console->wait;
	if (!wait)
		return;
	if (wait->cancelled)
		wait->cancelled(c);
	crew_undo(c, wait);
	console_end_wait(c, "57014", "canceling statement due to user request");
}

void console_look(struct hub *h)
{
	for (int i = 0; i < h->memory.clients_max && h->consoles_waiting > 0; i++) {
		struct client *c = h->clients[i];
		if (c && c->state == CLIENT_CONSOLE && c->console->wait &&
			c->console->crew_asked == 0 && c->console->wait->is_over(c))
			conclude(c, crew_failure(c->console));
	}
}
