#include "core/engine.h"

#include <assert.h>
#include <string.h>

#include "core/engine_attempt.h"

/* How often idle servers are looked at for age. */
#define SWEEP_NS NS_PER_S

/* What the server counted is believed for so long: the count of a storm is not of the day after. */
#define BACKENDS_FRESH_NS (60 * NS_PER_S)

/* ---- actions ---- */

static bool has_room(struct engine *e, const struct engine_actions *actions)
{
	if (actions->count < ENGINE_ACTIONS_MAX)
		return true;
	e->unfinished = true;
	return false;
}

static struct engine_action *act(struct engine_actions *actions, enum engine_action_kind kind)
{
	assert(actions->count < ENGINE_ACTIONS_MAX);
	struct engine_action *a = &actions->list[actions->count++];
	*a = (struct engine_action){.kind = kind, .server = POOL_NOBODY, .client = POOL_NOBODY};
	return a;
}

static void notice(
	struct engine_actions *actions, enum engine_notice what, enum phase phase, int from, int to)
{
	struct engine_action *a = act(actions, ACTION_NOTICE);
	a->notice = what;
	a->phase = phase;
	a->from = from;
	a->to = to;
}

/* ---- what is known ---- */

static bool in_phase(const struct engine *e, enum phase phase)
{
	return e->startup.begun && e->startup.current == phase;
}

/* The database is wanted, its phase has been reached, and the program is not about to end. */
static bool may_connect(const struct engine *e)
{
	enum phase_status status = e->startup.phases[PHASE_DATABASE].status;
	bool ending = e->exiting || e->startup.failed;
	return !ending && status != PHASE_PENDING && status != PHASE_SKIPPED;
}

static int server_limit(const struct engine *e)
{
	return e->budget.share < e->pool.servers_max ? e->budget.share : e->pool.servers_max;
}

/* From when on another server is wanted, whether or not it may be tried then; INSTANT_NEVER: not
 * until something changes. */
static instant wants_server_at(const struct engine *e)
{
	const struct pool *p = &e->pool;
	if (!may_connect(e) || pool_servers(p) >= server_limit(e))
		return INSTANT_NEVER;
	/* After a permanent failure only a client's demand is worth another try. */
	if (e->permanent == OUTCOME_OK && pool_servers(p) < e->settings.servers_kept)
		return 0;
	/* A breaker that is not closed wants to know, whoever waits: its state is being shown. */
	if (e->permanent == OUTCOME_OK && e->breaker.state != BREAKER_CLOSED)
		return 0;
	if (p->waiting <= p->idle + p->connecting)
		return INSTANT_NEVER;
	/* The first one at once; more only for a queue that those there can't drain. */
	if (pool_servers(p) == 0)
		return 0;
	return standing_at(&e->standing);
}

int64_t engine_deadline_span(const struct engine *e, enum deadline_kind kind)
{
	int64_t measured_ns = 0;
	/* Observation knows connects, and so what waits for one. Once the startup is over the
	 * pool's wait is short on purpose: better an honest error than a long queue. */
	if (kind == DEADLINE_POOL && startup_is_over(&e->startup))
		return e->settings.deadlines.base_ns[kind];
	if (kind == DEADLINE_CONNECTION || kind == DEADLINE_INITIALIZATION || kind == DEADLINE_POOL)
		measured_ns = path_connect_quantile(&e->path, 0.95);
	return deadline_span(&e->settings.deadlines, kind, e->path.state, measured_ns);
}

int engine_retry_after_s(const struct engine *e, instant now)
{
	instant at = now;
	if (e->breaker.state == BREAKER_OPEN && e->breaker.until > at)
		at = e->breaker.until;
	if (e->retry.next_at > at)
		at = e->retry.next_at;
	int64_t seconds = (at - now + NS_PER_S - 1) / NS_PER_S;
	return seconds < 1 ? 1 : (int)seconds;
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
	}
	return "unknown";
}

/* ---- what ends ---- */

static void connections_changed(struct engine *e, instant now)
{
	/* The fleet's connections: as the server counted them, or as many in every instance. */
	int assumed = pool_servers(&e->pool) * e->settings.budget.instances;
	int counted = now - e->limits_at < BACKENDS_FRESH_NS ? e->limits.backends : -1;
	path_connections(&e->path, counted > assumed ? counted : assumed, now);
}

