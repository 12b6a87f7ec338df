/* From the client to its server: the messages that name prepared statements, which follow the
 * client from server to server. */
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

/* An error before the last Sync
 * would take back what was done to it. */
bool sending_is_unsure(struct sending *m, const char *name)
{
	const struct debts *d = &m->s->debts;
	if (m->s->clearing && !debts_are_doubtful(d)) {
		/* Whether there are any names at all then is told by the answer, which the server
		 * may keep until it is asked for it. */
		stretch_end(&m->stretch, &m->s->out);
		message_empty(&m->s->out, MSG_FLUSH);
		m->c->unsure = true;
		return true;
	}
	m->s->clearing = false;
	if (*name)
		m->c->unsure = d->named.synced > 0;
	else /* but not if it was given anew since */
		m->c->unsure = d->unnamed.synced > 0 && d->unnamed.all == d->unnamed.synced;
	return m->c->unsure;
}

static void close_first(struct sending *m, const char *name, struct debt debt)
{
	stretch_end(&m->stretch, &m->s->out);
	message_target(&m->s->out, MSG_CLOSE, 'S', name);
	debt.kind = DEBT_CLOSE;
	debt.ours = true;
	debt.unnamed = !*name;
	sending_owe(m, debt);
}

/* The server is about to be given one more: those that were not used for longest make room. */
static void make_room(struct sending *m)
{
	struct statements *all = &m->c->hub->statements;
	int server = m->s->id;
	while (statements_on(all, server) >= m->c->hub->settings->prepared_max) {
		char name[STATEMENT_NAME_MAX];
		struct statement *oldest = statement_hold(statements_oldest(all, server));
		statement_name(oldest, name);
		statements_take(all, oldest, server);
		close_first(m, name, (struct debt){.statement = oldest});
	}
}

/* Prepares `statement` on the server as `name`, ahead of what the client asked for. */
static void prepare_first(struct sending *m, struct statement *statement, const char *name)
{
	struct server *s = m->s;
	struct debt debt = {.kind = DEBT_PARSE, .ours = true, .unnamed = !*name};
	if (*name) {
		make_room(m);
		debt.statement = statement_hold(statement);
		statements_put(&m->c->hub->statements, statement, s->id);
	} else {
		s->unnamed = statement->id;
	}
	stretch_end(&m->stretch, &s->out);
	message_parse(&s->out, name, statement_query(statement), statement_types(statement));
	sending_owe(m, debt);
}

void sending_ensure(struct sending *m, struct statement *statement, char name[STATEMENT_NAME_MAX])
{
	statement_name(statement, name);
	if (statement_is_on(statement, m->s->id)) {
		statements_touch(&m->c->hub->statements, statement, m->s->id);
		return;
	}
	prepare_first(m, statement, name);
	sending_ask_shape(m, statement, name, NULL, 0);
}

/* Under which settings the client's texts are read now. While a transaction may have changed some
 * that nobody has asked for yet, what it prepares is shared with nobody. */
static uint64_t reading_of(const struct sending *m)
{
	if (m->s->traits & (SQL_SET | SQL_RESET | SQL_DISCARD | SQL_RUN | SQL_UNSURE))
		return PROFILE_READING_OWN | m->c->serial;
	return m->c->profile->reading;
}

/* Texts that nobody names are kept only because servers have them, and those can be told to forget
 * them. False: there are none. */
static bool give_up_texts(struct hub *h)
{
	bool any = false;
	for (int i = 0; i < h->memory.servers_max; i++) {
		if (statements_give_up(&h->statements, i) == 0)
			continue;
		server_distrust_statements(&h->servers[i]);
		any = true;
	}
	return any;
}

/* NULL: there is no room for it. */
static struct statement *intern(
	struct sending *m, const char *query, struct bytes types, uint64_t reading)
{
	struct statements *all = &m->c->hub->statements;
	if (client_is_transactional(m->c)) {
		uint32_t traits = sql_traits((struct bytes){(const uint8_t *)query, strlen(query)});
		const char *refusal = sending_refusal(m->c, traits);
		if (refusal)
			return statements_intern(all, refusal, types, 0);
	}
	struct statement *statement = statements_intern(all, query, types, reading);
	if (!statement && give_up_texts(m->c->hub))
		statement = statements_intern(all, query, types, reading);
	return statement;
}

/* Would it surely accept a Parse that it accepted before? In a failed transaction it would not,
 * and whatever it has not answered yet may fail one. */
static bool is_sure_of_state(const struct server *s)
{
	return s->status != 'E' && s->debts.count == 0;
}

/* Sees to it that the server's unnamed statement is this client's, or none.
 *
 * What it gives there is not compared with what it gave where it was parsed (relay_shape.c): whoever
 * parses, describes and binds it in three batches (asyncpg without its cache) would wait for one round
 * trip more at each query that comes to another server. So a schema that changes between its Describe
 * and its Bind, which are milliseconds apart, gives rows of the new kind where PostgreSQL, and the same
 * server here, says 0A000. A named statement lives for hours, and is asked once on each server. */
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
	close_first(m, "", (struct debt){0}); /* another client's must not answer for it */
	s->unnamed = UNNAMED_NONE;
}

