#include "core/engine.h"

#include <assert.h>
#include <string.h>

#include "core/engine_actions.h"
#include "core/engine_announce.h"
#include "core/engine_attempt.h"
#include "core/engine_breaker.h"
#include "core/engine_pool.h"
#include "core/engine_queue.h"

/* What the server counted is believed for so long: the count of a storm is not of the day after. */
#define BACKENDS_FRESH_NS (60 * NS_PER_S)

/* ---- what is known ---- */

static bool in_phase(const struct engine *e, enum phase phase)
{
	return e->startup.begun && e->startup.current == phase;
}

int64_t engine_deadline_span(const struct engine *e, enum deadline_kind kind)
{
	int64_t measured_ns = 0;
	if (kind == DEADLINE_POOL)
		return engine_queue_patience(e, ENGINE_OWN);
	/* Observation knows connects, and so what waits for one, and how fast the queue moves. */
	if (kind == DEADLINE_CONNECTION || kind == DEADLINE_INITIALIZATION)
		measured_ns = path_connect_p95(&e->path);
	if (kind == DEADLINE_INITIALIZATION)
		measured_ns += engine_expected_wait(e, ENGINE_OWN);
	return deadline_span(&e->settings.deadlines, kind, e->path.state, measured_ns);
}

const char *engine_reject_name(enum engine_reject reject)
{
	switch (reject) {
	case REJECT_POOL_TIMEOUT:
		return "pool_timeout";
	case REJECT_BREAKER_OPEN:
		return "breaker_open";
	case REJECT_PERMANENT:
		return "permanent";
	case REJECT_OVERLOADED:
		return "overloaded";
	case REJECT_COUNT:
		break;
	}
	return "unknown";
}

/* ---- what ends ---- */

/* Which are taken to do as much as this one does. */
static int processes_of_fleet(const struct engine *e)
{
	return e->settings.budget.instances * (e->settings.budget.siblings + 1);
}

void engine_connections_changed(struct engine *e, instant now)
{
	/* The fleet's connections: as the server counted them, or as many in every instance. */
	int assumed = pool_servers(&e->pool) * processes_of_fleet(e);
	instant believed_until = instant_add(e->limits_at, BACKENDS_FRESH_NS);
	bool believed = e->limits.backends >= 0 && now < believed_until;
	int counted = believed ? e->limits.backends : -1;
	e->counted_until = believed ? believed_until : INSTANT_NEVER;
	path_connections(&e->path, counted > assumed ? counted : assumed, now);
}

static bool is_serving(const struct engine *e)
{
	return e->pool.idle + e->pool.busy > 0;
}

static void server_failed(struct engine *e, int server, enum outcome outcome, instant now)
{
	engine_attempt_end(e, server, outcome, now);
	pool_server_gone(&e->pool, server);
	dbms_attempt(&e->dbms, outcome, is_serving(e), now);
	engine_connections_changed(e, now);
}

static void end_phase(struct engine *e, enum phase phase, bool ok, instant now)
{
	/* A start without its database has nothing yet to query from end to end. */
	bool failed = e->startup.phases[PHASE_DATABASE].status == PHASE_FAILED ||
		      (phase == PHASE_DATABASE && !ok);
	bool nothing = failed && e->pool.idle + e->pool.busy == 0;
	e->startup.settings.wanted[PHASE_FINALIZE] = e->settings.startup.wanted[PHASE_FINALIZE] &&
						     !nothing;
	startup_phase_ended(&e->startup, phase, ok, now);
}

static void fail_phase(struct engine *e, enum phase phase, bool timed_out, instant now,
	struct engine_actions *actions)
{
	e->startup.phases[phase].timed_out = timed_out;
	act(actions, ACTION_PHASE_CANCEL)->phase = phase;
	end_phase(e, phase, false, now);
}

/* ---- events ---- */

/* One that is not to be used again is closed at once: somebody may wait for that. */
static void look_at_released(struct engine *e, int server, instant now)
{
	const struct pool_server *s = &e->pool.servers[server];
	if (now >= s->retire_at || e->pool.groups[s->group].settings.hold == HOLD_CLOSE)
		e->sweep_at = now;
}

static void server_ready(struct engine *e, int server, instant now)
{
	engine_attempt_end(e, server, OUTCOME_OK, now);
	dbms_attempt(&e->dbms, OUTCOME_OK, true, now);
	instant retire_at = INSTANT_NEVER;
	int64_t life_ns = e->settings.server_life_ns;
	if (life_ns > 0)
		retire_at = now + life_ns - random_span(&e->random, life_ns / 10);
	pool_server_ready(&e->pool, server, now, retire_at);
	backlog_resumes(&e->groups[e->pool.servers[server].group].queue, now);
	look_at_released(e, server, now);
}

