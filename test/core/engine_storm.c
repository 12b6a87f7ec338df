/* Thousands of random events, and after each what must always hold.
 *
 * A caller that does what it is told keeps its own books: which server is connecting, free or in
 * use, which client waits or holds one. Every action must make sense in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "rig.h"

#define SEEDS        30
#define STEPS        4000
#define CLIENTS_USED 60
#define GROUPS_USED  5 /* the last is of the family of the one before */

enum seen_server { S_NONE, S_CONNECTING, S_FREE, S_USED };
enum seen_client { C_NONE, C_WAITING, C_PATIENT, C_HOLDING };

struct storm {
	struct rig rig;
	struct random random;
	enum seen_server servers[RIG_SERVERS];
	enum seen_client clients[CLIENTS_USED];
	bool patient[CLIENTS_USED]; /* of one that holds */
	int holds[RIG_SERVERS]; /* the client */
	int server_group[RIG_SERVERS], client_group[CLIENTS_USED];
	int groups; /* that are open */
	instant asked_at[CLIENTS_USED];
	enum phase phase; /* being worked on, or PHASE_COUNT */
	int exits, share_seen, calm_share;
	bool probing;
	instant probe_until; /* it must be answered by then */
	bool kind; /* the database answers and keeps its connections */
};

static int below(struct storm *s, int bound)
{
	return (int)random_below(&s->random, (uint32_t)bound);
}

/* ---- the caller's books ---- */

static void connect_begins(struct storm *s, int server, int group)
{
	assert_int_equal(s->servers[server], S_NONE);
	assert_in_range(group, 0, s->groups - 1);
	s->server_group[server] = group;
	assert_true(s->rig.engine.startup.phases[PHASE_DATABASE].status >= PHASE_IN_PROGRESS);
	s->servers[server] = S_CONNECTING;
}

static void assigned(struct storm *s, int server, int client)
{
	assert_int_equal(s->servers[server], S_FREE);
	assert_int_equal(s->server_group[server], s->client_group[client]);
	assert_true(s->clients[client] == C_WAITING || s->clients[client] == C_PATIENT);
	s->patient[client] = s->clients[client] == C_PATIENT;
	s->servers[server] = S_USED;
	s->clients[client] = C_HOLDING;
	s->holds[server] = client;
}

static void server_ends(struct storm *s, int server, enum seen_server expected)
{
	assert_int_equal(s->servers[server], expected);
	s->servers[server] = S_NONE;
}

static void carry_out(struct storm *s, const struct engine_action *a)
{
	switch (a->kind) {
	case ACTION_PHASE_BEGIN:
		assert_int_equal(s->phase, PHASE_COUNT);
		s->phase = a->phase;
		break;
	case ACTION_PHASE_CANCEL:
		assert_int_equal(s->phase, a->phase);
		s->phase = PHASE_COUNT;
		break;
	case ACTION_CONNECT:
		connect_begins(s, a->server, a->group);
		break;
	case ACTION_REDIAL:
		assert_int_equal(s->servers[a->server], S_CONNECTING);
		break;
	case ACTION_ABANDON:
		server_ends(s, a->server, S_CONNECTING);
		break;
	case ACTION_CLOSE:
		server_ends(s, a->server, S_FREE);
		break;
	case ACTION_ASSIGN:
		assigned(s, a->server, a->client);
		break;
	case ACTION_REJECT:
		assert_int_equal(s->clients[a->client], C_WAITING);
		s->clients[a->client] = C_NONE;
		break;
	case ACTION_PROBE:
		assert_false(s->probing);
		assert_true(a->timeout_ns > 0);
		s->probing = true;
		s->probe_until = s->rig.now + a->timeout_ns;
		break;
	case ACTION_NOTICE:
		assert_int_not_equal(a->from, a->to);
		break;
	case ACTION_EXIT:
		s->exits++;
		break;
	}
}

