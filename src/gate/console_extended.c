/* The console by the extended protocol, which is what most drivers speak. There are no parameters:
 * a portal is a statement with formats for its columns. */
#include <stdlib.h>
#include <string.h>

#include "gate/console_inside.h"
#include "wire/message.h"

#define MSG_PARAMETER_DESCRIPTION 't'

/* ---- statements and portals ---- */

static void free_prepared(struct console_prepared *p)
{
	buffer_release(&p->rows);
	free(p->name);
	free(p);
}

void console_forget_prepared(struct console_prepared **list)
{
	while (*list) {
		struct console_prepared *p = *list;
		*list = p->next;
		free_prepared(p);
	}
}

static struct console_prepared **find(struct console_prepared **list, const char *name)
{
	while (*list && strcmp((*list)->name, name) != 0)
		list = &(*list)->next;
	return list;
}

static void drop(struct console_prepared **list, const char *name)
{
	struct console_prepared **at = find(list, name), *p = *at;
	if (!p)
		return;
	*at = p->next;
	free_prepared(p);
}

/* A new one; NULL if there are too many, or if a name that is not empty is taken. */
static struct console_prepared *add(struct console_prepared **list, int max, const char *name,
	const char *taken, struct error *error)
{
	int count = 0;
	if (!*name)
		drop(list, name);
	if (*find(list, name)) {
		command_fail(error, taken, "\"%.60s\" already exists", name);
		return NULL;
	}
	for (const struct console_prepared *p = *list; p; p = p->next)
		count++;
	if (count >= max) {
		command_fail(error, "54000", "a session of the console prepares no more than that");
		return NULL;
	}
	struct console_prepared *p = calloc(1, sizeof(*p));
	if (!p || !(p->name = strdup(name)))
		abort();
	p->next = *list;
	*list = p;
	return p;
}

static int malformed(struct error *error)
{
	return command_fail(error, "08P01", "invalid message format");
}

/* ---- messages ---- */

static int take_parse(struct client *c, struct bytes body, struct error *error)
{
	struct message_parse m;
	struct command command, more;
	struct console_result result;
	if (message_parse_parse(body, &m) != 0)
		return malformed(error);
	const char *text = m.query;
	if (command_next(&text, &command, error) != 0 || command_next(&text, &more, error) != 0)
		return -1;
	if (more.verb != COMMAND_EMPTY)
		return command_fail(error, "42601",
			"cannot insert multiple commands into a prepared statement");
	if (console_result_of(&command, &result, error) != 0)
		return -1;
	struct console_prepared *p = add(
		&c->console->statements, CONSOLE_STATEMENTS_MAX, m.name, "42P05", error);
	if (!p)
		return -1;
	p->command = command;
	message_empty(&c->out, MSG_PARSE_COMPLETE);
	return 0;
}

/* The formats that the columns are wanted in, as bits. */
static int read_formats(
	const struct message_formats *m, int columns, uint64_t *binary, struct error *error)
{
	if (m->count > 1 && m->count != columns)
		return command_fail(error, "08P01", "as many result formats as columns are needed");
	*binary = 0;
	for (int i = 0; i < columns && m->count > 0; i++) {
		uint16_t code = bytes_u16(m->codes + (m->count == 1 ? 0 : 2 * i));
		if (code > 1)
			return command_fail(error, "08P01", "unsupported format code");
		*binary |= (uint64_t)code << i;
	}
	return 0;
}

static int take_bind(struct client *c, struct bytes body, struct error *error)
{
	struct console *k = c->console;
	struct message_bind m;
	struct message_formats formats;
	struct console_result result;
	uint64_t binary = 0;
	if (message_parse_bind(body, &m) != 0)
		return malformed(error);
	struct bytes rest = {body.at + m.rest, body.len - m.rest};
	if (message_parse_formats(rest, &formats) != 0)
		return malformed(error);
	const struct console_prepared *statement = *find(&k->statements, m.statement);
	if (!statement)
		return command_fail(
			error, "26000", "prepared statement \"%.60s\" does not exist", m.statement);
	if (formats.parameters != 0)
		return command_fail(error, "08P01", "statements of the console have no parameters");
	if (console_result_of(&statement->command, &result, error) != 0 ||
		read_formats(&formats, result.count, &binary, error) != 0)
		return -1;
	struct console_prepared *portal = add(
		&k->portals, CONSOLE_PORTALS_MAX, m.portal, "42P03", error);
	if (!portal)
		return -1;
	portal->command = statement->command;
	portal->binary = binary;
	message_empty(&c->out, MSG_BIND_COMPLETE);
	return 0;
}

