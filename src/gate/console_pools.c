/* SHOW DATABASES, POOLS, USERS. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gate/console_sockets.h"
#include "gate/pools.h"
#include "gate/server.h"

static int64_t seconds(int64_t ns)
{
	return ns / NS_PER_S;
}

/* ---- who is in a database, or comes as a user ---- */

struct members {
	int clients, servers;
};

/* NULL: whatever it is. */
static struct members members_of(const struct hub *h, const char *database, const char *user)
{
	struct members m = {0};
	for (int group = 0; group < h->pools.top; group++) {
		const struct gate_pool *pool = h->pools.by_group[group];
		if (!pool || (database && strcmp(pool->database, database) != 0) ||
			(user && strcmp(pool->user, user) != 0))
			continue;
		m.clients += pool->clients;
		m.servers += pool->servers;
	}
	return m;
}

/* ---- databases ---- */

static const struct column database_columns[] = {
	{"name", COLUMN_TEXT}, {"host", COLUMN_TEXT}, {"port", COLUMN_INT4},
	{"database", COLUMN_TEXT}, {"force_user", COLUMN_TEXT}, {"pool_size", COLUMN_INT4},
	{"min_pool_size", COLUMN_INT4}, {"reserve_pool_size", COLUMN_INT4},
	{"server_lifetime", COLUMN_INT4}, {"pool_mode", COLUMN_TEXT},
	{"load_balance_hosts", COLUMN_TEXT}, {"max_connections", COLUMN_INT4},
	{"current_connections", COLUMN_INT4}, {"max_client_connections", COLUMN_INT4},
	{"current_client_connections", COLUMN_INT4}, {"paused", COLUMN_INT4},
	{"disabled", COLUMN_INT4},
	{"reserve_pool", COLUMN_INT4}, /* reserve_pool_size, until 1.23 */
};

/* "db.internal:5432" and "[::1]:5432", or a directory, in two parts. */
static int split_host(const char *address, char *host, size_t size)
{
	const char *colon = strrchr(address, ':');
	size_t len = colon ? (size_t)(colon - address) : strlen(address);
	bool is_bracketed = len >= 2 && address[0] == '[' && address[len - 1] == ']';
	snprintf(host, size, "%.*s", (int)(is_bracketed ? len - 2 : len), address + is_bracketed);
	return colon ? atoi(colon + 1) : 5432;
}

static void add_database(
	const struct hub *h, struct table *t, const char *name, const struct gate_database *entry)
{
	const struct engine_settings *e = &h->settings->engine;
	struct members m = members_of(h, name, NULL);
	char host[256];
	int port = split_host(entry->host, host, sizeof(host));
	table_row(t);
	table_text(t, name);
	table_text(t, host);
	table_int(t, port);
	table_text(t, name);
	table_text(t, entry->shared ? entry->user : NULL);
	table_int(t, entry->pool_size > 0 ? entry->pool_size : e->budget.pool_size);
	table_int(t, entry->keep);
	table_int(t, entry->pool_size > 0 ? 0 : e->budget.pool_overflow);
	table_int(t, seconds(e->server_life_ns));
	table_text(t, pool_mode_name(entry->mode));
	table_null(t);
	table_int(t, h->engine.budget.share);
	table_int(t, m.servers);
	table_int(t, entry->clients_max > 0 ? entry->clients_max : h->settings->clients_max);
	table_int(t, m.clients);
	table_int(t, holds_is_paused(&h->holds, name));
	table_int(t, holds_is_disabled(&h->holds, name));
	table_int(t, entry->pool_size > 0 ? 0 : e->budget.pool_overflow);
	table_end(t);
}

static bool is_written(const struct gate_settings *s, const char *database)
{
	for (int i = 0; i < s->databases_count; i++)
		if (strcmp(s->databases[i].name, database) == 0)
			return true;
	return false;
}