static int servers_open(const struct storm *s)
{
	int open = 0;
	for (int i = 0; i < RIG_SERVERS; i++)
		open += s->servers[i] != S_NONE;
	return open;
}

/* Of a family. */
static int family_open(const struct storm *s, int head)
{
	int open = 0;
	for (int i = 0; i < RIG_SERVERS; i++) {
		int group = s->server_group[i];
		open += s->servers[i] != S_NONE &&
			s->rig.pool_groups[group].settings.family == head;
	}
	return open;
}

static void check_groups(const struct storm *s, const int before[GROUPS_USED])
{
	for (int group = 0; group < s->groups; group++) {
		const struct pool_group *g = &s->rig.pool_groups[group];
		int most = g->settings.servers_max, open = family_open(s, group);
		assert_true(most == 0 || open <= most || open <= before[group]);
		/* Nobody waits beside a free server. */
		assert_true(g->waiting == 0 || g->idle == 0 || s->rig.engine.unfinished);
	}
}

/* Steps, does what is asked, and checks what must hold. */
static void tell(struct storm *s, struct engine_event event)
{
	struct rig *r = &s->rig;
	const struct engine *e = &r->engine;
	int before = servers_open(s), family_before[GROUPS_USED];
	for (int group = 0; group < s->groups; group++)
		family_before[group] = family_open(s, group);
	rig_tell(r, event); /* checks capacity, and the counts of what is under way */
	for (int i = 0; i < r->log_count; i++)
		carry_out(s, &r->log[i]);
	int open = servers_open(s);
	assert_int_equal(pool_servers(&e->pool), open);
	assert_true(open <= e->budget.share || open <= before);
	assert_in_range(s->exits, 0, 1);
	assert_in_range(e->connects.under_way, 0, (int)e->settings.connects.window_max);
	assert_true(e->connects.window >= 1.0);
	for (int client = 0; client < CLIENTS_USED; client++) {
		enum seen_client seen = s->clients[client];
		enum pool_client_state is = r->clients[client].state;
		assert_int_equal(is == CLIENT_WAITING, seen == C_WAITING || seen == C_PATIENT);
		assert_int_equal(is == CLIENT_HOLDING, seen == C_HOLDING);
		/* Nobody waits for longer than the platform allows. */
		if (seen == C_WAITING && !e->unfinished)
			assert_true(r->now - s->asked_at[client] <= 240 * S);
	}
	check_groups(s, family_before);
}

static void a_probe_ends(struct storm *s, enum outcome outcome)
{
	if (!s->probing)
		return;
	s->probing = false;
	tell(s, (struct engine_event){
			.kind = EVENT_PROBED, .probe = {.outcome = outcome, .stage = STAGE_TLS}});
}

/* Ticks until `until`; each deadline that is due must lead to something new. */
static void pass_time_alone(struct storm *s, instant until)
{
	struct rig *r = &s->rig;
	int turns = 0;
	for (instant at = engine_deadline(&r->engine); at <= until;
		at = engine_deadline(&r->engine)) {
		instant now = instant_max(r->now, at);
		turns = now > r->now ? 0 : turns + 1;
		assert_in_range(turns, 0, 20);
		r->now = now;
		tell(s, (struct engine_event){.kind = EVENT_TICK});
	}
	r->now = until;
}

/* The same, and a probe that nothing answers ends in time. */
static void pass_time(struct storm *s, instant until)
{
	while (s->probing && s->probe_until <= until) {
		pass_time_alone(s, s->probe_until);
		a_probe_ends(s, s->kind ? OUTCOME_OK : OUTCOME_TIMEOUT);
	}
	pass_time_alone(s, until);
}

/* ---- what may happen ---- */

/* One of those in a state, or -1. */
static int any_server(struct storm *s, enum seen_server state)
{
	int first = below(s, RIG_SERVERS);
	for (int i = 0; i < RIG_SERVERS; i++)
		if (s->servers[(first + i) % RIG_SERVERS] == state)
			return (first + i) % RIG_SERVERS;
	return -1;
}

