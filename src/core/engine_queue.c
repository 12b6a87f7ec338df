#include "core/engine_queue.h"

#include "core/engine_actions.h"

/* ---- what is known ---- */

/* At run time; while the startup goes on nobody is judged by what has been served so far. */
static int64_t allowed_ns(const struct engine *e)
{
	return e->settings.deadlines.base_ns[DEADLINE_POOL];
}

int64_t engine_queue_patience(const struct engine *e, int group)
{
	/* Once the startup is over the pool's wait is short on purpose: better an honest error than
	 * a long queue. */
	if (startup_is_over(&e->startup))
		return allowed_ns(e);
	int64_t measured_ns = path_connect_p95(&e->path) + engine_expected_wait(e, group);
	return deadline_span(&e->settings.deadlines, DEADLINE_POOL, e->path.state, measured_ns);
}

int64_t engine_expected_wait(const struct engine *e, int group)
{
	return backlog_expected_ns(&e->groups[group].queue, e->pool.groups[group].waiting);
}

/* ---- serving ---- */

void engine_queue_begins(struct engine *e, int group, instant now)
{
	if (e->pool.groups[group].waiting > 0)
		return;
	/* A queue that was empty does not stand yet. */
	standing_update(&e->groups[group].standing, false, now);
	backlog_begins(&e->groups[group].queue, now);
}

void engine_queue_released(struct engine *e, int group, instant now)
{
	const struct pool_group *g = &e->pool.groups[group];
	if (g->waiting > 0 && g->settings.hold == HOLD_NONE)
		backlog_released(&e->groups[group].queue, now);
}

bool engine_queue_serves(struct engine *e, int group, instant now)
{
	struct backlog *queue = &e->groups[group].queue;
	const struct pool_client *oldest = &e->pool.clients[e->pool.groups[group].queue_first];
	if (!startup_is_over(&e->startup))
		return false;
	backlog_served(queue, &e->settings.queue, now - oldest->since, allowed_ns(e), now);
	return backlog_takes_newest(queue, oldest->patient);
}

/* ---- turning away ---- */

static void reject(
	struct engine *e, int client, enum engine_reject why, struct engine_actions *actions)
{
	int group = e->pool.clients[client].group;
	struct engine_action *a = act(actions, ACTION_REJECT);
	a->client = client;
	a->reject = why;
	a->waiting = e->pool.groups[group].waiting;
	a->expected_ns = engine_expected_wait(e, group);
	pool_client_leaves(&e->pool, client);
	e->rejects++;
	e->rejects_by[why]++;
}

void engine_queue_arrived(struct engine *e, int client, instant now, struct engine_actions *actions)
{
	const struct pool_client *c = &e->pool.clients[client];
	const struct pool_group *g = &e->pool.groups[c->group];
	/* What is on its way may change everything, and so may the end of a pause. */
	if (c->state != CLIENT_WAITING || c->patient || !startup_is_over(&e->startup) ||
		g->settings.hold != HOLD_NONE || g->connecting > 0 || pool_group_servers(g) == 0)
		return;
	enum backlog_verdict verdict = backlog_arrives(
		&e->groups[c->group].queue, &e->settings.queue, g->waiting, allowed_ns(e));
	/* Without room it waits, and is told in its time. */
	if (verdict == BACKLOG_IN_VAIN && actions->count < ENGINE_ACTIONS_MAX)
		reject(e, client, REJECT_OVERLOADED, actions);
}

/* The reason why nobody who waits in the group can be served soon, if there is one. */
static bool is_hopeless(const struct engine *e, int group, instant now, enum engine_reject *why)
{
	const struct engine_group *own = &e->groups[group];
	const struct pool_group *g = &e->pool.groups[group];
	/* A breaker's probe is nothing to wait for: it may well take its time. */
	bool probes = e->login_probes && group == ENGINE_OWN && g->connecting == 1;
	if (pool_group_servers(g) > probes)
		return false;
	/* Once it is time to try again, it takes somebody who waits to do so. */
	if (own->permanent != OUTCOME_OK && now < own->retry_at) {
		*why = REJECT_PERMANENT;
		return true;
	}
	/* A service that is just starting would take the error for the end of its start; the next
	 * probe is near then, and worth waiting for. */
	if (e->breaker.state == BREAKER_OPEN && now < e->breaker.until &&
		startup_is_over(&e->startup)) {
		*why = REJECT_BREAKER_OPEN;
		return true;
	}
	return false;
}

/* Does it end for the oldest before its time? */
static bool is_in_vain(
	const struct engine *e, int group, const struct pool_client *oldest, instant now)
{
	return startup_is_over(&e->startup) &&
	       backlog_oldest_in_vain(&e->groups[group].queue, &e->settings.queue,
		       e->pool.groups[group].waiting, now - oldest->since, allowed_ns(e));
}

static void turn_away_in(struct engine *e, int group, instant now, struct engine_actions *actions)
{
	int64_t span_ns = engine_queue_patience(e, group);
	enum engine_reject why = REJECT_POOL_TIMEOUT;
	bool all = is_hopeless(e, group, now, &why);
	int next;
	for (int client = e->pool.groups[group].queue_first; client != POOL_NOBODY; client = next) {
		struct pool_client *c = &e->pool.clients[client];
		next = c->next;
		if (c->patient)
			continue;
		bool late = now >= instant_add(c->since, span_ns);
		bool in_vain = !late && !all && is_in_vain(e, group, c, now);
		if (!all && !late && !in_vain)
			break; /* in the order in which they came: those behind came later */
		if (!has_room(e, actions, 1))
			break;
		reject(e, client, in_vain ? REJECT_OVERLOADED : why, actions);
	}
}

void engine_turn_away(struct engine *e, instant now, struct engine_actions *actions)
{
	int next;
	for (int group = e->pool.waiting_first; group != POOL_NOBODY; group = next) {
		next = e->pool.groups[group].next;
		turn_away_in(e, group, now, actions);
	}
}

instant engine_queues_deadline(const struct engine *e)
{
	instant first = INSTANT_NEVER;
	for (int group = e->pool.waiting_first; group != POOL_NOBODY;
		group = e->pool.groups[group].next) {
		int c = e->pool.groups[group].queue_first;
		while (c != POOL_NOBODY && e->pool.clients[c].patient)
			c = e->pool.clients[c].next;
		if (c == POOL_NOBODY)
			continue;
		first = instant_min(first,
			instant_add(e->pool.clients[c].since, engine_queue_patience(e, group)));
	}
	return first;
}