static void server_failed(struct engine *e, int server, enum outcome outcome, instant now)
{
	engine_attempt_end(e, server, outcome, now);
	pool_server_gone(&e->pool, server);
	connections_changed(e, now);
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

static void server_ready(struct engine *e, int server, instant now)
{
	engine_attempt_end(e, server, OUTCOME_OK, now);
	instant retire_at = INSTANT_NEVER;
	int64_t life_ns = e->settings.server_life_ns;
	if (life_ns > 0)
		retire_at = now + life_ns - random_span(&e->random, life_ns / 10);
	pool_server_ready(&e->pool, server, now, retire_at);
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
	if (client != POOL_NOBODY && event->requeue)
		pool_client_returns(&e->pool, client, patient, since);
	/* Many lost at once are one failure: whoever backs off already has heard of it. One that
	 * was closed for its client's sake (OUTCOME_OK) is none. */
	if (event->outcome != OUTCOME_OK && retry_admits(&e->retry, event->now))
		engine_back_off(e, event->now);
	connections_changed(e, event->now);
}

static void server_released(struct engine *e, int server, instant now)
{
	/* Only now, not at login: a server that lets us in and then cuts us off has not served
	 * anyone yet, and must not be asked again without a pause. Nor does one from before the
	 * failure say that others can be had again. */
	if (e->retry.failures > 0 && e->attempts[server].ended_at >= e->failed_at)
		retry_succeeded(&e->retry);
	pool_server_released(&e->pool, server, now);
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

static void limits_told(struct engine *e, const struct engine_event *event)
{
	e->limits = event->limits;
	e->limits_at = event->now;
	budget_learn(&e->budget, event->limits.max_connections, event->limits.superuser_reserved,
		event->limits.reserved);
	connections_changed(e, event->now);
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
		if (event->phase != PHASE_DATABASE || !in_phase(e, PHASE_DATABASE))
			break; /* crossed with its cancellation */
		startup_restart_timeout(
			&e->startup, engine_deadline_span(e, DEADLINE_TABLE_SETUP), event->now);
		e->in_table_setup = true;
		break;
	case EVENT_CONNECT_STAGE:
		engine_attempt_stage(e, event->server, event->stage, event->now);
		break;
	case EVENT_CONNECT_OK:
		server_ready(e, event->server, event->now);
		break;
	case EVENT_CONNECT_FAILED:
		server_failed(e, event->server, event->outcome, event->now);
		break;
	case EVENT_SERVER_RELEASED:
		server_released(e, event->server, event->now);
		break;
	case EVENT_SERVER_GONE:
		server_gone(e, event);
		break;
	case EVENT_CLIENT_WAITS:
		pool_client_waits(p, event->client, event->patient, event->now);
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
		path_throughput(&e->path, event->bit_s * e->settings.budget.instances, event->now);
		break;
	case EVENT_COMMAND_UP:
		e->command_up = true;
		/* What serves is not ended for what its new gate finds missing. */
		for (enum phase phase = PHASE_DEPENDENCIES; phase < PHASE_COUNT; phase++)
			e->startup.settings.critical[phase] = false;
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
		if (!a->under_way || !has_room(e, actions))
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
	if (!e->startup.begun || startup_is_over(&e->startup) || !has_room(e, actions))
		return;
	if (in_phase(e, PHASE_DATABASE)) {
		if (e->permanent != OUTCOME_OK) {
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

/* What became of phases, and the work of the one that begins. */
static void announce_phases(struct engine *e, struct engine_actions *actions)
{
	for (enum phase phase = 0; phase < PHASE_COUNT; phase++) {
		enum phase_status from = e->phase_noticed[phase];
		enum phase_status to = e->startup.phases[phase].status;
		if (from == to)
			continue;
		if (actions->count + 2 > ENGINE_ACTIONS_MAX) {
			e->unfinished = true;
			return;
		}
		e->phase_noticed[phase] = to;
		notice(actions, NOTICE_PHASE, phase, from, to);
		if (to == PHASE_IN_PROGRESS)
			act(actions, ACTION_PHASE_BEGIN)->phase = phase;
	}
	if (startup_is_complete(&e->startup) && !e->started_noticed && has_room(e, actions)) {
		e->started_noticed = true;
		notice(actions, NOTICE_STARTED, PHASE_FINALIZE, 0, 1);
	}
}

/* The reason why nobody who waits can be served soon, if there is one. */
static bool is_hopeless(const struct engine *e, instant now, enum engine_reject *reject)
{
	if (pool_servers(&e->pool) > 0)
		return false;
	/* Once it is time to try again, it takes somebody who waits to do so. */
	if (e->permanent != OUTCOME_OK && !retry_admits(&e->retry, now)) {
		*reject = REJECT_PERMANENT;
		return true;
	}
	/* A service that is just starting would take the error for the end of its start; the next
	 * probe is near then, and worth waiting for. */
	if (e->breaker.state == BREAKER_OPEN && now < e->breaker.until &&
		startup_is_over(&e->startup)) {
		*reject = REJECT_BREAKER_OPEN;
		return true;
	}
	return false;
}

static void turn_away(struct engine *e, instant now, struct engine_actions *actions)
{
	if (e->pool.waiting == 0)
		return;
	int64_t patience_ns = engine_deadline_span(e, DEADLINE_POOL);
	enum engine_reject reject = REJECT_POOL_TIMEOUT;
	bool all = is_hopeless(e, now, &reject);
	int next;
	for (int client = e->pool.queue_first; client != POOL_NOBODY; client = next) {
		struct pool_client *c = &e->pool.clients[client];
		next = c->next;
		if (c->patient)
			continue;
		if (!all && now < instant_add(c->since, patience_ns))
			break; /* first come, first served: those behind came later */
		if (!has_room(e, actions))
			break;
		pool_client_leaves(&e->pool, client);
		struct engine_action *a = act(actions, ACTION_REJECT);
		a->client = client;
		a->reject = reject;
		e->rejects++;
	}
}

static void close_server(struct engine *e, int server, instant now, struct engine_actions *actions)
{
	act(actions, ACTION_CLOSE)->server = server;
	pool_server_gone(&e->pool, server);
	connections_changed(e, now);
}

/* Too old, or one too many since the share has shrunk: not to be used again, even if clients wait
 * without end and it would never be idle for long. */
static bool is_done_with(const struct engine *e, int server, instant now)
{
	return now >= e->pool.servers[server].retire_at || pool_servers(&e->pool) > server_limit(e);
}

static void assign(struct engine *e, instant now, struct engine_actions *actions)
{
	while (e->pool.waiting > 0 && e->pool.idle > 0 && has_room(e, actions)) {
		int server, client;
		if (is_done_with(e, e->pool.idle_first, now)) {
			close_server(e, e->pool.idle_first, now, actions);
			continue;
		}
		instant idle_since = e->pool.servers[e->pool.idle_first].since;
		if (!pool_assign(&e->pool, &server, &client, now))
			break;
		struct engine_action *a = act(actions, ACTION_ASSIGN);
		a->server = server;
		a->client = client;
		a->ping = now - idle_since >= e->settings.ping_after_ns;
		e->assigned++;
	}
}

static void open_servers(struct engine *e, instant now, struct engine_actions *actions)
{
	while (now >= wants_server_at(e) && retry_admits(&e->retry, now) && has_room(e, actions)) {
		if (!connects_admit(&e->connects))
			return;
		if (!breaker_admit(&e->breaker, now)) {
			connects_abandoned(&e->connects);
			return;
		}
		int server = pool_server_begin(&e->pool, now);
		assert(server != POOL_NOBODY);
		engine_attempt_begin(e, server, now);
		standing_answered(&e->standing, now);
		act(actions, ACTION_CONNECT)->server = server;
		connections_changed(e, now);
	}
}

/* Closes what is idle and too old, or idle for too long and not to be kept. */
static void sweep(struct engine *e, instant now, struct engine_actions *actions)
{
	if (now < e->sweep_at)
		return;
	e->sweep_at = now + SWEEP_NS;
	int previous;
	for (int server = e->pool.idle_last; server != POOL_NOBODY; server = previous) {
		const struct pool_server *s = &e->pool.servers[server];
		previous = s->previous;
		bool surplus = e->settings.server_idle_ns > 0 &&
			       now - s->since >= e->settings.server_idle_ns &&
			       pool_servers(&e->pool) > e->settings.servers_kept;
		if (!surplus && !is_done_with(e, server, now))
			continue;
		if (!has_room(e, actions)) {
			e->sweep_at = now;
			return;
		}
		close_server(e, server, now, actions);
	}
}

/* A server connection is there; or none is needed now, and the last one did its work. */
static bool is_database_up(const struct engine *e)
{
	if (!e->settings.startup.wanted[PHASE_DATABASE] || e->pool.idle + e->pool.busy > 0)
		return true;
	bool connected_once = e->path.attempts > e->path.failures;
	return connected_once && e->retry.failures == 0 && e->permanent == OUTCOME_OK;
}

static void announce_states(struct engine *e, struct engine_actions *actions)
{
	struct availability_facts facts = {
		.command_up = e->command_up || !e->settings.startup.wanted[PHASE_SERVICES],
		.database_up = is_database_up(e),
		.breaker_closed = e->breaker.state == BREAKER_CLOSED,
	};
	enum availability availability = availability_of(&e->startup, &facts);
	if (actions->count + 3 > ENGINE_ACTIONS_MAX) {
		e->unfinished = true;
		return;
	}
	if (e->breaker.state != e->breaker_noticed)
		notice(actions, NOTICE_BREAKER, 0, (int)e->breaker_noticed, (int)e->breaker.state);
	if (e->path.state != e->path_noticed)
		notice(actions, NOTICE_PATH, 0, (int)e->path_noticed, (int)e->path.state);
	if (availability != e->availability)
		notice(actions, NOTICE_AVAILABILITY, 0, (int)e->availability, (int)availability);
	e->breaker_noticed = e->breaker.state;
	e->path_noticed = e->path.state;
	e->availability = availability;
}

static void end_if_failed(struct engine *e, struct engine_actions *actions)
{
	if (!e->startup.failed || e->exiting || !has_room(e, actions))
		return;
	e->exiting = true;
	act(actions, ACTION_EXIT)->code = ENGINE_EXIT_STARTUP_FAILED;
}

void engine_step(struct engine *e, const struct engine_event *event, struct engine_actions *actions)
{
	instant now = event->now;
	actions->count = 0;
	e->unfinished = false;
	take_in(e, event, actions);
	connections_changed(e, now);
	watch_attempts(e, now, actions);
	watch_startup(e, now, actions);
	announce_phases(e, actions);
	assign(e, now, actions);
	turn_away(e, now, actions);
	/* Whoever waits for the first server is not helped by a second. */
	standing_update(&e->standing, e->pool.waiting > 0 && e->pool.idle + e->pool.busy > 0, now);
	open_servers(e, now, actions);
	sweep(e, now, actions);
	announce_states(e, actions);
	end_if_failed(e, actions);
}

/* ---- time ---- */

static instant queue_deadline(const struct engine *e)
{
	for (int c = e->pool.queue_first; c != POOL_NOBODY; c = e->pool.clients[c].next)
		if (!e->pool.clients[c].patient)
			return instant_add(
				e->pool.clients[c].since, engine_deadline_span(e, DEADLINE_POOL));
	return INSTANT_NEVER;
}

/* The next attempt waits for one under way, which ends with an event: not for time. */
static bool is_held_up(const struct engine *e)
{
	return e->connects.under_way >= (int)e->connects.window ||
	       (e->breaker.state == BREAKER_HALF_OPEN &&
		       e->breaker.probing >= e->breaker.settings.probes);
}

instant engine_deadline(const struct engine *e)
{
	if (e->unfinished)
		return 0;
	instant at = instant_min(engine_attempts_deadline(e), queue_deadline(e));
	at = instant_min(at, startup_deadline(&e->startup));
	at = instant_min(at, path_deadline(&e->path));
	if (e->pool.idle > 0)
		at = instant_min(at, e->sweep_at);
	instant wanted_at = wants_server_at(e);
	if (wanted_at != INSTANT_NEVER && !is_held_up(e)) {
		instant open_until = e->breaker.state == BREAKER_OPEN ? e->breaker.until : 0;
		instant allowed_at = instant_max(e->retry.next_at, open_until);
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
	retry_init(&e->retry, &settings->retry);
	connects_init(&e->connects, &settings->connects);
	standing_init(&e->standing, &settings->growth);
	budget_init(&e->budget, &settings->budget);
	path_init(&e->path, &settings->path, now);
	pool_init(&e->pool, memory->servers, memory->servers_max, memory->clients,
		memory->clients_max);
	e->attempts = memory->attempts;
	e->limits = (struct engine_limits){-1, -1, -1, -1};
	e->availability = AVAILABILITY_UNAVAILABLE;
	e->path_noticed = e->path.state;
	e->breaker_noticed = e->breaker.state;
	e->permanent = OUTCOME_OK;
	e->sweep_at = now;
}
