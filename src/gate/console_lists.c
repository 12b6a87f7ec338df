/* SHOW VERSION, CONFIG, LISTS, MEM, STATE, and what there is none of here. */
#include <stdio.h>
#include <string.h>

#include "gate/console_sockets.h"
#include "gate/pools.h"

static void add_pair(struct table *t, const char *name, int64_t value)
{
	table_row(t);
	table_text(t, name);
	table_int(t, value);
	table_end(t);
}

static const struct column version_columns[] = {{"version", COLUMN_TEXT}};

static void fill_version(const struct client *c, struct table *t)
{
	(void)c;
	table_row(t);
	table_text(t, "Standpipe " STANDPIPE_VERSION ", console of PgBouncer 1.25.0");
	table_end(t);
}

/* ---- SHOW CONFIG ---- */

static const struct column config_columns[] = {
	{"key", COLUMN_TEXT},
	{"value", COLUMN_TEXT},
	{"default", COLUMN_TEXT},
	{"changeable", COLUMN_TEXT},
};

static void add_key(
	struct table *t, const char *key, const char *value, const char *preset, bool changeable)
{
	table_row(t);
	table_text(t, key);
	table_text(t, value);
	table_text(t, preset);
	table_text(t, changeable ? "yes" : "no");
	table_end(t);
}

static void add_number(struct table *t, const char *key, int64_t value)
{
	char text[24];
	snprintf(text, sizeof(text), "%lld", (long long)value);
	add_key(t, key, text, NULL, false);
}

/* PgBouncer's names for what there is here, too: exporters and dashboards look for some. */
static void add_peers_keys(struct table *t, const struct hub *h)
{
	const struct gate_settings *s = h->settings;
	const struct engine_settings *e = &s->engine;
	add_number(t, "max_client_conn", s->clients_max);
	add_number(t, "default_pool_size", e->budget.pool_size);
	add_number(t, "min_pool_size", e->servers_kept);
	add_number(t, "reserve_pool_size", e->budget.pool_overflow);
	add_number(t, "max_db_connections", h->engine.budget.share);
	add_number(t, "max_user_connections", 0);
	add_number(t, "server_lifetime", e->server_life_ns / NS_PER_S);
	add_number(t, "server_idle_timeout", e->server_idle_ns / NS_PER_S);
	add_number(t, "query_wait_timeout",
		engine_deadline_span(&h->engine, DEADLINE_POOL) / NS_PER_S);
	add_number(t, "stats_period", POOL_STATS_PERIOD_NS / NS_PER_S);
	add_number(t, "listen_port", s->listen_port);
	add_key(t, "listen_addr", s->listen_host, NULL, false);
	add_key(t, "unix_socket_dir", s->socket_dir, NULL, false);
	add_key(t, "pool_mode", pool_mode_name(s->databases[0].mode), NULL, false);
}

static void fill_config(const struct client *c, struct table *t)
{
	const struct gate_shown *shown = c->hub->settings->shown;
	for (; shown && shown->key; shown++)
		add_key(t, shown->key, shown->value, shown->preset, shown->changeable);
	add_peers_keys(t, c->hub);
}

/* ---- counts ---- */

static const struct column lists_columns[] = {
	{"list", COLUMN_TEXT},
	{"items", COLUMN_INT4},
};

/* How many rows such a SHOW has. */
static int64_t count_rows(const struct client *c, const char *word)
{
	struct buffer rows = BUFFER_INIT;
	const struct console_show *show = console_show_find(word);
	struct table t = {.columns = show->columns, .count = show->count, .out = &rows};
	show->fill(c, &t);
	buffer_release(&rows);
	return t.rows;
}

static int count_logins(const struct hub *h)
{
	int count = 0;
	for (int i = 0; i < h->memory.clients_max; i++)
		count += h->clients[i] && h->clients[i]->state == CLIENT_STARTUP;
	return count;
}

static void fill_lists(const struct client *c, struct table *t)
{
	const struct hub *h = c->hub;
	int servers = pool_servers(&h->engine.pool);
	add_pair(t, "databases", count_rows(c, "databases"));
	add_pair(t, "users", count_rows(c, "users"));
	add_pair(t, "peers", 0);
	add_pair(t, "pools", count_rows(c, "pools"));
	add_pair(t, "peer_pools", 0);
	add_pair(t, "free_clients", h->free_count);
	add_pair(t, "used_clients", h->counters.clients);
	add_pair(t, "login_clients", count_logins(h));
	add_pair(t, "free_servers", h->memory.servers_max - servers);
	add_pair(t, "used_servers", servers);
	add_pair(t, "dns_names", 0);
	add_pair(t, "dns_zones", 0);
	add_pair(t, "dns_queries", 0);
	add_pair(t, "dns_pending", 0);
}

