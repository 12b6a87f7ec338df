#include "sim/world.h"

#include <assert.h>
#include <stdio.h>

#include "sim/invariant.h"
#include "sim/seed.h"

uint64_t world_seed(const struct world *w, enum stream stream, uint64_t number)
{
	return seed_mixed(w->seed ^ seed_mixed((uint64_t)stream + 1) ^ seed_mixed(number << 8));
}

instant world_next(const struct world *w, instant since, int64_t interval_ns)
{
	int64_t passed = w->now - since;

	return since + (passed + interval_ns - 1) / interval_ns * interval_ns;
}

void world_broken(struct world *w, int instance, const char *format, ...)
{
	char what[ERROR_TEXT_MAX], where[32] = "";
	va_list args;

	if (error_is_set(&w->broken))
		return; /* the first one is the cause */
	va_start(args, format);
	vsnprintf(what, sizeof what, format, args);
	va_end(args);
	if (instance >= 0)
		snprintf(where, sizeof where, ", instance %d", instance);
	error_set(&w->broken, "invariant", 0, "arm %s, seed %llu, at %.9f s%s: %s", w->arm->name,
		(unsigned long long)w->seed, s_from_ns(w->now), where, what);
}

static bool is_of_start(const struct world *w, const struct occurrence *o)
{
	return w->fleet.list[o->subject].serial == o->serial;
}

static bool is_of_conn(const struct world *w, const struct occurrence *o)
{
	return w->conns.list[o->subject].serial == o->serial;
}

static bool is_of_request(const struct world *w, const struct occurrence *o)
{
	return w->load.list[o->subject].serial == o->serial;
}

/* Something has changed since, so that it does not happen. */
static bool is_void(const struct world *w, const struct occurrence *o)
{
	switch ((enum occurrence_kind)o->kind) {
	case OCC_BEGIN:
	case OCC_LOADED:
	case OCC_LATE:
	case OCC_PROBED:
	case OCC_PROBE_TIMEOUT:
	case OCC_LIVENESS:
	case OCC_KILL:
		return !is_of_start(w, o);
	case OCC_TICK:
		return w->fleet.list[o->subject].timer_at != o->at;
	case OCC_PHASE:
		return w->fleet.list[o->subject].phase_serial != o->serial;
	case OCC_CONN_LATE:
	case OCC_PROBE_LATE:
	case OCC_CONN:
	case OCC_WORKED:
		return !is_of_conn(w, o);
	case OCC_AGAIN:
	case OCC_USER_TIMEOUT:
	case OCC_HELD:
		return !is_of_request(w, o);
	case OCC_POOL_TIMEOUT:
		return !is_of_request(w, o) || !w->load.list[o->subject].waits;
	case OCC_ARRIVAL:
	case OCC_RECOVERED:
	case OCC_FAULT_BEGINS:
	case OCC_FAULT_ENDS:
	case OCC_SAMPLE:
	case OCC_SECOND:
	case OCC_KINDS:
		break;
	}
	return false;
}

/* What each does, to its subject. */
static void (*const happen[OCC_KINDS])(struct world *w, int subject) = {
	[OCC_BEGIN] = instance_begin,
	[OCC_TICK] = gate_tick,
	[OCC_PHASE] = gate_phase_again,
	[OCC_LOADED] = service_loaded,
	[OCC_LATE] = service_late,
	[OCC_PROBED] = instance_probed,
	[OCC_PROBE_TIMEOUT] = instance_probe_timeout,
	[OCC_LIVENESS] = instance_liveness,
	[OCC_KILL] = instance_kill,
	[OCC_CONN_LATE] = service_conn_late,
	[OCC_PROBE_LATE] = gate_probe_late,
	[OCC_CONN] = conn_go_on,
	[OCC_WORKED] = database_worked,
	[OCC_ARRIVAL] = load_arrival,
	[OCC_AGAIN] = load_again,
	[OCC_USER_TIMEOUT] = load_user_timeout,
	[OCC_HELD] = service_held,
	[OCC_POOL_TIMEOUT] = service_pool_timeout,
	[OCC_RECOVERED] = database_ready,
	[OCC_FAULT_BEGINS] = faults_begin,
	[OCC_FAULT_ENDS] = faults_end,
	[OCC_SAMPLE] = measure_sample,
	[OCC_SECOND] = measure_second,
};

void world_play(struct world *w, instant until)
{
	struct occurrence o;

	until = instant_min(until, w->until);
	while (!error_is_set(&w->broken) && !measure_is_settled(w)) {
		if (!agenda_take(&w->agenda, until, &o)) {
			w->now = until;
			break;
		}
		if (is_void(w, &o))
			continue;
		w->now = o.at;
		w->events++;
		assert(o.kind < OCC_KINDS);
		happen[o.kind](w, o.subject);
		invariant_world(w);
	}
}

void world_init(struct world *w, const struct scenario *s, const struct scenario_arm *arm,
	const struct sim_settings *settings, uint64_t seed, bool alone, struct result *result)
{
	struct capacity_settings path = s->path;

	*w = (struct world){
		.scenario = s,
		.arm = arm,
		.settings = settings,
		.result = result,
		.seed = seed,
		.alone = alone,
	};
	w->until = arm->duration_ns > 0 ? arm->duration_ns : s->duration_ns;
	path.seed = world_seed(w, STREAM_PATH, 0);
	habits_of(&w->habits, arm);
	connector_init(&w->connector, arm->path == ARM_PATH_CONNECTOR ? &path : NULL, s->rtt_ns);
	w->database = (struct database){
		.max_connections = arm->max_connections > 0 ? arm->max_connections
							    : s->database.max_connections,
		.superuser_reserved = s->database.superuser_reserved,
		.login_ns = s->database.login_ns,
		.cores = s->database.cores,
		.first = -1,
		.last = -1,
	};
	w->fleet.fitting = scenario_fitting(s, arm);
	measure_start(w);
	instances_start(w);
	load_start(w);
	faults_start(w);
}

void world_release(struct world *w)
{
	measure_release(&w->measure);
	instances_release(&w->fleet);
	load_release(&w->load);
	conns_release(&w->conns);
	agenda_release(&w->agenda);
}