/* One that was of use is ended by an administrator, and others serve on: that is about a session,
 * not the database. One that is let in and cut off again and again would be asked without a pause,
 * so it must have served, or lasted. */
static bool is_of_one_session(const struct engine *e, const struct engine_event *event, bool used)
{
	const struct engine_attempt *a = &e->attempts[event->server];
	bool lasted = event->now - a->ended_at >= e->settings.retry.base_ns;
	return event->outcome == OUTCOME_SHUTDOWN && is_serving(e) && (used || a->served || lasted);
}

static void server_gone(struct engine *e, const struct engine_event *event)
{
	struct pool_server *s = &e->pool.servers[event->server];
	if (s->state == SERVER_NONE)
		return;
	assert(s->state != SERVER_CONNECTING);
	bool patient = false;
	instant since = event->now;
	if (s->client != POOL_NOBODY) {
		patient = e->pool.clients[s->client].patient;
		since = e->pool.clients[s->client].asked_at;
	}
	int client = pool_server_gone(&e->pool, event->server);
	dbms_lost(&e->dbms, event->outcome, is_serving(e), event->now);
	if (client != POOL_NOBODY && event->requeue) {
		engine_queue_begins(e, e->pool.clients[client].group, event->now);
		pool_client_returns(&e->pool, client, patient, since);
	}
	/* Many lost at once are one failure: whoever backs off already has heard of it. One that
	 * was closed for its client's sake (OUTCOME_OK) is none. */
	bool used = client != POOL_NOBODY && !event->requeue;
	if (event->outcome != OUTCOME_OK && !is_of_one_session(e, event, used) &&
		retry_admits(&e->retry, event->now))
		engine_back_off(e, event->now);
	engine_connections_changed(e, event->now);
}

static void server_released(struct engine *e, int server, bool spent, instant now)
{
	struct pool_server *s = &e->pool.servers[server];
	/* Only now, not at login: a server that lets us in and then cuts us off has not served
	 * anyone yet, and must not be asked again without a pause. Nor does one from before the
	 * failure say that others can be had again. */
	if (e->retry.failures > 0 && e->attempts[server].ended_at >= e->failed_at)
		retry_succeeded(&e->retry);
	e->attempts[server].served = true;
	if (spent) {
		s->retire_at = now;
		s->outdated = true;
	}
	engine_queue_released(e, s->group, now);
	pool_server_released(&e->pool, server, now);
	look_at_released(e, server, now);
}

/* What serves is not ended for what its new gate finds missing. */
static void command_is_up(struct engine *e)
{
	e->command_up = true;
	for (enum phase phase = PHASE_DEPENDENCIES; phase < PHASE_COUNT; phase++)
		e->startup.settings.critical[phase] = false;
}

static void command_exited(
	struct engine *e, const struct engine_event *event, struct engine_actions *actions)
{
	bool was_up = e->command_up;
	e->command_up = false;
	if (was_up && !e->exiting) {
		e->exiting = true;
		act(actions, ACTION_EXIT)->code = event->code;
	} else if (!was_up && in_phase(e, PHASE_SERVICES)) {
		fail_phase(e, PHASE_SERVICES, false, event->now, actions);
	}
	/* Else the startup went on without it, and goes on saying so. */
}

static void phase_done(struct engine *e, const struct engine_event *event)
{
	if (!in_phase(e, event->phase))
		return; /* crossed with its cancellation */
	if (event->phase == PHASE_SERVICES && event->ok)
		e->command_up = true;
	end_phase(e, event->phase, event->ok, event->now);
}

static void phase_stepped(struct engine *e, const struct engine_event *event)
{
	if (event->phase != PHASE_DATABASE || !in_phase(e, PHASE_DATABASE))
		return; /* crossed with its cancellation */
	startup_restart_timeout(
		&e->startup, engine_deadline_span(e, DEADLINE_TABLE_SETUP), event->now);
	e->in_table_setup = true;
}

static void limits_told(struct engine *e, const struct engine_event *event)
{
	e->limits = event->limits;
	e->limits_at = event->now;
	dbms_told(&e->dbms, event->limits.in_recovery, event->now);
	budget_learn(&e->budget, event->limits.max_connections, event->limits.superuser_reserved,
		event->limits.reserved);
	engine_connections_changed(e, event->now);
}

static void set_group(
	struct engine *e, int group, const struct pool_group_settings *settings, instant now)
{
	pool_group_set(&e->pool, group, settings);
	if (settings->hold == HOLD_CLOSE)
		e->sweep_at = now;
	struct engine_group *own = &e->groups[group];
	own->permanent = OUTCOME_OK;
	own->retry_at = 0;
	backlog_resumes(&own->queue, now);
	if (e->pool.groups[group].waiting == 0) {
		standing_init(&own->standing, &e->settings.growth);
		own->queue = (struct backlog){0};
	}
}

