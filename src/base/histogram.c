#include "base/histogram.h"

#include <assert.h>

static int bucket_of(int64_t span_ns)
{
	if (span_ns < (INT64_C(1) << HISTOGRAM_SHIFT))
		return 0;
	int power = 63 - __builtin_clzll((uint64_t)span_ns);
	int quarter = (int)((span_ns >> (power - 2)) & 3);
	int bucket = 4 * (power - HISTOGRAM_SHIFT) + quarter + 1;
	return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

int64_t histogram_edge(int i)
{
	assert(i >= 0 && i < HISTOGRAM_BUCKETS);
	if (i == 0)
		return INT64_C(1) << HISTOGRAM_SHIFT;
	int power = HISTOGRAM_SHIFT + (i - 1) / 4;
	int quarter = (i - 1) % 4;
	return (INT64_C(1) << power) + (INT64_C(1) << (power - 2)) * (quarter + 1);
}

void histogram_add(struct histogram *h, int64_t span_ns)
{
	if (span_ns < 0)
		span_ns = 0;
	h->count++;
	h->sum_ns += span_ns;
	if (span_ns > h->max_ns)
		h->max_ns = span_ns;
	h->buckets[bucket_of(span_ns)]++;
}

int64_t histogram_quantile(const struct histogram *h, double q)
{
	if (h->count == 0)
		return 0;
	uint64_t rank = (uint64_t)(q * (double)h->count);
	if (rank >= h->count)
		rank = h->count - 1;
	uint64_t seen = 0;
	for (int i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += h->buckets[i];
		if (seen > rank) {
			int64_t edge = histogram_edge(i);
			return edge < h->max_ns ? edge : h->max_ns;
		}
	}
	return h->max_ns;
}
