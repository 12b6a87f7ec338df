#include "gate/describe.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"

#define SHOWN_MAX 1024 /* a text's length */

/* Enough to read a microsecond in a day; doubles in full would show their binary noise. */
#define REAL_DIGITS 10

static json_t *literal(const char *text)
{
	return json_string(text);
}

json_t *describe_text(const struct gate_view *view, const char *text)
{
	char shown[SHOWN_MAX];
	if (!text)
		return json_null();
	secrets_clean(view->secrets, text, shown, sizeof(shown));
	return json_string(shown);
}

json_t *describe_target(const struct gate_view *view, const char *target)
{
	char shown[SHOWN_MAX];
	const char *authority = strstr(target, "://");
	if (!authority || strncmp(target, "exec:", 5) == 0)
		return describe_text(view, target);
	authority += 3;
	size_t len = strcspn(authority, "?#");
	const char *at = memrchr(authority, '@', len);
	const char *rest = at ? at + 1 : authority;
	snprintf(shown, sizeof(shown), "%.*s%.*s", (int)(authority - target), target,
		(int)(authority + len - rest), rest);
	return describe_text(view, shown);
}

json_t *describe_time(const struct gate_view *view, instant at)
{
	char text[VIEW_TIME_SIZE];
	if (at < 0 || at == INSTANT_NEVER)
		return json_null();
	view_time(view, at, text);
	return json_string(text);
}

json_t *describe_error(const struct gate_view *view, const struct error *error)
{
	if (!error || !error_is_set(error))
		return json_null();
	json_t *o = json_object();
	json_put(o, "stage", describe_text(view, error->stage));
	json_put(o, "text", describe_text(view, error->text));
	if (error->sqlstate[0])
		json_put(o, "sqlstate", describe_text(view, error->sqlstate));
	if (error->code)
		json_put(o, "code", json_integer(error->code));
	if (error->origin[0])
		json_put(o, "origin", describe_text(view, error->origin));
	if (error->detail[0])
		json_put(o, "detail", describe_text(view, error->detail));
	if (error->hint[0])
		json_put(o, "hint", describe_text(view, error->hint));
	return o;
}

/* How long a phase took, or has taken so far; null if it did not begin. */
static json_t *phase_duration(const struct gate_view *view, const struct phase_record *r)
{
	if (r->began_at < 0 || r->status == PHASE_PENDING || r->status == PHASE_SKIPPED)
		return json_null();
	return json_seconds((r->ended_at < 0 ? view->now : r->ended_at) - r->began_at);
}

json_t *describe_phases(const struct gate_view *view)
{
	const struct startup *s = &view->engine->startup;
	json_t *list = json_array();
	for (enum phase phase = 0; phase < PHASE_COUNT; phase++) {
		const struct phase_record *r = &s->phases[phase];
		json_t *o = json_object();
		json_put(o, "phase", literal(phase_name(phase)));
		json_put(o, "status", literal(phase_status_name(r->status)));
		json_put(o, "critical", json_boolean(s->settings.critical[phase]));
		json_put(o, "timeout_s",
			json_seconds(
				r->timeout_ns ? r->timeout_ns : s->settings.timeout_ns[phase]));
		json_put(o, "duration_s", phase_duration(view, r));
		if (r->timed_out)
			json_put(o, "timed_out", json_true());
		if (view->phase_errors && error_is_set(&view->phase_errors[phase]))
			json_put(o, "error", describe_error(view, &view->phase_errors[phase]));
		json_array_append_new(list, o);
	}
	return list;
}

json_t *describe_pool(const struct gate_view *view)
{
	const struct engine *e = view->engine;
	const struct pool *p = &e->pool;
	json_t *o = json_object(), *servers = json_object();
	json_put(servers, "connecting", json_integer(p->connecting));
	json_put(servers, "idle", json_integer(p->idle));
	json_put(servers, "busy", json_integer(p->busy));
	json_put(o, "share", json_integer(e->budget.share));
	json_put(o, "servers", servers);
	/* There is room for more, so that a reload may raise it. */
	int most = view->settings->servers_max;
	json_put(o, "servers_max", json_integer(most < p->servers_max ? most : p->servers_max));
	json_put(o, "waiting", json_integer(p->waiting));
	json_put(o, "holding", json_integer(p->holding));
	json_put(o, "assigned", json_integer(e->assigned));
	json_put(o, "rejected", json_integer(e->rejects));
	return o;
}

json_t *describe_budget(const struct gate_view *view)
{
	const struct budget *b = &view->engine->budget;
	json_t *o = json_object();
	json_put(o, "max_connections", json_integer(b->settings.max_connections));
	json_put(o, "usable", json_integer(b->usable));
	json_put(o, "by_database", json_integer(b->by_database));
	json_put(o, "by_path", json_integer(b->by_path));
	json_put(o, "fleet", json_integer(b->fleet));
	json_put(o, "instances", json_integer(b->settings.instances));
	json_put(o, "share", json_integer(b->share));
	json_put(o, "needed", json_integer(b->needed));
	json_put(o, "fits", json_boolean(b->fits));
	return o;
}

