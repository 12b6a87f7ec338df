#include "core/budget.h"

#include <assert.h>
#include <limits.h>
#include <stdint.h>

/* floor(`count` x `part`) as a person would reckon it. In binary 90 x 0.7 is a hair under 63, and
 * would be cut to 62. A part is given in hundredths or thousandths, so that a product which is
 * truly below a whole number is so by far more than this. */
#define FLOOR_EPSILON 1e-6

static int floor_of(int count, double part)
{
	if (count <= 0)
		return 0;
	return (int)((double)count * part + FLOOR_EPSILON);
}

static int smaller(int a, int b)
{
	return a < b ? a : b;
}

static int at_least(int a, int least)
{
	return a > least ? a : least;
}

static void reckon(struct budget *b)
{
	const struct budget_settings *s = &b->settings;
	b->usable = s->max_connections - s->superuser_reserved - s->reserved - s->agents;
	b->by_database = at_least(floor_of(b->usable, s->margin) - s->buffer, 0);
	b->by_path = floor_of(s->path_limit, s->path_share);
	b->fleet = smaller(b->by_database, b->by_path);
	int processes = s->siblings + 1;
	int whole = smaller(b->fleet / s->instances, s->pool_size + s->pool_overflow);
	b->share = at_least(whole / processes, 1);
	int64_t needed = (int64_t)s->instances * processes * b->share;
	b->needed = needed < INT_MAX ? (int)needed : INT_MAX;
	b->fits = b->usable > 0 && b->needed <= b->fleet;
}

void budget_configure(struct budget *b, const struct budget_settings *settings)
{
	assert(settings->max_connections >= 0 && settings->superuser_reserved >= 0);
	assert(settings->reserved >= 0 && settings->agents >= 0 && settings->buffer >= 0);
	assert(settings->margin >= 0.0 && settings->margin <= 1.0);
	assert(settings->path_share >= 0.0 && settings->path_share <= 1.0);
	assert(settings->instances >= 1 && settings->siblings >= 0);
	assert(settings->pool_size >= 0 && settings->pool_overflow >= 0);
	b->settings = *settings;
	reckon(b);
}

void budget_init(struct budget *b, const struct budget_settings *settings)
{
	*b = (struct budget){0};
	budget_configure(b, settings);
}

void budget_learn(struct budget *b, int max_connections, int superuser_reserved, int reserved)
{
	struct budget_settings *s = &b->settings;
	if (max_connections >= 0)
		s->max_connections = max_connections;
	if (superuser_reserved >= 0)
		s->superuser_reserved = superuser_reserved;
	if (reserved >= 0)
		s->reserved = reserved;
	reckon(b);
}
