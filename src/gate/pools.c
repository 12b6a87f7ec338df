#include "gate/pools.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gate/hub.h"
#include "gate/pool_login.h"
#include "gate/pools_inside.h"

/* A pool that nobody uses is remembered for so long, with what its sessions report. */
#define LINGER_NS (60 * NS_PER_S)

const char *pool_mode_name(enum pool_mode mode)
{
	static const char *const names[] = {"transaction", "session", "statement"};
	return names[mode];
}

struct gate_pool *pools_own(const struct hub *h)
{
	return h->pools.by_group[POOLS_OWN];
}

struct gate_pool *pools_at(const struct hub *h, int group)
{
	assert(group >= 0 && group < h->pools.top && h->pools.by_group[group]);
	return h->pools.by_group[group];
}

int pools_refuse(struct pools_refusal *why, const char *sqlstate, const char *format, ...)
{
	va_list args;
	why->sqlstate = sqlstate;
	*why->hint = 0;
	va_start(args, format);
	vsnprintf(why->message, sizeof(why->message), format, args);
	va_end(args);
	return -1;
}

void pools_hint(struct pools_refusal *why, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(why->hint, sizeof(why->hint), format, args);
	va_end(args);
}

static char *copy_of(const char *text)
{
	char *copy = strdup(text);
	if (!copy)
		abort();
	return copy;
}

/* ---- what is configured ---- */

const struct gate_database *pools_database(const struct hub *h, const char *name)
{
	const struct gate_settings *s = h->settings;
	const struct gate_database *any = NULL;
	for (int i = 0; i < s->databases_count; i++) {
		if (strcmp(s->databases[i].name, name) == 0)
			return &s->databases[i];
		if (strcmp(s->databases[i].name, "*") == 0)
			any = &s->databases[i];
	}
	return any;
}

const struct gate_user *pools_user(const struct hub *h, const char *name)
{
	const struct gate_settings *s = h->settings;
	const struct gate_user *any = NULL;
	for (int i = 0; i < s->users_count; i++) {
		if (strcmp(s->users[i].name, name) == 0)
			return &s->users[i];
		if (strcmp(s->users[i].name, "*") == 0)
			any = &s->users[i];
	}
	return any;
}

/* ---- their life ---- */

static void tell_group(struct hub *h, const struct gate_pool *pool)
{
	hub_tell(h, (struct engine_event){.kind = EVENT_GROUP,
			    .group = pool->group,
			    .group_settings = {
				    .family = pool->parent ? pool->parent->group : pool->group,
				    .servers_max = pool->servers_max,
				    .servers_kept = pool->servers_kept,
				    .hold = holds_of(&h->holds, pool->database),
			    }});
}

/* A free place in the table, or -1. */
static int take_group(struct pools *all)
{
	int group = 0;
	while (group < all->top && all->by_group[group])
		group++;
	if (group == all->size)
		return -1;
	if (group == all->top)
		all->top++;
	return group;
}

/* Takes `conninfo`. NULL: there are too many already. */
static struct gate_pool *make(
	struct hub *h, const char *database, const char *user, const char *host, char *conninfo)
{
	int group = take_group(&h->pools);
	if (group < 0) {
		pool_login_free(conninfo);
		return NULL;
	}
	struct gate_pool *pool = calloc(1, sizeof(*pool));
	if (!pool)
		abort();
	pool->group = group;
	pool->database = copy_of(database);
	pool->user = copy_of(user);
	pool->conninfo = conninfo;
	pool->host = copy_of(host);
	pool->used_at = hub_now(h);
	profiles_init(&pool->profiles);
	h->pools.by_group[group] = pool;
	return pool;
}

static void free_pool(struct gate_pool *pool)
{
	profiles_release(&pool->profiles);
	buffer_release(&pool->birth);
	pool_login_free(pool->conninfo);
	free(pool->database);
	free(pool->user);
	free(pool->host);
	free(pool->bound_by);
	free(pool);
}

static void end(struct hub *h, struct gate_pool *pool)
{
	struct pools *all = &h->pools;
	if (pool->parent)
		pool->parent->births--;
	all->by_group[pool->group] = NULL;
	while (all->top > 0 && !all->by_group[all->top - 1])
		all->top--;
	hub_tell(h, (struct engine_event){.kind = EVENT_GROUP_CLOSED, .group = pool->group});
	free_pool(pool);
}

static bool is_unused(const struct hub *h, const struct gate_pool *pool)
{
	/* Of one that was made just now the engine may not have heard yet. */
	bool known = h->engine.pool.groups[pool->group].open;
	return pool->group != POOLS_OWN && pool->clients + pool->servers + pool->births == 0 &&
	       pool->servers_kept == 0 &&
	       (!known || pool_group_is_empty(&h->engine.pool, pool->group));
}