static const struct column mem_columns[] = {
	{"name", COLUMN_TEXT},
	{"size", COLUMN_INT4},
	{"used", COLUMN_INT4},
	{"free", COLUMN_INT4},
	{"memtotal", COLUMN_INT4},
};

static void add_memory(struct table *t, const char *name, size_t size, int64_t used, int64_t free)
{
	table_row(t);
	table_text(t, name);
	table_int(t, (int64_t)size);
	table_int(t, used);
	table_int(t, free);
	table_int(t, (int64_t)size * (used + free));
	table_end(t);
}

static void fill_mem(const struct client *c, struct table *t)
{
	const struct hub *h = c->hub;
	int64_t buffered = 0;
	int servers = pool_servers(&h->engine.pool);
	for (int i = 0; i < h->memory.clients_max; i++)
		if (h->clients[i])
			buffered += h->clients[i]->in.size + h->clients[i]->out.size;
	for (int i = 0; i < h->memory.servers_max; i++)
		buffered += h->servers[i].in.size + h->servers[i].out.size;
	add_memory(t, "client", sizeof(struct client), h->counters.clients, 0);
	add_memory(t, "server", sizeof(struct server), servers, h->memory.servers_max - servers);
	add_memory(t, "pool", sizeof(struct gate_pool), count_rows(c, "pools"), 0);
	add_memory(t, "buffered_byte", 1, buffered, 0);
	add_memory(t, "scratch", REACTOR_READ, 1, 0);
}

/* ---- states ---- */

static const struct column state_columns[] = {
	{"key", COLUMN_TEXT},
	{"value", COLUMN_TEXT},
};

static void fill_state(const struct client *c, struct table *t)
{
	const char *state = console_state(c->hub);
	static const char *const states[] = {"active", "paused", "suspended"};
	for (int i = 0; i < COUNT(states); i++) {
		table_row(t);
		table_text(t, states[i]);
		table_text(t, strcmp(state, states[i]) == 0 ? "yes" : "no");
		table_end(t);
	}
	const struct gate_settings *s = c->hub->settings;
	if (s->workers <= 1)
		return;
	/* All that the console shows, and does, is of this one of them. */
	char worker[32];
	snprintf(worker, sizeof(worker), "%d of 0 to %d", s->worker, s->workers - 1);
	table_row(t);
	table_text(t, "worker");
	table_text(t, worker);
	table_end(t);
}

/* ---- what there is none of ---- */

static void fill_nothing(const struct client *c, struct table *t)
{
	(void)c;
	(void)t;
}

/* Names are resolved by the system, at each connect; nothing is kept. */
static const struct column dns_hosts_columns[] = {
	{"hostname", COLUMN_TEXT},
	{"ttl", COLUMN_INT8},
	{"addrs", COLUMN_TEXT},
};

static const struct column dns_zones_columns[] = {
	{"zonename", COLUMN_TEXT},
	{"serial", COLUMN_INT8},
	{"count", COLUMN_INT4},
};

/* A cancel request goes to whoever gave the key. */
static const struct column peers_columns[] = {
	{"peer_id", COLUMN_INT4},
	{"host", COLUMN_TEXT},
	{"port", COLUMN_INT4},
	{"pool_size", COLUMN_INT4},
};

static const struct column peer_pools_columns[] = {
	{"peer_id", COLUMN_INT4},
	{"cl_active_cancel_req", COLUMN_INT4},
	{"cl_waiting_cancel_req", COLUMN_INT4},
	{"sv_active_cancel", COLUMN_INT4},
	{"sv_login", COLUMN_INT4},
};

const struct console_show console_lists[] = {
	SHOW("version", version_columns, fill_version),
	SHOW("config", config_columns, fill_config),
	SHOW("lists", lists_columns, fill_lists),
	SHOW("mem", mem_columns, fill_mem),
	SHOW("state", state_columns, fill_state),
	SHOW("dns_hosts", dns_hosts_columns, fill_nothing),
	SHOW("dns_zones", dns_zones_columns, fill_nothing),
	SHOW("peers", peers_columns, fill_nothing),
	SHOW("peer_pools", peer_pools_columns, fill_nothing),
};
const int console_lists_count = COUNT(console_lists);
