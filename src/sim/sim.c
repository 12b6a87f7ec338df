#include "sim/sim.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/invariant.h"
#include "sim/world.h"

/* ---- seeds ---- */

/* Every bit of the result depends on every bit of the number (SplitMix64's finish; Steele, Lea,
 * Flood, 2014). */
static uint64_t mixed(uint64_t number)
{
	number += UINT64_C(0x9e3779b97f4a7c15);
	number = (number ^ number >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	number = (number ^ number >> 27) * UINT64_C(0x94d049bb133111eb);
	return number ^ number >> 31;
}

uint64_t sim_seed(const char *text)
{
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	char *end;

	errno = 0;
	unsigned long long number = strtoull(text, &end, hex ? 16 : 10);
	if (*text >= '0' && *text <= '9' && *end == '\0' && errno == 0)
		return number;
	uint64_t hash = 0;
	for (; *text; text++)
		hash = mixed(hash ^ (uint8_t)*text);
	return hash;
}

uint64_t sim_run_seed(uint64_t seed, int number)
{
	return number == 0 ? seed : mixed(seed + mixed((uint64_t)number));
}

uint64_t world_seed(const struct world *w, enum stream stream, uint64_t number)
{
	return mixed(w->seed ^ mixed((uint64_t)stream + 1) ^ mixed(number << 8));
}

/* ---- one world ---- */

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
	const struct gate *g;

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
		g = w->fleet.list[o->subject].gate;
		return !g || g->timer_at != o->at;
	case OCC_PHASE:
		g = w->fleet.list[o->subject].gate;
		return !g || g->phase_serial != o->serial;
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

static void happen(struct world *w, const struct occurrence *o)
{
	switch ((enum occurrence_kind)o->kind) {
	case OCC_BEGIN:
		instance_begin(w, o->subject);
		break;
	case OCC_TICK:
		gate_tick(w, o->subject);
		break;
	case OCC_PHASE:
		gate_phase_again(w, o->subject);
		break;
	case OCC_LOADED:
		service_loaded(w, o->subject);
		break;
	case OCC_LATE:
		service_late(w, o->subject);
		break;
	case OCC_PROBED:
		instance_probed(w, o->subject);
		break;
	case OCC_PROBE_TIMEOUT:
		instance_probe_timeout(w, o->subject);
		break;
	case OCC_LIVENESS:
		instance_liveness(w, o->subject);
		break;
	case OCC_KILL:
		instance_kill(w, o->subject);
		break;
	case OCC_CONN_LATE:
		service_conn_late(w, o->subject);
		break;
	case OCC_PROBE_LATE:
		gate_probe_late(w, o->subject);
		break;
	case OCC_CONN:
		conn_go_on(w, o->subject);
		break;
	case OCC_WORKED:
		database_worked(w, o->subject);
		break;
	case OCC_ARRIVAL:
		load_arrival(w);
		break;
	case OCC_AGAIN:
		load_again(w, o->subject);
		break;
	case OCC_USER_TIMEOUT:
		load_user_timeout(w, o->subject);
		break;
	case OCC_HELD:
		service_held(w, o->subject);
		break;
	case OCC_POOL_TIMEOUT:
		service_pool_timeout(w, w->load.list[o->subject].instance, o->subject);
		break;
	case OCC_RECOVERED:
		database_ready(w);
		break;
	case OCC_FAULT_BEGINS:
		faults_begin(w, o->subject);
		break;
	case OCC_FAULT_ENDS:
		faults_end(w, o->subject);
		break;
	case OCC_SAMPLE:
		measure_sample(w);
		break;
	case OCC_SECOND:
		measure_second(w, o->subject);
		break;
	case OCC_KINDS:
		break;
	}
}

static void play(struct world *w)
{
	struct occurrence o;

	while (agenda_take(&w->agenda, &o)) {
		if (o.at > w->until) {
			w->now = w->until;
			break;
		}
		if (is_void(w, &o))
			continue;
		w->now = o.at;
		w->events++;
		happen(w, &o);
		invariant_world(w);
		if (error_is_set(&w->broken) || measure_is_settled(w))
			break;
	}
}

static void start(struct world *w)
{
	const struct scenario *s = w->scenario;
	const struct scenario_arm *arm = w->arm;
	struct capacity_settings path = s->path;

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

static int run_world(const struct scenario *s, const struct scenario_arm *arm,
	const struct sim_settings *settings, uint64_t seed, bool alone, struct result *result,
	int64_t *events, struct error *error)
{
	struct world *w = calloc(1, sizeof *w);

	if (!w)
		abort();
	w->scenario = s;
	w->arm = arm;
	w->settings = settings;
	w->result = result;
	w->seed = seed;
	w->alone = alone;
	start(w);
	play(w);
	invariant_all(w);
	measure_end(w);
	*events += w->events;
	int status = error_is_set(&w->broken) ? -1 : 0;
	if (status < 0)
		*error = w->broken;
	measure_release(&w->measure);
	instances_release(&w->fleet);
	load_release(&w->load);
	conns_release(&w->conns);
	agenda_release(&w->agenda);
	free(w);
	return status;
}

int sim_run(const struct scenario *s, const struct scenario_arm *arm,
	const struct sim_settings *settings, uint64_t seed, struct result *result,
	struct sim_stats *stats, struct error *error)
{
	struct scenario_arm reference_arm;
	struct result reference;
	int64_t events = 0;

	habits_reference(s, arm, &reference_arm);
	result_init(&reference, &reference_arm);
	int status = run_world(s, &reference_arm, settings, seed, true, &reference, &events, error);
	events = 0;
	if (status == 0)
		status = run_world(s, arm, settings, seed, false, result, &events, error);
	result->reference_s = reference.values[METRIC_MAKESPAN_S];
	result_bound(result);
	result_release(&reference);
	if (stats)
		stats->events = events;
	return status;
}
