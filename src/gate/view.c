#include "gate/view.h"

#include <stdio.h>
#include <time.h>

const char *gate_bound_key(int bound)
{
	static const char *const keys[GATE_BOUND_COUNT] = {
		[LIMIT_LOGIN] = "timeouts.login",
		[LIMIT_CLIENT_IDLE] = "timeouts.client_idle",
		[LIMIT_CLIENT_STALL] = "timeouts.client_stall",
		[LIMIT_QUERY] = "timeouts.query",
		[LIMIT_IDLE_IN_TRANSACTION] = "timeouts.idle_in_transaction",
		[LIMIT_TRANSACTION] = "timeouts.transaction",
		[BOUND_POOL_WAIT] = "timeouts.pool",
		[BOUND_CLIENTS] = "pool.clients",
		[BOUND_DATABASE_CLIENTS] = "databases.clients",
		[BOUND_USER_CLIENTS] = "users.clients",
	};
	return keys[bound];
}

const struct error *view_attempt_error(const struct gate_view *view, uint64_t serial)
{
	if (serial == 0 || !view->attempt_errors)
		return NULL;
	const struct gate_attempt_error *e =
		&view->attempt_errors[(serial - 1) % ENGINE_ATTEMPTS_MAX];
	return e->serial == serial && error_is_set(&e->error) ? &e->error : NULL;
}

const struct engine_attempt *view_last_failure(const struct gate_view *view)
{
	const struct engine_attempt *last = NULL;
	for (int i = 0; i < ENGINE_ATTEMPTS_MAX; i++) {
		const struct engine_attempt *a = &view->engine->recent[i];
		if (a->serial == 0 || a->path.outcome == OUTCOME_OK)
			continue;
		if (!last || a->ended_at > last->ended_at ||
			(a->ended_at == last->ended_at && a->serial > last->serial))
			last = a;
	}
	return last;
}

const struct engine_attempt *view_oldest_under_way(const struct gate_view *view)
{
	const struct engine_attempt *oldest = NULL;
	for (int i = 0; i < view->engine->pool.servers_max; i++) {
		const struct engine_attempt *a = &view->engine->attempts[i];
		if (a->under_way && (!oldest || a->serial < oldest->serial))
			oldest = a;
	}
	return oldest;
}

void view_time(const struct gate_view *view, instant at, char out[VIEW_TIME_SIZE])
{
	int64_t wall_ns = view->wall_ns - (view->now - at);
	int64_t left_ns = wall_ns % NS_PER_S;
	if (left_ns < 0)
		left_ns += NS_PER_S;
	time_t seconds = (time_t)((wall_ns - left_ns) / NS_PER_S);
	struct tm utc;
	gmtime_r(&seconds, &utc);
	size_t len = strftime(out, VIEW_TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(out + len, VIEW_TIME_SIZE - len, ".%03dZ", (int)(left_ns / NS_PER_MS));
}
