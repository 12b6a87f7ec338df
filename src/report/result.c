#include "report/result.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void result_init(struct result *r, const struct scenario_arm *arm)
{
	*r = (struct result){.arm = arm, .reference_s = NAN, .earliest_s = NAN, .warm = -1};
	for (int i = 0; i < METRICS; i++)
		r->values[i] = NAN;
}

void result_release(struct result *r)
{
	for (int i = 0; i < r->phase_count; i++)
		free(r->phases[i].seconds);
	r->phase_count = 0;
	series_release(&r->series);
}

void result_exit(struct result *r, int code)
{
	result_exits(r, code, 1);
}

void result_exits(struct result *r, int code, int count)
{
	int i = 0;

	while (i < r->exit_count && r->exits[i].code != code)
		i++;
	if (i == r->exit_count && r->exit_count < RESULT_EXITS_MAX)
		r->exits[r->exit_count++].code = code;
	r->exits[i < RESULT_EXITS_MAX ? i : RESULT_EXITS_MAX - 1].count += count;
}

void result_phase(struct result *r, const char *name, double seconds)
{
	struct result_phase *phase = NULL;

	for (int i = 0; i < r->phase_count && !phase; i++)
		if (strcmp(r->phases[i].name, name) == 0)
			phase = &r->phases[i];
	if (!phase && r->phase_count == RESULT_PHASES_MAX)
		return;
	if (!phase) {
		phase = &r->phases[r->phase_count++];
		snprintf(phase->name, sizeof phase->name, "%s", name);
	}
	phase->seconds = realloc(
		phase->seconds, sizeof *phase->seconds * (size_t)(phase->count + 1));
	if (!phase->seconds)
		abort();
	phase->seconds[phase->count++] = seconds;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

void result_times(struct result *r, double *ready_s, int count, int instances)
{
	if (count > 0)
		qsort(ready_s, (size_t)count, sizeof *ready_s, compare);
	r->values[METRIC_READY_P50_S] = result_quantile(ready_s, count, 0.5);
	r->values[METRIC_READY_P95_S] = result_quantile(ready_s, count, 0.95);
	r->values[METRIC_MAKESPAN_S] = count == instances ? ready_s[count - 1] : NAN;
	for (int i = 0; i < r->phase_count; i++)
		qsort(r->phases[i].seconds, (size_t)r->phases[i].count,
			sizeof *r->phases[i].seconds, compare);
}

void result_bound(struct result *r)
{
	r->values[METRIC_BOUND_S] = isnan(r->reference_s) || isnan(r->earliest_s)
					    ? NAN
					    : fmax(r->reference_s, r->earliest_s);
}

double result_quantile(const double *values, int count, double q)
{
	int rank = (int)ceil(q * count);

	if (count == 0)
		return NAN;
	return values[rank < 1 ? 0 : rank - 1];
}
