#include "lab/storm.h"

#include <math.h>
#include <stdlib.h>

#include "lab/faults.h"
#include "lab/fleet.h"
#include "lab/users.h"
#include "report/milestones.h"

#define TICK_MS   20
#define SAMPLE_NS (UINT64_C(100) * 1000000) /* between two points of the series */

struct storm {
	struct storm_settings settings;
	uv_timer_t timer;
	uint64_t begun_ns, sample_ns; /* the next point is due */
	uint64_t all_ready_ns; /* since then all have been up; 0: not now */
	struct users_count counted; /* at the last point */
	struct fleet fleet;
	struct users *users; /* NULL: there is no load */
	struct faults faults;
	struct milestones milestones;
	struct result gathered; /* exits, phases, last words, series: as they come */
	struct error error;
};

static uint64_t wall_ns(const struct storm *s, int64_t span_ns)
{
	return (uint64_t)((double)span_ns * s->settings.time_scale);
}

static bool has_load(const struct storm *s)
{
	return s->settings.scenario->load.rate > 0 && !s->settings.calm;
}

/* ---- as it goes ---- */

static void take_sample(struct storm *s, uint64_t now)
{
	struct storm_progress p = storm_progress(s);
	const struct series_point point = {
		.at_s = p.elapsed_s,
		.starting = p.starting,
		.ready = p.ready,
		.waiting = p.waiting,
		.connections = p.connections,
		.flows = p.flows,
		.room = p.connector_instances * s->settings.scenario->path.flows,
		.served = (int)(p.served - s->counted.served),
		.failed = (int)(p.lost - s->counted.lost),
	};

	s->counted.served = p.served;
	s->counted.lost = p.lost;
	series_add(&s->gathered.series, &point);
	s->sample_ns = now + SAMPLE_NS;
}

/* Who is up may have changed. */
static void look(struct storm *s, uint64_t now)
{
	int ready = s->fleet.in_state[INSTANCE_READY], wanted = fleet_wanted(&s->fleet);

	if (ready < wanted)
		s->all_ready_ns = 0;
	else if (!s->all_ready_ns)
		s->all_ready_ns = now;
	milestones_up(&s->milestones, ready, wanted, now);
}

static void tick(uv_timer_t *timer)
{
	struct storm *s = timer->data;
	uint64_t now = uv_hrtime();

	if (s->fleet.stopping || storm_error(s))
		return;
	look(s, now);
	faults_tick(&s->faults, now, &s->error);
	fleet_tick(&s->fleet, now);
	look(s, now);
	if (now >= s->sample_ns)
		take_sample(s, now);
}

static void second_served(void *context, uint64_t begun_ns)
{
	struct storm *s = context;

	milestones_served(&s->milestones, begun_ns, begun_ns + wall_ns(s, NS_PER_S));
}

bool storm_exited(struct storm *s, pid_t pid, int wait_status)
{
	if (!fleet_exited(&s->fleet, pid, wait_status))
		return false;
	if (!s->fleet.stopping)
		look(s, uv_hrtime());
	return true;
}

/* ---- begin and end ---- */

struct storm *storm_new(const struct storm_settings *settings, struct error *error)
{
	struct storm *s = calloc(1, sizeof *s);
	const struct fleet_settings fleet = {
		.loop = settings->loop,
		.scenario = settings->scenario,
		.arm = settings->arm,
		.postgres = settings->postgres,
		.connector = settings->connector,
		.time_scale = settings->time_scale,
		.program = settings->program,
		.logs = settings->logs,
		.instances = settings->calm ? settings->scenario->instances
					    : faults_instances(settings->scenario),
	};

	if (!s)
		abort();
	s->settings = *settings;
	error_init(&s->error);
	result_init(&s->gathered, settings->arm);
	milestones_init(
		&s->milestones, scenario_fitting(settings->scenario, settings->arm), has_load(s));
	if (fleet_init(&s->fleet, &fleet, &s->gathered, error) < 0) {
		fleet_release(&s->fleet);
		free(s);
		return NULL;
	}
	uv_timer_init(settings->loop, &s->timer);
	s->timer.data = s;
	return s;
}

