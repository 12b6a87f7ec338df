/* From the client to its server. */
#include <assert.h>
#include <string.h>
#include <strings.h>

#include "gate/relay.h"
#include "gate/stretch.h"
#include "wire/frame.h"
#include "wire/message.h"

/* A statement's text is kept in memory to be prepared elsewhere: */
#define NAMED_PARSE_MAX   (16u << 20) /* longer named ones are refused */
#define UNNAMED_PARSE_MAX (1u << 20) /* longer unnamed ones are passed on and not remembered */
#define NAME_MAX_BYTES    ((size_t)1024) /* of a portal's or a statement's name */

/* PostgreSQL cuts a connection for longer messages (PQ_SMALL_MESSAGE_LIMIT, PQ_LARGE_MESSAGE_LIMIT:
 * of the length word), so the gate does: a client must not cost us a server. */
#define SMALL_MESSAGE_MAX 10000
#define LARGE_MESSAGE_MAX UINT32_C(0x3ffffffe)

/* What became of a message. */
enum progress {
	PASS, /* to be passed on as it is */
	DROP, /* not for the server */
	DONE, /* something else was put in its place */
	MORE, /* its beginning is not enough */
	BLOCKED, /* no server yet, too much under way, or earlier answers are owed first */
	FAILED, /* the client is being told, and closed */
};

struct sending {
	struct client *c;
	struct server *s;
	struct frame frame;
	struct bytes in; /* from the frame's first byte on, as far as there is */
	struct stretch stretch;
};

static bool is_whole(const struct sending *m)
{
	return m->in.len >= m->frame.len;
}

/* ---- the end of a session ---- */

/* What it asked for before is sent, and answered, first. */
static bool must_finish(const struct client *c, const struct stretch *stretch)
{
	const struct server *s = c->server;
	if (!s)
		return false;
	const struct debt *first = debts_first(&s->debts);
	return s->debts.readies > 0 || (first && first->local) || stretch_len(stretch) > 0 ||
	       buffer_len(&s->out) > 0;
}

static enum progress refuse(struct sending *m, const char *sqlstate, const char *message)
{
	if (must_finish(m->c, &m->stretch)) {
		m->c->leaving = true;
		return BLOCKED;
	}
	m->c->hub->counters.client_errors++;
	client_fail(m->c, sqlstate, message, NULL, NULL);
	return FAILED;
}

static enum progress protocol_violation(struct sending *m, const char *what)
{
	return refuse(m, "08P01", what);
}

static enum progress terminate(struct sending *m)
{
	if (must_finish(m->c, &m->stretch)) {
		m->c->leaving = true;
		return BLOCKED;
	}
	if (m->c->server)
		server_release_if_idle(m->c->server);
	client_finish(m->c);
	return FAILED;
}

/* Why PostgreSQL would cut the connection for such a message, or NULL. */
static const char *fault_of(const struct client *c, const struct frame *frame)
{
	static const char *const wrong_length = "invalid message length";
	uint32_t len = frame->len - 1;
	switch (frame->type) {
	case MSG_QUERY:
	case MSG_FUNCTION_CALL:
	case MSG_PARSE:
	case MSG_BIND:
		if (len > LARGE_MESSAGE_MAX)
			return wrong_length;
		break;
	case MSG_DESCRIBE:
	case MSG_EXECUTE:
	case MSG_CLOSE:
		if (len > SMALL_MESSAGE_MAX)
			return wrong_length;
		break;
	case MSG_COPY_DATA:
		return len > LARGE_MESSAGE_MAX ? wrong_length : NULL;
	case MSG_FLUSH:
	case MSG_SYNC:
	case MSG_COPY_DONE:
	case MSG_COPY_FAIL:
	case MSG_TERMINATE:
		return len > SMALL_MESSAGE_MAX ? wrong_length : NULL;
	default:
		return "unexpected message type";
	}
	if (c->server && c->server->copying_in)
		return "unexpected message type during COPY from stdin";
	return NULL;
}

/* ---- what is owed for a message ---- */

static void owe(struct sending *m, struct debt debt)
{
	/* Until Sync the server is in a transaction of the extended protocol's own. */
	bool extended = debt.kind != DEBT_SYNC && debt.kind != DEBT_QUERY;
	if (extended && !debt.local)
		m->s->unsynced = true;
	m->s->copy_data = false;
	debts_add(&m->s->debts, debt);
}

