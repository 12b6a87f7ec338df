#include "rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

void rig_settings(struct rig *r)
{
	static const int64_t bases_s[DEADLINE_COUNT] = {90, 45, 60, 90, 30};
	static const int64_t timeouts_s[PHASE_COUNT] = {10, 60, 0, 15, 120, 10, 30};
	memset(r, 0, sizeof(*r));
	struct engine_settings *s = &r->settings;
	for (enum phase phase = 0; phase < PHASE_COUNT; phase++) {
		s->startup.wanted[phase] = true;
		s->startup.critical[phase] = phase != PHASE_CACHE && phase != PHASE_WEBSOCKET;
		s->startup.timeout_ns[phase] = timeouts_s[phase] * S;
	}
	for (enum deadline_kind kind = 0; kind < DEADLINE_COUNT; kind++)
		s->deadlines.base_ns[kind] = bases_s[kind] * S;
	s->deadlines.capacity_aware = true;
	s->deadlines.scaling_buffer_ns = 20 * S;
	s->deadlines.cap_ns = 240 * S;
	s->retry = (struct retry_settings){5, 2 * S, 30 * S, 2.0};
	s->breaker = (struct breaker_settings){true, 3, 60 * S, 0.1, 1};
	s->path = (struct path_settings){true, 0.7, 50, 2e9, 30 * S};
	s->budget = (struct budget_settings){.max_connections = 100,
		.superuser_reserved = 3,
		.agents = 5,
		.margin = 0.8,
		.buffer = 5,
		.path_limit = 50,
		.path_share = 0.7,
		.instances = 1,
		.pool_size = 10,
		.pool_overflow = 15};
	s->connects = (struct connects_settings){4, CONNECTS_AIMD};
	s->servers_kept = 1;
	s->server_life_ns = 3600 * S;
	s->server_idle_ns = 600 * S;
	s->ping_after_ns = 30 * S;
}

void rig_init(struct rig *r, uint64_t seed)
{
	const struct engine_memory memory = {
		.servers = r->servers,
		.attempts = r->attempts,
		.servers_max = RIG_SERVERS,
		.clients = r->clients,
		.clients_max = RIG_CLIENTS,
		.pool_groups = r->pool_groups,
		.groups = r->groups,
		.groups_max = RIG_GROUPS,
	};
	r->log_count = 0;
	memset(r->attempts, 0, sizeof(r->attempts));
	memset(r->pool_groups, 0, sizeof(r->pool_groups));
	engine_init(&r->engine, &r->settings, &memory, seed, r->now);
}

static void step(struct rig *r, const struct engine_event *event)
{
	struct engine_actions actions;
	engine_step(&r->engine, event, &actions);
	assert_in_range(actions.count, 0, ENGINE_ACTIONS_MAX);
	assert_in_range(r->log_count + actions.count, 0, RIG_LOG);
	memcpy(r->log + r->log_count, actions.list, (size_t)actions.count * sizeof(*r->log));
	r->log_count += actions.count;
	rig_check(r);
}

void rig_tell(struct rig *r, struct engine_event event)
{
	event.now = r->now;
	r->log_count = 0;
	step(r, &event);
}

void rig_go(struct rig *r, instant until)
{
	r->log_count = 0;
	/* A deadline that is due again and again without anything being done would spin a loop. */
	int idle_turns = 0;
	for (instant at = engine_deadline(&r->engine); at <= until;
		at = engine_deadline(&r->engine)) {
		int before = r->log_count;
		idle_turns = at > r->now ? 0 : idle_turns + 1;
		r->now = instant_max(r->now, at);
		const struct engine_event tick = {.kind = EVENT_TICK, .now = r->now};
		step(r, &tick);
		if (r->log_count > before)
			idle_turns = 0;
		assert_in_range(idle_turns, 0, 2);
	}
	r->now = until;
	assert_true(engine_deadline(&r->engine) > until);
}

void rig_tick(struct rig *r)
{
	rig_tell(r, (struct engine_event){.kind = EVENT_TICK});
}

void rig_start(struct rig *r)
{
	rig_tell(r, (struct engine_event){.kind = EVENT_START});
}