/* Each is closed when it is free; clients that wait, and those kept warm, get fresh ones. */
static void reconnect(struct engine *e, int group, instant now)
{
	for (int server = 0; server < e->pool.servers_max; server++) {
		struct pool_server *s = &e->pool.servers[server];
		if (s->state == SERVER_NONE || (group != POOL_NOBODY && s->group != group))
			continue;
		s->retire_at = now;
		s->outdated = true;
	}
	for (int any = 0; any < e->pool.groups_top; any++) {
		if (group != POOL_NOBODY && any != group)
			continue;
		e->groups[any].permanent = OUTCOME_OK;
		e->groups[any].retry_at = 0;
	}
	e->sweep_at = now;
	e->retry.next_at = instant_min(e->retry.next_at, now);
	e->throttle.until = instant_min(e->throttle.until, now);
}

static void take_in(
	struct engine *e, const struct engine_event *event, struct engine_actions *actions)
{
	struct pool *p = &e->pool;
	switch (event->kind) {
	case EVENT_TICK:
		break;
	case EVENT_START:
		startup_begin(&e->startup, event->now);
		break;
	case EVENT_PHASE_DONE:
		phase_done(e, event);
		break;
	case EVENT_PHASE_STEP:
		phase_stepped(e, event);
		break;
	case EVENT_CONNECT_STAGE:
		if (event->syn_known)
			engine_attempt_syns(e, event->server, event->syn_lost);
		engine_attempt_stage(e, event->server, event->stage, event->now);
		break;
	case EVENT_CONNECT_OK:
		server_ready(e, event->server, event->now);
		break;
	case EVENT_CONNECT_FAILED:
		server_failed(e, event->server, event->outcome, event->now);
		break;
	case EVENT_SERVER_RELEASED:
		server_released(e, event->server, event->spent, event->now);
		break;
	case EVENT_SERVER_GONE:
		server_gone(e, event);
		break;
	case EVENT_GROUP:
		set_group(e, event->group, &event->group_settings, event->now);
		break;
	case EVENT_GROUP_CLOSED:
		pool_group_close(p, event->group);
		break;
	case EVENT_CLIENT_WAITS:
		engine_queue_begins(e, event->group, event->now);
		pool_client_waits(p, event->client, event->group, event->patient, event->now);
		break;
	case EVENT_CLIENT_LEFT:
		if (p->clients[event->client].state == CLIENT_WAITING)
			pool_client_leaves(p, event->client);
		break;
	case EVENT_SERVER_LIMITS:
		limits_told(e, event);
		break;
	case EVENT_THROUGHPUT:
		/* The fleet's, as with connections: as much in every instance. */
		path_throughput(&e->path, event->bit_s * processes_of_fleet(e),
			event->sent_bit_s * processes_of_fleet(e), event->now);
		break;
	case EVENT_TCP_SAMPLE:
		path_flow(&e->path, &event->flow, event->now);
		break;
	case EVENT_PROBED:
		engine_probed(e, &event->probe, event->now);
		break;
	case EVENT_BREAKER:
		breaker_set_mode(&e->breaker, event->breaker_mode, event->now);
		break;
	case EVENT_RECONNECT:
		reconnect(e, event->group, event->now);
		break;
	case EVENT_COMMAND_UP:
		command_is_up(e);
		break;
	case EVENT_COMMAND_EXITED:
		command_exited(e, event, actions);
		break;
	}
}

/* ---- decisions, each one repeatable: what found no room is found again ---- */

static void watch_attempts(struct engine *e, instant now, struct engine_actions *actions)
{
	if (e->pool.connecting == 0)
		return;
	for (int server = 0; server < e->pool.servers_max; server++) {
		const struct engine_attempt *a = &e->attempts[server];
		if (!a->under_way || !has_room(e, actions, 1))
			continue;
		if (now >= a->until) {
			act(actions, ACTION_ABANDON)->server = server;
			server_failed(e, server, OUTCOME_TIMEOUT, now);
		} else if (now >= a->dial_until) {
			act(actions, ACTION_REDIAL)->server = server;
			engine_attempt_redial(e, server, now);
		}
	}
}

static void watch_startup(struct engine *e, instant now, struct engine_actions *actions)
{
	if (!e->startup.begun || startup_is_over(&e->startup) || !has_room(e, actions, 1))
		return;
	if (in_phase(e, PHASE_DATABASE)) {
		if (e->groups[ENGINE_OWN].permanent != OUTCOME_OK) {
			fail_phase(e, PHASE_DATABASE, false, now, actions);
			return;
		}
		/* The deadline follows the path's state upwards and never comes closer again. */
		int64_t span_ns = engine_deadline_span(e, DEADLINE_INITIALIZATION);
		if (!e->in_table_setup && span_ns > e->startup.phases[PHASE_DATABASE].timeout_ns)
			startup_set_timeout(&e->startup, span_ns);
	}
	if (now >= startup_deadline(&e->startup))
		fail_phase(e, e->startup.current, true, now, actions);
}

