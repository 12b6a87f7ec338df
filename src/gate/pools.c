#include "gate/pools.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gate/client.h"
#include "gate/hub.h"

struct gate_pool *pools_own(const struct hub *h)
{
	return h->pools.by_group[POOLS_OWN];
}

struct gate_pool *pools_at(const struct hub *h, int group)
{
	assert(group >= 0 && group < h->pools.top && h->pools.by_group[group]);
	return h->pools.by_group[group];
}

int pools_init(struct hub *h)
{
	const struct gate_settings *settings = h->settings;
	struct pools *all = &h->pools;
	all->size = 1;
	all->by_group = calloc((size_t)all->size, sizeof(struct gate_pool *));
	struct gate_pool *own = calloc(1, sizeof(*own));
	if (!all->by_group || !own) {
		free(own);
		return -1;
	}
	own->group = POOLS_OWN;
	own->database = settings->database;
	own->user = settings->user;
	own->conninfo = settings->conninfo;
	own->host = settings->host;
	profiles_init(&own->profiles);
	all->by_group[POOLS_OWN] = own;
	all->top = 1;
	return 0;
}

void pools_configure(struct hub *h)
{
	struct gate_pool *own = pools_own(h);
	own->database = h->settings->database;
	own->user = h->settings->user;
	own->conninfo = h->settings->conninfo;
	own->host = h->settings->host;
}

void pools_release(struct hub *h)
{
	struct pools *all = &h->pools;
	for (int group = 0; group < all->top; group++) {
		struct gate_pool *pool = all->by_group[group];
		if (!pool)
			continue;
		profiles_release(&pool->profiles);
		free(pool);
	}
	free(all->by_group);
	*all = (struct pools){0};
}

static struct gate_pool *not_served(
	const struct hub *h, const char *database, const char *user, struct pools_refusal *why)
{
	why->sqlstate = strcmp(user, h->settings->user) != 0 ? "28000" : "3D000";
	snprintf(why->message, sizeof(why->message),
		"standpipe does not serve user \"%.60s\" of database \"%.60s\" here", user,
		database);
	snprintf(why->hint, sizeof(why->hint),
		"It serves the user and the database of its DATABASE_URL.");
	return NULL;
}

struct gate_pool *pools_find(
	struct hub *h, const char *database, const char *user, struct pools_refusal *why)
{
	for (int group = 0; group < h->pools.top; group++) {
		struct gate_pool *pool = h->pools.by_group[group];
		if (pool && strcmp(pool->user, user) == 0 && strcmp(pool->database, database) == 0)
			return pool;
	}
	return not_served(h, database, user, why);
}

int pools_enter(struct client *c, struct gate_pool *pool, struct bytes parameters,
	struct pools_refusal *why)
{
	struct error error;
	c->profile = profile_from_startup(&pool->profiles, parameters, &error);
	if (!c->profile) {
		*why = (struct pools_refusal){.sqlstate = "08P01"};
		snprintf(why->message, sizeof(why->message), "%s", error.text);
		return -1;
	}
	c->origin = profile_hold(c->profile);
	c->pool = pool;
	pool->clients++;
	return 0;
}

void pools_enter_own(struct client *c)
{
	c->pool = pools_own(c->hub);
	c->profile = profile_hold(c->pool->profiles.base);
	c->pool->clients++;
}

void pools_leave(struct client *c)
{
	struct gate_pool *pool = c->pool;
	if (!pool)
		return;
	profile_drop(&pool->profiles, c->profile);
	if (c->origin)
		profile_drop(&pool->profiles, c->origin);
	c->profile = c->origin = NULL;
	c->pool = NULL;
	pool->clients--;
}

bool pools_know(const struct hub *h, const char *database)
{
	for (int group = 0; group < h->pools.top; group++) {
		const struct gate_pool *pool = h->pools.by_group[group];
		if (pool && strcmp(pool->database, database) == 0)
			return true;
	}
	return false;
}

void pools_hold(struct hub *h)
{
	for (int group = 0; group < h->pools.top; group++) {
		const struct gate_pool *pool = h->pools.by_group[group];
		if (!pool)
			continue;
		struct pool_group_settings settings = h->engine.pool.groups[group].settings;
		settings.hold = holds_of(&h->holds, pool->database);
		hub_tell(h,
			(struct engine_event){
				.kind = EVENT_GROUP, .group = group, .group_settings = settings});
	}
}