static void an_attempt_moves(struct storm *s)
{
	static const enum outcome bad[] = {OUTCOME_TIMEOUT, OUTCOME_REFUSED, OUTCOME_FULL,
		OUTCOME_PROTOCOL, OUTCOME_STARTING, OUTCOME_RESET, OUTCOME_AUTH};
	int server = any_server(s, S_CONNECTING);
	if (server < 0)
		return;
	int what = below(s, 10);
	if (what < 4) {
		tell(s, (struct engine_event){.kind = EVENT_CONNECT_STAGE,
				.server = server,
				.stage = (enum stage)below(s, STAGE_READY)});
	} else if (s->kind || what < 7) {
		s->servers[server] = S_FREE;
		tell(s, (struct engine_event){.kind = EVENT_CONNECT_OK, .server = server});
	} else {
		s->servers[server] = S_NONE;
		tell(s, (struct engine_event){.kind = EVENT_CONNECT_FAILED,
				.server = server,
				.outcome = bad[below(s, s->phase == PHASE_DATABASE ? 6 : 7)]});
	}
}

static void a_server_is_released(struct storm *s)
{
	int server = any_server(s, S_USED);
	if (server < 0)
		return;
	s->clients[s->holds[server]] = C_NONE;
	s->servers[server] = S_FREE;
	tell(s, (struct engine_event){.kind = EVENT_SERVER_RELEASED, .server = server});
}

static void a_server_is_lost(struct storm *s)
{
	static const enum outcome how[] = {
		OUTCOME_OK, OUTCOME_RESET, OUTCOME_SHUTDOWN, OUTCOME_PROTOCOL, OUTCOME_TIMEOUT};
	int server = any_server(s, below(s, 2) ? S_USED : S_FREE);
	if (server < 0 || s->kind)
		return;
	bool requeue = s->servers[server] == S_USED && below(s, 2);
	if (s->servers[server] == S_USED) {
		int client = s->holds[server];
		enum seen_client waits = s->patient[client] ? C_PATIENT : C_WAITING;
		s->clients[client] = requeue ? waits : C_NONE;
	}
	s->servers[server] = S_NONE;
	tell(s, (struct engine_event){.kind = EVENT_SERVER_GONE,
			.server = server,
			.outcome = how[below(s, 5)],
			.requeue = requeue});
}

static void a_client_comes_or_goes(struct storm *s)
{
	int client = below(s, CLIENTS_USED);
	switch (s->clients[client]) {
	case C_NONE: {
		bool patient = below(s, 10) == 0;
		s->clients[client] = patient ? C_PATIENT : C_WAITING;
		s->asked_at[client] = s->rig.now;
		s->client_group[client] = below(s, s->groups);
		tell(s, (struct engine_event){.kind = EVENT_CLIENT_WAITS,
				.client = client,
				.group = s->client_group[client],
				.patient = patient});
		break;
	}
	case C_WAITING:
	case C_PATIENT:
		if (below(s, 3) == 0) {
			s->clients[client] = C_NONE;
			tell(s, (struct engine_event){.kind = EVENT_CLIENT_LEFT, .client = client});
		}
		break;
	case C_HOLDING:
		break;
	}
}

static void the_server_tells_its_limits(struct storm *s)
{
	tell(s, (struct engine_event){.kind = EVENT_SERVER_LIMITS,
			.limits = {20 + below(s, 80), 3, 0, below(s, 60) - 1}});
}

static void a_group_changes(struct storm *s, int group)
{
	tell(s, (struct engine_event){.kind = EVENT_GROUP,
			.group = group,
			.group_settings = {
				.family = group == GROUPS_USED - 1 ? group - 1 : group,
				.servers_max = below(s, 6),
				.servers_kept = below(s, 3),
			}});
}