static json_t *known(int number)
{
	return number < 0 ? json_null() : json_integer(number);
}

json_t *describe_database(const struct gate_view *view)
{
	const struct engine *e = view->engine;
	const struct engine_attempt *failed = view_last_failure(view);
	const struct error *last = view->database_error;
	if (!last || !error_is_set(last))
		last = failed ? view_attempt_error(view, failed->serial) : NULL;
	bool wanted = e->settings.startup.wanted[PHASE_DATABASE];
	bool up = e->pool.idle + e->pool.busy > 0;
	json_t *o = json_object(), *limits = json_object();
	json_put(o, "wanted", json_boolean(wanted));
	json_put(o, "up", json_boolean(up));
	json_put(o, "state", literal(dbms_state_name(e->dbms.state)));
	json_put(o, "since", describe_time(view, e->dbms.changed_at));
	bool told = e->limits.max_connections >= 0;
	json_put(o, "in_recovery", told ? json_boolean(e->limits.in_recovery) : json_null());
	json_put(o, "host", describe_text(view, view->settings->host));
	json_put(limits, "max_connections", known(e->limits.max_connections));
	json_put(limits, "superuser_reserved", known(e->limits.superuser_reserved));
	json_put(limits, "reserved", known(e->limits.reserved));
	json_put(limits, "backends", known(e->limits.backends));
	json_put(limits, "told", describe_time(view, told ? e->limits_at : -1));
	json_put(o, "limits", limits);
	json_put(o, "last_error", describe_error(view, last));
	json_put(o, "last_failure_at", describe_time(view, failed ? failed->ended_at : -1));
	bool waits = wanted && !up;
	json_put(o, "retry_after_s",
		waits ? json_integer(engine_retry_after_s(e, view->now)) : json_null());
	return o;
}

/* An attempt under way has spent its time so far in the stage that it is in. */
static json_t *attempt(const struct gate_view *view, const struct engine_attempt *a)
{
	json_t *o = json_object(), *stages = json_object();
	instant end = a->under_way ? view->now : a->ended_at;
	for (enum stage stage = STAGE_DNS; stage < STAGE_READY; stage++) {
		int64_t span_ns = a->path.stage_ns[stage];
		if (a->under_way && a->path.stage == stage)
			span_ns += view->now - a->stage_began_at;
		if (span_ns > 0)
			json_put(stages, stage_name(stage), json_seconds(span_ns));
	}
	json_put(o, "attempt", json_integer((json_int_t)a->serial));
	json_put(o, "began", describe_time(view, a->began_at));
	json_put(o, "outcome", literal(a->under_way ? "under_way" : outcome_name(a->path.outcome)));
	json_put(o, "stage", literal(stage_name(a->path.stage)));
	json_put(o, "took_s", json_seconds(end - a->began_at));
	json_put(o, "timeout_s", json_seconds(a->timeout_ns));
	json_put(o, "dials", json_integer(a->dials));
	json_put(o, "stages_s", stages);
	const struct error *error = a->under_way ? NULL : view_attempt_error(view, a->serial);
	if (error)
		json_put(o, "error", describe_error(view, error));
	return o;
}

static int by_serial(const void *a, const void *b)
{
	const struct engine_attempt *const *x = a, *const *y = b;
	return (*x)->serial < (*y)->serial ? -1 : (*x)->serial > (*y)->serial;
}

static json_t *recent_attempts(const struct gate_view *view, int max)
{
	const struct engine *e = view->engine;
	size_t room = (size_t)e->pool.servers_max + ENGINE_ATTEMPTS_MAX, count = 0;
	const struct engine_attempt **list = calloc(room, sizeof(*list));
	if (!list)
		abort();
	for (int i = 0; i < ENGINE_ATTEMPTS_MAX; i++)
		if (e->recent[i].serial)
			list[count++] = &e->recent[i];
	for (int i = 0; i < e->pool.servers_max; i++)
		if (e->attempts[i].under_way)
			list[count++] = &e->attempts[i];
	qsort(list, count, sizeof(*list), by_serial);
	json_t *array = json_array();
	for (size_t i = count > (size_t)max ? count - (size_t)max : 0; i < count; i++)
		json_array_append_new(array, attempt(view, list[i]));
	free(list);
	return array;
}

