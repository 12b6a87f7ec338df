/* What PgBouncer shows, by the names, types and order that its 1.25 has; what exporters of older
 * ones look for comes behind. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "gate/console_sockets.h"
#include "gate/pools.h"
#include "gate/server.h"

#define US(ns) ((ns) / 1000)
/* ---- statistics ---- */

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

/* Is it the first one of its database? */
static bool is_first(const struct hub *h, const struct gate_pool *pool)
{
	for (int g = 0; g < pool->group; g++) {
		const struct gate_pool *other = h->pools.by_group[g];
		if (other && strcmp(other->database, pool->database) == 0)
			return false;
	}
	return true;
}

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
		if (!is_first(c->hub, pool))
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

/* ---- the rest is in console_pools.c, console_sockets.c, console_lists.c, console_own.c ---- */

static const struct console_show shows[] = {
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
		{console_pools, &console_pools_count},
		{console_sockets, &console_sockets_count},
		{console_lists, &console_lists_count},
		{console_own, &console_own_count},
	};
	const struct console_show *found = find_in(shows, COUNT(shows), word);
	for (int i = 0; i < COUNT(lists) && !found; i++)
		found = find_in(lists[i].list, *lists[i].count, word);
	return found;
}