/* Notes in `debt` what the client's unnamed statement is, which is none from now on. */
static void forget_unnamed(struct client *c, struct debt *debt)
{
	debt->unnamed = true;
	debt->before = c->unnamed;
	debt->big_before = c->big_unnamed;
	c->unnamed = NULL;
	c->big_unnamed = false;
}

/* ---- prepared statements ---- */

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
	owe(m, debt);
}

static void close_first(struct sending *m, const char *name)
{
	stretch_end(&m->stretch, &m->s->out);
	message_target(&m->s->out, MSG_CLOSE, 'S', name);
	owe(m, (struct debt){.kind = DEBT_CLOSE, .ours = true, .unnamed = !*name});
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

static enum progress send_unnamed_parse(struct sending *m, const struct message_parse *parse)
{
	struct client *c = m->c;
	struct debt debt = {.kind = DEBT_PARSE};
	forget_unnamed(c, &debt);
	c->unnamed = statements_intern(&c->hub->statements, parse->query, parse->types);
	m->s->unnamed = c->unnamed->id;
	owe(m, debt);
	return PASS;
}

static enum progress send_big_parse(struct sending *m)
{
	struct debt debt = {.kind = DEBT_PARSE};
	forget_unnamed(m->c, &debt);
	m->c->big_unnamed = true;
	m->s->unnamed = UNNAMED_UNKNOWN;
	owe(m, debt);
	return PASS;
}

static char *copy_of(const char *text)
{
	char *copy = strdup(text);
	if (!copy)
		abort();
	return copy;
}

static enum progress send_named_parse(struct sending *m, const struct message_parse *parse)
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
			return refuse(m, "54000", "too many prepared statements");
		struct statement *statement = statements_intern(
			&c->hub->statements, parse->query, parse->types);
		debt.serial = statement_names_add(&c->names, parse->name, statement);
		debt.name = copy_of(parse->name);
		statement_name(statement, name);
		if (statement_is_on(statement, s->id)) {
			if (is_sure_of_state(s)) {
				debt.local = true;
				stretch_end(&m->stretch, &s->out);
				owe(m, debt);
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
	owe(m, debt);
	return DONE;
}

static enum progress send_parse(struct sending *m)
{
	if (m->in.len < FRAME_HEADER + 1)
		return MORE;
	bool named = m->in.at[FRAME_HEADER] != 0;
	if (named && m->frame.len > NAMED_PARSE_MAX)
		return refuse(m, "54000",
			"a prepared statement's text is too long: over 16 MiB it can only be "
			"prepared without a name");
	if (!named && m->frame.len > UNNAMED_PARSE_MAX)
		return send_big_parse(m);
	if (!is_whole(m))
		return MORE;
	struct message_parse parse;
	if (message_parse_parse(frame_body(m->in, &m->frame), &parse) != 0)
		return protocol_violation(m, "malformed Parse message");
	if (strncmp(parse.name, STATEMENT_PREFIX, strlen(STATEMENT_PREFIX)) == 0)
		return protocol_violation(
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

static enum progress send_bind(struct sending *m)
{
	struct message_bind bind;
	size_t there = m->in.len < m->frame.len ? m->in.len : m->frame.len;
	struct bytes body = {m->in.at + FRAME_HEADER, there - FRAME_HEADER};
	if (message_parse_bind(body, &bind) != 0) {
		if (is_whole(m) || body.len > 2 * NAME_MAX_BYTES)
			return protocol_violation(m, "malformed Bind message");
		return MORE;
	}
	struct debt debt = {.kind = DEBT_BIND};
	if (is_unsure(m, bind.statement))
		return BLOCKED;
	if (!*bind.statement) {
		ensure_unnamed(m);
		owe(m, debt);
		return PASS;
	}
	char ours[STATEMENT_NAME_MAX];
	const char *name = name_on_server(m, bind.statement, ours);
	owe(m, debt);
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
static enum progress send_close(struct sending *m, const char *name)
{
	struct client *c = m->c;
	struct debt debt = {.kind = DEBT_CLOSE};
	if (!*name) {
		forget_unnamed(c, &debt);
		m->s->unnamed = UNNAMED_NONE;
		owe(m, debt);
		return PASS;
	}
	const struct statement_entry *entry = statement_names_entry(&c->names, name);
	if (!entry) {
		char ours[STATEMENT_NAME_MAX];
		const char *there = name_on_server(m, name, ours);
		owe(m, debt);
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
	owe(m, debt);
	return DONE;
}

static enum progress send_target(struct sending *m, enum debt_kind kind)
{
	struct message_target target;
	if (m->frame.len > FRAME_HEADER + 2 + NAME_MAX_BYTES)
		return protocol_violation(m, "malformed Describe or Close message");
	if (!is_whole(m))
		return MORE;
	if (message_parse_target(frame_body(m->in, &m->frame), &target) != 0)
		return protocol_violation(m, "malformed Describe or Close message");
	struct debt debt = {.kind = (uint8_t)kind};
	if (target.kind == 'P') {
		owe(m, debt);
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
	owe(m, debt);
	if (name == target.name)
		return PASS;
	stretch_end(&m->stretch, &m->s->out);
	message_target(&m->s->out, (char)m->frame.type, 'S', name);
	return DONE;
}

static enum progress send_sync(struct sending *m)
{
	struct server *s = m->s;
	s->skipping = false;
	/* While it takes a copy's data the server ignores Sync; whether it still does after some
	 * data nobody can tell: that may have been refused. */
	bool perhaps = s->copy_data;
	if (s->copying_in && !perhaps)
		return DROP;
	if (!perhaps)
		s->unsynced = false;
	owe(m, (struct debt){.kind = DEBT_SYNC, .perhaps = perhaps});
	return PASS;
}

static enum progress send_query(struct sending *m)
{
	struct server *s = m->s;
	struct debt debt = {.kind = DEBT_QUERY};
	forget_unnamed(m->c, &debt);
	s->unnamed = UNNAMED_NONE;
	s->unsynced = false;
	m->c->hub->counters.queries++;
	owe(m, debt);
	return PASS;
}

static enum progress send_copy_end(struct sending *m)
{
	struct server *s = m->s;
	if (s->copying_in)
		s->copying_in = false;
	else
		owe(m, (struct debt){.kind = DEBT_COPY_END, .local = true});
	s->copy_data = false;
	return PASS;
}

/* A server is attached. */
static enum progress send_message(struct sending *m)
{
	struct server *s = m->s;
	if (s->skipping && m->frame.type != MSG_SYNC)
		return DROP; /* as the server would */
	s->used = true;
	switch (m->frame.type) {
	case MSG_PARSE:
		return send_parse(m);
	case MSG_BIND:
		return send_bind(m);
	case MSG_DESCRIBE:
		return send_target(m, DEBT_DESCRIBE);
	case MSG_CLOSE:
		return send_target(m, DEBT_CLOSE);
	case MSG_EXECUTE:
		owe(m, (struct debt){.kind = DEBT_EXECUTE});
		return PASS;
	case MSG_SYNC:
		return send_sync(m);
	case MSG_QUERY:
		return send_query(m);
	case MSG_FUNCTION_CALL:
		s->unsynced = false;
		owe(m, (struct debt){.kind = DEBT_QUERY});
		return PASS;
	case MSG_COPY_DATA:
		s->copy_data = true;
		return PASS;
	case MSG_COPY_DONE:
	case MSG_COPY_FAIL:
		return send_copy_end(m);
	case MSG_FLUSH:
		/* A malformed one is an error, until Sync. */
		s->unsynced = s->unsynced || m->frame.len > FRAME_HEADER;
		return PASS;
	default:
		abort(); /* fault_of has seen to it */
	}
}

/* No server is attached: what can be answered without, and asks for one else. */
static enum progress send_without_server(struct client *c, const struct frame *frame)
{
	struct buffer ready = BUFFER_INIT;
	bool malformed = frame->len > FRAME_HEADER; /* those that have no body */
	switch (frame->type) {
	case MSG_SYNC:
		if (malformed)
			break;
		message_ready(&ready, 'I');
		client_send(c, ready.memory + ready.start, buffer_len(&ready));
		buffer_release(&ready);
		return c->state == CLIENT_CLOSING || c->state == CLIENT_GONE ? FAILED : DROP;
	case MSG_FLUSH:
		if (malformed)
			break;
		return DROP;
	case MSG_COPY_DATA: /* what is left of a copy that the server has ended */
	case MSG_COPY_DONE:
	case MSG_COPY_FAIL:
		return DROP;
	default:
		break;
	}
	if (c->state == CLIENT_IDLE) {
		c->state = CLIENT_QUEUED;
		hub_tell(
			c->hub, (struct engine_event){.kind = EVENT_CLIENT_WAITS, .client = c->id});
	}
	if (c->state == CLIENT_CLOSING || c->state == CLIENT_GONE)
		return FAILED;
	return c->server ? DONE : BLOCKED;
}

/* Moves over `len` bytes of the frame that have been dealt with, and notes how many are to come. */
static void move_on(struct client *c, struct bytes *left, uint32_t frame_len, bool is_void)
{
	size_t used = left->len < frame_len ? left->len : frame_len;
	c->streaming = (uint32_t)(frame_len - used);
	c->streaming_void = is_void;
	left->at += used;
	left->len -= used;
}

static void move_through(struct client *c, struct bytes *left, struct stretch *stretch)
{
	size_t used = left->len < c->streaming ? left->len : c->streaming;
	if (!c->streaming_void)
		stretch_add(stretch, left->at, used);
	c->streaming -= (uint32_t)used;
	left->at += used;
	left->len -= used;
}

/* One message that may be passed on now. */
static enum progress send_whole(struct sending *m, struct bytes *left)
{
	struct client *c = m->c;
	m->s = c->server;
	enum progress progress = send_message(m);
	size_t there = left->len < m->frame.len ? left->len : m->frame.len;
	switch (progress) {
	case PASS:
		stretch_add(&m->stretch, left->at, there);
		move_on(c, left, m->frame.len, false);
		break;
	case DROP:
		stretch_end(&m->stretch, &m->s->out);
		move_on(c, left, m->frame.len, true);
		break;
	case DONE: {
		uint32_t rest = c->streaming; /* Bind's, which goes on; else none */
		move_on(c, left, m->frame.len - rest, false);
		c->streaming = rest;
		break;
	}
	case MORE:
	case BLOCKED:
	case FAILED:
		break;
	}
	return progress;
}

/* One message. */
static enum progress send_one(struct client *c, struct bytes *left, struct stretch *stretch)
{
	struct sending m = {.c = c, .in = *left, .stretch = *stretch};
	enum wire_result result = frame_parse(*left, &m.frame);
	if (result == WIRE_PARTIAL)
		return MORE;
	if (client_is_held(c))
		return BLOCKED;
	const char *fault = result == WIRE_BAD ? "invalid message length" : fault_of(c, &m.frame);
	if (fault)
		return protocol_violation(&m, fault);
	if (m.frame.type == MSG_TERMINATE)
		return terminate(&m);
	enum progress progress;
	if (c->server) {
		progress = send_whole(&m, left);
		*stretch = m.stretch;
		return progress;
	}
	progress = send_without_server(c, &m.frame);
	if (progress == DROP)
		move_on(c, left, m.frame.len, true);
	return progress; /* DONE: the same message again, now with a server */
}

/* Sends what is to be passed on, and what the gate answers itself. */
static void finish(struct client *c, const struct stretch *stretch)
{
	struct server *s = c->server;
	if (stretch_len(stretch) > 0 || buffer_len(&s->out) > 0) {
		if (!server_send(s, stretch->from, stretch_len(stretch)))
			return;
	}
	if (relay_settle(s, &c->out))
		client_send(c, NULL, 0);
	/* Nothing of it may have needed the server. */
	if (c->server)
		server_release_if_idle(c->server);
}

size_t relay_from_client(struct client *c, struct bytes in)
{
	struct bytes left = in;
	struct stretch stretch = {0};
	c->blocked = c->unsure = false;
	while (left.len > 0) {
		if (c->streaming > 0) {
			move_through(c, &left, &stretch);
			continue;
		}
		enum progress progress = send_one(c, &left, &stretch);
		if (progress == FAILED)
			return in.len;
		c->blocked = progress == BLOCKED;
		if (progress == MORE || progress == BLOCKED)
			break;
	}
	if (c->server)
		finish(c, &stretch);
	return in.len - left.len;
}