int storm_start(struct storm *s, struct error *error)
{
	const struct faults_settings faults = {
		.scenario = s->settings.scenario,
		.none = s->settings.calm,
		.postgres = s->settings.postgres,
		.max_connections = s->settings.max_connections,
		.connector = s->settings.connector,
		.fleet = &s->fleet,
		.milestones = &s->milestones,
		.time_scale = s->settings.time_scale,
	};
	const struct users_settings users = {
		.loop = s->settings.loop,
		.load = &s->settings.scenario->load,
		.fleet = &s->fleet,
		.time_scale = s->settings.time_scale,
		.seed = (uint64_t)s->settings.scenario->seed,
		.second = second_served,
		.context = s,
	};

	s->begun_ns = s->sample_ns = uv_hrtime();
	faults_init(&s->faults, &faults, s->begun_ns);
	if (has_load(s))
		s->users = users_new(&users);
	fleet_begin(&s->fleet, s->settings.scenario->instances, s->begun_ns);
	if (storm_error(s)) {
		*error = *storm_error(s);
		return -1;
	}
	uv_timer_start(&s->timer, tick, TICK_MS, TICK_MS);
	return 0;
}

bool storm_is_over(const struct storm *s)
{
	const struct scenario *scenario = s->settings.scenario;
	int64_t duration_ns = s->settings.arm->duration_ns > 0 ? s->settings.arm->duration_ns
							       : scenario->duration_ns;
	uint64_t now = uv_hrtime(), quiet_ns = s->all_ready_ns;

	if (now - s->begun_ns >= wall_ns(s, duration_ns))
		return true;
	if (!s->all_ready_ns || !faults_are_over(&s->faults) ||
		(s->milestones.fault_ns && !s->milestones.recovered_ns))
		return false;
	if (has_load(s) && quiet_ns < s->begun_ns + wall_ns(s, scenario->load.at_ns))
		quiet_ns = s->begun_ns + wall_ns(s, scenario->load.at_ns);
	if (quiet_ns < s->faults.over_ns)
		quiet_ns = s->faults.over_ns;
	if (quiet_ns < s->milestones.recovered_ns)
		quiet_ns = s->milestones.recovered_ns;
	return now >= quiet_ns + wall_ns(s, scenario->settle_ns);
}

bool storm_database_is_down(const struct storm *s)
{
	return faults_database_is_down(&s->faults);
}

const struct error *storm_error(const struct storm *s)
{
	if (error_is_set(&s->fleet.error))
		return &s->fleet.error;
	return error_is_set(&s->error) ? &s->error : NULL;
}

void storm_stop(struct storm *s, bool kill_them)
{
	if (s->users)
		users_stop(s->users);
	fleet_stop(&s->fleet, kill_them);
}

bool storm_is_empty(const struct storm *s)
{
	return fleet_is_empty(&s->fleet);
}

static void timer_closed(uv_handle_t *handle)
{
	struct storm *s = handle->data;

	result_release(&s->gathered);
	fleet_release(&s->fleet);
	free(s);
}

void storm_free(struct storm *s)
{
	if (!s)
		return;
	users_free(s->users);
	uv_close((uv_handle_t *)&s->timer, timer_closed);
}

/* ---- what it gave ---- */

struct storm_progress storm_progress(struct storm *s)
{
	struct storm_progress p = {
		.elapsed_s = (double)(uv_hrtime() - s->begun_ns) / 1e9,
		.starts = s->fleet.starts,
		.failed = s->fleet.failed + s->fleet.died,
		.ready = s->fleet.in_state[INSTANCE_READY],
		.starting = s->fleet.in_state[INSTANCE_STARTING],
		.waiting = s->fleet.in_state[INSTANCE_WAITING],
		.wanted = fleet_wanted(&s->fleet),
		.connections = sampler_now(s->settings.sampler),
		.refused = postgres_refused(s->settings.postgres),
	};

	if (s->users) {
		p.served = users_count(s->users).served;
		p.lost = users_count(s->users).lost;
	}
	if (s->settings.connector) {
		struct connector_stats stats = connector_stats(s->settings.connector);
		p.flows = stats.flows;
		p.connector_instances = stats.instances;
	}
	return p;
}

/* A connection more or fewer is in DB_POOL_WARM, else in DB_POOL_SIZE. */
static int warm(const struct scenario_arm *arm)
{
	const char *text = scenario_arm_get(arm, "DB_POOL_WARM");

	if (!text)
		text = scenario_arm_get(arm, "DB_POOL_SIZE");
	return text ? atoi(text) : -1;
}