static void end_if_failed(struct engine *e, struct engine_actions *actions)
{
	if (!e->startup.failed || e->exiting || !has_room(e, actions, 1))
		return;
	e->exiting = true;
	act(actions, ACTION_EXIT)->code = ENGINE_EXIT_STARTUP_FAILED;
}

/* Not what only measures: a quiet engine is left alone until a server's time is over. */
static bool is_news_of_servers(enum engine_event_kind kind)
{
	return kind != EVENT_TICK && kind != EVENT_THROUGHPUT && kind != EVENT_TCP_SAMPLE;
}

void engine_step(struct engine *e, const struct engine_event *event, struct engine_actions *actions)
{
	instant now = event->now;
	actions->count = 0;
	e->unfinished = false;
	take_in(e, event, actions);
	if (is_news_of_servers(event->kind))
		engine_sweep_soon(e, now);
	engine_connections_changed(e, now);
	watch_attempts(e, now, actions);
	watch_startup(e, now, actions);
	engine_announce_phases(e, actions);
	engine_assign(e, now, actions);
	if (event->kind == EVENT_CLIENT_WAITS)
		engine_queue_arrived(e, event->client, now, actions);
	engine_turn_away(e, now, actions);
	engine_open_servers(e, now, actions);
	engine_breaker_watch(e, now, actions);
	engine_sweep(e, now, actions);
	engine_announce_states(e, actions);
	end_if_failed(e, actions);
}

/* ---- time ---- */

/* The next attempt waits for one under way, which ends with an event: not for time. */
static bool is_held_up(const struct engine *e)
{
	return !connects_has_room(&e->connects) ||
	       (e->breaker.state != BREAKER_CLOSED &&
		       e->breaker.probing >= e->breaker.settings.probes);
}

instant engine_deadline(const struct engine *e)
{
	if (e->unfinished)
		return 0;
	instant at = instant_min(engine_attempts_deadline(e), engine_queues_deadline(e));
	at = instant_min(at, startup_deadline(&e->startup));
	at = instant_min(at, instant_min(path_deadline(&e->path), e->counted_until));
	at = instant_min(at, engine_breaker_deadline(e));
	if (e->pool.idle > 0)
		at = instant_min(at, e->sweep_at);
	instant wanted_at = engine_wants_server_at(e);
	if (wanted_at != INSTANT_NEVER && !is_held_up(e)) {
		instant open_until = e->breaker.state == BREAKER_OPEN ? e->breaker.until : 0;
		instant allowed_at = instant_max(e->retry.next_at, open_until);
		allowed_at = instant_max(allowed_at, throttle_until(&e->throttle));
		at = instant_min(at, instant_max(wanted_at, allowed_at));
	}
	return at;
}

void engine_init(struct engine *e, const struct engine_settings *settings,
	const struct engine_memory *memory, uint64_t seed, instant now)
{
	memset(e, 0, sizeof(*e));
	e->settings = *settings;
	random_init(&e->random, seed);
	startup_init(&e->startup, &settings->startup);
	/* The database phase's deadline is the capacity-aware one. */
	e->startup.settings.timeout_ns[PHASE_DATABASE] = deadline_span(
		&settings->deadlines, DEADLINE_INITIALIZATION, PATH_UNKNOWN, 0);
	breaker_init(&e->breaker, &settings->breaker);
	probe_init(&e->probe, &settings->probe, now, &e->random);
	retry_init(&e->retry, &settings->retry);
	struct throttle_settings throttle = {settings->throttle_k, settings->retry.base_ns};
	throttle_init(&e->throttle, &throttle, now);
	connects_init(&e->connects, &settings->connects);
	budget_init(&e->budget, &settings->budget);
	path_init(&e->path, &settings->path, now);
	dbms_init(&e->dbms, now);
	pool_init(&e->pool, &(struct pool_memory){
				    memory->servers,
				    memory->servers_max,
				    memory->clients,
				    memory->clients_max,
				    memory->pool_groups,
				    memory->groups_max,
			    });
	e->attempts = memory->attempts;
	e->groups = memory->groups;
	set_group(e, ENGINE_OWN,
		&(struct pool_group_settings){.servers_kept = settings->servers_kept}, now);
	e->limits = (struct engine_limits){-1, -1, -1, -1, false};
	e->counted_until = INSTANT_NEVER;
	e->availability = AVAILABILITY_UNAVAILABLE;
	e->path_noticed = e->path.state;
	e->sweep_at = now;
}
