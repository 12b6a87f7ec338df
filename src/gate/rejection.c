/* What a client is told whose wait for a server was in vain. */
#include <stdio.h>
#include <string.h>

#include "gate/client.h"
#include "gate/pool_login.h"
#include "gate/traces.h"

/* The limit of the pool's servers that it has run into, if it is one of its own. */
static int own_limit(const struct engine *e, const struct gate_pool *pool, int *servers)
{
	const struct gate_pool *head = pool->parent ? pool->parent : pool;
	*servers = e->pool.groups[head->group].family_servers;
	return head->servers_max > 0 && *servers >= head->servers_max ? head->servers_max : 0;
}

static void describe(const struct client *c, char detail[ERROR_TEXT_MAX])
{
	const struct engine *e = &c->hub->engine;
	const struct gate_pool *pool = c->pool;
	int servers, limit = own_limit(e, pool, &servers);
	char of[32] = "";
	if (limit > 0)
		snprintf(of, sizeof(of), " of %d", limit);
	snprintf(detail, ERROR_TEXT_MAX,
		"pool %.40s/%.40s (%s mode) has %d%s; share %d of a budget of %d, %d open; path "
		"%s; breaker %s; last failure: %.60s",
		pool->database, pool->user, pool_mode_name(pool->mode), servers, of,
		e->budget.share, e->budget.fleet, pool_servers(&e->pool),
		path_state_name(e->path.state), breaker_state_name(e->breaker.state),
		error_is_set(&pool->error) ? pool->error.text : "none");
}

static void reject_late(struct client *c, const char *detail, int retry_s)
{
	const struct engine *e = &c->hub->engine;
	const struct gate_pool *pool = c->pool;
	char hint[ERROR_TEXT_MAX];
	int servers, limit = own_limit(e, pool, &servers);
	if (limit > 0)
		snprintf(hint, sizeof(hint), "Try again in %d s, or raise %s.", retry_s,
			(pool->parent ? pool->parent : pool)->bound_by);
	else
		snprintf(hint, sizeof(hint), "Try again in %d s.", retry_s);
	if (c->hub->counters.pinned > 0)
		traces_hint(c->hub, hint, sizeof(hint));
	if (holds_of(&c->hub->holds, pool->database) != HOLD_NONE)
		snprintf(hint, sizeof(hint), "It is paused from the console, until RESUME there.");
	client_fail(c, "53300", "no server connection became free in time", detail, hint);
}

/* Told before its time: how long the queue is, how fast it moves, and how long that takes. */
static void reject_overloaded(
	struct client *c, const struct engine_action *action, const char *detail)
{
	const struct engine *e = &c->hub->engine;
	char hint[ERROR_TEXT_MAX];
	double per_s = rate_per_s(&e->groups[c->pool->group].queue.rate);
	int64_t allowed_ns = engine_deadline_span(e, DEADLINE_POOL);
	/* Until the queue is as short as one may be. */
	int64_t over_ns = action->expected_ns - allowed_ns;
	int retry_s = over_ns > 0 ? (int)(over_ns / NS_PER_S) + 1 : 1;
	snprintf(hint, sizeof(hint),
		"%d wait in the queue, %.3g a second are served: that takes %.3g s, and "
		"timeouts.pool is %.3g s. Try again in %d s.",
		action->waiting, per_s, s_from_ns(action->expected_ns), s_from_ns(allowed_ns),
		retry_s);
	client_fail(c, "53300", "overloaded: a server connection can't become free in time", detail,
		hint);
}

/* Would a direct connection be told the same? Not where the gate logs in as somebody else, or to
 * another database, than the client names; nor of a password, which is the gate's. */
static bool is_clients_own(const struct client *c, const struct error *error)
{
	const struct gate_pool *pool = c->pool;
	const char *user = c->user ? c->user->name : pool->user;
	enum outcome outcome = c->hub->engine.groups[pool->group].permanent;
	if (outcome == OUTCOME_SETTINGS)
		return true;
	if (outcome != OUTCOME_DATABASE && outcome != OUTCOME_AUTH)
		return false;
	return strcmp(error->sqlstate, "28P01") != 0 &&
	       pool_login_is_for(pool->conninfo, pool->database, user);
}

/* What of it is the client's own doing is said as PostgreSQL says it. The client itself has proved
 * who it is: as there it is told so first, or libpq would try again without TLS. */
static void reject_for_good(struct client *c, const char *detail)
{
	const struct gate_pool *pool = c->pool;
	const struct error *error = &pool->error;
	if (c->state == CLIENT_LOGIN)
		message_authentication_ok(&c->out);
	if (*error->sqlstate && is_clients_own(c, error))
		client_fail(c, error->sqlstate, error->text, *error->detail ? error->detail : NULL,
			*error->hint ? error->hint : NULL);
	else
		client_fail(c, *error->sqlstate ? error->sqlstate : "08004",
			"the database refuses standpipe's login", detail,
			pool->group == POOLS_OWN
				? "Mend the DATABASE_URL or the database's access rules."
				: "Mend its entry in standpipe.yaml or the database's access "
				  "rules.");
}

static void breaker_hint(const struct breaker *b, int retry_s, char hint[ERROR_TEXT_MAX])
{
	if (b->mode == BREAKER_HELD_OPEN)
		snprintf(hint, ERROR_TEXT_MAX,
			"It is held open by hand, by breaker.mode or in the console, until BREAKER "
			"AUTO there.");
	else
		snprintf(hint, ERROR_TEXT_MAX, "Try again in %d s.", retry_s);
}

void client_rejected(struct client *c, const struct engine_action *action)
{
	if (!c || (c->state != CLIENT_QUEUED && c->state != CLIENT_LOGIN))
		return;
	if (c->state == CLIENT_LOGIN && action->reject != REJECT_PERMANENT &&
		buffer_len(&c->profile->welcome) > 0) {
		client_welcomed(c); /* it asks for nothing yet */
		return;
	}
	char detail[ERROR_TEXT_MAX], hint[ERROR_TEXT_MAX];
	int retry_s = engine_group_retry_after_s(&c->hub->engine, c->pool->group, hub_now(c->hub));
	describe(c, detail);
	switch (action->reject) {
	case REJECT_POOL_TIMEOUT:
		c->hub->counters.bounds[BOUND_POOL_WAIT]++;
		reject_late(c, detail, retry_s);
		break;
	case REJECT_BREAKER_OPEN:
		breaker_hint(&c->hub->engine.breaker, retry_s, hint);
		client_fail(c, "57P03",
			"the database can't be reached: the circuit breaker is open", detail, hint);
		break;
	case REJECT_PERMANENT:
		reject_for_good(c, detail);
		break;
	case REJECT_OVERLOADED:
		reject_overloaded(c, action, detail);
		break;
	case REJECT_COUNT:
		break;
	}
}
