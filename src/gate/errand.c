/* What the gate itself does on a server: before its client may use it, and after its client
 * died. */
#include <assert.h>
#include <string.h>

#include "gate/client.h"
#include "gate/server.h"
#include "gate/traces.h"
#include "wire/message.h"

static void append_sql(struct buffer *out, const char *sql)
{
	buffer_append(out, sql, strlen(sql));
}

void server_begin_errand(struct server *s, enum server_errand errand)
{
	struct hub *h = s->hub;
	s->errand = errand;
	s->errand_until = hub_now(h) + engine_deadline_span(&h->engine, DEADLINE_HEALTH_CHECK);
}

static void server_setup(struct server *s)
{
	struct client *c = s->client;
	struct buffer *out = &s->out;
	size_t mark;
	message_begin(out, MSG_QUERY, &mark);
	if (s->distrusted) {
		/* First, so that it is done even if the rest fails. */
		append_sql(out, "DEALLOCATE ALL;");
		statements_forget_server(&s->hub->statements, s->id);
		s->distrusted = false;
	}
	profile_sql(c->profile, out);
	if (s->dirty)
		append_sql(out, ";" TRACES_CLEAN);
	buffer_append_u8(out, 0);
	message_end(out, mark);
	server_begin_errand(s, ERRAND_SETUP);
	buffer_release(&s->notices);
	s->unnamed = UNNAMED_NONE; /* a simple query drops it */
	debts_add(&s->debts, (struct debt){.kind = DEBT_QUERY, .ours = true});
}

/* Alive: now the client's profile, and then the client. */
static void server_prepare(struct server *s)
{
	struct client *c = s->client;
	bool unknown = c->state == CLIENT_LOGIN && buffer_len(&c->profile->welcome) == 0;
	s->errand = ERRAND_NONE;
	*s->complaint = *s->sqlstate = 0;
	/* A session sees all that is prepared, and is to see only what it prepared itself. */
	if (c->mode == POOL_SESSION && statements_on(&s->hub->statements, s->id) > 0)
		server_distrust_statements(s);
	if (s->profile != c->profile || s->dirty || s->distrusted ||
		(unknown && c->profile != s->pool->profiles.base))
		server_setup(s);
	if (s->errand == ERRAND_SETUP) {
		/* Nothing of the client's follows before it is done: it would run under another's
		 * settings if that failed. */
		server_send(s, NULL, 0);
		return;
	}
	if (c->state != CLIENT_LOGIN) {
		client_go(c);
		return;
	}
	client_welcomed(c);
	if (c->server == s)
		server_release_if_idle(s);
}

void server_attach(struct server *s, struct client *c, bool ping)
{
	struct hub *h = s->hub;
	s->client = c;
	c->server = s;
	s->used = s->discarded = s->rolled_back = s->canceled = s->copy_data = s->spent = false;
	s->since = s->begun_at = hub_now(h);
	s->overdue_at = 0;
	s->errand_until = INSTANT_NEVER;
	if (!ping) {
		server_prepare(s);
		return;
	}
	server_begin_errand(s, ERRAND_PING);
	message_empty(&s->out, MSG_SYNC);
	debts_add(&s->debts, (struct debt){.kind = DEBT_SYNC, .ours = true});
	server_send(s, NULL, 0);
}

void server_setup_notice(struct server *s, struct bytes body)
{
	size_t mark;
	if (buffer_len(&s->notices) > UPSTREAM_NOTICES_MAX)
		return;
	message_begin(&s->notices, MSG_NOTICE, &mark);
	buffer_append(&s->notices, body.at, body.len);
	message_end(&s->notices, mark);
}

static bool setup_done(struct server *s)
{
	struct client *c = s->client;
	s->errand = ERRAND_NONE;
	if (!*s->sqlstate) {
		profile_drop(&s->pool->profiles, s->profile);
		s->profile = profile_hold(c->profile);
		s->dirty = false;
		server_welcome(s);
		if (c->state == CLIENT_LOGIN)
			client_welcomed(c);
		else if (c->state == CLIENT_ACTIVE)
			client_go(c);
		return s->link != NULL;
	}
	/* The query was a transaction: the server is as it was. PostgreSQL tells that at a login's end. */
	if (c->state == CLIENT_LOGIN) {
		message_authentication_ok(&c->out);
		client_fail(c, s->sqlstate, s->complaint, *s->detail ? s->detail : NULL,
			*s->hint ? s->hint : NULL);
		return s->link != NULL;
	}
	if (c->state == CLIENT_GONE)
		return true;
	server_lost(s, OUTCOME_PROTOCOL, "the client's settings could not be restored");
	return false;
}

