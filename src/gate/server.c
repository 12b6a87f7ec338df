#include "gate/server.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gate/client.h"
#include "gate/relay.h"
#include "gate/sampling.h"
#include "gate/traces.h"
#include "wire/frame.h"
#include "wire/message.h"
#include "wire/startup.h"

/* The most that a server may report: all of its parameters, names and values. */
#define REPORTED_MAX 65536

/* ---- its life ---- */

void server_init(struct server *s, struct hub *h, int id)
{
	*s = (struct server){.hub = h, .id = id};
}

void server_release(struct server *s)
{
	buffer_release(&s->in);
	buffer_release(&s->out);
	buffer_release(&s->reported);
	buffer_release(&s->notices);
	buffer_release(&s->customs);
	buffer_release(&s->answer);
	debts_release(&s->debts, &s->hub->statements);
}

static void on_link_closed(struct stream *stream)
{
	struct link *link = (struct link *)((char *)stream - offsetof(struct link, stream));
	upstream_release(&link->up);
	free(link);
}

void server_part(struct server *s)
{
	if (!s->pool)
		return;
	profile_drop(&s->pool->profiles, s->profile);
	s->pool->servers--;
	s->pool = NULL;
	s->profile = NULL;
}

/* Back to what server_init made of it. */
static void forget(struct server *s)
{
	struct hub *h = s->hub;
	if (s->link)
		stream_close(&s->link->stream, on_link_closed);
	debts_release(&s->debts, &h->statements);
	statements_forget_server(&h->statements, s->id);
	server_part(s);
	server_release(s);
	server_init(s, h, s->id);
}

void server_shut(struct server *s)
{
	if (s->login)
		upstream_abandon(s->login);
	s->login = NULL;
	s->awaits_token = false;
	struct client *c = s->client;
	if (s->link)
		forget(s);
	else
		server_part(s);
	if (!c)
		return;
	traces_pin(c, 0);
	c->server = NULL;
	if (c->state == CLIENT_GONE)
		client_reap(c); /* it waited for what it had asked to be over */
}

void server_close(struct hub *h, int id)
{
	forget(&h->servers[id]);
}

/* Ended for what the session did, or for its age: that says nothing of the path or the server. */
static bool is_of_session(const struct server *s)
{
	static const char *const states[] = {
		"08P01", /* protocol_violation */
		"25P03", /* idle_in_transaction_session_timeout */
		"25P04", /* transaction_timeout */
		"57P05", /* idle_session_timeout */
	};
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (s->fatal && strcmp(s->sqlstate, states[i]) == 0)
			return true;
	return false;
}

void server_lost(struct server *s, enum outcome outcome, const char *why)
{
	struct hub *h = s->hub;
	struct client *c = s->client;
	struct error error;
	error_set(&error, stage_name(STAGE_READY), 0, "%s%s%s", *s->complaint ? s->complaint : why,
		*s->complaint ? ": " : "", *s->complaint ? why : "");
	error_origin(&error, s->pool->host);
	error_sqlstate(&error, s->sqlstate);
	h->database_error = s->pool->error = error;
	log_warning(h->log, "lost a server connection", field_error(&error));

	/* Nothing can be said in the midst of a message, and nothing need be said twice. */
	bool amid = s->streaming > 0 && !s->streaming_ours;
	bool told = s->told_fatal;
	/* A client whose own bytes never went out waits on for another server; unless it has heard
	 * of the end: it takes that for its own, and what it has asked since has been skipped. */
	bool waits = c && !s->used && !told && !amid &&
		     (c->state == CLIENT_ACTIVE || c->state == CLIENT_LOGIN);
	if (is_of_session(s))
		outcome = OUTCOME_OK;
	int id = s->id;
	if (c) {
		traces_pin(c, 0);
		c->server = NULL;
	}
	forget(s);
	if (waits)
		client_requeued(c);
	hub_tell(h, (struct engine_event){.kind = EVENT_SERVER_GONE,
			    .server = id,
			    .outcome = outcome,
			    .requeue = waits});
	if (!c || waits)
		return;
	if (c->state == CLIENT_GONE)
		client_reap(c);
	else if (amid)
		client_drop(c);
	else if (told)
		client_finish(c);
	else
		client_fail(c, error.sqlstate[0] ? error.sqlstate : "08006",
			"the connection to the database was lost", error.text, NULL);
}

