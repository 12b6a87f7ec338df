#include "instance.h"

#include <stdlib.h>
#include <string.h>

static void set_engine(struct engine_settings *s)
{
	static const int64_t bases_s[DEADLINE_COUNT] = {90, 45, 60, 90, 30};
	static const int64_t timeouts_s[PHASE_COUNT] = {10, 30, 0, 15, 60, 15, 30};
	for (enum phase phase = 0; phase < PHASE_COUNT; phase++) {
		s->startup.wanted[phase] = true;
		s->startup.critical[phase] = phase != PHASE_CACHE && phase != PHASE_WEBSOCKET;
		s->startup.timeout_ns[phase] = timeouts_s[phase] * NS_PER_S;
	}
	for (enum deadline_kind kind = 0; kind < DEADLINE_COUNT; kind++)
		s->deadlines.base_ns[kind] = bases_s[kind] * NS_PER_S;
	s->deadlines.capacity_aware = true;
	s->deadlines.scaling_buffer_ns = 20 * NS_PER_S;
	s->deadlines.cap_ns = 240 * NS_PER_S;
	s->retry = (struct retry_settings){5, 2 * NS_PER_S, 30 * NS_PER_S, 2.0};
	s->breaker = (struct breaker_settings){true, 3, 60 * NS_PER_S, 0.1, 1};
	s->path = (struct path_settings){true, 0.7, 50, 2e9, 30 * NS_PER_S};
	s->budget = (struct budget_settings){.max_connections = 100,
		.superuser_reserved = 3,
		.agents = 5,
		.margin = 0.8,
		.buffer = 5,
		.path_limit = 50,
		.path_share = 0.7,
		.instances = 20,
		.pool_size = 10,
		.pool_overflow = 15};
	s->connects.window_max = 4;
	s->servers_kept = 1;
	s->ping_after_ns = INT64_MAX;
}

void instance_engine(struct instance *i)
{
	i->pool_group = (struct pool_group){0};
	const struct engine_memory memory = {
		.servers = i->servers,
		.attempts = i->attempts,
		.servers_max = INSTANCE_SERVERS,
		.clients = i->clients,
		.clients_max = INSTANCE_CLIENTS,
		.pool_groups = &i->pool_group,
		.groups = &i->group,
		.groups_max = 1,
	};
	engine_init(&i->engine, &i->engine_settings, &memory, 1, 0);
}

void instance_init(struct instance *i)
{
	memset(i, 0, sizeof(*i));
	set_engine(&i->engine_settings);
	instance_engine(i);
	i->settings = (struct gate_settings){
		.engine = i->engine_settings,
		.servers_max = INSTANCE_SERVERS,
		.clients_max = INSTANCE_CLIENTS,
		.conninfo = "postgresql://app:" INSTANCE_PASSWORD "@db.internal/app",
		.host = "db.internal:5432",
		.user = "app",
		.database = "app",
		.dependencies = {"http://user:" INSTANCE_PASSWORD
				 "@auth.internal/ok?token=abcdefg"},
		.dependencies_count = 1,
		.required = {"API_KEY"},
		.required_count = 1,
		.cache = "redis://:" INSTANCE_PASSWORD "@cache.internal:6379/0",
		.door_mode = DOOR_RELAY,
		.door_port = 8080,
		.has_command = true,
		.instance = "backend-00042-abc",
		.environment = "production",
	};
	secrets_add_url(&i->secrets, i->settings.conninfo);
	i->view = (struct gate_view){
		.engine = &i->engine,
		.settings = &i->settings,
		.secrets = &i->secrets,
		.wall_ns = INSTANCE_WALL_NS,
		.phase_errors = i->phase_errors,
		.attempt_errors = i->attempt_errors,
		.connect_times = i->connect_times,
		.version = "0.1.0",
	};
}

void instance_release(struct instance *i)
{
	secrets_release(&i->secrets);
}

void instance_step(struct instance *i, double at_s, struct engine_event event)
{
	event.now = ns_from_s(at_s);
	i->view.now = event.now;
	i->view.wall_ns = INSTANCE_WALL_NS + event.now;
	engine_step(&i->engine, &event, &i->actions);
}

void instance_start(struct instance *i, double at_s)
{
	instance_step(i, at_s, (struct engine_event){.kind = EVENT_START});
}

void instance_phase(struct instance *i, double at_s, enum phase phase, bool ok)
{
	instance_step(
		i, at_s, (struct engine_event){.kind = EVENT_PHASE_DONE, .phase = phase, .ok = ok});
}

void instance_reach(struct instance *i, double at_s, enum phase phase)
{
	instance_start(i, at_s);
	for (enum phase p = 0; p < phase; p++) {
		if (p == PHASE_DATABASE)
			instance_connected(i, at_s);
		instance_phase(i, at_s, p, true);
	}
}

void instance_stage(struct instance *i, double at_s, enum stage stage)
{
	instance_step(i, at_s, (struct engine_event){.kind = EVENT_CONNECT_STAGE, .stage = stage});
}

void instance_connected(struct instance *i, double at_s)
{
	instance_step(i, at_s, (struct engine_event){.kind = EVENT_CONNECT_OK});
}

void instance_failed(struct instance *i, double at_s, enum outcome outcome, const char *sqlstate,
	const char *text)
{
	struct gate_attempt_error *e =
		&i->attempt_errors[(i->engine.attempts[0].serial - 1) % ENGINE_ATTEMPTS_MAX];
	e->serial = i->engine.attempts[0].serial;
	error_set(&e->error, stage_name(i->engine.attempts[0].path.stage), 0, "%s", text);
	error_sqlstate(&e->error, sqlstate);
	error_origin(&e->error, i->settings.host);
	instance_step(
		i, at_s, (struct engine_event){.kind = EVENT_CONNECT_FAILED, .outcome = outcome});
}

json_t *instance_get(json_t *json, const char *path)
{
	char key[64];
	while (json && *path) {
		size_t len = strcspn(path, ".");
		memcpy(key, path, len);
		key[len] = 0;
		json = json_is_array(json) ? json_array_get(json, strtoul(key, NULL, 10))
					   : json_object_get(json, key);
		path += len + (path[len] == '.');
	}
	return json;
}