void rig_done(struct rig *r, enum phase phase, bool ok)
{
	rig_tell(r, (struct engine_event){.kind = EVENT_PHASE_DONE, .phase = phase, .ok = ok});
}

void rig_stage(struct rig *r, int server, enum stage stage)
{
	rig_tell(r, (struct engine_event){
			    .kind = EVENT_CONNECT_STAGE, .server = server, .stage = stage});
}

void rig_ok(struct rig *r, int server)
{
	rig_tell(r, (struct engine_event){.kind = EVENT_CONNECT_OK, .server = server});
}

void rig_failed(struct rig *r, int server, enum outcome outcome)
{
	rig_tell(r, (struct engine_event){
			    .kind = EVENT_CONNECT_FAILED, .server = server, .outcome = outcome});
}

void rig_released(struct rig *r, int server)
{
	rig_tell(r, (struct engine_event){.kind = EVENT_SERVER_RELEASED, .server = server});
}

void rig_gone(struct rig *r, int server, enum outcome outcome, bool requeue)
{
	rig_tell(r, (struct engine_event){.kind = EVENT_SERVER_GONE,
			    .server = server,
			    .outcome = outcome,
			    .requeue = requeue});
}

void rig_waits(struct rig *r, int client)
{
	rig_tell(r, (struct engine_event){.kind = EVENT_CLIENT_WAITS, .client = client});
}

void rig_waits_in(struct rig *r, int client, int group)
{
	rig_tell(r, (struct engine_event){
			    .kind = EVENT_CLIENT_WAITS, .client = client, .group = group});
}

void rig_group(struct rig *r, int group, struct pool_group_settings settings)
{
	rig_tell(r, (struct engine_event){
			    .kind = EVENT_GROUP, .group = group, .group_settings = settings});
}

void rig_waits_patiently(struct rig *r, int client)
{
	rig_tell(r, (struct engine_event){
			    .kind = EVENT_CLIENT_WAITS, .client = client, .patient = true});
}

void rig_to_database(struct rig *r)
{
	rig_start(r);
	rig_done(r, PHASE_INIT, true);
	rig_done(r, PHASE_DEPENDENCIES, true);
	assert_int_equal(r->engine.startup.current, PHASE_DATABASE);
}

void rig_to_run_time(struct rig *r)
{
	rig_to_database(r);
	if (rig_count(r, ACTION_CONNECT) > 0)
		rig_ok(r, 0);
	for (enum phase phase = PHASE_DATABASE; phase < PHASE_COUNT; phase++)
		if (r->settings.startup.wanted[phase])
			rig_done(r, phase, true);
	assert_true(startup_is_complete(&r->engine.startup));
}

int rig_count(const struct rig *r, enum engine_action_kind kind)
{
	int count = 0;
	for (int i = 0; i < r->log_count; i++)
		count += r->log[i].kind == kind;
	return count;
}

const struct engine_action *rig_nth(const struct rig *r, enum engine_action_kind kind, int from)
{
	for (int i = 0; i < r->log_count; i++)
		if (r->log[i].kind == kind && from-- == 0)
			return &r->log[i];
	return NULL;
}

const struct engine_action *rig_first(const struct rig *r, enum engine_action_kind kind)
{
	return rig_nth(r, kind, 0);
}

const struct engine_action *rig_notice(const struct rig *r, enum engine_notice notice)
{
	for (int i = 0; i < r->log_count; i++)
		if (r->log[i].kind == ACTION_NOTICE && r->log[i].notice == notice)
			return &r->log[i];
	return NULL;
}

void rig_check(const struct rig *r)
{
	const struct engine *e = &r->engine;
	int connecting = 0, under_way = 0;
	for (int server = 0; server < RIG_SERVERS; server++) {
		connecting += r->servers[server].state == SERVER_CONNECTING;
		under_way += r->attempts[server].under_way;
		assert_int_equal(r->servers[server].state == SERVER_CONNECTING,
			r->attempts[server].under_way);
	}
	assert_int_equal(e->pool.connecting, connecting);
	assert_int_equal(e->connects.under_way, under_way);
	assert_int_equal(e->breaker.under_way, under_way);
	assert_in_range(e->breaker.probing, 0, under_way);
}
