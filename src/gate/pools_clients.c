/* Who is in which pool, and how many may be. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "gate/client.h"
#include "gate/hub.h"
#include "gate/pools_inside.h"

static struct pool_user *hold_user(struct pools *all, const char *name)
{
	struct pool_user *u = all->users;
	while (u && strcmp(u->name, name) != 0)
		u = u->next;
	if (!u) {
		size_t size = strlen(name) + 1;
		u = calloc(1, sizeof(*u) + size);
		if (!u)
			abort();
		memcpy(u->name, name, size);
		u->next = all->users;
		all->users = u;
	}
	u->clients++;
	return u;
}

static void drop_user(struct pools *all, struct pool_user *u)
{
	if (--u->clients > 0)
		return;
	struct pool_user **at = &all->users;
	while (*at != u)
		at = &(*at)->next;
	*at = u->next;
	free(u);
}

static int clients_of_database(const struct hub *h, const char *database)
{
	int clients = 0;
	for (int group = 0; group < h->pools.top; group++) {
		const struct gate_pool *pool = h->pools.by_group[group];
		if (pool && strcmp(pool->database, database) == 0)
			clients += pool->clients;
	}
	return clients;
}

static int clients_of_user(const struct hub *h, const char *name)
{
	for (const struct pool_user *u = h->pools.users; u; u = u->next)
		if (strcmp(u->name, name) == 0)
			return u->clients;
	return 0;
}

/* 0, or -1 when it would be one too many. */
static int count_in(
	struct hub *h, const struct gate_pool *pool, const char *user, struct pools_refusal *why)
{
	const struct gate_database *database = pools_database(h, pool->database);
	const struct gate_user *of_user = pools_user(h, user);
	if (database && database->clients_max > 0 &&
		clients_of_database(h, pool->database) >= database->clients_max) {
		pools_refuse(why, "53300", "too many clients already for database \"%.63s\"",
			pool->database);
		pools_hint(why, "Raise databases.%.63s.clients (%d), or open fewer connections.",
			database->name, database->clients_max);
		h->counters.bounds[BOUND_DATABASE_CLIENTS]++;
		return -1;
	}
	if (of_user && of_user->clients_max > 0 &&
		clients_of_user(h, user) >= of_user->clients_max) {
		pools_refuse(why, "53300", "too many clients already for user \"%.63s\"", user);
		pools_hint(why, "Raise users.%.63s.clients (%d), or open fewer connections.",
			of_user->name, of_user->clients_max);
		h->counters.bounds[BOUND_USER_CLIENTS]++;
		return -1;
	}
	return 0;
}

static void enter(struct client *c, struct gate_pool *pool, struct profile *profile)
{
	c->pool = pool;
	c->profile = profile;
	pool->clients++;
}

int pools_enter(struct client *c, struct gate_pool *pool, const char *user, struct bytes parameters,
	struct pools_refusal *why)
{
	struct hub *h = c->hub;
	struct buffer pairs, own = BUFFER_INIT;
	struct error error;
	if (count_in(h, pool, user, why) != 0)
		return -1;
	if (profile_parse_startup(parameters, &pairs, &error) != 0)
		return pools_refuse(why, "08P01", "%s", error.text);
	if (pool->mode == POOL_SESSION) {
		/* Programs name themselves, each differently: that is set when they come. */
		profile_take_pair(&pairs, "application_name", &own);
		pool = pools_birth(h, pool, buffer_bytes(&pairs), why);
		buffer_release(&pairs);
		pairs = own;
		if (!pool) {
			buffer_release(&pairs);
			return -1;
		}
	}
	struct profile *profile = profile_from_pairs(&pool->profiles, buffer_bytes(&pairs));
	assert(profile); /* they are not too many: that has been seen to */
	buffer_release(&pairs);
	c->mode = (uint8_t)pool->mode;
	enter(c, pool, profile);
	c->origin = profile_hold(c->profile);
	c->user = hold_user(&h->pools, user);
	return 0;
}

void pools_enter_to_ask(struct client *c, struct gate_pool *pool)
{
	enter(c, pool, profile_hold(pool->profiles.base));
}

void pools_leave(struct client *c)
{
	struct gate_pool *pool = c->pool;
	if (!pool)
		return;
	profile_drop(&pool->profiles, c->profile);
	if (c->origin)
		profile_drop(&pool->profiles, c->origin);
	if (c->user)
		drop_user(&c->hub->pools, c->user);
	c->profile = c->origin = NULL;
	c->user = NULL;
	c->pool = NULL;
	pool->clients--;
}
