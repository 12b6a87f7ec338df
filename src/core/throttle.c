#include "core/throttle.h"

#include <assert.h>

static void turn(struct throttle *t, instant now)
{
	int64_t age_ns = now - t->period_at;
	if (age_ns < THROTTLE_PERIOD_NS)
		return;
	bool recent = age_ns < 2 * THROTTLE_PERIOD_NS;
	t->requests[1] = recent ? t->requests[0] : 0;
	t->accepts[1] = recent ? t->accepts[0] : 0;
	t->requests[0] = t->accepts[0] = 0;
	t->period_at = now;
}

void throttle_init(struct throttle *t, const struct throttle_settings *settings, instant now)
{
	assert(settings->k >= 0.0 && settings->pause_ns >= 0);
	*t = (struct throttle){.settings = *settings, .period_at = now, .until = INT64_MIN};
}

void throttle_configure(struct throttle *t, const struct throttle_settings *settings)
{
	assert(settings->k >= 0.0 && settings->pause_ns >= 0);
	t->settings = *settings;
	if (settings->k == 0.0)
		t->until = INT64_MIN;
}

void throttle_told(struct throttle *t, bool accepted, instant now)
{
	turn(t, now);
	if (accepted && t->requests[0] + t->requests[1] > t->accepts[0] + t->accepts[1])
		t->requests[0] = t->requests[1] = t->accepts[0] = t->accepts[1] = 0;
	t->requests[0]++;
	t->accepts[0] += accepted;
}

double throttle_chance(const struct throttle *t, instant now)
{
	struct throttle then = *t;
	turn(&then, now);
	double requests = (double)(then.requests[0] + then.requests[1]);
	double accepts = (double)(then.accepts[0] + then.accepts[1]);
	if (then.settings.k == 0.0 || requests <= then.settings.k * accepts)
		return 0.0;
	double chance = (requests - then.settings.k * accepts) / (requests + 1.0);
	return chance < THROTTLE_MOST ? chance : THROTTLE_MOST;
}

instant throttle_until(const struct throttle *t)
{
	return t->until;
}

bool throttle_admit(struct throttle *t, int64_t longest_ns, instant now, struct random *random)
{
	if (now < t->until)
		return false;
	double chance = throttle_chance(t, now);
	bool held_long = t->holding && now - t->held_since >= longest_ns;
	if (chance <= 0.0 || held_long || random_unit(random) >= chance) {
		t->holding = false;
		return true;
	}
	if (!t->holding)
		t->held_since = now;
	t->holding = true;
	t->held_count++;
	throttle_told(t, false, now);
	int64_t pause_ns = t->settings.pause_ns;
	if (pause_ns < THROTTLE_PAUSE_NS)
		pause_ns = THROTTLE_PAUSE_NS;
	t->until = now + pause_ns / 2 + random_span(random, pause_ns / 2);
	t->until = instant_min(t->until, instant_add(t->held_since, longest_ns));
	return false;
}