static int take_describe(struct client *c, struct bytes body, struct error *error)
{
	struct console *k = c->console;
	struct message_target m;
	struct console_result result;
	if (message_parse_target(body, &m) != 0)
		return malformed(error);
	bool is_statement = m.kind == 'S';
	const struct console_prepared *p = *find(
		is_statement ? &k->statements : &k->portals, m.name);
	if (!p)
		return is_statement ? command_fail(error, "26000",
					      "prepared statement \"%.60s\" does not exist", m.name)
				    : command_fail(error, "34000",
					      "portal \"%.60s\" does not exist", m.name);
	if (console_result_of(&p->command, &result, error) != 0)
		return -1;
	if (is_statement) {
		size_t mark;
		message_begin(&c->out, MSG_PARAMETER_DESCRIPTION, &mark);
		buffer_append_u16(&c->out, 0);
		message_end(&c->out, mark);
	}
	if (result.count > 0)
		table_describe(&c->out, result.columns, result.count, p->binary);
	else
		message_empty(&c->out, MSG_NO_DATA);
	return 0;
}

/* Some of the rows, `limit` at most; 0: all. True when there are none left. */
static bool send_rows(struct client *c, struct console_prepared *portal, uint32_t limit)
{
	for (uint32_t sent = 0; buffer_len(&portal->rows) > 0; sent++) {
		struct frame frame;
		struct bytes rows = buffer_bytes(&portal->rows);
		if (limit > 0 && sent == limit)
			return false;
		frame_parse(rows, &frame);
		buffer_append(&c->out, rows.at, frame.len);
		buffer_take(&portal->rows, frame.len);
	}
	buffer_release(&portal->rows);
	return true;
}

static int execute_rows(struct client *c, struct console_prepared *portal, uint32_t limit,
	const struct console_result *result)
{
	if (!portal->begun) {
		portal->begun = true;
		portal->count = console_fill(c, result, portal->binary, &portal->rows);
	}
	if (send_rows(c, portal, limit))
		message_complete(&c->out, portal->command.tag);
	else
		message_empty(&c->out, MSG_PORTAL_SUSPENDED);
	return 0;
}

static int take_execute(struct client *c, struct bytes body, struct error *error)
{
	struct console *k = c->console;
	struct message_execute m;
	struct console_result result;
	if (message_parse_execute(body, &m) != 0)
		return malformed(error);
	struct console_prepared *portal = *find(&k->portals, m.portal);
	if (!portal)
		return command_fail(error, "34000", "portal \"%.60s\" does not exist", m.portal);
	if (portal->command.verb == COMMAND_EMPTY) {
		message_empty(&c->out, MSG_EMPTY_QUERY);
		return 0;
	}
	if (console_result_of(&portal->command, &result, error) != 0)
		return -1;
	if (result.count > 0)
		return execute_rows(c, portal, m.rows, &result);
	if (portal->begun)
		return command_fail(error, "55000", "portal \"%.60s\" cannot be run", m.portal);
	portal->begun = true;
	k->extended = true;
	switch (console_run(c, &portal->command, error)) {
	case ACT_DONE:
		console_extended_done(c, portal->command.tag);
		return 0;
	case ACT_WAITS:
		return 0;
	case ACT_FAILED:
		break;
	}
	return -1;
}

void console_extended_done(struct client *c, const char *tag)
{
	message_complete(&c->out, tag);
}

static int take_close(struct client *c, struct bytes body, struct error *error)
{
	struct message_target m;
	if (message_parse_target(body, &m) != 0)
		return malformed(error);
	drop(m.kind == 'S' ? &c->console->statements : &c->console->portals, m.name);
	message_empty(&c->out, MSG_CLOSE_COMPLETE);
	return 0;
}

static int take(struct client *c, uint8_t type, struct bytes body, struct error *error)
{
	switch (type) {
	case MSG_PARSE:
		return take_parse(c, body, error);
	case MSG_BIND:
		return take_bind(c, body, error);
	case MSG_DESCRIBE:
		return take_describe(c, body, error);
	case MSG_EXECUTE:
		return take_execute(c, body, error);
	case MSG_CLOSE:
		return take_close(c, body, error);
	default: /* Flush: all goes out anyway */
		return 0;
	}
}

void console_extended(struct client *c, uint8_t type, struct bytes body)
{
	struct console *k = c->console;
	struct error error;
	error_init(&error);
	if (type == MSG_SYNC) {
		k->skips = false;
		console_ready(c);
		return;
	}
	if (k->skips || take(c, type, body, &error) == 0)
		return;
	console_error(c, &error);
	k->skips = true;
}