bool server_is_of_session(struct server *s)
{
	if (s->client->mode != POOL_SESSION || s->discarded)
		return false;
	if (s->client->state != CLIENT_GONE)
		return true;
	if (s->hub->settings->session_end == SESSION_END_CLOSE) {
		s->spent = true;
		return false;
	}
	server_begin_errand(s, ERRAND_DISCARD);
	*s->complaint = *s->sqlstate = 0;
	debts_add(&s->debts, (struct debt){.kind = DEBT_QUERY, .ours = true});
	message_query(&s->out, "DISCARD ALL");
	server_send(s, NULL, 0);
	return true;
}

/* It is as it was when it had logged in. False: it is lost. */
static bool discard_done(struct server *s)
{
	s->errand = ERRAND_NONE;
	if (*s->sqlstate) {
		server_lost(s, OUTCOME_OK, "what a session left behind could not be discarded");
		return false;
	}
	profile_drop(&s->pool->profiles, s->profile);
	s->profile = profile_hold(s->pool->profiles.base);
	statements_forget_server(&s->hub->statements, s->id);
	s->unnamed = UNNAMED_NONE;
	s->dirty = s->distrusted = false;
	s->discarded = true;
	return true;
}

bool server_errand_done(struct server *s)
{
	switch (s->errand) {
	case ERRAND_PING:
		s->errand = ERRAND_NONE;
		s->errand_until = INSTANT_NEVER;
		if (s->client->state != CLIENT_GONE)
			server_prepare(s);
		return s->link != NULL;
	case ERRAND_SETUP:
		return setup_done(s);
	case ERRAND_ROLLBACK:
		s->errand = ERRAND_NONE;
		s->errand_until = INSTANT_NEVER;
		return true;
	case ERRAND_ASK:
		return traces_answered(s);
	case ERRAND_RESTORE:
		return traces_restored(s);
	case ERRAND_CLEAN:
		return traces_cleaned(s);
	case ERRAND_DISCARD:
		return discard_done(s);
	case ERRAND_DRAIN:
	case ERRAND_NONE:
		return true;
	}
	return true;
}

/* False: the server is lost. */
static bool sync_ours(struct server *s)
{
	s->unsynced = s->skipping = false;
	debts_add(&s->debts, (struct debt){.kind = DEBT_SYNC, .ours = true});
	message_empty(&s->out, MSG_SYNC);
	return server_send(s, NULL, 0);
}

bool server_refuse_copy(struct server *s, const char *why)
{
	struct buffer out = BUFFER_INIT;
	size_t mark;
	if (!s->copying_in)
		return true;
	message_begin(&out, MSG_COPY_FAIL, &mark);
	buffer_append_text(&out, why);
	message_end(&out, mark);
	s->copying_in = false;
	bool sent = server_send(s, out.memory + out.start, buffer_len(&out));
	buffer_release(&out);
	return sent;
}

/* All that is sure to be answered is. A transaction that is still open is rolled back before anyone
 * else comes, and the answer to that tells what else was to come. */
void server_settle_gone(struct server *s)
{
	/* What was asked before the client went has failed since. */
	if (s->skipping) {
		sync_ours(s);
		return;
	}
	if (s->status == 'I' && s->debts.count == 0) {
		server_release_if_idle(s);
		return;
	}
	if (s->rolled_back) {
		server_lost(s, OUTCOME_PROTOCOL, "a dead client's transaction does not end");
		return;
	}
	s->rolled_back = true;
	s->errand_until = hub_now(s->hub) + SERVER_DRAIN_NS;
	s->errand = ERRAND_ROLLBACK;
	debts_add(&s->debts, (struct debt){.kind = DEBT_QUERY, .ours = true});
	message_query(&s->out, "ROLLBACK");
	server_send(s, NULL, 0);
}

/* The client never said the last word, Sync, on what it asked for by the extended protocol: that
 * must not be committed. An error is what makes PostgreSQL roll it back. */
static void spoil(struct server *s)
{
	message_target(&s->out, MSG_DESCRIBE, 'P',
		STATEMENT_PREFIX " the client has gone before its Sync: rolled back");
	debts_add(&s->debts, (struct debt){.kind = DEBT_DESCRIBE, .ours = true});
}

void server_detach(struct server *s)
{
	struct client *c = s->client;
	assert(c && c->state == CLIENT_GONE);
	/* Half a message was sent, or bytes that it does not take: no way to go on. */
	bool amid = c->streaming > 0 && !c->streaming_void;
	if (amid || s->copying_in || buffer_len(&s->out) > 0) {
		server_lost(s, OUTCOME_OK, "its client has gone in the middle of a message");
		return;
	}
	if (s->unsynced || s->skipping) {
		if (!s->skipping)
			spoil(s);
		if (!sync_ours(s))
			return;
	}
	s->errand_until = hub_now(s->hub) + SERVER_DRAIN_NS;
	if (!debts_are_doubtful(&s->debts)) {
		if (s->errand == ERRAND_NONE)
			s->errand = ERRAND_DRAIN;
		return;
	}
	server_settle_gone(s);
}
