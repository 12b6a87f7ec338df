#include "lab/rollout.h"

static bool is_wanted(const struct instance *at)
{
	return at->state == INSTANCE_WAITING || at->state == INSTANCE_STARTING ||
	       at->state == INSTANCE_READY;
}

/* One of an earlier revision, first of all one that is not up; NULL: there is none. */
static struct instance *old_one(const struct rollout *r, struct fleet *f)
{
	struct instance *found = NULL;

	for (int i = 0; i < f->count; i++) {
		struct instance *at = &f->instances[i];
		if (!is_wanted(at) || at->revision >= r->revision)
			continue;
		if (!found || (found->state == INSTANCE_READY && at->state != INSTANCE_READY))
			found = at;
	}
	return found;
}

/* New ones that have come up at least once. */
static int came_up(const struct rollout *r, const struct fleet *f)
{
	int count = 0;

	for (int i = 0; i < f->count; i++)
		count += f->instances[i].revision == r->revision && f->instances[i].first_ready_ns;
	return count;
}

void rollout_begin(struct rollout *r, struct fleet *f, int at_a_time, uint64_t now)
{
	*r = (struct rollout){.total = fleet_wanted(f), .revision = ++f->revision};
	r->at_a_time = at_a_time > 0 ? at_a_time : r->total;
	rollout_tick(r, f, now);
}

bool rollout_tick(struct rollout *r, struct fleet *f, uint64_t now)
{
	int up = came_up(r, f);
	struct instance *old;

	while (r->started < r->total && r->started - up < r->at_a_time && fleet_add(f, now))
		r->started++;
	while (r->retired < up && (old = old_one(r, f))) {
		fleet_retire(f, old, now);
		r->retired++;
	}
	return !old_one(r, f);
}
