#include "gate/watch.h"

#include <stdlib.h>
#include <string.h>

#include "gate/hub.h"

enum { COLUMN_MAX, COLUMN_SUPERUSER, COLUMN_RESERVED, COLUMN_BACKENDS, COLUMN_RECOVERY };

static int number(const struct bytes *column)
{
	char text[16];
	if (!column->at || column->len == 0 || column->len >= sizeof(text))
		return -1;
	memcpy(text, column->at, column->len);
	text[column->len] = 0;
	return atoi(text);
}

struct engine_limits watch_limits(const struct bytes *columns, int count)
{
	if (count < WATCH_COLUMNS)
		return (struct engine_limits){-1, -1, -1, -1, false};
	const struct bytes *recovery = &columns[COLUMN_RECOVERY];
	return (struct engine_limits){
		.max_connections = number(&columns[COLUMN_MAX]),
		.superuser_reserved = number(&columns[COLUMN_SUPERUSER]),
		.reserved = number(&columns[COLUMN_RESERVED]),
		.backends = number(&columns[COLUMN_BACKENDS]),
		.in_recovery = recovery->len == 1 && *recovery->at == 't',
	};
}

static int64_t interval_ns(const struct watch *w)
{
	return w->hub->settings->watch_ns;
}

static void set_due(struct watch *w, instant now)
{
	w->due_at = now + interval_ns(w) - random_span(&w->random, interval_ns(w) / 5);
}

static void log_changes(struct hub *h, const struct engine_limits *was, int share)
{
	const struct engine_limits *is = &h->engine.limits;
	if (was->max_connections == is->max_connections && was->reserved == is->reserved &&
		was->superuser_reserved == is->superuser_reserved)
		return;
	log_info(h->log, "the server's limits have changed",
		field_int("max_connections", is->max_connections),
		field_int("max_connections_before", was->max_connections),
		field_int("reserved", is->superuser_reserved + is->reserved),
		field_int("share", h->engine.budget.share), field_int("share_before", share));
}

static void on_answered(
	void *context, const struct bytes *columns, int count, const struct error *error)
{
	struct watch *w = context;
	struct hub *h = w->hub;
	w->inquirer = NULL;
	w->assigned = h->engine.assigned;
	set_due(w, hub_now(h));
	if (error) {
		log_debug(h->log, "the server's limits could not be asked", field_error(error));
		return;
	}
	struct engine_limits was = h->engine.limits;
	int share = h->engine.budget.share;
	hub_tell(h, (struct engine_event){
			    .kind = EVENT_SERVER_LIMITS, .limits = watch_limits(columns, count)});
	log_changes(h, &was, share);
}

/* Is there a connection to ask on, without one being opened for it? */
static bool has_occasion(const struct watch *w, instant now)
{
	const struct pool_group *g = &w->hub->engine.pool.groups[ENGINE_OWN];
	if (g->settings.hold != HOLD_NONE)
		return false;
	/* A queue that never ends: one more in it makes no difference. */
	bool crowded = g->busy > 0 && g->waiting > 0 && now - w->due_at >= interval_ns(w);
	return g->idle > 0 || crowded;
}

/* Nothing has happened since the last time, and asking would keep a connection from its rest. */
static bool is_quiet(const struct watch *w)
{
	const struct engine *e = &w->hub->engine;
	return e->assigned == w->assigned && e->settings.servers_kept == 0;
}

void watch_look(struct watch *w, instant now)
{
	struct hub *h = w->hub;
	if (interval_ns(w) <= 0 || w->inquirer || h->part == HUB_GOES || h->draining)
		return;
	if (w->due_at < 0 && startup_is_over(&h->engine.startup)) {
		w->assigned = h->engine.assigned; /* the startup has asked */
		set_due(w, now);
	}
	if (w->due_at < 0 || now < w->due_at || !has_occasion(w, now))
		return;
	if (is_quiet(w)) {
		set_due(w, now);
		return;
	}
	w->inquiry = (struct inquiry){.sql = WATCH_SQL, .answered = on_answered, .context = w};
	w->inquirer = client_inquire(h, &w->inquiry, false);
	/* It may have been answered by now, with a refusal. */
	if (!w->inquiry.asker)
		w->inquirer = NULL;
}

void watch_soon(struct watch *w)
{
	if (w->due_at >= 0)
		w->due_at = 0;
	w->assigned = -1;
}

struct watch *watch_new(struct hub *hub, uint64_t seed)
{
	struct watch *w = calloc(1, sizeof(*w));
	if (!w)
		abort();
	w->hub = hub;
	w->due_at = -1;
	random_init(&w->random, seed);
	return w;
}

void watch_free(struct watch *w)
{
	if (w->inquirer)
		client_inquiry_cancel(w->inquirer);
	free(w);
}
