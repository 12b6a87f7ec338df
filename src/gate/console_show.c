/* What PgBouncer shows, by the names, types and order that its 1.25 has; what exporters of older
 * ones look for comes behind. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "gate/console_sockets.h"
#include "gate/pools.h"
#include "gate/server.h"

#define US(ns)   ((ns) / 1000)
#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

/* ---- databases, pools, users ---- */

/* The next pool from `*group` on, or NULL: for (int g = 0; (pool = next_pool(h, &g));) */
static const struct gate_pool *next_pool(const struct hub *h, int *group)
{
	while (*group < h->pools.top) {
		const struct gate_pool *pool = h->pools.by_group[(*group)++];
		if (pool)
			return pool;
	}
	return NULL;
}

/* Is it the first one of its database (of its user)? */
static bool is_first(const struct hub *h, const struct gate_pool *pool, bool by_user)
{
	for (int g = 0; g < pool->group; g++) {
		const struct gate_pool *other = h->pools.by_group[g];
		if (other && strcmp(by_user ? other->user : other->database,
				     by_user ? pool->user : pool->database) == 0)
			return false;
	}
	return true;
}

static int64_t seconds(int64_t ns)
{
	return ns / NS_PER_S;
}

/* "db.internal:5432" and "[::1]:5432", or a directory, in two parts. */
static int split_host(const char *address, char *host, size_t size)
{
	const char *colon = strrchr(address, ':');
	size_t len = colon ? (size_t)(colon - address) : strlen(address);
	bool is_bracketed = len >= 2 && address[0] == '[' && address[len - 1] == ']';
	snprintf(host, size, "%.*s", (int)(is_bracketed ? len - 2 : len), address + is_bracketed);
	return colon ? atoi(colon + 1) : 5432;
}

struct members {
	int clients, servers;
};

static struct members members_of(
	const struct hub *h, const struct gate_pool *pool, bool by_user, bool by_database)
{
	const struct gate_pool *other;
	struct members m = {0};
	for (int g = 0; (other = next_pool(h, &g));) {
		if ((by_user && strcmp(other->user, pool->user) != 0) ||
			(by_database && strcmp(other->database, pool->database) != 0))
			continue;
		m.clients += other->clients;
		m.servers += other->servers;
	}
	return m;
}

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

static void fill_databases(const struct client *c, struct table *t)
{
	const struct hub *h = c->hub;
	const struct engine_settings *e = &h->settings->engine;
	const struct gate_pool *pool;
	for (int g = 0; (pool = next_pool(h, &g));) {
		char host[256];
		if (!is_first(h, pool, false))
			continue;
		int port = split_host(pool->host, host, sizeof(host));
		struct members m = members_of(h, pool, false, true);
		table_row(t);
		table_text(t, pool->database);
		table_text(t, host);
		table_int(t, port);
		table_text(t, pool->database);
		table_null(t);
		table_int(t, e->budget.pool_size);
		table_int(t, e->servers_kept);
		table_int(t, e->budget.pool_overflow);
		table_int(t, seconds(e->server_life_ns));
		table_null(t);
		table_null(t);
		table_int(t, h->engine.budget.share);
		table_int(t, m.servers);
		table_int(t, h->settings->clients_max);
		table_int(t, m.clients);
		table_int(t, holds_is_paused(&h->holds, pool->database));
		table_int(t, holds_is_disabled(&h->holds, pool->database));
		table_int(t, e->budget.pool_overflow);
		table_end(t);
	}
}

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
		struct tally *tally = &all[c->pool->group];
		int64_t wait_ns = socket_wait_ns(c);
		tally->clients[socket_of_client(c)]++;
		if (wait_ns > tally->longest_ns)
			tally->longest_ns = wait_ns;
	}
	for (int i = 0; i < h->memory.servers_max; i++) {
		const struct server *s = &h->servers[i];
		if (!s->pool)
			continue;
		all[s->pool->group].servers[socket_of_server(s)]++;
		all[s->pool->group].cancels += s->cancels;
	}
	return all;
}

