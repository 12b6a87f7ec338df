/* `databases` and `users`: what there is besides the URL's own database and user. */
#include <stdio.h>
#include <string.h>

#include "app/settings.h"

#define RANGE(a, b)      .min = (a), .max = (b)
#define NAME_MAX_BYTES   63 /* of PostgreSQL's names */
#define PASSWORD_MAX     1024
#define SQL_MAX          65536
#define POOL_SIZE_MAX    10000
#define POOL_CLIENTS_MAX 1000000

/* One of `databases`. */
struct entry {
	struct gate_database gate;
	const char *url;
	int login;
};

enum { LOGIN_OWN, LOGIN_SHARED };

static const struct setting_choice logins[] = {
	{"own", LOGIN_OWN},
	{"shared", LOGIN_SHARED},
	{NULL, 0},
};

#define ENTRY(member) .offset = offsetof(struct entry, member)
#define USER(member)  .offset = offsetof(struct gate_user, member)

/* clang-format off */
static const struct setting database_rows[] = {
{"url", SETTING_TEXT, ENTRY(url), RANGE(0, URL_MAX), .preset = "", .empty = "database.url, with this database's name",
	.secret = true, .help = "its URL, or file:PATH of a file that holds it"},
{"mode", SETTING_CHOICE, ENTRY(gate.mode), .choices = config_pool_modes,
	.help = "its pools' mode (pool.mode)"},
{"pool_size", SETTING_INT, ENTRY(gate.pool_size), RANGE(0, POOL_SIZE_MAX), .preset = "0",
	.help = "server connections of each of its pools; 0: as many as the budget allows"},
{"clients", SETTING_INT, ENTRY(gate.clients_max), RANGE(0, POOL_CLIENTS_MAX), .preset = "0",
	.help = "client connections at most; 0: pool.clients"},
{"keep", SETTING_INT, ENTRY(gate.keep), RANGE(0, POOL_SIZE_MAX),
	.help = "server connections of its URL's user that are kept warm"},
{"login", SETTING_CHOICE, ENTRY(login), .choices = logins, .preset = "own",
	.help = "own: each user logs in for itself; shared: all are served as its URL's user"},
{"auth_query", SETTING_TEXT, ENTRY(gate.auth_query), RANGE(0, SQL_MAX), .preset = "", .empty = "auth.query, in DATABASE_URL's database",
	.help = "SQL that looks up who is in no file, asked in this database: $1 is the name"},
};

static const struct setting user_rows[] = {
{"mode", SETTING_CHOICE, USER(mode), .choices = config_pool_modes,
	.help = "its pools' mode, whatever the database's is"},
{"pool_size", SETTING_INT, USER(pool_size), RANGE(0, POOL_SIZE_MAX), .preset = "0",
	.help = "server connections of each of its pools; 0: the database's"},
{"clients", SETTING_INT, USER(clients_max), RANGE(0, POOL_CLIENTS_MAX), .preset = "0",
	.help = "client connections at most; 0: no limit of its own"},
{"password", SETTING_TEXT, USER(password), RANGE(0, PASSWORD_MAX), .empty = "the database asks for none", .secret = true,
	.help = "what it logs in to the database with, or file:PATH of a file that holds it"},
};
/* clang-format on */

#define COUNT(rows) ((int)(sizeof(rows) / sizeof((rows)[0])))

static bool is_written(const struct settings *s, const char *key)
{
	return settings_origin(s, key)->source == SETTING_FILE;
}

/* Applies a table to the mapping of one name. */
static int take_entry(struct config *c, const char *what, const struct tree_node *node,
	const struct setting *rows, int count, void *target, struct error *error)
{
	struct settings *s = &c->entries[c->entries_count++];
	size_t len = strlen(node->key);
	if (len == 0 || len > NAME_MAX_BYTES)
		return tree_error(
			node, error, "%s: a name must have 1 to %d bytes", what, NAME_MAX_BYTES);
	settings_init(s, rows, count, target, &c->arena);
	s->prefix = arena_format(&c->arena, "%s.%s.", what, node->key);
	settings_defaults(s);
	return settings_tree(s, node, error);
}

/* ---- databases ---- */

/* Where the database is: what its URL does not say is as in the gate's own. */
static int place(struct config *c, const struct settings *s, struct entry *e, struct error *error)
{
	struct url url = c->login;
	struct gate_database *g = &e->gate;
	bool any = strcmp(g->name, "*") == 0;
	const char *left_out;
	url.database = (struct url_part){0};
	if (*e->url) {
		if (config_url(c, s, "url", e->url, &url, error) < 0)
			return -1;
		if (!url.user.text) {
			url.user = c->login.user;
			url.password = c->login.password;
		}
		if (url.hosts_count == 0) {
			memcpy(url.hosts, c->login.hosts, sizeof(url.hosts));
			url.hosts_count = c->login.hosts_count;
			url.hostaddr = c->login.hostaddr;
		}
	}
	g->named_by_client = any && !url.database.text;
	if (!url.database.text)
		url.database.text = any ? c->login.database.text : g->name;
	g->conninfo = url_conninfo(&url, &c->arena, &left_out);
	g->host = url_address(&url, &c->arena);
	g->user = url.user.text;
	return config_check_conninfo(s, "url", g->conninfo, error);
}