static void somebody_moves_the_breaker(struct storm *s)
{
	enum breaker_mode mode = below(s, 2) ? BREAKER_AUTO
					     : (enum breaker_mode)below(s, BREAKER_MODE_COUNT);
	tell(s, (struct engine_event){.kind = EVENT_BREAKER, .breaker_mode = mode});
}

static void a_phase_moves(struct storm *s)
{
	if (s->phase == PHASE_COUNT || below(s, 4))
		return;
	enum phase phase = s->phase;
	if (phase == PHASE_DATABASE && below(s, 2)) {
		tell(s, (struct engine_event){.kind = EVENT_PHASE_STEP, .phase = phase});
		return;
	}
	bool done = phase != PHASE_DATABASE || s->rig.engine.pool.idle > 0;
	if (!done)
		return;
	s->phase = PHASE_COUNT;
	tell(s, (struct engine_event){.kind = EVENT_PHASE_DONE, .phase = phase, .ok = true});
}

static void one_event(struct storm *s)
{
	static const int64_t pauses_ns[] = {
		0, 0, 0, NS_PER_MS, 50 * NS_PER_MS, 500 * NS_PER_MS, 3 * S};
	pass_time(s, s->rig.now + pauses_ns[below(s, 7)]);
	switch (below(s, 20)) {
	case 0:
		if (s->groups > 1 && below(s, 4) == 0)
			a_group_changes(s, below(s, s->groups));
		else
			the_server_tells_its_limits(s);
		break;
	case 1:
		a_server_is_lost(s);
		break;
	case 2:
	case 3:
		a_phase_moves(s);
		break;
	case 4:
	case 5:
	case 6:
	case 7:
	case 8:
		a_client_comes_or_goes(s);
		break;
	case 9:
	case 10:
	case 11:
	case 12:
		a_server_is_released(s);
		break;
	case 13:
		if (below(s, 2))
			a_probe_ends(s, below(s, 2) ? OUTCOME_OK : OUTCOME_REFUSED);
		else if (below(s, 20) == 0)
			somebody_moves_the_breaker(s);
		break;
	default:
		an_attempt_moves(s);
	}
}

/* ---- the storms ---- */

static struct storm *fresh(uint64_t seed)
{
	static struct storm s;
	memset(&s, 0, sizeof(s));
	random_init(&s.random, seed);
	rig_settings(&s.rig);
	s.phase = PHASE_COUNT;
	struct engine_settings *e = &s.rig.settings;
	/* A storm must not end with the first failed phase. */
	for (enum phase phase = 0; phase < PHASE_COUNT; phase++)
		e->startup.critical[phase] = false;
	e->servers_kept = below(&s, 4);
	e->dial_patience_ns = below(&s, 2) ? S : 0;
	e->server_life_ns = below(&s, 2) ? 60 * S : 0;
	e->stage_patience = below(&s, 2);
	e->spare_calm_ns = below(&s, 2) ? 5 * S : 0;
	e->throttle_k = below(&s, 2) ? 2.0 : 0.0;
	e->retry.budget = below(&s, 2) ? 0.2 : 0.0;
	e->server_idle_ns = 20 * S;
	e->breaker.enabled = below(&s, 4) > 0;
	e->breaker.probes = 1 + below(&s, 3);
	e->breaker.growth = below(&s, 2) ? 2.0 : 0.0;
	e->breaker.open_max_ns = 150 * S; /* half of what it has after the storm */
	e->breaker.window = below(&s, 20);
	e->breaker.minimum = 1 + below(&s, 5);
	e->breaker.failure_rate = below(&s, 2) ? 0.5 : 0.0;
	e->breaker.slow_rate = below(&s, 2) ? 0.5 : 0.0;
	e->breaker.slow_ns = S;
	if (below(&s, 3))
		e->probe = (struct probe_settings){5 * S, 15 * S, 60 * S, 5 * S};
	e->connects.window_max = 1 + below(&s, 8);
	e->connects.rule = (enum connects_rule)below(&s, CONNECTS_RULE_COUNT);
	e->queue = (struct backlog_settings){
		(enum backlog_order)below(&s, 2), 5 * NS_PER_MS, below(&s, 2)};
	if (below(&s, 2))
		e->deadlines.base_ns[DEADLINE_POOL] = 2 * S;
	e->budget.instances = 1 + below(&s, 4);
	e->deadlines.capacity_aware = below(&s, 4) > 0;
	e->growth.interval_ns = below(&s, 2) ? 200 * NS_PER_MS : 0;
	rig_init(&s.rig, seed);
	s.groups = 1;
	int groups = below(&s, 3) ? GROUPS_USED : 1;
	for (int group = 1; group < groups; group++) {
		s.groups++;
		a_group_changes(&s, group);
	}
	tell(&s, (struct engine_event){.kind = EVENT_START});
	return &s;
}

