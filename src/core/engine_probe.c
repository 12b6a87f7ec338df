#include "core/engine_probe.h"

#include "core/engine_actions.h"
#include "core/engine_pool.h"

/* Whether it gets through is news: the breaker is open by its own judgement, and not because a server
 * that can be reached said that it is full, as it would say again. */
static bool would_help(const struct engine *e)
{
	const struct breaker *b = &e->breaker;
	return b->state == BREAKER_OPEN && b->until != INSTANT_NEVER && e->blamed != OUTCOME_FULL;
}

instant engine_probe_at(const struct engine *e)
{
	if (e->probe.under_way || !startup_is_over(&e->startup) || !engine_may_connect(e))
		return INSTANT_NEVER;
	if (would_help(e))
		return e->probe.open_at;
	bool quiet = e->breaker.state == BREAKER_CLOSED && e->pool.connecting == 0;
	return quiet && e->settings.path.monitoring ? e->probe.idle_at : INSTANT_NEVER;
}

instant engine_probe_tells_at(const struct engine *e)
{
	const struct probe *p = &e->probe;
	if (p->under_way && p->asks && would_help(e))
		return instant_add(p->began_at, p->settings.timeout_ns);
	return engine_probe_at(e);
}

void engine_probe(struct engine *e, instant now, struct engine_actions *actions)
{
	if (now < engine_probe_at(e) || !has_room(e, actions, 1))
		return;
	probe_begin(&e->probe, e->breaker.state == BREAKER_OPEN, now);
	struct engine_action *a = act(actions, ACTION_PROBE);
	a->asks = e->probe.asks;
	a->timeout_ns = e->probe.settings.timeout_ns;
}

void engine_probed(struct engine *e, const struct path_attempt *how, instant now)
{
	probe_end(&e->probe, how, now, &e->random);
	/* The real attempt decides; and if it succeeds, the others follow one by one, as at a start:
	 * the fleet hears of it in the same seconds. */
	if (e->probe.asks && how->outcome == OUTCOME_OK && breaker_probed(&e->breaker, now))
		connects_restart(&e->connects);
}
