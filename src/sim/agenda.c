#include "sim/agenda.h"

#include <assert.h>
#include <stdlib.h>

#define SIZE_MIN 64

/* 0: now; else one more than the highest bit that differs. */
static int bucket_of(const struct agenda *q, instant at)
{
	uint64_t differs = (uint64_t)at ^ (uint64_t)q->now;

	return differs == 0 ? 0 : 64 - __builtin_clzll(differs);
}

static void grow(struct agenda_bucket *b)
{
	b->size = b->size ? 2 * b->size : SIZE_MIN;
	b->items = realloc(b->items, b->size * sizeof *b->items);
	if (!b->items)
		abort();
}

void agenda_put(struct agenda *q, struct occurrence o)
{
	if (o.at == INSTANT_NEVER)
		return;
	assert(o.at >= q->now);
	int index = bucket_of(q, o.at);
	struct agenda_bucket *b = &q->buckets[index];
	if (b->count == b->size)
		grow(b);
	b->items[b->count++] = o;
	q->filled |= UINT64_C(1) << index;
}

/* The first time in a bucket. */
static instant first_of(const struct agenda_bucket *b)
{
	instant first = INSTANT_NEVER;

	for (uint32_t i = 0; i < b->count; i++)
		first = instant_min(first, b->items[i].at);
	return first;
}

/* The present becomes the first time in the lowest bucket, whose content moves down. */
static bool move_on(struct agenda *q, instant until)
{
	int index = __builtin_ctzll(q->filled);
	struct agenda_bucket *b = &q->buckets[index];
	uint32_t count = b->count;
	instant first = first_of(b);

	if (first > until)
		return false;
	q->now = first;
	q->filled &= ~(UINT64_C(1) << index);
	b->count = 0;
	for (uint32_t i = 0; i < count; i++)
		agenda_put(q, b->items[i]);
	return true;
}

bool agenda_take(struct agenda *q, instant until, struct occurrence *o)
{
	struct agenda_bucket *now = &q->buckets[0];

	if (q->head == now->count) {
		q->head = now->count = 0;
		q->filled &= ~UINT64_C(1);
		if (q->filled == 0 || !move_on(q, until))
			return false;
	}
	*o = now->items[q->head++];
	return true;
}

void agenda_release(struct agenda *q)
{
	for (int i = 0; i < AGENDA_BUCKETS; i++)
		free(q->buckets[i].items);
	*q = (struct agenda){0};
}
