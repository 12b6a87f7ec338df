#include "gate/relay.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

#include "wire/frame.h"
#include "wire/message.h"

/* A statement's text is kept in memory to be prepared elsewhere: */
#define NAMED_PARSE_MAX   (16u << 20) /* longer named ones are refused */
#define UNNAMED_PARSE_MAX (1u << 20) /* longer unnamed ones are passed on and not remembered */
#define NAME_MAX_BYTES    1024 /* of a portal's or a statement's name */
#define REPORT_MAX        65536 /* of a message of the server that is inspected */

/* ---- what is passed on as it is: the longest stretch is sent from where it lies ---- */

struct stretch {
	const uint8_t *from, *to;
};

static void stretch_add(struct stretch *s, const uint8_t *at, size_t len)
{
	if (s->from == s->to)
		s->from = at;
	else
		assert(s->to == at);
	s->to = at + len;
}

/* Puts it behind what is in `out`, so that something else can follow it. */
static void stretch_end(struct stretch *s, struct buffer *out)
{
	buffer_append(out, s->from, (size_t)(s->to - s->from));
	s->from = s->to = NULL;
}

/* ================ from the client ================ */

/* What became of a message. */
enum progress {
	PASS, /* to be passed on as it is */
	DROP, /* not for the server */
	DONE, /* something else was put in its place */
	MORE, /* its beginning is not enough */
	BLOCKED, /* no server yet, or too much under way */
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

/* The answers that the gate owes and whose turn has come. */
static void settle_local(struct server *s, struct buffer *to)
{
	struct debt *first;
	while ((first = debts_first(&s->debts)) && first->local) {
		message_empty(
			to, first->kind == DEBT_PARSE ? MSG_PARSE_COMPLETE : MSG_CLOSE_COMPLETE);
		debts_drop_first(&s->debts);
	}
}

static enum progress protocol_violation(struct client *c, const char *what)
{
	c->hub->counters.client_errors++;
	client_fail(c, "08P01", what, NULL, NULL);
	return FAILED;
}

/* Prepares `statement` on the server as `name`, ahead of what the client asked for. */
static void prepare_first(struct sending *m, struct statement *statement, const char *name)
{
	struct server *s = m->s;
	stretch_end(&m->stretch, &s->out);
	message_parse(&s->out, name, statement_query(statement), statement_types(statement));
	debts_add(&s->debts, (struct debt){.kind = DEBT_PARSE,
				     .ours = true,
				     .unnamed = !*name,
				     .statement = *name ? statement : NULL});
	if (*name) {
		statement_set_on(statement, s->id, true);
		s->prepared++;
	} else {
		s->unnamed = statement;
	}
}

/* Sees to it that the server's unnamed statement is this client's, or none. */
static void ensure_unnamed(struct sending *m)
{
	struct server *s = m->s;
	struct client *c = m->c;
	if (s->unnamed == c->unnamed)
		return;
	if (c->unnamed) {
		prepare_first(m, c->unnamed, "");
		return;
	}
	if (c->big_unnamed)
		return; /* parsed on this very server since it was given */
	/* Another client's must not answer for it. */
	stretch_end(&m->stretch, &s->out);
	message_target(&s->out, MSG_CLOSE, 'S', "");
	debts_add(&s->debts, (struct debt){.kind = DEBT_CLOSE, .ours = true});
	s->unnamed = NULL;
}

static void forget_unnamed(struct client *c)
{
	if (c->unnamed)
		statements_drop(&c->hub->statements, c->unnamed);
	c->unnamed = NULL;
	c->big_unnamed = false;
}

static enum progress send_unnamed_parse(struct sending *m, const struct message_parse *parse)
{
	forget_unnamed(m->c);
	m->c->unnamed = statements_intern(&m->c->hub->statements, parse->query, parse->types);
	m->s->unnamed = m->c->unnamed;
	debts_add(&m->s->debts, (struct debt){.kind = DEBT_PARSE, .unnamed = true});
	return PASS;
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
		struct statement *statement = statements_intern(
			&c->hub->statements, parse->query, parse->types);
		debt.serial = statement_names_add(&c->names, parse->name, statement);
		statement_name(statement, name);
		if (statement_is_on(statement, s->id)) {
			debt.local = true;
			debts_add(&s->debts, debt);
			stretch_end(&m->stretch, &s->out);
			return DONE;
		}
		statement_set_on(statement, s->id, true);
		s->prepared++;
		debt.statement = statement;
	}
	stretch_end(&m->stretch, &s->out);
	message_parse(&s->out, name, parse->query, parse->types);
	debts_add(&s->debts, debt);
	return DONE;
}

