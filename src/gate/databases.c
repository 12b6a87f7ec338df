#include "gate/databases.h"

#include <string.h>

#include "gate/pool_login.h"
#include "wire/sql.h"

/* What PostgreSQL refuses, it refuses in less; and it waits for much longer. */
#define WAIT_MS 20

/* All of the pools' servers there are replaced when they are free: the idle ones are closed now, and
 * another is opened when a client asks. */
static void vacate(const struct server *s)
{
	struct hub *h = s->hub;
	for (int group = 0; group < h->pools.top; group++) {
		const struct gate_pool *pool = h->pools.by_group[group];
		if (pool && pool->servers > 0 && strcmp(pool->host, s->pool->host) == 0 &&
			pool_login_is_for(pool->conninfo, s->wanted, NULL))
			hub_reconnect(h, group);
	}
	log_info(h->log, "leaves a database that a client wants for itself",
		field_text("database", s->wanted));
}

static void on_timer(uv_timer_t *timer)
{
	struct hub *h = timer->data;
	for (int i = 0; i < h->memory.servers_max; i++) {
		struct server *s = &h->servers[i];
		if (!*s->wanted)
			continue;
		if (s->link && s->client && s->debts.count > 0)
			vacate(s);
		*s->wanted = 0;
	}
}

void databases_init(struct hub *h)
{
	uv_timer_init(h->loop, &h->vacating);
	h->vacating.data = h;
}

void databases_close(struct hub *h)
{
	uv_close((uv_handle_t *)&h->vacating, NULL);
}

void databases_note(struct server *s, struct bytes text)
{
	if (!sql_wants_alone(text, s->wanted)) {
		*s->wanted = 0;
		return;
	}
	uv_update_time(s->hub->loop);
	uv_timer_start(&s->hub->vacating, on_timer, WAIT_MS, 0);
}

void databases_told(const struct server *s, const char *tag)
{
	static const char *const tags[] = {
		"CREATE DATABASE", "ALTER DATABASE", "CREATE ROLE", "ALTER ROLE"};
	struct hub *h = s->hub;
	bool admits = false;
	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++)
		admits = admits || strcmp(tag, tags[i]) == 0;
	for (int group = 0; admits && group < h->pools.top; group++) {
		const struct gate_pool *pool = h->pools.by_group[group];
		if (pool && h->engine.groups[group].permanent != OUTCOME_OK &&
			strcmp(pool->host, s->pool->host) == 0)
			hub_reconnect(h, group);
	}
}
