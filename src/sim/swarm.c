#include "sim/swarm.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/random.h"

#define INSTANCES_MAX 20
#define SAFETY_S      120.0

/* ---- drawing ---- */

static bool coin(struct random *r)
{
	return random_u32(r) & 1;
}

static double between(struct random *r, double least, double most)
{
	return least + random_unit(r) * (most - least);
}

/* Small ones as often as large ones, whatever the scale. */
static int some(struct random *r, int least, int most)
{
	int span = most - least + 1;

	return least + (int)random_below(r, 1 + random_below(r, (uint32_t)span));
}

static int64_t span(struct random *r, double least_s, double most_s)
{
	return ns_from_s(between(r, least_s, most_s));
}

__attribute__((format(printf, 2, 3))) static void say(struct swarm_case *c, const char *format, ...)
{
	size_t len = strlen(c->text);
	va_list list;

	va_start(list, format);
	vsnprintf(c->text + len, sizeof c->text - len, format, list);
	va_end(list);
}

/* ---- the world ---- */

static void draw_service(struct swarm_case *c, struct random *r)
{
	struct scenario *s = &c->scenario;

	s->instances = some(r, 1, INSTANCES_MAX);
	s->service.start_min_ns = span(r, 0, 2);
	s->service.start_max_ns = s->service.start_min_ns + span(r, 0, 4);
	if (coin(r))
		s->service.spread_ns = span(r, 0, 30);
	s->platform.restart_delay_ns = span(r, 0.1, 5);
	s->platform.restart_factor = between(r, 1, 3);
	s->platform.restart_max_ns = s->platform.restart_delay_ns + span(r, 0, 30);
	s->platform.probe_timeout_ns = span(r, 120, 240);
	s->platform.probe_interval_ns = span(r, 0.1, 5);
	say(c, "%d instances", s->instances);
}

static void draw_path(struct swarm_case *c, struct random *r, int wanted)
{
	struct scenario *s = &c->scenario;
	struct capacity_settings *path = &s->path;
	bool tight = coin(r);
	/* Room for one connection for each instance, and for the one that takes another's place. */
	int room = wanted + 1 + (tight ? 0 : some(r, 0, 5 * wanted));

	path->instances_min = some(r, 1, 4);
	path->instances_max = path->instances_min + (coin(r) ? some(r, 1, 4) : 0);
	path->flows = (room + path->instances_max - 1) / path->instances_max;
	if (coin(r))
		path->connect_rate = between(r, 0.5, 20);
	path->connect_burst = path->connect_rate > 1 ? path->connect_rate : 1;
	path->scale_at = between(r, 0.3, 1);
	path->scale_step = some(r, 1, 2);
	path->scale_delay_min_ns = span(r, 0, 20);
	path->scale_delay_max_ns = path->scale_delay_min_ns + span(r, 0, 20);
	if (coin(r))
		path->bandwidth_bit_s = between(r, 1e6, 1e9);
	path->seed = random_u32(r);
	s->rtt_ns = span(r, 0.0001, 0.05);
	say(c, ", path of %d..%d x %d flows, %.1f/s", path->instances_min, path->instances_max,
		path->flows, path->connect_rate);
	if (coin(r)) {
		s->egress_warmup_max_ns = span(r, 1, 30);
		say(c, ", cold egress");
	}
}

static void draw_database(struct swarm_case *c, struct random *r, int wanted)
{
	struct scenario_database *d = &c->scenario.database;
	bool tight = coin(r);

	d->superuser_reserved = 3;
	d->max_connections = d->superuser_reserved + wanted + 1 +
			     (tight ? 0 : some(r, 0, 5 * wanted));
	d->margin = 1;
	d->login_ns = span(r, 0.001, coin(r) ? 0.01 : 0.1);
	d->cores = some(r, 1, 8);
	say(c, ", %d connections allowed", d->max_connections);
}

static void draw_load(struct swarm_case *c, struct random *r)
{
	struct scenario_load *l = &c->scenario.load;
	const struct scenario_database *d = &c->scenario.database;

	l->transaction_ns = span(r, 0.001, 0.05);
	l->rate = between(r, 0.05, 0.6) * d->cores / s_from_ns(l->transaction_ns);
	/* What a run takes follows from the rate; little is enough to find what is wrong. */
	if (l->rate > 20)
		l->rate = 20;
	l->at_ns = span(r, 0, 60);
	l->timeout_ns = span(r, 0.5, 20);
	l->retries = some(r, 0, 3);
	say(c, ", %.1f requests/s", l->rate);
	if (coin(r)) {
		l->bytes = some(r, 1, 100000);
		say(c, " of %d bytes", (int)l->bytes);
	}
}

