#include "core/probe.h"

#include <assert.h>

/* U(1/2, 3/2) of it; INSTANT_NEVER for a span of 0. */
static instant later(instant now, int64_t span_ns, struct random *random)
{
	if (span_ns <= 0)
		return INSTANT_NEVER;
	return instant_add(now, span_ns / 2 + random_span(random, span_ns));
}

void probe_told(struct probe *p, instant now, struct random *random)
{
	p->open_at = later(now, p->interval_ns, random);
	p->idle_at = later(now, p->settings.idle_ns, random);
}

void probe_reset(struct probe *p)
{
	p->interval_ns = p->settings.interval_ns;
}

void probe_slower(struct probe *p)
{
	int64_t most_ns = p->settings.interval_max_ns > p->settings.interval_ns
				  ? p->settings.interval_max_ns
				  : p->settings.interval_ns;
	int64_t longer_ns = p->interval_ns * 3 / 2;
	p->interval_ns = longer_ns < most_ns ? longer_ns : most_ns;
}

void probe_init(
	struct probe *p, const struct probe_settings *settings, instant now, struct random *random)
{
	*p = (struct probe){.settings = *settings, .began_at = -1, .ended_at = -1};
	probe_reset(p);
	probe_told(p, now, random);
}

void probe_configure(
	struct probe *p, const struct probe_settings *settings, instant now, struct random *random)
{
	p->settings = *settings;
	probe_reset(p);
	probe_told(p, now, random);
}

void probe_begin(struct probe *p, bool asks, instant now)
{
	assert(!p->under_way);
	p->under_way = true;
	p->asks = asks;
	p->began_at = now;
}

void probe_end(struct probe *p, const struct path_attempt *how, instant now, struct random *random)
{
	assert(p->under_way);
	p->under_way = false;
	p->ended_at = now;
	p->last = *how;
	p->ended[how->outcome]++;
	if (p->asks && how->outcome != OUTCOME_OK)
		probe_slower(p);
	probe_told(p, now, random);
}
