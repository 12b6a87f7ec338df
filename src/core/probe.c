#include "core/probe.h"

#include <assert.h>

/* U(1/2, 3/2) of it; INSTANT_NEVER for a span of 0. */
static instant later(instant now, int64_t span_ns, struct random *random)
{
	if (span_ns <= 0)
		return INSTANT_NEVER;
	return instant_add(now, span_ns / 2 + random_span(random, span_ns));
}

/* Between two, while the breaker is open. */
static int64_t interval_at(const struct probe *p, instant now)
{
	const struct probe_settings *s = &p->settings;
	if (s->interval_ns <= 0 || p->since < 0)
		return s->interval_ns;
	int64_t interval_ns = (now - p->since) / PROBE_SHARE;
	if (interval_ns > s->interval_max_ns)
		interval_ns = s->interval_max_ns;
	return interval_ns > s->interval_ns ? interval_ns : s->interval_ns;
}

void probe_told(struct probe *p, bool closed, instant now, struct random *random)
{
	if (closed)
		p->since = -1;
	else if (p->since < 0)
		p->since = now;
	p->open_at = later(now, interval_at(p, now), random);
	p->idle_at = later(now, p->settings.idle_ns, random);
}

void probe_init(
	struct probe *p, const struct probe_settings *settings, instant now, struct random *random)
{
	*p = (struct probe){.settings = *settings, .since = -1, .began_at = -1, .ended_at = -1};
	probe_told(p, true, now, random);
}

void probe_configure(
	struct probe *p, const struct probe_settings *settings, instant now, struct random *random)
{
	p->settings = *settings;
	probe_told(p, p->since < 0, now, random);
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
	probe_told(p, p->since < 0, now, random);
}