static void whatever_happens_the_books_agree_and_the_budget_holds(void **state)
{
	int64_t assigned = 0, rejects = 0, redials = 0, opened = 0, timeouts = 0, helped = 0;
	int64_t in_vain = 0, overloads = 0, held = 0, broke = 0;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct storm *s = fresh(seed);
		for (int i = 0; i < STEPS; i++)
			one_event(s);
		const struct engine *e = &s->rig.engine;
		assigned += e->assigned;
		rejects += e->rejects;
		redials += e->redials;
		opened += e->breaker.opened_count;
		timeouts += e->attempts_ended[OUTCOME_TIMEOUT];
		helped += e->probe.ended[OUTCOME_OK];
		held += e->throttle.held_count;
		broke += e->retry.broke;
		in_vain += e->rejects_by[REJECT_OVERLOADED];
		for (int group = 0; group < s->groups; group++)
			overloads += s->rig.groups[group].queue.overloads;
	}
	/* The storms did go everywhere. */
	assert_true(assigned > 1000 && rejects > 100 && redials > 100);
	assert_true(opened > 50 && timeouts > 50 && helped > 20);
	assert_true(in_vain > 20 && overloads > 0 && held > 20 && broke > 20);
}

/* After any storm, a database that is well again serves everyone who still waits. */
static void after_the_storm_everyone_is_served(void **state)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct storm *s = fresh(1000 + seed);
		for (int i = 0; i < STEPS / 4; i++)
			one_event(s);
		s->kind = true;
		tell(s, (struct engine_event){.kind = EVENT_BREAKER, .breaker_mode = BREAKER_AUTO});
		for (int i = 0; i < 3000; i++) {
			pass_time(s, s->rig.now + 100 * NS_PER_MS);
			if (s->phase != PHASE_COUNT)
				a_phase_moves(s);
			an_attempt_moves(s);
			a_probe_ends(s, OUTCOME_OK);
			a_server_is_released(s);
		}
		const struct engine *e = &s->rig.engine;
		assert_int_equal(e->pool.waiting, 0);
		assert_int_equal(e->breaker.state, BREAKER_CLOSED);
		assert_true(pool_servers(&e->pool) <= e->budget.share);
	}
}

/* The same seed is the same storm: what a simulator prints can be replayed. */
static void a_seed_is_a_storm(void **state)
{
	uint64_t sums[2];
	for (int run = 0; run < 2; run++) {
		struct storm *s = fresh(77);
		for (int i = 0; i < STEPS; i++)
			one_event(s);
		const struct engine *e = &s->rig.engine;
		sums[run] = e->random.state ^ (uint64_t)e->assigned ^ (uint64_t)s->rig.now;
	}
	assert_true(sums[0] == sums[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whatever_happens_the_books_agree_and_the_budget_holds),
		cmocka_unit_test(after_the_storm_everyone_is_served),
		cmocka_unit_test(a_seed_is_a_storm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
