#include "sim/sim.h"

#include <stdlib.h>

#include "sim/invariant.h"
#include "sim/world.h"

static int run_world(const struct scenario *s, const struct scenario_arm *arm,
	const struct sim_settings *settings, uint64_t seed, bool alone, struct result *result,
	int64_t *events, struct error *error)
{
	struct world *w = calloc(1, sizeof *w);

	if (!w)
		abort();
	world_init(w, s, arm, settings, seed, alone, result);
	world_play(w, INSTANT_NEVER);
	invariant_all(w);
	measure_end(w);
	*events += w->events;
	int status = error_is_set(&w->broken) ? -1 : 0;
	if (status < 0)
		*error = w->broken;
	world_release(w);
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
