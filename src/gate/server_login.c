#include <assert.h>

#include "gate/sampling.h"
#include "gate/server.h"

/* A host that let a whole attempt wait is not the first to be tried for so long. */
#define TURNED_NS (60 * NS_PER_S)

static void note_failure(struct server *s, const struct error *error)
{
	struct hub *h = s->hub;
	struct gate_attempt_error *place =
		&h->attempt_errors[(s->serial - 1) % ENGINE_ATTEMPTS_MAX];
	place->serial = s->serial;
	place->error = *error;
	h->database_error = s->pool->error = *error;
}

static void note_connect_times(struct hub *h, int id)
{
	const struct engine_attempt *a = &h->engine.attempts[id];
	for (enum stage stage = 0; stage < STAGE_READY; stage++)
		histogram_add(&h->connect_times[stage], a->path.stage_ns[stage]);
	histogram_add(&h->connect_times[STAGE_READY], a->ended_at - a->began_at);
}

static void on_login_stage(void *context, enum stage stage)
{
	struct server *s = context;
	int syn_lost = stage > STAGE_TCP ? sampling_syns(s) : -1;
	hub_tell(s->hub, (struct engine_event){.kind = EVENT_CONNECT_STAGE,
				 .server = s->id,
				 .stage = stage,
				 .syn_known = syn_lost >= 0,
				 .syn_lost = syn_lost});
}

static void fail_login(struct server *s, enum outcome outcome, const struct error *error)
{
	note_failure(s, error);
	if (log_limit_allows(&s->hub->failures, hub_now(s->hub)))
		log_warning(s->hub->log, "connect to the database failed", field_error(error),
			field_text("outcome", outcome_name(outcome)),
			field_int("attempt", (int64_t)s->serial));
	server_part(s);
	hub_tell(
		s->hub, (struct engine_event){
				.kind = EVENT_CONNECT_FAILED, .server = s->id, .outcome = outcome});
}

/* It was fetched for an attempt before this one: one that is fetched now may be let in. */
static bool is_token_outdated(const struct server *s)
{
	return s->token_at && s->token_at < s->hub->engine.attempts[s->id].began_at;
}

static void begin_login(struct server *s);

static void on_login_done(
	void *context, enum outcome outcome, const struct upstream *up, const struct error *error)
{
	struct server *s = context;
	struct hub *h = s->hub;
	s->login = NULL;
	if (outcome == OUTCOME_OK) {
		server_open(s, up);
		hub_tell(h, (struct engine_event){.kind = EVENT_CONNECT_OK, .server = s->id});
		note_connect_times(h, s->id);
		sampling_first(s);
	} else if (outcome == OUTCOME_AUTH && is_token_outdated(s)) {
		token_refused(&h->token, s->token_at);
		begin_login(s);
	} else {
		fail_login(s, outcome, error);
	}
}

static void begin_login(struct server *s)
{
	static const struct upstream_events events = {on_login_stage, on_login_done};
	struct hub *h = s->hub;
	const struct gate_pool *pool = s->pool;
	bool needs_token = token_is_for(&h->token, pool);
	const char *token = needs_token ? token_value(&h->token, hub_now(h)) : NULL;
	if (needs_token && !token) {
		s->awaits_token = true;
		token_fetch(&h->token);
		return;
	}
	struct upstream_target target = {
		.conninfo = pool->conninfo,
		.password = token,
		.origin = pool->host,
		.care = h->settings->database_care,
		.turn = hub_now(h) < pool->turned_until ? pool->turn : 0,
	};
	s->token_at = token ? h->token.fetched_at : 0;
	s->login = upstream_start(h->loop, &target, &events, s);
}

void server_token_came(struct server *s, const struct error *error)
{
	if (!s->awaits_token)
		return;
	s->awaits_token = false;
	if (error)
		fail_login(s, OUTCOME_TOKEN, error);
	else
		begin_login(s);
}

void server_connect(struct hub *h, int id, struct gate_pool *pool)
{
	struct server *s = &h->servers[id];
	assert(!s->login && !s->link);
	s->serial = h->engine.attempts[id].serial;
	s->pool = pool;
	pool->servers++;
	s->profile = profile_hold(pool->profiles.base);
	begin_login(s);
}

void server_login_afresh(struct server *s)
{
	if (!s->login)
		return;
	upstream_abandon(s->login);
	s->login = NULL;
	begin_login(s);
	on_login_stage(s, STAGE_DNS);
}

void server_redial(struct hub *h, int id)
{
	if (h->servers[id].login)
		upstream_redial(h->servers[id].login);
}

void server_abandon(struct hub *h, int id)
{
	struct server *s = &h->servers[id];
	if (!s->login && !s->awaits_token)
		return;
	if (s->login) {
		s->pool->turn = upstream_abandon(s->login);
		s->pool->turned_until = hub_now(h) + TURNED_NS;
	}
	s->login = NULL;
	const struct engine_attempt *a = &h->engine.recent[(s->serial - 1) % ENGINE_ATTEMPTS_MAX];
	struct error error;
	error_set(&error, stage_name(a->path.stage), 0, "%s within %.1f s",
		s->awaits_token ? "no password came" : "no answer", s_from_ns(a->timeout_ns));
	s->awaits_token = false;
	error_origin(&error, s->pool->host);
	note_failure(s, &error);
	log_warning(h->log, "connect to the database timed out", field_error(&error),
		field_int("attempt", (int64_t)s->serial), field_int("dials", a->dials));
	server_part(s);
}
