/* Other settings for an engine that runs. */
#include "core/engine.h"

void engine_configure(struct engine *e, const struct engine_settings *settings, instant now)
{
	struct startup_settings startup = e->settings.startup;
	e->settings = *settings;
	e->settings.startup = startup;
	breaker_configure(&e->breaker, &settings->breaker, now);
	probe_configure(&e->probe, &settings->probe, now, &e->random);
	retry_configure(&e->retry, &settings->retry, now);
	struct throttle_settings throttle = {settings->throttle_k, settings->retry.base_ns};
	throttle_configure(&e->throttle, &throttle);
	connects_configure(&e->connects, &settings->connects);
	for (int group = 0; group < e->pool.groups_top; group++) {
		struct engine_group *g = &e->groups[group];
		g->standing.settings = settings->growth;
		g->retry_at = instant_min(g->retry_at, instant_add(now, settings->retry.cap_ns));
	}
	struct pool_group_settings own = e->pool.groups[ENGINE_OWN].settings;
	own.servers_kept = settings->servers_kept;
	pool_group_set(&e->pool, ENGINE_OWN, &own);
	budget_configure(&e->budget, &settings->budget);
	budget_learn(&e->budget, e->limits.max_connections, e->limits.superuser_reserved,
		e->limits.reserved);
	path_configure(&e->path, &settings->path, now);
	e->sweep_at = now;
}