/* ---- what goes wrong ---- */

static void draw_fault(struct swarm_case *c, struct random *r, enum scenario_fault_kind kind)
{
	static const char *const names[] = {
		[FAULT_DATABASE_RESTART] = "restart",
		[FAULT_PARTITION] = "partition",
		[FAULT_CONNECTOR_RESTART] = "connector restart",
		[FAULT_SLOW] = "slow path",
		[FAULT_FAILOVER] = "failover",
		[FAULT_DEPLOY] = "deploy",
		[FAULT_SCALE_OUT] = "scale-out",
	};
	struct scenario *s = &c->scenario;
	struct scenario_fault *fault = &s->faults[s->fault_count++];

	fault->kind = kind;
	fault->at_ns = span(r, 0, SAFETY_S);
	fault->for_ns = span(r, 0.1, 45);
	fault->factor = between(r, 2, 100);
	fault->instances = kind == FAULT_SCALE_OUT ? some(r, 1, s->instances)
						   : some(r, 0, s->instances);
	say(c, ", %s", names[kind]);
}

/* Each kind is there or not, and if it is, more than once at times. */
static void draw_faults(struct swarm_case *c, struct random *r)
{
	static const enum scenario_fault_kind kinds[] = {FAULT_DATABASE_RESTART, FAULT_PARTITION,
		FAULT_CONNECTOR_RESTART, FAULT_SLOW, FAULT_FAILOVER, FAULT_DEPLOY, FAULT_SCALE_OUT};

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		if (coin(r))
			continue;
		bool once = kinds[i] == FAULT_DEPLOY || kinds[i] == FAULT_SCALE_OUT;
		for (int n = once ? 1 : some(r, 1, 3); n > 0; n--)
			draw_fault(c, r, kinds[i]);
	}
}

/* How many instances there are in the end. */
static int wanted_instances(const struct scenario *s)
{
	int wanted = s->instances;

	for (int i = 0; i < s->fault_count; i++)
		if (s->faults[i].kind == FAULT_SCALE_OUT)
			wanted += s->faults[i].instances;
	return wanted;
}

static int64_t healed_ns(const struct scenario *s)
{
	int64_t healed = ns_from_s(SAFETY_S);

	for (int i = 0; i < s->fault_count; i++)
		if (s->faults[i].at_ns + s->faults[i].for_ns > healed)
			healed = s->faults[i].at_ns + s->faults[i].for_ns;
	return healed;
}

/* ---- Standpipe's settings ---- */

static void draw_waits(struct swarm_case *c, struct random *r)
{
	struct engine_settings *e = &c->settings.engine;
	int64_t *base_ns = e->deadlines.base_ns;

	/* A phase that ends before its instance's egress is there can never be completed. */
	base_ns[DEADLINE_INITIALIZATION] = c->scenario.egress_warmup_max_ns + span(r, 20, 90);
	base_ns[DEADLINE_TABLE_SETUP] = span(r, 10, 45);
	base_ns[DEADLINE_CONNECTION] = span(r, 5, 60);
	base_ns[DEADLINE_POOL] = span(r, 5, 90);
	e->deadlines.capacity_aware = coin(r);
	e->dial_patience_ns = coin(r) ? span(r, 0.3, 3) : 0;
	e->retry.base_ns = span(r, 0.1, 3);
	e->retry.cap_ns = e->retry.base_ns + span(r, 0, 30);
	e->retry.factor = between(r, 1.5, 3);
}

