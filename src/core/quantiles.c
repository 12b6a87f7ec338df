#include "core/quantiles.h"

#include <assert.h>

#define NS_PER_TICK (INT64_C(1) << QUANTILES_TICK_SHIFT)

/* 0.55 x 20 is a hair over 11 in binary; a rank is meant as a person would reckon it. */
#define RANK_EPSILON 1e-6

static uint32_t tick_of(instant now)
{
	return (uint32_t)((uint64_t)now >> QUANTILES_TICK_SHIFT);
}

/* Where the sample is: 0 is the newest. */
static uint32_t place(const struct quantiles *q, uint32_t age)
{
	return (q->added - 1 - age) % QUANTILES_SAMPLES;
}

static void sort(uint32_t *values, int count)
{
	for (int i = 1; i < count; i++) {
		uint32_t value = values[i];
		int at = i;
		for (; at > 0 && values[at - 1] > value; at--)
			values[at] = values[at - 1];
		values[at] = value;
	}
}

/* In order of size: those from the `skip`-th newest on, `count` at most. How many there are. */
static int sorted(const struct quantiles *q, int skip, int count, uint32_t out[QUANTILES_SAMPLES])
{
	int found = 0;
	for (uint32_t age = (uint32_t)skip; age < q->held && found < count; age++)
		out[found++] = q->us[place(q, age)];
	sort(out, found);
	return found;
}

void quantiles_add(struct quantiles *q, int64_t span_ns, instant now)
{
	int64_t us = span_ns > 0 ? (span_ns + NS_PER_US / 2) / NS_PER_US : 0;
	q->added++;
	if (q->held < QUANTILES_SAMPLES)
		q->held++;
	q->us[place(q, 0)] = us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
	q->tick[place(q, 0)] = tick_of(now);
}

void quantiles_age(struct quantiles *q, int64_t age_ns, instant now)
{
	uint32_t most = tick_of(age_ns), tick = tick_of(now);
	while (q->held > 0 && tick - q->tick[place(q, q->held - 1)] >= most)
		q->held--;
}

instant quantiles_deadline(const struct quantiles *q, int64_t age_ns, instant now)
{
	if (q->held == 0)
		return INSTANT_NEVER;
	uint32_t age = tick_of(now) - q->tick[place(q, q->held - 1)], most = tick_of(age_ns);
	int64_t left = age < most ? (int64_t)(most - age) : 0;
	/* The next tick begins at a multiple of its length. */
	return ((now >> QUANTILES_TICK_SHIFT) + left) * NS_PER_TICK;
}

int64_t quantiles_value(const struct quantiles *q, double part)
{
	uint32_t values[QUANTILES_SAMPLES];
	assert(part >= 0.0 && part <= 1.0);
	int count = sorted(q, 0, QUANTILES_SAMPLES, values);
	if (count == 0)
		return 0;
	double exact = part * count - RANK_EPSILON;
	int rank = exact > 0.0 ? (int)exact + 1 : 1; /* rounded up: the nearest rank */
	return values[rank - 1] * NS_PER_US;
}

int64_t quantiles_median(const struct quantiles *q, int skip, int count)
{
	uint32_t values[QUANTILES_SAMPLES];
	assert(skip >= 0);
	int found = sorted(q, skip, count, values);
	if (found == 0)
		return 0;
	int64_t low = values[(found - 1) / 2], high = values[found / 2];
	return (low + high) * NS_PER_US / 2;
}
