#include "sim/measure.h"

#include <math.h>
#include <stdlib.h>

#include "sim/world.h"

/* So many points are wanted of the series, none closer than SAMPLE_MIN_NS. */
#define POINTS        600
#define SAMPLE_MIN_NS (100 * NS_PER_MS)

static bool has_load(const struct world *w)
{
	return w->scenario->load.rate > 0 && !w->alone;
}

void measure_start(struct world *w)
{
	struct measure *m = &w->measure;

	milestones_init(&m->milestones, w->fleet.fitting, has_load(w));
	m->count = (int)(w->until / NS_PER_S) + 1;
	m->seconds = calloc((size_t)m->count, sizeof *m->seconds);
	if (!m->seconds)
		abort();
	m->sample_ns = instant_max(SAMPLE_MIN_NS, w->until / POINTS);
	world_put(w, OCC_SAMPLE, 0, 0, 0);
	if (has_load(w))
		world_put(w, OCC_SECOND, 0, 0, w->scenario->load.at_ns + NS_PER_S);
}

void measure_release(struct measure *m)
{
	free(m->seconds);
	m->seconds = NULL;
}

uint64_t measure_stamp(const struct world *w)
{
	return (uint64_t)(w->now + NS_PER_S);
}

static double seconds_since(uint64_t from, uint64_t to)
{
	return to == 0 ? NAN : s_from_ns((int64_t)(to - from));
}

/* ---- seconds of the load ---- */

static int second_of(const struct world *w, instant at)
{
	return (int)((at - w->scenario->load.at_ns) / NS_PER_S);
}

static void judge(struct world *w, int number)
{
	const struct measure_second *second = &w->measure.seconds[number];
	instant began_at = w->scenario->load.at_ns + number * NS_PER_S;

	if (second->came > 0 && second->served_at_once == second->came)
		milestones_served(&w->measure.milestones,
			measure_stamp(w) - (uint64_t)(w->now - began_at),
			measure_stamp(w) - (uint64_t)(w->now - began_at) + NS_PER_S);
}

void measure_came(struct world *w)
{
	w->measure.seconds[second_of(w, w->now)].came++;
}

void measure_served_at_once(struct world *w, instant asked_at)
{
	int number = second_of(w, asked_at);

	w->measure.seconds[number].served_at_once++;
	if (number < second_of(w, w->now))
		judge(w, number);
}

void measure_second(struct world *w, int number)
{
	judge(w, number);
	load_second(w);
	world_put(w, OCC_SECOND, number + 1, 0, w->now + NS_PER_S);
}

/* ---- moments ---- */

void measure_ready(struct world *w)
{
	milestones_up(&w->measure.milestones, w->fleet.ready, w->fleet.wanted, measure_stamp(w));
}

void measure_fault(struct world *w)
{
	milestones_fault(&w->measure.milestones, measure_stamp(w));
}

void measure_fault_over(struct world *w)
{
	milestones_fault_over(&w->measure.milestones, measure_stamp(w));
}

bool measure_is_settled(const struct world *w)
{
	const struct milestones *m = &w->measure.milestones;
	instant quiet_at = w->fleet.all_ready_at;

	if (quiet_at < 0 || w->now < faults_over_at(w) || (m->fault_ns && !m->recovered_ns))
		return false;
	if (has_load(w))
		quiet_at = instant_max(quiet_at, w->scenario->load.at_ns);
	quiet_at = instant_max(quiet_at, faults_over_at(w));
	if (m->recovered_ns)
		quiet_at = instant_max(quiet_at, (instant)m->recovered_ns - NS_PER_S);
	return w->now >= quiet_at + w->scenario->settle_ns;
}

void measure_phases(struct world *w, int instance)
{
	const struct startup *startup = &instance_at(w, instance)->gate->engine.startup;

	for (enum phase phase = 0; phase < PHASE_COUNT; phase++) {
		const struct phase_record *p = &startup->phases[phase];
		if (p->status == PHASE_COMPLETED)
			result_phase(
				w->result, phase_name(phase), s_from_ns(p->ended_at - p->began_at));
	}
}