json_t *describe_attempts(const struct gate_view *view, int max)
{
	const struct engine *e = view->engine;
	json_t *o = json_object(), *ended = json_object();
	for (enum outcome outcome = 0; outcome < OUTCOME_COUNT; outcome++)
		if (e->attempts_ended[outcome] > 0)
			json_put(ended, outcome_name(outcome),
				json_integer(e->attempts_ended[outcome]));
	json_put(o, "ended", ended);
	json_put(o, "under_way", json_integer(e->pool.connecting));
	json_put(o, "redials", json_integer(e->redials));
	json_put(o, "recent", recent_attempts(view, max));
	return o;
}

/* The state in which the deadline came to be `used_ns`: it is kept when the path gets better. */
static enum path_state state_behind(
	const struct engine *e, enum deadline_kind kind, int64_t used_ns)
{
	const struct deadline_settings *d = &e->settings.deadlines;
	if (deadline_span(d, kind, e->path.state, 0) == used_ns)
		return e->path.state;
	for (enum path_state s = PATH_STATE_COUNT; s-- > PATH_UNKNOWN;)
		if (deadline_span(d, kind, s, 0) == used_ns)
			return s;
	return e->path.state;
}

static const char *decided_by(const struct deadline_settings *d, enum deadline_kind kind,
	int64_t used_ns, int64_t stretched_ns)
{
	if (d->cap_ns > 0 && used_ns == d->cap_ns)
		return "cap";
	if (used_ns == d->base_ns[kind])
		return "base";
	return used_ns == stretched_ns ? "path_state" : "measured";
}

json_t *describe_timeout(const struct gate_view *view, enum deadline_kind kind, int64_t used_ns)
{
	const struct engine *e = view->engine;
	const struct deadline_settings *d = &e->settings.deadlines;
	enum path_state state = state_behind(e, kind, used_ns);
	double factor = d->capacity_aware ? deadline_factor(state) : 1.0;
	int64_t buffer_ns = d->capacity_aware && state == PATH_SCALING ? d->scaling_buffer_ns : 0;
	int64_t measured_ns = path_connect_p95(&e->path);
	int64_t stretched_ns = deadline_span(d, kind, state, 0);
	json_t *o = json_object();
	json_put(o, "kind", literal(deadline_kind_name(kind)));
	json_put(o, "used_s", json_seconds(used_ns));
	json_put(
		o, "rule", literal("max(base, base x factor + buffer, measured), at most the cap"));
	json_put(o, "base_s", json_seconds(d->base_ns[kind]));
	json_put(o, "path_state", literal(path_state_name(state)));
	json_put(o, "factor", json_real(factor));
	json_put(o, "buffer_s", json_seconds(buffer_ns));
	json_put(o, "measured_s", measured_ns > 0 ? json_seconds(measured_ns) : json_null());
	json_put(o, "cap_s", d->cap_ns > 0 ? json_seconds(d->cap_ns) : json_null());
	json_put(o, "capacity_aware", json_boolean(d->capacity_aware));
	json_put(o, "decided_by", literal(decided_by(d, kind, used_ns, stretched_ns)));
	return o;
}

json_t *describe_deadlines(const struct gate_view *view)
{
	json_t *list = json_array();
	for (enum deadline_kind kind = 0; kind < DEADLINE_COUNT; kind++) {
		int64_t span_ns = engine_deadline_span(view->engine, kind);
		json_array_append_new(list, describe_timeout(view, kind, span_ns));
	}
	return list;
}

/* How many clients keep their servers, in all and by reason. */
static json_t *describe_pins(const struct gate_counters *c)
{
	json_t *o = json_object();
	json_put(o, "all", json_integer(c->pinned));
	for (enum gate_pin pin = 0; pin < PIN_COUNT; pin++)
		json_put(o, gate_pin_name(pin), json_integer(c->pinned_by[pin]));
	return o;
}

static json_t *describe_bounds(const struct gate_counters *c)
{
	json_t *o = json_object();
	for (int bound = 0; bound < GATE_BOUND_COUNT; bound++)
		json_put(o, gate_bound_key(bound), json_integer(c->bounds[bound]));
	return o;
}

json_t *describe_counters(const struct gate_view *view)
{
	const struct gate_counters *c = &view->counters;
	json_t *o = json_object();
	json_put(o, "clients", json_integer(c->clients));
	json_put(o, "clients_total", json_integer(c->clients_total));
	json_put(o, "client_errors", json_integer(c->client_errors));
	json_put(o, "login_failures", json_integer(c->login_failures));
	json_put(o, "over_limit", describe_bounds(c));
	json_put(o, "transactions", json_integer(c->transactions));
	json_put(o, "session_questions", json_integer(c->asked));
	json_put(o, "clients_pinned", describe_pins(c));
	json_put(o, "queries", json_integer(c->queries));
	json_put(o, "bytes_in", json_integer(c->bytes_in));
	json_put(o, "bytes_out", json_integer(c->bytes_out));
	return o;
}