static enum sending_progress send_big_parse(struct sending *m)
{
	struct debt debt = {.kind = DEBT_PARSE};
	sending_forget_unnamed(m->c, &debt);
	m->c->big_unnamed = BIG_PARSED;
	m->s->unnamed = UNNAMED_UNKNOWN;
	sending_owe(m, debt);
	return PASS;
}

static enum sending_progress send_unnamed_parse(
	struct sending *m, const struct message_parse *parse)
{
	struct client *c = m->c;
	struct debt debt = {.kind = DEBT_PARSE};
	struct statement *statement = intern(m, parse->query, parse->types, reading_of(m));
	if (!statement)
		return send_big_parse(m);
	sending_forget_unnamed(c, &debt);
	c->unnamed = statement;
	m->s->unnamed = statement->id;
	if (strcmp(statement_query(statement), parse->query) == 0) {
		sending_owe(m, debt);
		return PASS;
	}
	stretch_end(&m->stretch, &m->s->out);
	message_parse(&m->s->out, "", statement_query(statement), statement_types(statement));
	sending_owe(m, debt);
	return DONE;
}

static char *copy_of(const char *text)
{
	char *copy = strdup(text);
	if (!copy)
		abort();
	return copy;
}

/* A name that is taken: the server has to say so itself, for that also ends the transaction. It
 * says so of a name that it surely has. */
static enum sending_progress send_taken_parse(
	struct sending *m, const struct message_parse *parse, struct statement *there)
{
	char name[STATEMENT_NAME_MAX];
	sending_ensure(m, there, name);
	stretch_end(&m->stretch, &m->s->out);
	message_parse(&m->s->out, name, parse->query, parse->types);
	sending_owe(m, (struct debt){.kind = DEBT_PARSE});
	return DONE;
}

static enum sending_progress send_named_parse(struct sending *m, const struct message_parse *parse)
{
	struct client *c = m->c;
	struct server *s = m->s;
	struct statements *all = &c->hub->statements;
	char name[STATEMENT_NAME_MAX];
	struct debt debt = {.kind = DEBT_PARSE};
	struct statement *there = statement_names_find(&c->names, parse->name);
	if (there)
		return send_taken_parse(m, parse, there);
	if (c->names.count >= STATEMENT_NAMES_MAX)
		return sending_refuse(m, "54000", "too many prepared statements");
	struct statement *statement = intern(m, parse->query, parse->types, reading_of(m));
	if (!statement)
		return sending_refuse(m, "53200",
			"there is no room for another prepared statement's text "
			"(pool.prepared_memory)");
	debt.serial = statement_names_add(&c->names, parse->name, statement);
	debt.name = copy_of(parse->name);
	statement_name(statement, name);
	if (!statement_is_on(statement, s->id)) {
		make_room(m);
	} else if (is_sure_of_state(s)) {
		statements_touch(all, statement, s->id);
		debt.local = true;
		stretch_end(&m->stretch, &s->out);
		sending_owe(m, debt);
		return DONE;
	} else {
		debt.again = true;
		close_first(m, name, (struct debt){0});
	}
	statements_put(all, statement, s->id);
	debt.statement = statement_hold(statement);
	stretch_end(&m->stretch, &s->out);
	message_parse(&s->out, name, statement_query(statement), statement_types(statement));
	sending_owe(m, debt);
	sending_ask_shape(m, statement, name, parse->name, debt.serial);
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
	return sending_is_unsure(m, parse.name) ? BLOCKED : send_named_parse(m, &parse);
}

/* The client gave it under settings that it has changed since. Where others may use it, too, it
 * must not be prepared under those of this client: that is another statement. */
static struct statement *read_anew(struct sending *m, const char *name, struct statement *statement)
{
	uint64_t reading = reading_of(m);
	if (statement->reading == reading || statement_is_on(statement, m->s->id))
		return statement;
	struct statement *anew = intern(
		m, statement_query(statement), statement_types(statement), reading);
	if (!anew)
		return statement;
	statement_names_replace(&m->c->names, &m->c->hub->statements, name, anew);
	return anew;
}

void sending_ensure_entry(
	struct sending *m, const struct statement_entry *entry, char name[STATEMENT_NAME_MAX])
{
	sending_ensure(m, read_anew(m, entry->name, entry->statement), name);
}

/* One that did not come by protocol (it may be one by SQL's PREPARE), as the server is to have
 * it. */
static const char *name_by_sql(const char *name)
{
	/* Nobody gets at another client's by guessing. */
	bool guess = strncmp(name, STATEMENT_PREFIX, strlen(STATEMENT_PREFIX)) == 0;
	return guess ? STATEMENT_PREFIX "?" : name;
}

/* The statement's name as the server has it, preparing it there if need be; `name` itself when it
 * is none of those that came by protocol. BLOCKED, DROP: as sending_check_shape. */
