/* The pools, as JSON. */
#include <stdlib.h>

#include "gate/describe.h"
#include "gate/pools.h"

/* The engine's groups of a pool and of its births together. */
static struct pool_group group_of(const struct gate_view *view, const struct gate_pool *pool)
{
	struct pool_group all = {0};
	for (int group = 0; group < view->pools->top; group++) {
		const struct gate_pool *other = view->pools->by_group[group];
		const struct pool_group *g = &view->engine->pool.groups[group];
		if (!other || (other != pool && other->parent != pool))
			continue;
		all.connecting += g->connecting;
		all.idle += g->idle;
		all.busy += g->busy;
		all.waiting += g->waiting;
		all.holding += g->holding;
	}
	return all;
}

static json_t *describe_pool_of(const struct gate_view *view, const struct gate_pool *pool)
{
	struct pool_group all = group_of(view, pool);
	json_t *o = json_pack("{s:o, s:o, s:s, s:{s:i, s:i, s:i}, s:i, s:i, s:i, s:i, s:i, s:o}",
		"database", describe_text(view, pool->database), "user",
		describe_text(view, pool->user), "mode", pool_mode_name(pool->mode), "servers",
		"connecting", all.connecting, "idle", all.idle, "busy", all.busy, "servers_max",
		pool->servers_max, "servers_kept", pool->servers_kept, "births", pool->births,
		"waiting", all.waiting, "holding", all.holding, "last_error",
		describe_error(view, error_is_set(&pool->error) ? &pool->error : NULL));
	if (!o)
		abort();
	return o;
}

json_t *describe_pools(const struct gate_view *view)
{
	json_t *list = json_array();
	for (int group = 0; view->pools && group < view->pools->top; group++) {
		const struct gate_pool *pool = view->pools->by_group[group];
		if (pool && !pool->parent)
			json_array_append_new(list, describe_pool_of(view, pool));
	}
	return list;
}
