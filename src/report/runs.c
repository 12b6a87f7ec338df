#include "report/runs.h"

#include <math.h>
#include <stdlib.h>

void runs_init(struct runs *r, int count)
{
	r->count = count;
	r->values = calloc((size_t)count * METRICS, sizeof *r->values);
	if (!r->values)
		abort();
}

void runs_release(struct runs *r)
{
	free(r->values);
	*r = (struct runs){0};
}

double *runs_at(struct runs *r, int run)
{
	return r->values + (size_t)run * METRICS;
}

static double value(const struct runs *r, int run, enum metric metric)
{
	return r->values[(size_t)run * METRICS + metric];
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	if (isnan(x) || isnan(y))
		return !!isnan(x) - !!isnan(y);
	return (x > y) - (x < y);
}

double runs_quantile(const struct runs *r, enum metric metric, double q)
{
	int rank = (int)ceil(q * r->count);
	double *sorted = calloc((size_t)r->count, sizeof *sorted);

	if (!sorted)
		abort();
	for (int run = 0; run < r->count; run++)
		sorted[run] = value(r, run, metric);
	qsort(sorted, (size_t)r->count, sizeof *sorted, compare);
	double found = sorted[rank < 1 ? 0 : rank - 1];
	free(sorted);
	return found;
}

int runs_measured(const struct runs *r, enum metric metric)
{
	int count = 0;

	for (int run = 0; run < r->count; run++)
		count += !isnan(value(r, run, metric));
	return count;
}

int runs_hold(const struct runs *r, const struct expect *e)
{
	int count = 0;

	for (int run = 0; run < r->count; run++)
		count += expect_holds(e, r->values + (size_t)run * METRICS);
	return count;
}
