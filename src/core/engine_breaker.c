#include "core/engine_breaker.h"

#include "core/engine_actions.h"
#include "core/engine_pool.h"

/* ---- the light probe ---- */

/* Whether it gets through is news: the breaker is open by its own judgement, and not because a
 * server that can be reached said that it is full, as it would say again. */
static bool would_help(const struct engine *e)
{
	const struct breaker *b = &e->breaker;
	return b->state == BREAKER_OPEN && b->until != INSTANT_NEVER && e->blamed != OUTCOME_FULL;
}

/* The server's host answered, but not the server: what is to be known is whether that lets us in. A
 * login asks no more of the path than a light probe does, and leaves a connection behind. */
static bool asks_by_login(const struct engine *e)
{
	return e->blamed == OUTCOME_REFUSED || e->blamed == OUTCOME_STARTING ||
	       e->blamed == OUTCOME_SHUTDOWN;
}

instant engine_next_probe_at(const struct engine *e)
{
	if (e->probe.under_way || !startup_is_over(&e->startup) || !engine_may_connect(e))
		return INSTANT_NEVER;
	if (would_help(e))
		return e->login_probes ? INSTANT_NEVER : e->probe.open_at;
	bool quiet = e->breaker.state == BREAKER_CLOSED && e->pool.connecting == 0;
	return quiet && e->settings.path.monitoring ? e->probe.idle_at : INSTANT_NEVER;
}

static void probe(struct engine *e, instant now, struct engine_actions *actions)
{
	if (now < engine_next_probe_at(e) || !has_room(e, actions, 1))
		return;
	if (would_help(e) && asks_by_login(e) && engine_open_probe(e, now, actions))
		return;
	probe_begin(&e->probe, e->breaker.state == BREAKER_OPEN, now);
	struct engine_action *a = act(actions, ACTION_PROBE);
	a->asks = e->probe.asks;
	a->timeout_ns = e->probe.settings.timeout_ns;
}

void engine_probed(struct engine *e, const struct path_attempt *how, instant now)
{
	probe_end(&e->probe, how, now, &e->random);
	path_probe(&e->path, how, now);
	/* The real attempt decides; and if it succeeds, the others follow one by one, as at a
	 * start: the fleet hears of it in the same seconds. A back-off from before is of no use any
	 * more; if the attempt fails, the next probe is the pause. */
	if (e->probe.asks && how->outcome == OUTCOME_OK && breaker_probed(&e->breaker, now)) {
		connects_restart(&e->connects);
		retry_waive(&e->retry, now);
	}
}

/* ---- the next try ---- */

/* While it is open: when a probe may say that it need not be. */
static instant probe_tells_at(const struct engine *e)
{
	const struct probe *p = &e->probe;
	if (e->login_probes)
		return p->open_at;
	if (p->under_way && p->asks && would_help(e))
		return instant_add(p->began_at, p->settings.timeout_ns);
	return engine_next_probe_at(e);
}

/* When it may let the next one through, as far as can be told. */
static instant try_at(const struct engine *e, instant now)
{
	const struct breaker *b = &e->breaker;
	if (b->state != BREAKER_OPEN)
		return now;
	if (b->until == INSTANT_NEVER) /* held open, and who knows how long */
		return instant_add(now, b->settings.open_ns);
	return instant_min(b->until, probe_tells_at(e));
}

int engine_group_retry_after_s(const struct engine *e, int group, instant now)
{
	instant at = instant_max(try_at(e, now), e->groups[group].retry_at);
	at = instant_max(at, instant_max(e->retry.next_at, throttle_until(&e->throttle)));
	int64_t seconds = at > now ? (at - now + NS_PER_S - 1) / NS_PER_S : 0;
	return seconds < 1 ? 1 : (int)seconds;
}

int engine_retry_after_s(const struct engine *e, instant now)
{
	return engine_group_retry_after_s(e, ENGINE_OWN, now);
}

/* ---- what it does by itself ---- */

/* It is not closed, and no attempt is there that could close it: all that is to be had is there, or
 * is held up. */
static bool is_at_rest(const struct engine *e)
{
	return e->breaker.judged != BREAKER_CLOSED && e->pool.connecting == 0 &&
	       engine_wants_server_at(e) == INSTANT_NEVER;
}

void engine_breaker_watch(struct engine *e, instant now, struct engine_actions *actions)
{
	probe(e, now, actions);
	if (is_at_rest(e) && breaker_rest(&e->breaker, now))
		probe_told(&e->probe, true, now, &e->random);
}

instant engine_breaker_deadline(const struct engine *e)
{
	instant rests_at = is_at_rest(e) ? breaker_deadline(&e->breaker) : INSTANT_NEVER;
	return instant_min(engine_next_probe_at(e), rests_at);
}

/* One that lasted for less than a step is a change, too. */
void engine_breaker_announce(struct engine *e, struct engine_actions *actions)
{
	while (e->breaker_noticed < e->breaker.changes_count && has_room(e, actions, 1)) {
		int64_t age = e->breaker.changes_count - 1 - e->breaker_noticed++;
		const struct breaker_change *c = breaker_change(&e->breaker, (int)age);
		assert(c);
		notice(actions, NOTICE_BREAKER, 0, (int)c->from, (int)c->to)->cause = c->cause;
	}
}
