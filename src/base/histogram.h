/*
 * histogram - counts of spans in buckets that grow by a quarter of a power of two, 1 us to 2^42 ns
 * (over an hour): a quantile is right to within 25 %, in fixed memory and without allocation.
 */
#ifndef STANDPIPE_BASE_HISTOGRAM_H
#define STANDPIPE_BASE_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_SHIFT   10 /* the first bucket ends at 2^10 ns */
#define HISTOGRAM_BUCKETS (4 * (42 - HISTOGRAM_SHIFT) + 1)

struct histogram {
	uint64_t count;
	int64_t sum_ns;
	int64_t max_ns;
	uint32_t buckets[HISTOGRAM_BUCKETS];
};

/* All zero is an empty histogram. Spans below zero count as zero. */
void histogram_add(struct histogram *h, int64_t span_ns);

/* The upper edge of the bucket in which quantile `q` (0..1) lies, never above the largest span
 * added; 0 when empty. */
int64_t histogram_quantile(const struct histogram *h, double q);

/* Upper edge of bucket `i` in ns. */
int64_t histogram_edge(int i);

#endif
