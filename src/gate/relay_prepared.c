/* From the client to its server: the messages that name prepared statements, which follow the client
 * from server to server. */
#include <string.h>

#include "gate/relay.h"
#include "gate/sending.h"
#include "gate/traces.h"
#include "wire/frame.h"
#include "wire/message.h"
#include "wire/sql.h"

/* A statement's text is kept in memory to be prepared elsewhere: */
#define NAMED_PARSE_MAX   (16u << 20) /* longer named ones are refused */
#define UNNAMED_PARSE_MAX (1u << 20) /* longer unnamed ones are passed on and not remembered */
#define NAME_MAX_BYTES    ((size_t)1024) /* of a portal's or a statement's name */

/* Does it depend on answers still to come what a name stands for? An error before the last Sync
 * would take back what was done to it. */
static bool is_unsure(struct sending *m, const char *name)
{
	const struct debts *d = &m->s->debts;
	if (*name)
		m->c->unsure = d->named.synced > 0;
	else /* but not if it was given anew since */
		m->c->unsure = d->unnamed.synced > 0 && d->unnamed.all == d->unnamed.synced;
	return m->c->unsure;
}

/* Prepares `statement` on the server as `name`, ahead of what the client asked for. */
static void prepare_first(struct sending *m, struct statement *statement, const char *name)
{
	struct server *s = m->s;
	struct debt debt = {.kind = DEBT_PARSE, .ours = true, .unnamed = !*name};
	stretch_end(&m->stretch, &s->out);
	message_parse(&s->out, name, statement_query(statement), statement_types(statement));
	if (*name) {
		debt.statement = statement_hold(statement);
		statement_set_on(statement, s->id, true);
		s->prepared++;
	} else {
		s->unnamed = statement->id;
	}
	sending_owe(m, debt);
}

static void close_first(struct sending *m, const char *name)
{
	stretch_end(&m->stretch, &m->s->out);
	message_target(&m->s->out, MSG_CLOSE, 'S', name);
	sending_owe(m, (struct debt){.kind = DEBT_CLOSE, .ours = true, .unnamed = !*name});
}

/* Would it surely accept a Parse that it accepted before? In a failed transaction it would not,
 * and whatever it has not answered yet may fail one. */
static bool is_sure_of_state(const struct server *s)
{
	return s->status != 'E' && s->debts.count == 0;
}

/* Sees to it that the server's unnamed statement is this client's, or none. */
static void ensure_unnamed(struct sending *m)
{
	struct server *s = m->s;
	struct client *c = m->c;
	if (s->unnamed == (c->unnamed ? c->unnamed->id : UNNAMED_NONE))
		return;
	if (c->unnamed) {
		prepare_first(m, c->unnamed, "");
		return;
	}
	if (c->big_unnamed)
		return; /* parsed on this very server since it was given */
	close_first(m, ""); /* another client's must not answer for it */
	s->unnamed = UNNAMED_NONE;
}

static enum sending_progress send_unnamed_parse(
	struct sending *m, const struct message_parse *parse)
{
	struct client *c = m->c;
	struct debt debt = {.kind = DEBT_PARSE};
	sending_forget_unnamed(c, &debt);
	c->unnamed = statements_intern(&c->hub->statements, parse->query, parse->types);
	m->s->unnamed = c->unnamed->id;
	sending_owe(m, debt);
	return PASS;
}

static enum sending_progress send_big_parse(struct sending *m)
{
	struct debt debt = {.kind = DEBT_PARSE};
	sending_forget_unnamed(m->c, &debt);
	m->c->big_unnamed = true;
	m->s->unnamed = UNNAMED_UNKNOWN;
	sending_owe(m, debt);
	return PASS;
}

static char *copy_of(const char *text)
{
	char *copy = strdup(text);
	if (!copy)
		abort();
	return copy;
}