static double since(uint64_t begun_ns, uint64_t then_ns)
{
	return then_ns ? (double)(then_ns - begun_ns) / 1e9 : NAN;
}

/* When instances, and as many as count, came up. */
static void measure_times(struct storm *s, struct result *result)
{
	double *ready_s = arena_alloc(&s->fleet.arena, sizeof *ready_s * (size_t)s->fleet.count);
	const struct milestones *m = &s->milestones;
	int count = 0;

	/* Those that a fault started have another beginning. */
	for (int i = 0; i < s->settings.scenario->instances; i++)
		if (s->fleet.instances[i].first_ready_ns)
			ready_s[count++] = since(s->begun_ns, s->fleet.instances[i].first_ready_ns);
	result_times(result, ready_s, count, s->settings.scenario->instances);
	/* All came up once, but not all were up at the end: that is no makespan. */
	bool all = m->ready == m->wanted;
	result->values[METRIC_MAKESPAN_S] = all ? since(s->begun_ns, m->all_ns) : NAN;
	result->values[METRIC_FIT_S] = since(s->begun_ns, m->fit_ns);
	result->values[METRIC_FITTING] = m->fitting;
	if (!m->fault_ns)
		return;
	result->values[METRIC_RECOVERED_S] = since(m->fault_ns, m->recovered_ns);
	instant least = scenario_recovery(s->settings.scenario, s->settings.arm);
	if (least != INSTANT_NEVER)
		result->values[METRIC_RECOVERY_BOUND_S] = s_from_ns(least) * s->settings.time_scale;
}

static void measure_load(const struct storm *s, struct result *result)
{
	if (!s->users)
		return;
	struct users_count count = users_count(s->users);
	result->values[METRIC_REQUESTS] = (double)(count.served + count.lost);
	if (count.served + count.lost > 0)
		result->values[METRIC_SERVED_RATE] = (double)count.served /
						     (double)(count.served + count.lost);
	result->turned_away = count.turned_away;
}

static void measure_connector(const struct storm *s, struct result *result)
{
	if (!s->settings.connector)
		return;
	struct connector_stats stats = connector_stats(s->settings.connector);
	result->connector = (struct result_connector){
		.flows_peak = stats.flows_peak,
		.instances = stats.instances,
		.completed = stats.completed,
		.dropped = stats.dropped,
		.bytes = stats.bytes,
	};
	result->values[METRIC_CONNECT_ATTEMPTS] = (double)(stats.completed + stats.dropped);
}

void storm_measure(struct storm *s, struct result *result)
{
	const struct scenario *scenario = s->settings.scenario;
	const struct fleet *f = &s->fleet;

	look(s, uv_hrtime());
	take_sample(s, uv_hrtime());
	struct storm_progress now = storm_progress(s);
	*result = s->gathered;
	s->gathered.phase_count = 0; /* the caller's now */
	s->gathered.series = (struct series){0};
	result->ran = true;
	result->elapsed_s = now.elapsed_s;
	result->values[METRIC_STARTS] = f->starts;
	result->values[METRIC_SUCCEEDED] = f->succeeded;
	result->values[METRIC_UNFINISHED] = now.starting;
	result->values[METRIC_SUCCESS_RATE] = f->starts > 0 ? (double)f->succeeded / f->starts : 0;
	result->values[METRIC_READY] = now.ready;
	result->values[METRIC_INSTANCES] = now.wanted;
	result->values[METRIC_DIED] = f->died;
	result->values[METRIC_REFUSED_53300] = (double)now.refused;
	result->values[METRIC_PEAK_CONNECTIONS] = sampler_peak(s->settings.sampler);
	result->values[METRIC_BUDGET] = scenario_budget(scenario, s->settings.arm);
	result->samples = sampler_count(s->settings.sampler);
	result->warm = warm(s->settings.arm);
	result->max_connections = s->settings.max_connections;
	measure_times(s, result);
	measure_load(s, result);
	measure_connector(s, result);
	instant earliest = scenario_earliest(scenario, s->settings.arm);
	if (earliest != INSTANT_NEVER)
		result->earliest_s = s_from_ns(earliest) * s->settings.time_scale;
}