static int check_sizes(const struct config *c, const struct settings *s, const struct entry *e,
	struct error *error)
{
	const struct budget_settings *budget = &c->gate.engine.budget;
	int most = budget->pool_size + budget->pool_overflow;
	if (e->gate.pool_size > 0 && e->gate.pool_size < most)
		most = e->gate.pool_size;
	if (e->gate.keep > most)
		return settings_error(s, "keep", error,
			"%d is more than the pool may have (%d): lower it, or raise pool_size, "
			"pool.size or pool.overflow",
			e->gate.keep, most);
	if (e->gate.keep > 0 && strcmp(e->gate.name, "*") == 0)
		return settings_error(s, "keep", error,
			"which databases \"*\" stands for is known when a client comes: give "
			"those that are to be kept warm an entry of their own");
	return 0;
}

static int take_database(
	struct config *c, const struct tree_node *node, struct entry *e, struct error *error)
{
	const struct settings *s = &c->entries[c->entries_count];
	bool own = strcmp(node->key, c->gate.database) == 0;
	e->gate.name = node->key;
	if (take_entry(c, "databases", node, database_rows, COUNT(database_rows), e, error) < 0)
		return -1;
	if (!is_written(s, "mode"))
		e->gate.mode = c->pool_mode;
	if (own && !is_written(s, "keep"))
		e->gate.keep = c->gate.engine.servers_kept;
	e->gate.shared = e->login == LOGIN_SHARED;
	if (*e->gate.auth_query && !strstr(e->gate.auth_query, "$1"))
		return settings_error(s, "auth_query", error,
			"does not ask for a user: write $1 where the name belongs, without quotes");
	if (*e->gate.auth_query && strcmp(node->key, "*") == 0)
		return settings_error(s, "auth_query", error,
			"would have strangers open connections to databases of their choice: give "
			"those that have one an entry of their own");
	if (own && *e->url)
		return settings_error(s, "url", error,
			"it is the database of database.url (DATABASE_URL): leave this out, or "
			"change that");
	if (place(c, s, e, error) < 0)
		return -1;
	if (own) {
		e->gate.conninfo = c->gate.conninfo;
		c->gate.engine.servers_kept = e->gate.keep;
	}
	return check_sizes(c, s, e, error);
}

static void place_own(const struct config *c, struct gate_database *own)
{
	own->name = c->gate.database;
	own->conninfo = c->gate.conninfo;
	own->user = c->gate.user;
	own->host = c->gate.host;
}

void config_pools_keep_own(struct config *c)
{
	struct gate_database *list = arena_alloc(
		&c->arena, sizeof(*list) * (size_t)c->gate.databases_count);
	memcpy(list, c->gate.databases, sizeof(*list) * (size_t)c->gate.databases_count);
	place_own(c, &list[0]);
	c->gate.databases = list;
}

static int take_databases(struct config *c, struct error *error)
{
	int count = c->databases ? c->databases->count : 0;
	struct gate_database *list = arena_alloc(&c->arena, sizeof(*list) * (size_t)(count + 1));
	list[0].mode = c->pool_mode;
	list[0].auth_query = "";
	list[0].keep = c->gate.engine.servers_kept;
	place_own(c, &list[0]);
	int used = 1;
	if (count > 0)
		tree_each (node, c->databases) {
			struct entry *e = arena_alloc(&c->arena, sizeof(*e));
			if (take_database(c, node, e, error) < 0)
				return -1;
			if (strcmp(e->gate.name, list[0].name) == 0)
				list[0] = e->gate;
			else
				list[used++] = e->gate;
		}
	c->gate.databases = list;
	c->gate.databases_count = used;
	return 0;
}

/* ---- users ---- */

static int take_users(struct config *c, struct error *error)
{
	int count = c->users ? c->users->count : 0, used = 0;
	struct gate_user *list = arena_alloc(&c->arena, sizeof(*list) * (size_t)(count + 1));
	if (count > 0)
		tree_each (node, c->users) {
			struct gate_user *u = &list[used++];
			const struct settings *s = &c->entries[c->entries_count];
			*u = (struct gate_user){.name = node->key};
			if (take_entry(c, "users", node, user_rows, COUNT(user_rows), u, error) < 0)
				return -1;
			u->has_mode = is_written(s, "mode");
			if (!u->password)
				continue;
			const char *text = config_secret(c, s, "password", u->password, error);
			if (!text)
				return -1;
			/* A file ends with an end of line that is not the password's. */
			u->password = text == u->password
					      ? text
					      : arena_text(&c->arena, text, strcspn(text, "\r\n"));
		}
	c->gate.users = list;
	c->gate.users_count = used;
	return 0;
}

int config_pools(struct config *c, struct error *error)
{
	if ((c->databases && tree_expect(c->databases, TREE_MAPPING, "databases", error) < 0) ||
		(c->users && tree_expect(c->users, TREE_MAPPING, "users", error) < 0))
		return -1;
	int count = (c->databases ? c->databases->count : 0) + (c->users ? c->users->count : 0);
	c->entries = arena_alloc(&c->arena, sizeof(*c->entries) * (size_t)(count + 1));
	if (take_databases(c, error) < 0)
		return -1;
	return take_users(c, error);
}

void config_pools_secrets(const struct config *c, struct secrets *secrets)
{
	for (int i = 0; i < c->gate.databases_count; i++)
		secrets_add_url(secrets, c->gate.databases[i].conninfo);
	for (int i = 0; i < c->gate.users_count; i++)
		secrets_add(secrets, c->gate.users[i].password);
}
