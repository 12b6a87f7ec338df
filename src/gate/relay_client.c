/* From the client to its server. */
#include <assert.h>
#include <string.h>
#include <strings.h>

#include "gate/relay.h"
#include "gate/sending.h"
#include "gate/traces.h"
#include "wire/frame.h"
#include "wire/message.h"
#include "wire/sql.h"

/* PostgreSQL cuts a connection for longer messages (PQ_SMALL_MESSAGE_LIMIT, PQ_LARGE_MESSAGE_LIMIT:
 * of the length word), so the gate does: a client must not cost us a server. */
#define SMALL_MESSAGE_MAX 10000
#define LARGE_MESSAGE_MAX UINT32_C(0x3ffffffe)

/* ---- the end of a session ---- */

/* What it asked for before is sent, and answered, first: but a copy that takes its data has no end
 * other than this. */
static bool must_finish(const struct client *c, const struct stretch *stretch)
{
	const struct server *s = c->server;
	if (!s)
		return false;
	const struct debt *first = debts_first(&s->debts);
	return stretch_len(stretch) > 0 || buffer_len(&s->out) > 0 ||
	       (!s->copying_in && (s->debts.readies > 0 || (first && first->local)));
}

enum sending_progress sending_refuse(struct sending *m, const char *sqlstate, const char *message)
{
	if (must_finish(m->c, &m->stretch)) {
		m->c->leaving = true;
		return BLOCKED;
	}
	m->c->hub->counters.client_errors++;
	client_fail(m->c, sqlstate, message, NULL, NULL);
	return FAILED;
}

enum sending_progress sending_violation(struct sending *m, const char *what)
{
	return sending_refuse(m, "08P01", what);
}

static enum sending_progress terminate(struct sending *m)
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

void sending_owe(struct sending *m, struct debt debt)
{
	/* Until Sync the server is in a transaction of the extended protocol's own. */
	bool extended = debt.kind != DEBT_SYNC && debt.kind != DEBT_QUERY;
	if (m->s->debts.count == 0) {
		m->s->since = hub_now(m->s->hub);
		if (m->s->status == 'I' && !m->s->unsynced)
			m->s->begun_at = m->s->since;
	}
	struct pool_stats *stats = &m->s->pool->stats;
	if (debt.kind == DEBT_PARSE) {
		stats->client_parses += !debt.ours;
		stats->server_parses += !debt.local;
	} else if (debt.kind == DEBT_BIND) {
		stats->binds++;
	}
	if (extended && !debt.local)
		m->s->unsynced = true;
	m->s->copy_data = false;
	debts_add(&m->s->debts, debt);
}

/* Notes in `debt` what the client's unnamed statement is, which is none from now on. */
void sending_forget_unnamed(struct client *c, struct debt *debt)
{
	debt->unnamed = true;
	debt->before = c->unnamed;
	debt->big_before = c->big_unnamed;
	c->unnamed = NULL;
	c->big_unnamed = BIG_NONE;
}

static enum sending_progress send_sync(struct sending *m)
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
	sending_owe(m, (struct debt){.kind = DEBT_SYNC, .perhaps = perhaps});
	return PASS;
}

/* The text of a simple query, as far as there is. */
static struct bytes text_of(const struct sending *m)
{
	struct bytes text = {m->in.at + FRAME_HEADER, m->in.len - FRAME_HEADER};
	if (sending_is_whole(m))
		text = frame_body(m->in, &m->frame);
	text.len = strnlen((const char *)text.at, text.len);
	return text;
}

/* What its text may leave behind. False: more of it is needed to tell. */
static bool note_query(struct sending *m, uint32_t *traits)
{
	if (!sending_is_whole(m) && m->frame.len <= TRACES_TEXT_MAX)
		return false;
	struct bytes text = text_of(m);
	*traits = sql_traits(text) | (sending_is_whole(m) ? 0 : SQL_UNSURE);
	traces_note(m->s, text, *traits);
	return true;
}

/* What is about prepared statements may have to be another text on the server. PASS: it is not. */
static enum sending_progress replace_query(struct sending *m, uint32_t traits)
{
	struct server *s = m->s;
	if (!(traits & (SQL_PREPARE | SQL_DEALLOCATE | SQL_EXECUTE)) || !sending_is_whole(m))
		return PASS;
	const char *refusal = sending_refusal(m->c, traits);
	if (!refusal && (traits & SQL_EXECUTE))
		return sending_execute(m, text_of(m));
	if (!refusal)
		return sending_deallocate(m, text_of(m));
	struct debt debt = {.kind = DEBT_QUERY};
	stretch_end(&m->stretch, &s->out);
	message_query(&s->out, refusal);
	sending_forget_unnamed(m->c, &debt);
	s->unnamed = UNNAMED_NONE;
	s->unsynced = false;
	sending_owe(m, debt);
	return DONE;
}

static enum sending_progress send_query(struct sending *m)
{
	struct server *s = m->s;
	struct debt debt = {.kind = DEBT_QUERY};
	uint32_t traits = 0;
	if (client_is_transactional(m->c) && !note_query(m, &traits))
		return MORE;
	enum sending_progress progress = replace_query(m, traits);
	if (progress != PASS)
		return progress;
	sending_forget_unnamed(m->c, &debt);
	s->unnamed = UNNAMED_NONE;
	s->unsynced = false;
	sending_owe(m, debt);
	return PASS;
}