static enum sending_progress name_on_server(struct sending *m, enum debt_kind kind,
	const char *name, char ours[STATEMENT_NAME_MAX], const char **there)
{
	struct statement *statement = statement_names_find(&m->c->names, name);
	*there = ours;
	if (!statement) {
		*there = name_by_sql(name);
		return PASS;
	}
	sending_ensure(m, read_anew(m, name, statement), ours);
	return sending_check_shape(m, name, kind);
}

/* What is bound is about to be run. False: more of the message is needed to tell what that may
 * leave behind. */
static bool note_bind(
	struct sending *m, const struct message_bind *bind, const struct statement *bound)
{
	if (!bound || !bound->traits)
		return true;
	if (bound->traits & SQL_BOUND) {
		if (!sending_is_whole(m) && m->frame.len <= TRACES_TEXT_MAX)
			return false;
		struct bytes body = frame_body(m->in, &m->frame);
		if (sending_is_whole(m))
			traces_note_values(
				m->s, (struct bytes){body.at + bind->rest, body.len - bind->rest});
	}
	const char *query = statement_query(bound);
	traces_note(
		m->s, (struct bytes){(const uint8_t *)query, bound->query_len - 1}, bound->traits);
	return true;
}

/* Its head anew, with another statement's name; its rest as it comes. */
static enum sending_progress send_bind_of(
	struct sending *m, const struct message_bind *bind, const char *name, size_t there)
{
	struct buffer *out = &m->s->out;
	size_t rest = m->frame.len - FRAME_HEADER - bind->rest;
	stretch_end(&m->stretch, out);
	buffer_append_u8(out, MSG_BIND);
	buffer_append_u32(out, (uint32_t)(4 + strlen(bind->portal) + 1 + strlen(name) + 1 + rest));
	buffer_append_text(out, bind->portal);
	buffer_append_text(out, name);
	size_t used = FRAME_HEADER + bind->rest;
	stretch_add(&m->stretch, m->in.at + used, there - used);
	m->c->streaming = (uint32_t)(m->frame.len - there);
	return DONE;
}

/* Before the statement's text is known to the server; PASS: as ever. */
static enum sending_progress look_at_bound(struct sending *m, const struct message_bind *bind,
	struct debt *debt, char name[STATEMENT_NAME_MAX])
{
	struct client *c = m->c;
	struct statement *bound = *bind->statement
					  ? statement_names_find(&c->names, bind->statement)
					  : c->unnamed;
	if (bound)
		debt->bound = bound->id;
	if (!client_is_transactional(c))
		return PASS;
	if (!bound && !*bind->statement && c->big_unnamed) {
		m->s->traits |= SQL_UNSURE;
		c->big_unnamed = BIG_BOUND;
	}
	if (!note_bind(m, bind, bound))
		return MORE;
	if (bound && (bound->traits & SQL_DEALLOCATE))
		return sending_bind_deallocate(m, bound, debt, name);
	return PASS;
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
	char ours[STATEMENT_NAME_MAX];
	if (sending_is_unsure(m, bind.statement))
		return BLOCKED;
	const char *name = bind.statement;
	enum sending_progress progress = look_at_bound(m, &bind, &debt, ours);
	if (progress == MORE || progress == BLOCKED)
		return progress;
	if (progress == DONE) {
		sending_owe(m, debt);
		return send_bind_of(m, &bind, ours, there);
	}
	if (!*bind.statement) {
		ensure_unnamed(m);
		sending_owe(m, debt);
		return PASS;
	}
	progress = name_on_server(m, DEBT_BIND, bind.statement, ours, &name);
	if (progress != PASS)
		return progress;
	sending_owe(m, debt);
	if (name == bind.statement)
		return PASS;
	return send_bind_of(m, &bind, name, there);
}

void sending_forget_name(struct client *c, const struct statement_entry *entry, struct debt *debt)
{
	debt->serial = entry->serial;
	debt->gone = statement_hold(entry->statement);
	debt->name = copy_of(entry->name);
	statement_names_remove(&c->names, &c->hub->statements, debt->name);
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
		const char *there = name_by_sql(name);
		sending_owe(m, debt);
		if (there == name)
			return PASS;
		stretch_end(&m->stretch, &m->s->out);
		message_target(&m->s->out, MSG_CLOSE, 'S', there);
		return DONE;
	}
	/* Others may use the text: only this client's name for it goes. */
	debt.local = true;
	sending_forget_name(c, entry, &debt);
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
	if (sending_is_unsure(m, target.name))
		return BLOCKED;
	if (kind == DEBT_CLOSE)
		return send_close(m, target.name);
	char ours[STATEMENT_NAME_MAX];
	const char *name = target.name;
	if (*name) {
		enum sending_progress progress = name_on_server(m, kind, target.name, ours, &name);
		if (progress != PASS)
			return progress;
	} else {
		ensure_unnamed(m);
	}
	sending_owe(m, debt);
	if (name == target.name)
		return PASS;
	stretch_end(&m->stretch, &m->s->out);
	message_target(&m->s->out, (char)m->frame.type, 'S', name);
	return DONE;
}