static enum progress send_parse(struct sending *m)
{
	if (m->in.len < FRAME_HEADER + 1)
		return MORE;
	bool named = m->in.at[FRAME_HEADER] != 0;
	if (named && m->frame.len > NAMED_PARSE_MAX) {
		client_fail(m->c, "54000", "a prepared statement's text is too long", NULL,
			"Statements over 16 MiB can only be prepared without a name.");
		return FAILED;
	}
	if (!named && m->frame.len > UNNAMED_PARSE_MAX) {
		static const struct statement big;
		forget_unnamed(m->c);
		m->c->big_unnamed = true;
		m->s->unnamed = &big;
		debts_add(&m->s->debts, (struct debt){.kind = DEBT_PARSE, .unnamed = true});
		return PASS;
	}
	if (!is_whole(m))
		return MORE;
	struct message_parse parse;
	if (message_parse_parse(frame_body(m->in, &m->frame), &parse) != 0)
		return protocol_violation(m->c, "malformed Parse message");
	if (strncmp(parse.name, STATEMENT_PREFIX, strlen(STATEMENT_PREFIX)) == 0)
		return protocol_violation(
			m->c, "a prepared statement's name must not begin with " STATEMENT_PREFIX);
	return named ? send_named_parse(m, &parse) : send_unnamed_parse(m, &parse);
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
			return protocol_violation(m->c, "malformed Bind message");
		return MORE;
	}
	struct debt debt = {.kind = DEBT_BIND};
	if (!*bind.statement) {
		ensure_unnamed(m);
		debts_add(&m->s->debts, debt);
		return PASS;
	}
	char ours[STATEMENT_NAME_MAX];
	const char *name = name_on_server(m, bind.statement, ours);
	debts_add(&m->s->debts, debt);
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

static enum progress send_target(struct sending *m, enum debt_kind kind)
{
	struct message_target target;
	if (m->frame.len > FRAME_HEADER + 2 + NAME_MAX_BYTES)
		return protocol_violation(m->c, "malformed Describe or Close message");
	if (!is_whole(m))
		return MORE;
	if (message_parse_target(frame_body(m->in, &m->frame), &target) != 0)
		return protocol_violation(m->c, "malformed Describe or Close message");
	struct debt debt = {.kind = (uint8_t)kind};
	if (target.kind == 'P') {
		debts_add(&m->s->debts, debt);
		return PASS;
	}
	if (kind == DEBT_CLOSE) {
		if (!*target.name) {
			forget_unnamed(m->c);
			m->s->unnamed = NULL;
			debts_add(&m->s->debts, debt);
			return PASS;
		}
		if (statement_names_find(&m->c->names, target.name)) {
			/* Others may use the text: only this client's name for it goes. */
			statement_names_remove(&m->c->names, &m->c->hub->statements, target.name);
			debt.local = true;
			debts_add(&m->s->debts, debt);
			stretch_end(&m->stretch, &m->s->out);
			return DONE;
		}
	}
	char ours[STATEMENT_NAME_MAX];
	const char *name = target.name;
	if (*name)
		name = name_on_server(m, target.name, ours);
	else
		ensure_unnamed(m);
	debts_add(&m->s->debts, debt);
	if (name == target.name)
		return PASS;
	stretch_end(&m->stretch, &m->s->out);
	message_target(&m->s->out, (char)m->frame.type, 'S', name);
	return DONE;
}

/* A server is attached. */
static enum progress send_message(struct sending *m)
{
	struct server *s = m->s;
	if (s->skipping && m->frame.type != MSG_SYNC)
		return DROP; /* as the server would */
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
		debts_add(&s->debts, (struct debt){.kind = DEBT_EXECUTE});
		return PASS;
	case MSG_SYNC:
		/* While copying in, the server ignores it. */
		if (!s->copying_in)
			debts_add(&s->debts, (struct debt){.kind = DEBT_SYNC});
		s->skipping = false;
		return PASS;
	case MSG_QUERY:
		forget_unnamed(m->c);
		s->unnamed = NULL;
		m->c->hub->counters.queries++;
		debts_add(&s->debts, (struct debt){.kind = DEBT_QUERY});
		return PASS;
	case MSG_FUNCTION_CALL:
		debts_add(&s->debts, (struct debt){.kind = DEBT_QUERY});
		return PASS;
	case MSG_COPY_DONE:
	case MSG_COPY_FAIL:
		s->copying_in = false;
		return PASS;
	case MSG_COPY_DATA:
	case MSG_FLUSH:
		return PASS;
	default:
		return protocol_violation(m->c, "unexpected message type");
	}
}