json_t *describe_command(const struct gate_view *view)
{
	static const char *const states[] = {
		[COMMAND_NOT_STARTED] = "not_started",
		[COMMAND_RUNNING] = "running",
		[COMMAND_ENDED] = "ended",
	};
	if (!view->settings->has_command)
		return json_null();
	json_t *o = json_object();
	json_put(o, "state", literal(states[view->command]));
	if (view->command == COMMAND_RUNNING)
		json_put(o, "pid", json_integer(view->command_pid));
	if (view->command == COMMAND_ENDED)
		json_put(o, "exit_code", json_integer(view->command_code));
	json_put(o, "ready", json_boolean(view->engine->command_up));
	return o;
}

/* ---- settings ---- */

static const char *door_mode_name(enum door_mode mode)
{
	switch (mode) {
	case DOOR_OFF:
		return "off";
	case DOOR_RELAY:
		return "relay";
	case DOOR_INHERIT:
		return "inherit";
	}
	return "unknown";
}

static json_t *targets(const struct gate_view *view, const char *const *list, int count)
{
	json_t *array = json_array();
	for (int i = 0; i < count; i++)
		json_array_append_new(array, describe_target(view, list[i]));
	return array;
}

static void set_target(const struct gate_view *view, json_t *o, const char *key, const char *target)
{
	if (target && target[0])
		json_put(o, key, describe_target(view, target));
}

static json_t *engine_settings(const struct engine_settings *s)
{
	json_t *o = json_object(), *retry = json_object(), *breaker = json_object();
	json_put(retry, "retries", json_integer(s->retry.retries));
	json_put(retry, "base_s", json_seconds(s->retry.base_ns));
	json_put(retry, "cap_s", json_seconds(s->retry.cap_ns));
	json_put(retry, "factor", json_real(s->retry.factor));
	json_put(o, "retry", retry);
	json_put(breaker, "enabled", json_boolean(s->breaker.enabled));
	json_put(breaker, "failure_threshold", json_integer(s->breaker.failure_threshold));
	json_put(breaker, "open_s", json_seconds(s->breaker.open_ns));
	json_put(breaker, "probes", json_integer(s->breaker.probes));
	json_put(o, "breaker", breaker);
	json_put(o, "path_monitoring", json_boolean(s->path.monitoring));
	json_put(o, "pool_size", json_integer(s->budget.pool_size));
	json_put(o, "pool_overflow", json_integer(s->budget.pool_overflow));
	json_put(o, "margin", json_real(s->budget.margin));
	json_put(o, "buffer", json_integer(s->budget.buffer));
	json_put(o, "agents", json_integer(s->budget.agents));
	json_put(o, "path_share", json_real(s->budget.path_share));
	json_put(o, "connects_max", json_integer(s->connects.window_max));
	json_put(o, "connects_rule", literal(connects_rule_name(s->connects.rule)));
	json_put(o, "servers_kept", json_integer(s->servers_kept));
	json_put(o, "server_life_s", json_seconds(s->server_life_ns));
	json_put(o, "server_idle_s", json_seconds(s->server_idle_ns));
	return o;
}

json_t *describe_settings(const struct gate_view *view)
{
	const struct gate_settings *s = view->settings;
	json_t *o = json_object();
	json_put(o, "host", describe_text(view, s->host));
	json_put(o, "database", describe_text(view, s->database));
	json_put(o, "user", describe_text(view, s->user));
	json_put(o, "servers_max", json_integer(s->servers_max));
	json_put(o, "clients_max", json_integer(s->clients_max));
	json_put(o, "door", literal(door_mode_name(s->door_mode)));
	if (s->door_mode != DOOR_OFF)
		json_put(o, "door_port", json_integer(s->door_port));
	json_t *required = json_array();
	for (int i = 0; i < s->required_count; i++)
		json_array_append_new(required, describe_text(view, s->required[i]));
	json_put(o, "required", required);
	json_put(o, "dependencies", targets(view, s->dependencies, s->dependencies_count));
	set_target(view, o, "cache", s->cache);
	set_target(view, o, "ready", s->ready);
	set_target(view, o, "websocket", s->websocket);
	json_put(o, "has_schema_check", json_boolean(s->schema_check && s->schema_check[0]));
	json_put(o, "has_migration", json_boolean(s->migrate && s->migrate[0]));
	json_put(o, "engine", engine_settings(&s->engine));
	return o;
}

char *describe_dump(json_t *json)
{
	char *text = json_dumps(json, JSON_REAL_PRECISION(REAL_DIGITS) | JSON_COMPACT);
	json_decref(json);
	size_t len = text ? strlen(text) : 0;
	char *line = text ? realloc(text, len + 2) : NULL;
	if (!line)
		abort();
	memcpy(line + len, "\n", 2);
	return line;
}