void measure_sample(struct world *w, int unused)
{
	const struct fleet *f = &w->fleet;
	struct series_point point = {
		.at_s = s_from_ns(w->now),
		.starting = f->starting,
		.ready = f->ready,
		.waiting = f->waiting,
		.connections = w->database.sessions,
		.flows = w->connector.flows,
		.room = connector_room(&w->connector, w->now),
		.served = w->load.served_lately,
		.failed = w->load.failed_lately,
	};

	w->load.served_lately = w->load.failed_lately = 0;
	for (int i = 0; i < f->present && w->arm->standpipe; i++) {
		const struct instance *at = &f->list[i];
		if (at->state == INSTANCE_STARTING || at->state == INSTANCE_READY)
			point.states[at->gate->engine.path.state]++;
	}
	series_add(&w->result->series, &point);
	w->result->samples++;
	if (w->now + w->measure.sample_ns <= w->until)
		world_put(w, OCC_SAMPLE, 0, 0, w->now + w->measure.sample_ns);
}

static double seconds_or_nan(instant at)
{
	return at == INSTANT_NEVER ? NAN : s_from_ns(at);
}

static void set_times(struct world *w)
{
	const struct fleet *f = &w->fleet;
	const struct milestones *m = &w->measure.milestones;
	double *v = w->result->values;
	int first = w->scenario->instances, count = 0;
	double *ready_s = calloc((size_t)first, sizeof *ready_s);

	if (!ready_s)
		abort();
	/* Those that a fault started have another beginning. */
	for (int i = 0; i < first; i++)
		if (f->list[i].first_ready_at >= 0)
			ready_s[count++] = s_from_ns(f->list[i].first_ready_at);
	result_times(w->result, ready_s, count, first);
	free(ready_s);
	/* All came up once, but not all were up at the end: that is no makespan. */
	v[METRIC_MAKESPAN_S] = m->ready == m->wanted ? seconds_since(NS_PER_S, m->all_ns) : NAN;
	v[METRIC_FITTING] = f->fitting;
	v[METRIC_FIT_S] = seconds_since(NS_PER_S, m->fit_ns);
	if (!m->fault_ns)
		return;
	v[METRIC_RECOVERED_S] = seconds_since(m->fault_ns, m->recovered_ns);
	v[METRIC_RECOVERY_BOUND_S] = seconds_or_nan(scenario_recovery(w->scenario, w->arm));
}

/* How evenly those that are up share the connections: Jain's index, (sum x)^2 / (n x sum x^2)
 * (Jain, Chiu and Hawe, "A Quantitative Measure of Fairness", 1984). */
static double fairness(const struct world *w)
{
	double sum = 0, squares = 0;
	int count = 0;

	for (int i = 0; i < w->fleet.present; i++) {
		const struct instance *at = &w->fleet.list[i];
		if (at->state != INSTANCE_READY)
			continue;
		double has = w->arm->standpipe
				     ? at->gate->engine.pool.idle + at->gate->engine.pool.busy
				     : at->service.open;
		count++;
		sum += has;
		squares += has * has;
	}
	return squares > 0 ? sum * sum / (count * squares) : NAN;
}

void measure_end(struct world *w)
{
	struct result *r = w->result;
	const struct fleet *f = &w->fleet;
	const struct load *l = &w->load;
	const struct connector *c = &w->connector;
	double *v = r->values;

	r->ran = true;
	r->elapsed_s = s_from_ns(w->now);
	r->warm = w->habits.warm;
	r->max_connections = w->database.max_connections;
	v[METRIC_STARTS] = f->starts;
	v[METRIC_SUCCEEDED] = f->succeeded;
	v[METRIC_UNFINISHED] = f->starting;
	v[METRIC_SUCCESS_RATE] = f->starts > 0 ? (double)f->succeeded / f->starts : 0;
	v[METRIC_READY] = f->ready;
	v[METRIC_INSTANCES] = f->wanted;
	v[METRIC_REFUSED_53300] = (double)w->database.refused;
	v[METRIC_PEAK_CONNECTIONS] = w->database.sessions_peak;
	v[METRIC_BUDGET] = scenario_budget(w->scenario, w->arm);
	v[METRIC_DIED] = f->died;
	v[METRIC_FAIRNESS] = fairness(w);
	if (has_load(w)) {
		v[METRIC_REQUESTS] = (double)l->requests;
		v[METRIC_SERVED_RATE] = l->requests > 0 ? (double)l->served / (double)l->requests
							: NAN;
	}
	set_times(w);
	r->earliest_s = seconds_or_nan(scenario_earliest(w->scenario, w->arm));
	if (!c->exists)
		return;
	v[METRIC_CONNECT_ATTEMPTS] = (double)(c->completed + c->dropped);
	r->connector = (struct result_connector){
		.flows_peak = c->flows_peak,
		.instances = c->capacity.count,
		.completed = c->completed,
		.dropped = c->dropped,
	};
}
