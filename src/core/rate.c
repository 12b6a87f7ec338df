#include "core/rate.h"

#include <assert.h>

void rate_add(struct rate *r, int64_t elapsed_ns)
{
	assert(elapsed_ns >= 0);
	r->count++;
	r->sample_count++;
	r->sample_ns += elapsed_ns;
	if (r->sample_ns < RATE_SAMPLE_NS)
		return;
	double per_s = (double)r->sample_count / s_from_ns(r->sample_ns);
	double weight = (double)r->sample_ns / (double)(r->sample_ns + RATE_TIME_NS);
	if (weight > RATE_WEIGHT_MAX)
		weight = RATE_WEIGHT_MAX;
	r->per_s = r->per_s > 0.0 ? r->per_s + weight * (per_s - r->per_s) : per_s;
	r->sample_count = r->sample_ns = 0;
}

double rate_per_s(const struct rate *r)
{
	return r->count >= RATE_LEAST ? r->per_s : 0.0;
}