bool server_release_if_idle(struct server *s)
{
	struct client *c = s->client;
	if (!c || s->status != 'I' || s->debts.count > 0 || s->skipping || s->unsynced ||
		s->copying_in || s->streaming > 0 || s->cancels > 0)
		return false;
	if ((c->streaming > 0 && !c->streaming_void) || buffer_len(&s->out) > 0)
		return false;
	if (s->errand != ERRAND_NONE && s->errand != ERRAND_DRAIN)
		return false;
	if (server_is_of_session(s) || traces_keep(s))
		return false;
	s->errand = ERRAND_NONE;
	s->errand_until = INSTANT_NEVER;
	s->client = NULL;
	c->server = NULL;
	hub_tell(
		s->hub, (struct engine_event){
				.kind = EVENT_SERVER_RELEASED, .server = s->id, .spent = s->spent});
	client_released(c);
	return true;
}

/* ---- bytes ---- */

static int flush(struct server *s)
{
	struct bytes out = buffer_bytes(&s->out);
	ssize_t sent = out.len > 0 ? stream_write(&s->link->stream, out.at, out.len) : 0;
	if (sent < 0)
		return -1;
	buffer_take(&s->out, (size_t)sent);
	buffer_trim(&s->out);
	return 0;
}

bool server_send(struct server *s, const void *at, size_t len)
{
	/* Behind what waits; else from where it lies, and only what is not taken is kept. */
	const uint8_t *from = at;
	ssize_t sent = 0;
	if (len > 0 && buffer_len(&s->out) == 0)
		sent = stream_write(&s->link->stream, from, len);
	if (sent >= 0 && (size_t)sent < len)
		buffer_append(&s->out, from + sent, len - (size_t)sent);
	if (sent < 0 || flush(s) != 0) {
		server_lost(s, OUTCOME_RESET, "the connection broke while sending");
		return false;
	}
	server_rewatch(s);
	return true;
}

void server_rewatch(struct server *s)
{
	if (!s->link)
		return;
	bool full = s->client && buffer_len(&s->client->out) > HUB_HIGH_WATER;
	stream_watch(&s->link->stream, !full, false);
}

static void on_received(struct stream *stream, struct bytes in)
{
	struct server *s = stream->owner;
	s->hub->counters.bytes_out += (int64_t)in.len;
	s->pool->stats.bytes_out += (int64_t)in.len;
	bool kept = buffer_len(&s->in) > 0;
	if (kept) {
		buffer_append(&s->in, in.at, in.len);
		in = buffer_bytes(&s->in);
	}
	size_t used = relay_from_server(s, in);
	if (used == SIZE_MAX)
		return;
	if (kept)
		buffer_take(&s->in, used);
	else
		buffer_append(&s->in, in.at + used, in.len - used);
	buffer_trim(&s->in);
	if (s->restoring)
		traces_restore(s);
	/* A client that asked for more than was allowed at a time goes on as answers come. */
	if (s->client)
		client_go_on(s->client);
	if (!s->link)
		return;
	if (s->client && s->client->state == CLIENT_GONE && debts_are_doubtful(&s->debts) &&
		s->errand != ERRAND_ROLLBACK)
		server_settle_gone(s);
	else
		server_release_if_idle(s);
	server_rewatch(s);
}

static void on_ended(struct stream *stream)
{
	struct server *s = stream->owner;
	server_lost(s, *s->sqlstate ? outcome_from_sqlstate(s->sqlstate) : OUTCOME_RESET,
		"the server closed the connection");
}

static void on_writable(struct stream *stream)
{
	struct server *s = stream->owner;
	if (flush(s) != 0) {
		server_lost(s, OUTCOME_RESET, "the connection broke while sending");
		return;
	}
	if (s->client)
		client_go_on(s->client);
	server_rewatch(s);
}

static const struct stream_events link_events = {on_received, on_ended, on_writable};

static void add_reported(void *context, const char *name, const char *value)
{
	struct server *s = context;
	buffer_append_text(&s->reported, name);
	buffer_append_text(&s->reported, value);
}

void server_welcome(struct server *s)
{
	struct buffer *welcome = &s->profile->welcome;
	struct bytes left = buffer_bytes(&s->reported), login, setup;
	const char *name, *value;
	if (buffer_len(welcome) > 0)
		return;
	while (wire_pair_next(&left, &name, &value))
		message_parameter(welcome, name, value);
	login = buffer_bytes(&s->link->up.notices);
	setup = buffer_bytes(&s->notices);
	buffer_append(welcome, login.at, login.len);
	buffer_append(welcome, setup.at, setup.len);
	buffer_release(&s->notices);
}

static void log_notices(const struct server *s)
{
	struct bytes left = buffer_bytes(&s->link->up.notices);
	struct frame frame;
	struct message_error notice;
	while (frame_parse(left, &frame) == WIRE_OK && frame.len <= left.len) {
		if (message_parse_error(frame_body(left, &frame), &notice) == 0)
			log_warning(s->hub->log, "the database gives a notice at login",
				field_text("notice", notice.message),
				field_text("hint", notice.hint));
		left.at += frame.len;
		left.len -= frame.len;
	}
}