static enum sending_progress send_copy_end(struct sending *m)
{
	struct server *s = m->s;
	if (s->copying_in)
		s->copying_in = false;
	else
		sending_owe(m, (struct debt){.kind = DEBT_COPY_END, .local = true});
	s->copy_data = false;
	return PASS;
}

/* In session mode what the client prepares lives on its own server, under its own names. */
static bool send_as_it_is(struct sending *m)
{
	struct debt debt = {0};
	switch (m->frame.type) {
	case MSG_PARSE:
		debt.kind = DEBT_PARSE;
		break;
	case MSG_BIND:
		debt.kind = DEBT_BIND;
		break;
	case MSG_DESCRIBE:
		debt.kind = DEBT_DESCRIBE;
		break;
	case MSG_CLOSE:
		debt.kind = DEBT_CLOSE;
		break;
	case MSG_FUNCTION_CALL:
		m->s->unsynced = false;
		debt.kind = DEBT_QUERY;
		break;
	default:
		return false;
	}
	sending_owe(m, debt);
	return true;
}

/* A server is attached. */
static enum sending_progress send_message(struct sending *m)
{
	struct server *s = m->s;
	if (s->skipping && m->frame.type != MSG_SYNC)
		return DROP; /* as the server would */
	if ((m->frame.type == MSG_QUERY || m->frame.type == MSG_PARSE) && !sending_note_wanted(m))
		return MORE;
	s->used = true;
	if (m->c->mode == POOL_SESSION && send_as_it_is(m))
		return PASS;
	switch (m->frame.type) {
	case MSG_PARSE:
		return sending_parse(m);
	case MSG_BIND:
		return sending_bind(m);
	case MSG_DESCRIBE:
		return sending_target(m, DEBT_DESCRIBE);
	case MSG_CLOSE:
		return sending_target(m, DEBT_CLOSE);
	case MSG_EXECUTE:
		sending_owe(m, (struct debt){.kind = DEBT_EXECUTE});
		return PASS;
	case MSG_SYNC:
		return send_sync(m);
	case MSG_QUERY:
		return send_query(m);
	case MSG_FUNCTION_CALL:
		if (m->in.len < FRAME_HEADER + 4 && !sending_is_whole(m))
			return MORE;
		traces_note_call(s,
			(struct bytes){m->in.at + FRAME_HEADER,
				(sending_is_whole(m) ? m->frame.len : m->in.len) - FRAME_HEADER});
		s->unsynced = false;
		sending_owe(m, (struct debt){.kind = DEBT_QUERY});
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
static enum sending_progress send_without_server(struct client *c, const struct frame *frame)
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
		hub_tell(c->hub, (struct engine_event){.kind = EVENT_CLIENT_WAITS,
					 .client = c->id,
					 .group = c->pool->group});
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
static enum sending_progress send_whole(struct sending *m, struct bytes *left)
{
	struct client *c = m->c;
	m->s = c->server;
	enum sending_progress progress = send_message(m);
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

/* What is left of a pipeline that was cancelled, as PostgreSQL skips it. */
static bool is_skipped(struct client *c, enum wire_result result, const struct frame *frame)
{
	if (!c->skipping || result == WIRE_BAD || fault_of(c, frame))
		return false;
	c->skipping = frame->type != MSG_SYNC;
	return c->skipping && frame->type != MSG_TERMINATE;
}

/* One message. */
static enum sending_progress send_one(struct client *c, struct bytes *left, struct stretch *stretch)
{
	struct sending m = {.c = c, .in = *left, .stretch = *stretch};
	enum wire_result result = frame_parse(*left, &m.frame);
	if (result == WIRE_PARTIAL)
		return MORE;
	if (is_skipped(c, result, &m.frame)) {
		move_on(c, left, m.frame.len, true);
		return DROP;
	}
	if (client_is_held(c))
		return BLOCKED;
	const char *fault = result == WIRE_BAD ? "invalid message length" : fault_of(c, &m.frame);
	if (fault)
		return sending_violation(&m, fault);
	if (m.frame.type == MSG_TERMINATE)
		return terminate(&m);
	enum sending_progress progress;
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
	c->blocked = c->unsure = c->awaits_shape = c->awaits_all = false;
	while (left.len > 0) {
		if (c->streaming > 0) {
			move_through(c, &left, &stretch);
			continue;
		}
		enum sending_progress progress = send_one(c, &left, &stretch);
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

void relay_cancel_waiting(struct client *c)
{
	struct bytes waiting = buffer_bytes(&c->in);
	struct frame frame;
	assert(!c->hub->stepping); /* or it might be given a server that it asked for before */
	if (c->reading || c->streaming > 0 || (c->server && c->server->status != 'I') ||
		frame_parse(waiting, &frame) != WIRE_OK)
		return; /* it asks for nothing, or is about to get what it asks for */
	if (c->state == CLIENT_QUEUED && !c->server) {
		c->state = CLIENT_IDLE;
		c->since = hub_now(c->hub);
		hub_tell(c->hub, (struct engine_event){.kind = EVENT_CLIENT_LEFT, .client = c->id});
	}
	c->blocked = false;
	message_error(
		&c->out, "ERROR", "57014", "canceling statement due to user request", NULL, NULL);
	if (frame.type == MSG_QUERY || frame.type == MSG_FUNCTION_CALL) {
		message_ready(&c->out, 'I');
		move_on(c, &waiting, frame.len, true);
		buffer_take(&c->in, buffer_len(&c->in) - waiting.len);
	} else {
		c->skipping = true;
	}
	client_send(c, NULL, 0);
	if (c->state != CLIENT_GONE)
		client_work(c);
}
