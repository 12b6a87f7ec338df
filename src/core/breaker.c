#include "core/breaker.h"

#include <assert.h>

static const char *const state_names[BREAKER_STATE_COUNT] = {
	[BREAKER_CLOSED] = "closed",
	[BREAKER_OPEN] = "open",
	[BREAKER_HALF_OPEN] = "half_open",
};

/* Which state may follow which; everything else is a bug. */
static const bool state_may[BREAKER_STATE_COUNT][BREAKER_STATE_COUNT] = {
	[BREAKER_CLOSED] = {[BREAKER_OPEN] = true},
	[BREAKER_OPEN] = {[BREAKER_HALF_OPEN] = true},
	[BREAKER_HALF_OPEN] = {[BREAKER_CLOSED] = true, [BREAKER_OPEN] = true},
};

static void become(struct breaker *b, enum breaker_state state)
{
	assert(state_may[b->state][state]);
	b->state = state;
	b->until = INSTANT_NEVER;
}

static void open_up(struct breaker *b, instant now, struct random *random)
{
	double jitter = b->settings.jitter;
	double part = 1.0 - jitter + 2.0 * jitter * random_unit(random);
	become(b, BREAKER_OPEN);
	b->until = instant_add(now, (int64_t)((double)b->settings.open_ns * part + 0.5));
	b->opened_count++;
}

void breaker_init(struct breaker *b, const struct breaker_settings *settings)
{
	assert(settings->probes >= 1 && (settings->failure_threshold >= 1 || !settings->enabled));
	assert(settings->open_ns >= 0 && settings->jitter >= 0.0 && settings->jitter <= 1.0);
	*b = (struct breaker){
		.settings = *settings,
		.state = BREAKER_CLOSED,
		.until = INSTANT_NEVER,
	};
}

bool breaker_admit(struct breaker *b, instant now)
{
	if (b->state == BREAKER_OPEN && now >= b->until)
		become(b, BREAKER_HALF_OPEN);
	if (b->state == BREAKER_OPEN)
		return false;
	/* Those still under way from before it opened probe the path as well as a new one would,
	 * so they take up places, and what becomes of them counts. */
	if (b->state == BREAKER_HALF_OPEN && b->probing >= b->settings.probes)
		return false;
	b->probing++;
	return true;
}

bool breaker_would_admit(const struct breaker *b, instant now)
{
	struct breaker asked = *b;
	return breaker_admit(&asked, now);
}

void breaker_succeeded(struct breaker *b)
{
	breaker_abandoned(b);
	/* One that began before the breaker opened says nothing of the path as it is now: while
	 * open, only time counts. */
	if (b->state == BREAKER_OPEN)
		return;
	b->failures = 0;
	if (b->state == BREAKER_HALF_OPEN)
		become(b, BREAKER_CLOSED);
}

void breaker_failed(struct breaker *b, instant now, struct random *random)
{
	breaker_abandoned(b);
	if (!b->settings.enabled || b->state == BREAKER_OPEN)
		return;
	b->failures++;
	if (b->state == BREAKER_HALF_OPEN || b->failures >= b->settings.failure_threshold)
		open_up(b, now, random);
}

void breaker_abandoned(struct breaker *b)
{
	assert(b->probing > 0);
	b->probing--;
}

void breaker_cap(struct breaker *b, instant at)
{
	if (b->state == BREAKER_OPEN)
		b->until = instant_min(b->until, at);
}

void breaker_configure(struct breaker *b, const struct breaker_settings *settings, instant now)
{
	assert(settings->probes >= 1 && (settings->failure_threshold >= 1 || !settings->enabled));
	b->settings = *settings;
	if (settings->enabled) {
		breaker_cap(b, instant_add(now, settings->open_ns));
		return;
	}
	b->failures = 0;
	if (b->state == BREAKER_OPEN)
		become(b, BREAKER_HALF_OPEN);
	if (b->state == BREAKER_HALF_OPEN)
		become(b, BREAKER_CLOSED);
}

instant breaker_deadline(const struct breaker *b)
{
	return b->until;
}

const char *breaker_state_name(enum breaker_state state)
{
	assert(state < BREAKER_STATE_COUNT);
	return state_names[state];
}