/* The entry of all that are not written; NULL: a reload has taken it away. */
static const struct gate_database *find_wild(const struct gate_settings *s)
{
	for (int i = 0; i < s->databases_count; i++)
		if (strcmp(s->databases[i].name, "*") == 0)
			return &s->databases[i];
	return NULL;
}

static bool has_pool_before(const struct hub *h, const struct gate_pool *pool)
{
	for (int group = 0; group < pool->group; group++) {
		const struct gate_pool *other = h->pools.by_group[group];
		if (other && strcmp(other->database, pool->database) == 0)
			return true;
	}
	return false;
}

/* Those that are written, and what "*" stands for now. */
static void fill_databases(const struct client *c, struct table *t)
{
	const struct hub *h = c->hub;
	const struct gate_settings *s = h->settings;
	for (int i = 0; i < s->databases_count; i++)
		if (strcmp(s->databases[i].name, "*") != 0)
			add_database(h, t, s->databases[i].name, &s->databases[i]);
	const struct gate_database *wild = find_wild(s);
	for (int group = 0; wild && group < h->pools.top; group++) {
		const struct gate_pool *pool = h->pools.by_group[group];
		if (pool && !is_written(s, pool->database) && !has_pool_before(h, pool))
			add_database(h, t, pool->database, wild);
	}
}

/* ---- pools ---- */

static const struct column pool_columns[] = {
	{"database", COLUMN_TEXT},
	{"user", COLUMN_TEXT},
	{"cl_active", COLUMN_INT4},
	{"cl_waiting", COLUMN_INT4},
	{"cl_active_cancel_req", COLUMN_INT4},
	{"cl_waiting_cancel_req", COLUMN_INT4},
	{"sv_active", COLUMN_INT4},
	{"sv_active_cancel", COLUMN_INT4},
	{"sv_being_canceled", COLUMN_INT4},
	{"sv_idle", COLUMN_INT4},
	{"sv_used", COLUMN_INT4},
	{"sv_tested", COLUMN_INT4},
	{"sv_login", COLUMN_INT4},
	{"maxwait", COLUMN_INT4},
	{"maxwait_us", COLUMN_INT4},
	{"pool_mode", COLUMN_TEXT},
	{"load_balance_hosts", COLUMN_TEXT},
};

struct tally {
	int clients[SOCKET_STATE_COUNT], servers[SOCKET_STATE_COUNT];
	int cancels; /* under way to servers */
	int64_t longest_ns; /* wait of a client */
};

/* Births are told with the pool that they are of: to everyone else they are one. */
static struct tally *tally_of(struct tally *all, const struct gate_pool *pool)
{
	return &all[pool->parent ? pool->parent->group : pool->group];
}

/* One walk over all clients and servers; by group, freed by the caller. */
static struct tally *count_all(struct hub *h)
{
	struct tally *all = calloc((size_t)h->pools.top, sizeof(*all));
	if (!all)
		abort();
	for (int i = 0; i < h->memory.clients_max; i++) {
		const struct client *c = h->clients[i];
		if (!c || !c->pool || c->inquiry)
			continue;
		struct tally *tally = tally_of(all, c->pool);
		int64_t wait_ns = socket_wait_ns(c);
		tally->clients[socket_of_client(c)]++;
		if (wait_ns > tally->longest_ns)
			tally->longest_ns = wait_ns;
	}
	for (int i = 0; i < h->memory.servers_max; i++) {
		const struct server *s = &h->servers[i];
		if (!s->pool)
			continue;
		struct tally *tally = tally_of(all, s->pool);
		tally->servers[socket_of_server(s)]++;
		tally->cancels += s->cancels;
	}
	return all;
}