static void fill_pools(const struct client *c, struct table *t)
{
	struct hub *h = c->hub;
	struct tally *all = count_all(h);
	const struct gate_pool *pool;
	for (int g = 0; (pool = next_pool(h, &g));) {
		const struct tally *tally = &all[pool->group];
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
		table_int(t, US(tally->longest_ns % NS_PER_S));
		table_text(t, pool_mode_name(pool->mode));
		table_null(t);
		table_end(t);
	}
	free(all);
}

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

static void fill_users(const struct client *c, struct table *t)
{
	const struct hub *h = c->hub;
	const struct gate_pool *pool;
	for (int g = 0; (pool = next_pool(h, &g));) {
		if (!is_first(h, pool, true))
			continue;
		struct members m = members_of(h, pool, true, false);
		table_row(t);
		table_text(t, pool->user);
		table_null(t);
		table_null(t);
		table_null(t);
		table_int(t, 0);
		table_int(t, m.servers);
		table_int(t, 0);
		table_int(t, m.clients);
		table_end(t);
	}
}

/* ---- statistics ---- */

/* Each is a total and an average, in this order. */
enum figure {
	FIGURE_ASSIGNED,
	FIGURE_XACTS,
	FIGURE_QUERIES,
	FIGURE_RECEIVED,
	FIGURE_SENT,
	FIGURE_XACT_TIME,
	FIGURE_QUERY_TIME,
	FIGURE_WAIT_TIME,
	FIGURE_CLIENT_PARSES,
	FIGURE_SERVER_PARSES,
	FIGURE_BINDS,
	FIGURE_COUNT
};

static int64_t figure_of(const struct pool_stats *s, enum figure figure)
{
	switch (figure) {
	case FIGURE_ASSIGNED:
		return s->assigned;
	case FIGURE_XACTS:
		return s->xact_count;
	case FIGURE_QUERIES:
		return s->query_count;
	case FIGURE_RECEIVED:
		return s->bytes_in;
	case FIGURE_SENT:
		return s->bytes_out;
	case FIGURE_XACT_TIME:
		return US(s->xact_ns);
	case FIGURE_QUERY_TIME:
		return US(s->query_ns);
	case FIGURE_WAIT_TIME:
		return US(s->wait_ns);
	case FIGURE_CLIENT_PARSES:
		return s->client_parses;
	case FIGURE_SERVER_PARSES:
		return s->server_parses;
	case FIGURE_BINDS:
		return s->binds;
	case FIGURE_COUNT:
		break;
	}
	return 0;
}

static void add_figures(struct table *t, const struct pool_stats *s)
{
	for (enum figure figure = 0; figure < FIGURE_COUNT; figure++)
		table_int(t, figure_of(s, figure));
}

struct statistics {
	struct pool_stats total, average;
};

/* Of the pools of `like`'s database, or of all. */
static struct statistics statistics_of(struct hub *h, const struct gate_pool *like)
{
	struct pool_stats total = {0}, before = {0};
	const struct gate_pool *pool;
	for (int g = 0; (pool = next_pool(h, &g));) {
		if (like && strcmp(like->database, pool->database) != 0)
			continue;
		pool_stats_add(&total, &pool->stats);
		pool_stats_add(&before, &pool->history.before);
	}
	return (struct statistics){
		total, pool_stats_average(&total, &before, hub_now(h) - h->stats_before_at)};
}

#define FIGURES(prefix, received, sent)                                                            \
	{prefix "server_assignment_count", COLUMN_NUMERIC}, {prefix "xact_count", COLUMN_NUMERIC}, \
		{prefix "query_count", COLUMN_NUMERIC}, {received, COLUMN_NUMERIC},                \
		{sent, COLUMN_NUMERIC}, {prefix "xact_time", COLUMN_NUMERIC},                      \
		{prefix "query_time", COLUMN_NUMERIC}, {prefix "wait_time", COLUMN_NUMERIC},       \
		{prefix "client_parse_count", COLUMN_NUMERIC},                                     \
		{prefix "server_parse_count", COLUMN_NUMERIC},                                     \
	{                                                                                          \
		prefix "bind_count", COLUMN_NUMERIC                                                \
	}