static enum sending_progress send_named_parse(struct sending *m, const struct message_parse *parse)
{
	struct client *c = m->c;
	struct server *s = m->s;
	char name[STATEMENT_NAME_MAX];
	struct debt debt = {.kind = DEBT_PARSE};
	struct statement *there = statement_names_find(&c->names, parse->name);
	if (there) {
		/* A name that is taken: the server has to say so itself, for that also ends the
		 * transaction. It says so of a name that it surely has. */
		statement_name(there, name);
		if (!statement_is_on(there, s->id))
			prepare_first(m, there, name);
	} else {
		if (c->names.count >= STATEMENT_NAMES_MAX)
			return sending_refuse(m, "54000", "too many prepared statements");
		struct statement *statement = statements_intern(
			&c->hub->statements, parse->query, parse->types);
		debt.serial = statement_names_add(&c->names, parse->name, statement);
		debt.name = copy_of(parse->name);
		statement_name(statement, name);
		if (statement_is_on(statement, s->id)) {
			if (is_sure_of_state(s)) {
				debt.local = true;
				stretch_end(&m->stretch, &s->out);
				sending_owe(m, debt);
				return DONE;
			}
			debt.again = true;
			close_first(m, name);
		} else {
			statement_set_on(statement, s->id, true);
			s->prepared++;
		}
		debt.statement = statement_hold(statement);
	}
	stretch_end(&m->stretch, &s->out);
	message_parse(&s->out, name, parse->query, parse->types);
	sending_owe(m, debt);
	return DONE;
}

enum sending_progress sending_parse(struct sending *m)
{
	if (m->in.len < FRAME_HEADER + 1)
		return MORE;
	bool named = m->in.at[FRAME_HEADER] != 0;
	if (named && m->frame.len > NAMED_PARSE_MAX)
		return sending_refuse(m, "54000",
			"a prepared statement's text is too long: over 16 MiB it can only be "
			"prepared without a name");
	if (!named && m->frame.len > UNNAMED_PARSE_MAX)
		return send_big_parse(m);
	if (!sending_is_whole(m))
		return MORE;
	struct message_parse parse;
	if (message_parse_parse(frame_body(m->in, &m->frame), &parse) != 0)
		return sending_violation(m, "malformed Parse message");
	if (strncmp(parse.name, STATEMENT_PREFIX, strlen(STATEMENT_PREFIX)) == 0)
		return sending_violation(
			m, "a prepared statement's name must not begin with " STATEMENT_PREFIX);
	if (!named)
		return send_unnamed_parse(m, &parse);
	return is_unsure(m, parse.name) ? BLOCKED : send_named_parse(m, &parse);
}

/* The statement's name as the server has it, preparing it there if need be; `name` itself when it
 * is none of those that came by protocol (it may be one by SQL's PREPARE). */
static const char *name_on_server(
	struct sending *m, const char *name, char ours[STATEMENT_NAME_MAX])
{
	struct statement *statement = statement_names_find(&m->c->names, name);
	if (!statement) {
		/* Nobody gets at another client's by guessing. */
		bool guess = strncmp(name, STATEMENT_PREFIX, strlen(STATEMENT_PREFIX)) == 0;
		return guess ? STATEMENT_PREFIX "?" : name;
	}
	statement_name(statement, ours);
	if (!statement_is_on(statement, m->s->id))
		prepare_first(m, statement, ours);
	return ours;
}

/* What is bound is about to be run. False: more of the message is needed to tell what that may leave
 * behind. */
static bool note_bind(struct sending *m, const struct message_bind *bind)
{
	struct client *c = m->c;
	const struct statement *statement = *bind->statement ? statement_names_find(
								       &c->names, bind->statement)
							     : c->unnamed;
	if (!statement)
		m->s->traits |= c->big_unnamed && !*bind->statement ? SQL_UNSURE : 0;
	if (!statement || !statement->traits || !client_is_transactional(c))
		return true;
	if (statement->traits & SQL_BOUND) {
		if (!sending_is_whole(m) && m->frame.len <= TRACES_TEXT_MAX)
			return false;
		struct bytes body = frame_body(m->in, &m->frame);
		if (sending_is_whole(m))
			traces_note_values(
				m->s, (struct bytes){body.at + bind->rest, body.len - bind->rest});
	}
	const char *query = statement_query(statement);
	traces_note(m->s, (struct bytes){(const uint8_t *)query, statement->query_len - 1},
		statement->traits);
	return true;
}

