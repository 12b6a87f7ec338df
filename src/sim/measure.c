#include "sim/measure.h"

#include <math.h>
#include <stdlib.h>

#include "sim/world.h"

/* So many points are wanted of the series, none closer than SAMPLE_MIN_NS. */
#define POINTS        600
#define SAMPLE_MIN_NS (100 * NS_PER_MS)

void measure_start(struct world *w)
{
	struct measure *m = &w->measure;

	m->count = (int)(w->until / NS_PER_S) + 1;
	m->seconds = calloc((size_t)m->count, sizeof *m->seconds);
	if (!m->seconds)
		abort();
	m->up_again_at = -1;
	m->sample_ns = instant_max(SAMPLE_MIN_NS, w->until / POINTS);
	world_put(w, OCC_SAMPLE, 0, 0, 0);
}

void measure_release(struct measure *m)
{
	free(m->seconds);
	m->seconds = NULL;
}

void measure_came(struct world *w)
{
	w->measure.seconds[w->now / NS_PER_S].came++;
}

void measure_served_at_once(struct world *w, instant asked_at)
{
	w->measure.seconds[asked_at / NS_PER_S].served_at_once++;
}

static instant first_fault_at(const struct world *w)
{
	return w->alone || w->scenario->fault_count == 0 ? INSTANT_NEVER
							 : w->scenario->faults[0].at_ns;
}

void measure_ready(struct world *w)
{
	struct measure *m = &w->measure;

	if (w->now < first_fault_at(w)) {
		m->ready_before = w->fleet.ready;
		m->up_again_at = first_fault_at(w);
	} else if (w->fleet.ready < m->ready_before) {
		m->up_again_at = -1;
	} else if (m->up_again_at < 0) {
		m->up_again_at = w->now;
	}
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

void measure_sample(struct world *w)
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

/* From the begin of the first fault: all are up that were, and a whole second's users were served by
 * their first try; NaN: not so. */
static double recovered_s(const struct world *w)
{
	const struct measure *m = &w->measure;
	instant at = m->up_again_at;

	if (first_fault_at(w) == INSTANT_NEVER || at < 0)
		return NAN;
	instant over = first_fault_at(w) + w->scenario->faults[0].for_ns;
	if (w->scenario->load.rate > 0) {
		int second = (int)((over + NS_PER_S - 1) / NS_PER_S);
		while (second < m->count &&
			(m->seconds[second].came == 0 ||
				m->seconds[second].served_at_once < m->seconds[second].came))
			second++;
		if (second == m->count)
			return NAN;
		at = instant_max(at, (second + 1) * NS_PER_S);
	}
	return s_from_ns(at - first_fault_at(w));
}

static void set_times(struct world *w)
{
	const struct fleet *f = &w->fleet;
	double *ready_s = calloc((size_t)f->present, sizeof *ready_s);
	int count = 0;

	if (!ready_s)
		abort();
	for (int i = 0; i < f->present; i++)
		if (f->list[i].state != INSTANCE_RETIRED && f->list[i].ready_at >= 0)
			ready_s[count++] = s_from_ns(f->list[i].ready_at);
	result_times(w->result, ready_s, count, f->wanted);
	free(ready_s);
	/* All came up once, but not all were up at the end: that is no makespan. */
	if (f->ready < f->wanted)
		w->result->values[METRIC_MAKESPAN_S] = NAN;
}

static double seconds_or_nan(instant at)
{
	return at < 0 || at == INSTANT_NEVER ? NAN : s_from_ns(at);
}

static void set_recovery(struct world *w)
{
	double *v = w->result->values;

	v[METRIC_RECOVERED_S] = recovered_s(w);
	v[METRIC_RECOVERY_BOUND_S] = w->alone ? NAN
					      : seconds_or_nan(
							scenario_recovery(w->scenario, w->arm));
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
	v[METRIC_FITTING] = f->fitting;
	v[METRIC_FIT_S] = seconds_or_nan(f->fit_at);
	v[METRIC_DIED] = f->died;
	if (w->scenario->load.rate > 0) {
		v[METRIC_REQUESTS] = (double)l->requests;
		v[METRIC_SERVED_RATE] = l->requests > 0 ? (double)l->served / (double)l->requests
							: NAN;
	}
	set_recovery(w);
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