static const struct column stats_columns[] = {
	{"database", COLUMN_TEXT}, FIGURES("total_", "total_received", "total_sent"),
	FIGURES("avg_", "avg_recv", "avg_sent"),
	{"total_requests", COLUMN_NUMERIC}, /* total_query_count, until 1.7 */
};

static const struct column stats_totals_columns[] = {
	{"database", COLUMN_TEXT},
	FIGURES("", "bytes_received", "bytes_sent"),
};

/* PgBouncer names but three of them so. */
static const struct column stats_averages_columns[] = {
	{"database", COLUMN_TEXT},
	{"server_assignment_count", COLUMN_NUMERIC},
	{"xact_count", COLUMN_NUMERIC},
	{"query_count", COLUMN_NUMERIC},
	{"bytes_received", COLUMN_NUMERIC},
	{"bytes_sent", COLUMN_NUMERIC},
	{"xact_time", COLUMN_NUMERIC},
	{"query_time", COLUMN_NUMERIC},
	{"wait_time", COLUMN_NUMERIC},
	{"avg_client_parse_count", COLUMN_NUMERIC},
	{"avg_server_parse_count", COLUMN_NUMERIC},
	{"avg_bind_count", COLUMN_NUMERIC},
};

static void fill_stats(const struct client *c, struct table *t)
{
	const struct gate_pool *pool;
	for (int g = 0; (pool = next_pool(c->hub, &g));) {
		if (!is_first(c->hub, pool, false))
			continue;
		struct statistics s = statistics_of(c->hub, pool);
		table_row(t);
		table_text(t, pool->database);
		if (t->columns != stats_averages_columns)
			add_figures(t, &s.total);
		if (t->columns != stats_totals_columns)
			add_figures(t, &s.average);
		if (t->columns == stats_columns)
			table_int(t, s.total.query_count);
		table_end(t);
	}
}

static const struct column totals_columns[] = {
	{"name", COLUMN_TEXT},
	{"value", COLUMN_NUMERIC},
};

static void fill_totals(const struct client *c, struct table *t)
{
	static const char *const figures[FIGURE_COUNT] = {"server_assignment_count", "xact_count",
		"query_count", "client_bytes", "server_bytes", "xact_time", "query_time",
		"wait_time", "ps_client_parse_count", "ps_server_parse_count", "ps_bind_count"};
	struct statistics s = statistics_of(c->hub, NULL);
	for (int i = 0; i < 2 * FIGURE_COUNT; i++) {
		char name[64];
		bool is_average = i >= FIGURE_COUNT;
		enum figure figure = (enum figure)(i % FIGURE_COUNT);
		snprintf(
			name, sizeof(name), "%s_%s", is_average ? "avg" : "total", figures[figure]);
		table_row(t);
		table_text(t, name);
		table_int(t, figure_of(is_average ? &s.average : &s.total, figure));
		table_end(t);
	}
}

/* ---- the rest is in console_lists.c and console_sockets.c ---- */

#define SHOW(word, columns, fill)                   \
	{                                           \
		word, columns, COUNT(columns), fill \
	}

static const struct console_show shows[] = {
	SHOW("databases", database_columns, fill_databases),
	SHOW("pools", pool_columns, fill_pools),
	SHOW("users", user_columns, fill_users),
	SHOW("stats", stats_columns, fill_stats),
	SHOW("stats_totals", stats_totals_columns, fill_stats),
	SHOW("stats_averages", stats_averages_columns, fill_stats),
	SHOW("totals", totals_columns, fill_totals),
};

static const struct console_show *find_in(
	const struct console_show *list, int count, const char *word)
{
	for (int i = 0; i < count; i++)
		if (strcasecmp(word, list[i].word) == 0)
			return &list[i];
	return NULL;
}

const struct console_show *console_show_find(const char *word)
{
	static const struct {
		const struct console_show *list;
		const int *count;
	} lists[] = {
		{console_sockets, &console_sockets_count},
		{console_lists, &console_lists_count},
		{console_own, &console_own_count},
	};
	const struct console_show *found = find_in(shows, COUNT(shows), word);
	for (int i = 0; i < COUNT(lists) && !found; i++)
		found = find_in(lists[i].list, *lists[i].count, word);
	return found;
}
