#include "scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define S NS_PER_S

static void set_engine(struct engine_settings *e)
{
	static const int64_t bases_s[DEADLINE_COUNT] = {90, 45, 60, 90, 30};
	static const int64_t timeouts_s[PHASE_COUNT] = {10, 60, 0, 15, 120, 10, 30};

	for (enum phase phase = 0; phase < PHASE_COUNT; phase++) {
		e->startup.wanted[phase] = phase != PHASE_CACHE && phase != PHASE_WEBSOCKET;
		e->startup.critical[phase] = true;
		e->startup.timeout_ns[phase] = timeouts_s[phase] * S;
	}
	for (enum deadline_kind kind = 0; kind < DEADLINE_COUNT; kind++)
		e->deadlines.base_ns[kind] = bases_s[kind] * S;
	e->retry = (struct retry_settings){5, 2 * S, 30 * S, 2.0};
	e->breaker = (struct breaker_settings){.enabled = true,
		.failure_threshold = 3,
		.open_ns = 60 * S,
		.jitter = 0.1,
		.probes = 1};
	e->path = (struct path_settings){true, 0.7, 50, 0, 30 * S};
	e->budget = (struct budget_settings){.max_connections = 50,
		.superuser_reserved = 3,
		.margin = 0.8,
		.path_limit = 50,
		.path_share = 0.7,
		.instances = 4,
		.pool_size = 3,
		.pool_overflow = 2};
	e->connects.window_max = 4;
	e->growth.interval_ns = S / 5;
	e->servers_kept = 1;
	e->ping_after_ns = 30 * S;
	e->dial_patience_ns = 12 * S / 10;
}

void scene_init(struct scene *s, bool standpipe)
{
	memset(s, 0, sizeof *s);
	s->scenario = (struct scenario){
		.name = "scene",
		.instances = 4,
		.duration_ns = 60 * S,
		.settle_ns = 2 * S,
		.database = {.max_connections = 50,
			.superuser_reserved = 3,
			.login_ns = 8 * NS_PER_MS,
			.cores = 2,
			.margin = 0.8},
		.path = {.instances_min = 1,
			.instances_max = 1,
			.flows = 50,
			.connect_burst = 1,
			.scale_at = 0.7,
			.scale_step = 1},
		.rtt_ns = NS_PER_MS,
		.service = {.start_min_ns = S, .start_max_ns = 2 * S},
		.load = {.transaction_ns = 5 * NS_PER_MS, .timeout_ns = 10 * S, .retries = 2},
		.platform = {.restart_delay_ns = S,
			.restart_factor = 2,
			.restart_max_ns = 10 * S,
			.probe_timeout_ns = 240 * S,
			.probe_interval_ns = S / 10,
			.probe_path = "/health",
			.liveness_path = "",
			.liveness_interval_ns = 10 * S,
			.liveness_failures = 3},
	};
	s->arm = (struct scenario_arm){
		.name = "arm", .path = ARM_PATH_CONNECTOR, .standpipe = standpipe, .reference = ""};
	set_engine(&s->settings.engine);
	s->settings.check_interval_ns = S / 4;
	s->settings.waits_for_ready = true;
	s->settings.checks = SIM_CHECK_ALL;
	scene_set(s, "DB_POOL_SIZE=3");
	scene_set(s, "DB_MAX_OVERFLOW=2");
	result_init(&s->result, &s->arm);
}

void scene_set(struct scene *s, const char *variable)
{
	s->arm.env[s->arm.env_count++] = (struct scenario_variable){variable, -1};
}

void scene_play(struct scene *s, uint64_t seed)
{
	struct error error;

	error_init(&error);
	result_release(&s->result);
	result_init(&s->result, &s->arm);
	if (sim_run(&s->scenario, &s->arm, &s->settings, seed, &s->result, NULL, &error) != 0)
		fail_msg("%s", error.text);
}

void scene_open(struct scene *s, struct world *w, uint64_t seed)
{
	s->scenario.settle_ns = 3600 * S;
	world_init(w, &s->scenario, &s->arm, &s->settings, seed, false, &s->result);
}

void scene_close(struct scene *s, struct world *w)
{
	world_release(w);
	scene_end(s);
}

double scene_value(const struct scene *s, enum metric metric)
{
	return s->result.values[metric];
}

void scene_end(struct scene *s)
{
	result_release(&s->result);
}