static void sweep(struct hub *h, instant now, int64_t linger_ns)
{
	/* Births come after what they are of, mostly; what is missed goes the next time. */
	for (int group = h->pools.top - 1; group > POOLS_OWN; group--) {
		struct gate_pool *pool = h->pools.by_group[group];
		if (!pool)
			continue;
		if (!is_unused(h, pool))
			pool->used_at = now;
		else if (now - pool->used_at >= linger_ns)
			end(h, pool);
	}
}

void pools_sweep(struct hub *h, instant now)
{
	sweep(h, now, LINGER_NS);
}

int pools_init(struct hub *h)
{
	struct pools *all = &h->pools;
	all->size = h->memory.groups_max;
	all->by_group = calloc((size_t)all->size, sizeof(struct gate_pool *));
	return all->by_group ? 0 : -1;
}

void pools_begin(struct hub *h)
{
	const struct gate_settings *s = h->settings;
	struct pools_refusal why;
	struct gate_pool *own = pools_find(h, s->databases[0].name, s->databases[0].user, &why);
	assert(own && own->group == POOLS_OWN);
	for (int i = 1; i < s->databases_count; i++)
		if (s->databases[i].keep > 0)
			pools_find(h, s->databases[i].name, s->databases[i].user, &why);
}

void pools_release(struct hub *h)
{
	struct pools *all = &h->pools;
	for (int group = 0; group < all->top; group++)
		if (all->by_group[group])
			free_pool(all->by_group[group]);
	free(all->by_group);
	assert(!all->users);
	*all = (struct pools){0};
}

/* ---- finding ---- */

/* Whom to log in as; NULL with the reason why not. */
static const char *login_user(const struct gate_database *entry, const struct gate_user *user,
	const char *name, struct pools_refusal *why)
{
	if (entry->shared || strcmp(name, entry->user) == 0)
		return entry->user;
	if (user && user->password)
		return name;
	pools_refuse(why, "28000", "standpipe can't log in to the database as \"%.63s\"", name);
	pools_hint(why,
		"It does not know the password: set users.%.63s.password, or databases.%.63s.login "
		"to shared, for all to be served as \"%.63s\".",
		name, entry->name, entry->user);
	return NULL;
}

static struct gate_pool *look_up(const struct hub *h, const char *database, const char *user)
{
	for (int group = 0; group < h->pools.top; group++) {
		struct gate_pool *pool = h->pools.by_group[group];
		if (pool && !pool->parent && strcmp(pool->user, user) == 0 &&
			strcmp(pool->database, database) == 0)
			return pool;
	}
	return NULL;
}

static char *login_of(const struct gate_database *entry, const struct gate_user *user,
	const char *database, const char *name)
{
	struct pool_login login = {.database = entry->named_by_client ? database : NULL};
	if (strcmp(name, entry->user) != 0) {
		login.user = name;
		login.password = user->password;
	}
	if (!login.database && !login.user)
		return copy_of(entry->conninfo);
	return pool_login_compose(entry->conninfo, &login);
}

static void set_limits(
	struct gate_pool *pool, const struct gate_database *entry, const struct gate_user *user)
{
	/* In a pool of all users no one user's settings can be in force. */
	if (entry->shared)
		user = NULL;
	bool by_user = user && user->pool_size > 0;
	char key[128];
	snprintf(key, sizeof(key), "%s.%.63s.pool_size", by_user ? "users" : "databases",
		by_user ? user->name : entry->name);
	free(pool->bound_by);
	pool->servers_max = by_user ? user->pool_size : entry->pool_size;
	pool->bound_by = pool->servers_max > 0 ? copy_of(key) : NULL;
	pool->mode = user && user->has_mode ? user->mode : entry->mode;
	pool->servers_kept = strcmp(pool->user, entry->user) == 0 ? entry->keep : 0;
}

static int refuse_too_many(struct pools_refusal *why)
{
	pools_refuse(why, "53300", "standpipe has no room for another pool");
	pools_hint(why,
		"A pool is made for each database and user, and in session mode for each set of "
		"startup settings: use fewer different ones, or raise pool.clients.");
	return -1;
}