void server_open(struct server *s, const struct upstream *up)
{
	s->link = calloc(1, sizeof(*s->link));
	if (!s->link)
		abort();
	s->link->up = *up;
	if (stream_open(&s->link->stream, s->hub->reactor, up->fd, up->ssl, &link_events, s) != 0)
		abort(); /* the loop can't watch a socket that it watched just now */
	s->status = 'I';
	upstream_parameters(up, add_reported, s);
	if (buffer_len(&s->profile->welcome) == 0)
		log_notices(s);
	server_welcome(s);
	server_rewatch(s);
}

/* ---- what the server says ---- */

bool server_parameter(struct server *s, const char *name, const char *value)
{
	struct buffer reported = BUFFER_INIT;
	struct bytes left = buffer_bytes(&s->reported);
	const char *there, *its_value;
	while (wire_pair_next(&left, &there, &its_value)) {
		if (strcmp(there, name) == 0)
			continue;
		buffer_append_text(&reported, there);
		buffer_append_text(&reported, its_value);
	}
	buffer_append_text(&reported, name);
	buffer_append_text(&reported, value);
	buffer_release(&s->reported);
	s->reported = reported;
	if (!*name || buffer_len(&s->reported) > REPORTED_MAX)
		return false;

	/* A client that SETs what is reported takes it along to its next server. */
	struct client *c = s->client;
	if (!c || !client_is_transactional(c) || c->state != CLIENT_ACTIVE ||
		s->errand != ERRAND_NONE || !profile_is_settable(name))
		return true;
	const char *own = s->resetting ? profile_value(c->origin, name) : NULL;
	if (own)
		value = own;
	struct profile *changed = profile_with(&s->pool->profiles, c->profile, name, value);
	profile_drop(&s->pool->profiles, c->profile);
	c->profile = changed;
	profile_drop(&s->pool->profiles, s->profile);
	s->profile = profile_hold(changed);
	return true;
}

void server_distrust_statements(struct server *s)
{
	s->distrusted = true;
}

/* What it gives is not what it gave when it was prepared, and the server will say so each time:
 * whoever prepares the text again is given another statement, on every server. */
static void outdate_bound(struct server *s)
{
	const struct debt *first = debts_first(&s->debts);
	if (!first || first->kind != DEBT_BIND || !first->bound)
		return;
	struct statement *bound = statements_find(&s->hub->statements, s->id, first->bound);
	struct client *c = s->client;
	if (!bound && c && c->unnamed && c->unnamed->id == first->bound)
		bound = c->unnamed;
	if (bound)
		bound->generation = 0;
}

void server_complaint(struct server *s, struct bytes body)
{
	struct message_error e;
	*s->wanted = 0;
	s->schema_changed = s->schema_changed || s->schema_grown; /* it may be taken back */
	if (message_parse_error(body, &e) != 0)
		return;
	/* "cached plan must not change result type" */
	if (strcmp(e.sqlstate, "0A000") == 0 && strcmp(e.routine, "RevalidateCachedQuery") == 0)
		outdate_bound(s);
	bool fatal = strcmp(e.severity, "FATAL") == 0 || strcmp(e.severity, "PANIC") == 0;
	s->fatal = s->fatal || fatal;
	if (strcmp(e.sqlstate, "42P05") == 0) /* duplicate_prepared_statement */
		server_distrust_statements(s);
	if (!fatal && s->errand == ERRAND_NONE)
		return; /* the client's own */
	snprintf(s->sqlstate, sizeof(s->sqlstate), "%s", e.sqlstate);
	snprintf(s->complaint, sizeof(s->complaint), "%s", e.message);
	snprintf(s->detail, sizeof(s->detail), "%s", e.detail);
	snprintf(s->hint, sizeof(s->hint), "%s", e.hint);
}

void server_hurry(struct server *s)
{
	s->canceled = true;
	s->errand_until = hub_now(s->hub) + SERVER_DRAIN_NS;
	server_cancel(s);
}

void server_check(struct server *s, instant now)
{
	if (!s->link || now < s->errand_until || s->errand == ERRAND_NONE)
		return;
	if (s->errand != ERRAND_DRAIN) {
		server_lost(s, OUTCOME_TIMEOUT, "no answer in time");
	} else if (!s->canceled) {
		server_hurry(s); /* closing would leave it running, uncounted */
	} else {
		server_lost(s, OUTCOME_OK, "what its dead client asked for does not end");
	}
}