static void add_pool(struct table *t, const struct gate_pool *pool, const struct tally *tally)
{
	table_row(t);
	table_text(t, pool->database);
	table_text(t, pool->user);
	table_int(t, tally->clients[SOCKET_ACTIVE] + tally->clients[SOCKET_IDLE]);
	table_int(t, tally->clients[SOCKET_WAITING]);
	table_int(t, tally->cancels);
	table_int(t, 0);
	table_int(t, tally->servers[SOCKET_ACTIVE]);
	table_int(t, tally->cancels);
	table_int(t, tally->servers[SOCKET_BEING_CANCELED]);
	table_int(t, tally->servers[SOCKET_IDLE]);
	table_int(t, tally->servers[SOCKET_USED]);
	table_int(t, tally->servers[SOCKET_TESTED]);
	table_int(t, tally->servers[SOCKET_LOGIN]);
	table_int(t, seconds(tally->longest_ns));
	table_int(t, tally->longest_ns % NS_PER_S / 1000);
	table_text(t, pool_mode_name(pool->mode));
	table_null(t);
	table_end(t);
}

static void fill_pools(const struct client *c, struct table *t)
{
	struct hub *h = c->hub;
	struct tally *all = count_all(h);
	for (int group = 0; group < h->pools.top; group++) {
		const struct gate_pool *pool = h->pools.by_group[group];
		if (pool && !pool->parent)
			add_pool(t, pool, &all[group]);
	}
	free(all);
}

/* ---- users ---- */

static const struct column user_columns[] = {
	{"name", COLUMN_TEXT},
	{"pool_size", COLUMN_TEXT},
	{"reserve_pool_size", COLUMN_TEXT},
	{"pool_mode", COLUMN_TEXT},
	{"max_user_connections", COLUMN_INT4},
	{"current_connections", COLUMN_INT4},
	{"max_user_client_connections", COLUMN_INT4},
	{"current_client_connections", COLUMN_INT4},
};

static void add_user(const struct hub *h, struct table *t, const char *name, int clients)
{
	const struct gate_user *entry = NULL;
	char pool_size[24];
	for (int i = 0; i < h->settings->users_count; i++)
		if (strcmp(h->settings->users[i].name, name) == 0)
			entry = &h->settings->users[i];
	bool is_sized = entry && entry->pool_size > 0;
	if (is_sized)
		snprintf(pool_size, sizeof(pool_size), "%d", entry->pool_size);
	table_row(t);
	table_text(t, name);
	table_text(t, is_sized ? pool_size : NULL);
	table_null(t);
	table_text(t, entry && entry->has_mode ? pool_mode_name(entry->mode) : NULL);
	table_int(t, 0);
	table_int(t, members_of(h, NULL, name).servers);
	table_int(t, entry ? entry->clients_max : 0);
	table_int(t, clients);
	table_end(t);
}

static bool is_there(const struct hub *h, const char *name)
{
	const struct pool_user *user = h->pools.users;
	while (user && strcmp(user->name, name) != 0)
		user = user->next;
	return user != NULL;
}

/* Was the user of this pool told of with one before? */
static bool has_user_before(const struct hub *h, const struct gate_pool *pool)
{
	for (int group = 0; group < pool->group; group++) {
		const struct gate_pool *other = h->pools.by_group[group];
		if (other && strcmp(other->user, pool->user) == 0)
			return true;
	}
	return false;
}

/* Those who are there, and those whom pools log in as. */
static void fill_users(const struct client *c, struct table *t)
{
	const struct hub *h = c->hub;
	for (const struct pool_user *user = h->pools.users; user; user = user->next)
		add_user(h, t, user->name, user->clients);
	for (int group = 0; group < h->pools.top; group++) {
		const struct gate_pool *pool = h->pools.by_group[group];
		if (pool && !is_there(h, pool->user) && !has_user_before(h, pool))
			add_user(h, t, pool->user, 0);
	}
}

const struct console_show console_pools[] = {
	SHOW("databases", database_columns, fill_databases),
	SHOW("pools", pool_columns, fill_pools),
	SHOW("users", user_columns, fill_users),
};
const int console_pools_count = COUNT(console_pools);