struct gate_pool *pools_find(
	struct hub *h, const char *database, const char *user, struct pools_refusal *why)
{
	const struct gate_database *entry = pools_database(h, database);
	const struct gate_user *user_entry = pools_user(h, user);
	if (!entry) {
		pools_refuse(
			why, "3D000", "standpipe does not serve a database \"%.63s\"", database);
		pools_hint(why, "Name it under `databases` in standpipe.yaml, or \"*\" for all.");
		return NULL;
	}
	const char *name = login_user(entry, user_entry, user, why);
	if (!name)
		return NULL;
	struct gate_pool *pool = look_up(h, database, name);
	if (pool)
		return pool;
	char *conninfo = login_of(entry, user_entry, database, name);
	if (!conninfo) {
		pools_refuse(why, "08P01",
			"the database's or the user's name is not one to log in with");
		return NULL;
	}
	if (h->pools.top == h->pools.size)
		sweep(h, hub_now(h), 0);
	pool = make(h, database, name, entry->host, conninfo);
	if (!pool) {
		refuse_too_many(why);
		return NULL;
	}
	set_limits(pool, entry, user_entry);
	tell_group(h, pool);
	return pool;
}

struct gate_pool *pools_of_url(struct hub *h, const char *database)
{
	const struct gate_database *entry = pools_database(h, database);
	struct pools_refusal why;
	return entry ? pools_find(h, database, entry->user, &why) : NULL;
}

static char *birth_login(const struct gate_pool *parent, struct bytes settings)
{
	struct pool_login login = {.settings = settings};
	char *conninfo = pool_login_compose(parent->conninfo, &login);
	assert(conninfo);
	return conninfo;
}

struct gate_pool *pools_birth(
	struct hub *h, struct gate_pool *parent, struct bytes settings, struct pools_refusal *why)
{
	if (settings.len == 0)
		return parent;
	for (int group = 0; group < h->pools.top; group++) {
		struct gate_pool *pool = h->pools.by_group[group];
		if (!pool || pool->parent != parent)
			continue;
		struct bytes birth = buffer_bytes(&pool->birth);
		if (birth.at && birth.len == settings.len &&
			memcmp(birth.at, settings.at, settings.len) == 0)
			return pool;
	}
	if (!pool_login_takes(settings)) {
		pools_refuse(why, "42704", "unrecognized configuration parameter");
		return NULL;
	}
	if (h->pools.top == h->pools.size)
		sweep(h, hub_now(h), 0);
	char *conninfo = birth_login(parent, settings);
	struct gate_pool *pool = make(h, parent->database, parent->user, parent->host, conninfo);
	if (!pool) {
		refuse_too_many(why);
		return NULL;
	}
	pool->parent = parent;
	pool->mode = parent->mode;
	buffer_append(&pool->birth, settings.at, settings.len);
	parent->births++;
	tell_group(h, pool);
	return pool;
}

/* ---- other settings ---- */

/* Takes `conninfo`. What logged in otherwise is replaced. */
static void log_in_with(struct hub *h, struct gate_pool *pool, char *conninfo)
{
	bool same = strcmp(conninfo, pool->conninfo) == 0;
	pool_login_free(pool->conninfo);
	pool->conninfo = conninfo;
	if (same)
		return;
	hub_reconnect(h, pool->group);
}

static void configure(struct hub *h, struct gate_pool *pool)
{
	const struct gate_database *entry = pools_database(h, pool->database);
	const struct gate_user *user = pools_user(h, pool->user);
	struct pools_refusal why;
	const char *name = entry ? login_user(entry, user, pool->user, &why) : NULL;
	char *conninfo = NULL;
	if (name && strcmp(name, pool->user) == 0)
		conninfo = login_of(entry, user, pool->database, name);
	pool->orphaned = !conninfo;
	if (conninfo) {
		set_limits(pool, entry, user);
		free(pool->host);
		pool->host = copy_of(entry->host);
		log_in_with(h, pool, conninfo);
	} else {
		pool->servers_kept = 0; /* those who are there may stay */
	}
	tell_group(h, pool);
}

void pools_configure(struct hub *h)
{
	struct pools *all = &h->pools;
	for (int group = 0; group < all->top; group++)
		if (all->by_group[group] && !all->by_group[group]->parent)
			configure(h, all->by_group[group]);
	for (int group = 0; group < all->top; group++) {
		struct gate_pool *pool = all->by_group[group];
		if (pool && pool->parent) {
			pool->mode = pool->parent->mode;
			log_in_with(h, pool, birth_login(pool->parent, buffer_bytes(&pool->birth)));
		}
	}
	pools_begin(h);
}

bool pools_know(const struct hub *h, const char *database)
{
	if (pools_database(h, database))
		return true;
	for (int group = 0; group < h->pools.top; group++) {
		const struct gate_pool *pool = h->pools.by_group[group];
		if (pool && strcmp(pool->database, database) == 0)
			return true;
	}
	return false;
}

void pools_hold(struct hub *h)
{
	for (int group = 0; group < h->pools.top; group++)
		if (h->pools.by_group[group])
			tell_group(h, h->pools.by_group[group]);
}