enum sending_progress sending_bind(struct sending *m)
{
	struct message_bind bind;
	size_t there = m->in.len < m->frame.len ? m->in.len : m->frame.len;
	struct bytes body = {m->in.at + FRAME_HEADER, there - FRAME_HEADER};
	if (message_parse_bind(body, &bind) != 0) {
		if (sending_is_whole(m) || body.len > 2 * NAME_MAX_BYTES)
			return sending_violation(m, "malformed Bind message");
		return MORE;
	}
	struct debt debt = {.kind = DEBT_BIND};
	if (is_unsure(m, bind.statement))
		return BLOCKED;
	if (!note_bind(m, &bind))
		return MORE;
	if (!*bind.statement) {
		ensure_unnamed(m);
		sending_owe(m, debt);
		return PASS;
	}
	char ours[STATEMENT_NAME_MAX];
	const char *name = name_on_server(m, bind.statement, ours);
	sending_owe(m, debt);
	if (name == bind.statement)
		return PASS;
	/* Its head anew, its rest as it comes. */
	struct buffer *out = &m->s->out;
	size_t rest = m->frame.len - FRAME_HEADER - bind.rest;
	stretch_end(&m->stretch, out);
	buffer_append_u8(out, MSG_BIND);
	buffer_append_u32(out, (uint32_t)(4 + strlen(bind.portal) + 1 + strlen(name) + 1 + rest));
	buffer_append_text(out, bind.portal);
	buffer_append_text(out, name);
	size_t used = FRAME_HEADER + bind.rest;
	stretch_add(&m->stretch, m->in.at + used, there - used);
	m->c->streaming = (uint32_t)(m->frame.len - there);
	return DONE;
}

/* Of a statement. The name is noted, for when the server skips it. */
static enum sending_progress send_close(struct sending *m, const char *name)
{
	struct client *c = m->c;
	struct debt debt = {.kind = DEBT_CLOSE};
	if (!*name) {
		sending_forget_unnamed(c, &debt);
		m->s->unnamed = UNNAMED_NONE;
		sending_owe(m, debt);
		return PASS;
	}
	const struct statement_entry *entry = statement_names_entry(&c->names, name);
	if (!entry) {
		char ours[STATEMENT_NAME_MAX];
		const char *there = name_on_server(m, name, ours);
		sending_owe(m, debt);
		if (there == name)
			return PASS;
		stretch_end(&m->stretch, &m->s->out);
		message_target(&m->s->out, MSG_CLOSE, 'S', there);
		return DONE;
	}
	/* Others may use the text: only this client's name for it goes. */
	debt.local = true;
	debt.serial = entry->serial;
	debt.before = statement_hold(entry->statement);
	debt.name = copy_of(name);
	statement_names_remove(&c->names, &c->hub->statements, name);
	stretch_end(&m->stretch, &m->s->out);
	sending_owe(m, debt);
	return DONE;
}

enum sending_progress sending_target(struct sending *m, enum debt_kind kind)
{
	struct message_target target;
	if (m->frame.len > FRAME_HEADER + 2 + NAME_MAX_BYTES)
		return sending_violation(m, "malformed Describe or Close message");
	if (!sending_is_whole(m))
		return MORE;
	if (message_parse_target(frame_body(m->in, &m->frame), &target) != 0)
		return sending_violation(m, "malformed Describe or Close message");
	struct debt debt = {.kind = (uint8_t)kind};
	if (target.kind == 'P') {
		sending_owe(m, debt);
		return PASS;
	}
	if (is_unsure(m, target.name))
		return BLOCKED;
	if (kind == DEBT_CLOSE)
		return send_close(m, target.name);
	char ours[STATEMENT_NAME_MAX];
	const char *name = target.name;
	if (*name)
		name = name_on_server(m, target.name, ours);
	else
		ensure_unnamed(m);
	sending_owe(m, debt);
	if (name == target.name)
		return PASS;
	stretch_end(&m->stretch, &m->s->out);
	message_target(&m->s->out, (char)m->frame.type, 'S', name);
	return DONE;
}