static void draw_rules(struct swarm_case *c, struct random *r)
{
	struct engine_settings *e = &c->settings.engine;

	e->connects.rule = (enum connects_rule)random_below(r, CONNECTS_RULE_COUNT);
	e->connects.window_max = some(r, 1, 16);
	e->breaker.enabled = coin(r);
	e->breaker.failure_threshold = some(r, 1, 5);
	e->breaker.open_ns = span(r, 1, 60);
	e->breaker.open_max_ns = e->breaker.open_ns + span(r, 0, 120);
	e->breaker.probes = some(r, 1, 3);
	if (coin(r)) {
		e->breaker.window = some(r, 2, 30);
		e->breaker.minimum = some(r, 1, 10);
		e->breaker.failure_rate = between(r, 0.2, 1);
	}
	e->probe.interval_ns = coin(r) ? span(r, 0.5, 10) : 0;
	e->retry.budget = coin(r) ? between(r, 0.05, 0.5) : 0;
	e->throttle_k = coin(r) ? between(r, 1.1, 3) : 0;
	e->stage_patience = coin(r);
	e->queue.order = coin(r) ? BACKLOG_ADAPTIVE : BACKLOG_FIFO;
	e->queue.target_ns = span(r, 0.001, 1);
	e->queue.rejects = coin(r);
	e->path.monitoring = coin(r);
	e->growth.interval_ns = coin(r) ? span(r, 0, 1) : 0;
	say(c, "; %s, window %d, breaker %s, %s queue", connects_rule_name(e->connects.rule),
		e->connects.window_max, e->breaker.enabled ? "on" : "off",
		e->queue.order == BACKLOG_FIFO ? "fifo" : "adaptive");
}

static void draw_pool(struct swarm_case *c, struct random *r, int wanted)
{
	struct engine_settings *e = &c->settings.engine;
	const struct scenario *s = &c->scenario;
	struct budget_settings *b = &e->budget;
	bool told = coin(r);

	b->max_connections = s->database.max_connections;
	b->superuser_reserved = s->database.superuser_reserved;
	b->reserved = b->agents = b->buffer = 0;
	b->margin = b->path_share = 1;
	b->path_limit = s->path.instances_min * s->path.flows;
	b->instances = told ? wanted : 1;
	b->pool_size = some(r, 1, 10);
	b->pool_overflow = some(r, 0, 10);
	e->path.limit = b->path_limit;
	e->servers_kept = coin(r) ? 1 : 0;
	e->server_idle_ns = coin(r) ? span(r, 1, 600) : 0;
	e->server_life_ns = coin(r) ? span(r, 5, 600) : 0;
	e->ping_after_ns = coin(r) ? span(r, 0, 60) : INT64_MAX;
	c->may_starve = !told;
	say(c, ", pool of %d, fleet %s", b->pool_size + b->pool_overflow,
		told ? "told" : "of strangers");
}

/* ---- all of it ---- */

void swarm_draw(struct swarm_case *c, uint64_t seed, const struct sim_settings *preset)
{
	/* Small, for all of it is checked after every event. */
	static const struct scenario_variable variables[] = {
		{"DB_POOL_SIZE=4", -1}, {"DB_MAX_OVERFLOW=2", -1}};
	struct scenario *s = &c->scenario;
	struct random random, *r = &random;

	memset(c, 0, sizeof *c);
	random_init(r, seed);
	c->settings = *preset;
	c->settings.checks = SIM_CHECK_OFTEN;
	s->name = "swarm";
	s->description = s->file = s->load.path = "";
	s->platform.probe_path = s->platform.liveness_path = "";
	s->time_scale = 1;
	c->arm.name = "standpipe";
	c->arm.reference = "";
	c->arm.path = ARM_PATH_CONNECTOR;
	c->arm.standpipe = true;
	memcpy(c->arm.env, variables, sizeof variables);
	c->arm.env_count = sizeof variables / sizeof variables[0];
	s->arms = &c->arm;
	s->arm_count = 1;

	draw_service(c, r);
	draw_faults(c, r);
	int wanted = wanted_instances(s);
	draw_path(c, r, wanted);
	draw_database(c, r, wanted);
	if (coin(r))
		draw_load(c, r);
	draw_waits(c, r);
	draw_rules(c, r);
	draw_pool(c, r, wanted);
	s->duration_ns = healed_ns(s) + SWARM_LIVENESS_NS;
	s->settle_ns = span(r, 0, 20);
}

int swarm_run(struct swarm_case *c, uint64_t seed, const struct sim_settings *preset,
	struct sim_stats *stats, struct error *error)
{
	struct result result;

	swarm_draw(c, seed, preset);
	result_init(&result, &c->arm);
	int status = sim_run(&c->scenario, &c->arm, &c->settings, seed, &result, stats, error);
	double ready = result.values[METRIC_READY], instances = result.values[METRIC_INSTANCES];
	result_release(&result);
	if (status < 0)
		return -1;
	if (ready == instances || (c->may_starve && ready > 0))
		return 0;
	return error_set(error, "liveness", 0,
		"%g of %g instances are up %g s after all is well again", ready, instances,
		s_from_ns(SWARM_LIVENESS_NS));
}