/* No server is attached: what can be answered without, and asks for one else. */
static enum progress send_without_server(struct client *c, const struct frame *frame)
{
	struct buffer ready = BUFFER_INIT;
	switch (frame->type) {
	case MSG_SYNC:
		message_ready(&ready, 'I');
		client_send(c, ready.memory + ready.start, buffer_len(&ready));
		buffer_release(&ready);
		return c->state == CLIENT_CLOSING || c->state == CLIENT_GONE ? FAILED : DROP;
	case MSG_FLUSH:
	case MSG_COPY_DATA: /* what is left of a copy that the server has ended */
	case MSG_COPY_DONE:
	case MSG_COPY_FAIL:
		return DROP;
	case MSG_PARSE:
	case MSG_BIND:
	case MSG_DESCRIBE:
	case MSG_CLOSE:
	case MSG_EXECUTE:
	case MSG_QUERY:
	case MSG_FUNCTION_CALL:
		if (c->state == CLIENT_IDLE) {
			c->state = CLIENT_QUEUED;
			hub_tell(c->hub,
				(struct engine_event){.kind = EVENT_CLIENT_WAITS, .client = c->id});
		}
		if (c->state == CLIENT_CLOSING || c->state == CLIENT_GONE)
			return FAILED;
		return c->state == CLIENT_ACTIVE ? DONE : BLOCKED;
	default:
		return protocol_violation(c, "unexpected message type");
	}
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

/* One message. */
static enum progress send_one(struct client *c, struct bytes *left, struct stretch *stretch)
{
	struct sending m = {.c = c, .in = *left, .stretch = *stretch};
	enum wire_result result = frame_parse(*left, &m.frame);
	if (result == WIRE_PARTIAL)
		return MORE;
	if (result == WIRE_BAD)
		return protocol_violation(c, "invalid message length");
	if (m.frame.type == MSG_TERMINATE) {
		client_drop(c);
		return FAILED;
	}
	enum progress progress;
	if (!c->server) {
		progress = send_without_server(c, &m.frame);
		if (progress == DONE)
			return DONE; /* the same message again, now with a server */
		if (progress == DROP)
			move_on(c, left, m.frame.len, true);
		return progress;
	}
	m.s = c->server;
	if (m.s->errand == ERRAND_PING)
		return BLOCKED; /* until it is known to be alive */
	if (m.s->errand == ERRAND_PING || m.s->debts.count >= DEBTS_MAX ||
		buffer_len(&m.s->out) > HUB_HIGH_WATER)
		return BLOCKED;
	uint32_t streaming = c->streaming;
	progress = send_message(&m);
	*stretch = m.stretch;
	if (progress == PASS) {
		size_t there = left->len < m.frame.len ? left->len : m.frame.len;
		stretch_add(stretch, left->at, there);
		move_on(c, left, m.frame.len, false);
	} else if (progress == DONE && c->streaming != streaming) {
		uint32_t rest = c->streaming; /* Bind's, which goes on */
		move_on(c, left, m.frame.len - rest, false);
		c->streaming = rest;
	} else if (progress == DROP || progress == DONE) {
		if (progress == DROP)
			stretch_end(stretch, &m.s->out);
		move_on(c, left, m.frame.len, progress == DROP);
	}
	return progress;
}

size_t relay_from_client(struct client *c, struct bytes in)
{
	struct bytes left = in;
	struct stretch stretch = {0};
	while (left.len > 0) {
		if (c->streaming > 0) {
			move_through(c, &left, &stretch);
			continue;
		}
		enum progress progress = send_one(c, &left, &stretch);
		if (progress == FAILED)
			return in.len;
		if (progress == MORE || progress == BLOCKED)
			break;
	}
	struct server *s = c->server;
	if (s) {
		size_t len = (size_t)(stretch.to - stretch.from);
		if (len > 0 || buffer_len(&s->out) > 0) {
			s->used = true;
			if (!server_send(s, stretch.from, len))
				return in.len;
		}
		if (debts_first(&s->debts) && debts_first(&s->debts)->local) {
			settle_local(s, &c->out);
			client_send(c, NULL, 0);
		}
	}
	/* The answer may have come before the end of the question: an error in a copy. */
	if (c->server)
		server_release_if_idle(c->server);
	return in.len - left.len;
}

/* ================ from the server ================ */

struct receiving {
	struct server *s;
	struct stretch stretch;
};

/* An error has ended what was asked for since the last Sync: nothing of it is answered. */
static void fail_debts(struct server *s)
{
	struct debt *first;
	while ((first = debts_first(&s->debts))) {
		if (first->kind == DEBT_SYNC || first->kind == DEBT_QUERY)
			return;
		if (first->kind == DEBT_PARSE) {
			if (first->statement) {
				statement_set_on(first->statement, s->id, false);
				s->prepared--;
			}
			if (first->unnamed)
				s->unnamed = NULL;
			if (first->serial && s->client)
				statement_names_undo(
					&s->client->names, &s->hub->statements, first->serial);
		}
		debts_drop_first(&s->debts);
	}
	s->skipping = true;
}

/* CopyInResponse: the Syncs that were sent behind the Execute are ignored by the server. */
static void begin_copy_in(struct server *s)
{
	s->copying_in = true;
	struct debt *first = debts_first(&s->debts);
	if (!first || first->kind != DEBT_EXECUTE)
		return;
	struct debt execute = *first;
	debts_drop_first(&s->debts);
	while ((first = debts_first(&s->debts)) && first->kind == DEBT_SYNC)
		debts_drop_first(&s->debts);
	debts_add_first(&s->debts, execute);
}

/* The kind of debt that a message pays, or -1. */
static int paid_by(uint8_t type)
{
	switch (type) {
	case MSG_PARSE_COMPLETE:
		return DEBT_PARSE;
	case MSG_BIND_COMPLETE:
		return DEBT_BIND;
	case MSG_CLOSE_COMPLETE:
		return DEBT_CLOSE;
	case MSG_ROW_DESCRIPTION:
	case MSG_NO_DATA:
		return DEBT_DESCRIBE;
	case MSG_COMMAND_COMPLETE:
	case MSG_EMPTY_QUERY:
	case MSG_PORTAL_SUSPENDED:
		return DEBT_EXECUTE;
	default:
		return -1;
	}
}

/* Is what comes now the gate's own business? */
static bool is_ours(struct server *s)
{
	struct debt *first = debts_first(&s->debts);
	return first && first->ours;
}

/* A command of the client's own has changed more than its answer says. */
static void note_tag(struct server *s, const char *tag)
{
	struct client *c = s->client;
	bool all = strcmp(tag, "DISCARD ALL") == 0, reset = all || strcmp(tag, "RESET") == 0;
	if (!c || is_ours(s))
		return;
	if (all || strcmp(tag, "DEALLOCATE ALL") == 0) {
		statements_forget_server(&s->hub->statements, s->id);
		s->prepared = 0;
		s->unnamed = NULL;
		statement_names_clear(&c->names, &s->hub->statements);
	}
	if (!reset && strcmp(tag, "SET") != 0)
		return;
	/* The server goes back to what our own login has; what the client means is what its own
	 * startup packet had: it is set up anew before its next transaction. */
	s->resetting = s->resetting || (reset && c->origin);
	s->dirty = true;
	s->dirty_by = s->resetting ? 0 : c->serial;
}

/* What a client is told in place of the value that its RESET went back to; NULL: the very value. */
static const char *value_meant(
	const struct server *s, const struct frame *frame, struct bytes body, const char **name)
{
	const char *value;
	if (frame->type != MSG_PARAMETER_STATUS || !s->resetting || !s->client)
		return NULL;
	if (message_parse_parameter(body, name, &value) != 0)
		return NULL;
	return profile_value(s->client->origin, *name);
}

/* ReadyForQuery: what was asked for up to a Sync or a Query is over. False: not a debt. */
static bool pay_ready(struct server *s, char status)
{
	struct debt *first = debts_first(&s->debts);
	if (!first || (first->kind != DEBT_SYNC && first->kind != DEBT_QUERY))
		return false;
	debts_drop_first(&s->debts);
	s->status = status;
	s->copying_in = s->resetting = false;
	return true;
}

/* A message that is all there and that says something. False: the server is lost. */
static bool inspect(struct server *s, const struct frame *frame, struct bytes body)
{
	const char *name, *value;
	switch (frame->type) {
	case MSG_READY: {
		bool ours = is_ours(s);
		if (body.len != 1 || !pay_ready(s, (char)body.at[0]))
			return false;
		return ours ? server_errand_done(s) : true;
	}
	case MSG_PARAMETER_STATUS:
		if (message_parse_parameter(body, &name, &value) != 0)
			return false;
		server_parameter(s, name, value);
		return true;
	case MSG_COMMAND_COMPLETE:
		if (body.len > 0 && body.at[body.len - 1] == 0)
			note_tag(s, (const char *)body.at);
		return true;
	case MSG_ERROR:
		server_complaint(s, body);
		return true;
	default:
		return true;
	}
}

/* Must the whole of it be there? Little of it, so that big rows stream. */
static bool is_inspected(const struct server *s, const struct frame *frame)
{
	switch (frame->type) {
	case MSG_READY:
	case MSG_PARAMETER_STATUS:
		return true;
	case MSG_ERROR:
		return frame->len <= REPORT_MAX;
	case MSG_COMMAND_COMPLETE: {
		/* "SET", "RESET", "DISCARD ALL", "DEALLOCATE ALL" by their lengths. */
		uint32_t tag = frame->len - FRAME_HEADER;
		return tag == 4 || tag == 6 || tag == 12 || tag == 15 ||
		       (s->client && s->client->inquiry);
	}
	default:
		return s->client && s->client->inquiry && frame->len <= REPORT_MAX;
	}
}

/* Whom it is for. */
static bool is_for_client(const struct server *s, bool ours)
{
	const struct client *c = s->client;
	return c && !ours && !c->inquiry && c->state == CLIENT_ACTIVE;
}

static void settle(struct receiving *r, const struct frame *frame)
{
	struct server *s = r->s;
	int kind = paid_by(frame->type);
	struct debt *first = debts_first(&s->debts);
	if (frame->type == MSG_ERROR)
		fail_debts(s);
	else if (frame->type == MSG_COPY_IN)
		begin_copy_in(s);
	else if (kind >= 0 && first && first->kind == kind)
		debts_drop_first(&s->debts);
	first = debts_first(&s->debts);
	if (first && first->local && is_for_client(s, false)) {
		stretch_end(&r->stretch, &s->client->out);
		settle_local(s, &s->client->out);
	}
}

/* One message. */
static enum progress receive_one(struct receiving *r, struct bytes *left)
{
	struct server *s = r->s;
	struct frame frame;
	enum wire_result result = frame_parse(*left, &frame);
	if (result == WIRE_PARTIAL)
		return MORE;
	if (result == WIRE_BAD)
		return FAILED;
	bool whole = left->len >= frame.len;
	bool inspected = is_inspected(s, &frame);
	if (inspected && frame.len > REPORT_MAX)
		return FAILED;
	if (inspected && !whole)
		return MORE;
	/* Whether it is ours is told by the debt that it pays, before that is dropped. */
	bool ours = is_ours(s);
	bool for_client = is_for_client(s, ours && frame.type != MSG_PARAMETER_STATUS) &&
			  !(ours && s->errand == ERRAND_SETUP);
	size_t there = whole ? frame.len : left->len;
	if (inspected && !inspect(s, &frame, frame_body(*left, &frame)))
		return FAILED;
	if (s->client && s->client->inquiry && !ours && whole)
		client_inquiry_take(s->client, &frame, frame_body(*left, &frame));
	/* An error ends what the client asked for, even if ours was the first to fail. */
	if (frame.type == MSG_ERROR && ours && s->errand == ERRAND_NONE)
		for_client = is_for_client(s, false);
	const char *name, *meant = value_meant(s, &frame, frame_body(*left, &frame), &name);
	if (for_client && meant) {
		stretch_end(&r->stretch, &s->client->out);
		message_parameter(&s->client->out, name, meant);
	} else if (for_client)
		stretch_add(&r->stretch, left->at, there);
	else if (s->client)
		stretch_end(&r->stretch, &s->client->out);
	settle(r, &frame);
	s->streaming = (uint32_t)(frame.len - there);
	s->streaming_ours = !for_client;
	left->at += there;
	left->len -= there;
	return DONE;
}

size_t relay_from_server(struct server *s, struct bytes in)
{
	struct bytes left = in;
	struct receiving r = {.s = s};
	while (left.len > 0) {
		if (s->streaming > 0) {
			size_t used = left.len < s->streaming ? left.len : s->streaming;
			if (!s->streaming_ours)
				stretch_add(&r.stretch, left.at, used);
			s->streaming -= (uint32_t)used;
			left.at += used;
			left.len -= used;
			continue;
		}
		enum progress progress = receive_one(&r, &left);
		if (progress == MORE)
			break;
		if (progress == FAILED && s->link)
			server_lost(s, OUTCOME_PROTOCOL, "the server broke the protocol");
		if (!s->link)
			return SIZE_MAX;
	}
	size_t len = (size_t)(r.stretch.to - r.stretch.from);
	if (s->client && (len > 0 || buffer_len(&s->client->out) > 0))
		client_send(s->client, r.stretch.from, len);
	return in.len - left.len;
}
