#include "core/retry.h"

#include <assert.h>
#include <limits.h>

static double most_tokens(const struct retry_settings *settings)
{
	return settings->retries > 1 ? settings->retries : 1.0;
}

void retry_init(struct retry *r, const struct retry_settings *settings)
{
	assert(settings->retries >= 0 && settings->factor >= 1.0);
	assert(settings->base_ns >= 0 && settings->cap_ns >= 0);
	assert(settings->budget >= 0.0);
	*r = (struct retry){
		.settings = *settings,
		.next_at = INT64_MIN,
		.failed_at = INT64_MIN,
		.tokens = most_tokens(settings),
	};
}

void retry_configure(struct retry *r, const struct retry_settings *settings, instant now)
{
	assert(settings->retries >= 0 && settings->factor >= 1.0);
	r->settings = *settings;
	r->next_at = instant_min(r->next_at, instant_add(now, settings->cap_ns));
	if (r->tokens > most_tokens(settings))
		r->tokens = most_tokens(settings);
}

static double with(const struct retry *r, double earned)
{
	double most = most_tokens(&r->settings);
	return r->tokens + earned < most ? r->tokens + earned : most;
}

void retry_begins(struct retry *r)
{
	if (r->failures == 0)
		r->tokens = with(r, r->settings.budget);
}

double retry_tokens(const struct retry *r, instant now)
{
	if (r->failures > 0 || r->failed_at == INT64_MIN)
		return r->tokens;
	if (r->settings.cap_ns == 0)
		return most_tokens(&r->settings);
	return with(r, (double)(now - r->failed_at) / ((double)r->settings.cap_ns / 2));
}

/* Pays for the next try; a penny short of a token is the doubles' doing. */
static bool pay(struct retry *r)
{
	if (r->settings.budget == 0.0)
		return true;
	if (r->tokens < 1.0 - 1e-9) {
		r->broke++;
		return false;
	}
	r->tokens -= 1.0;
	return true;
}

int64_t retry_bound(const struct retry_settings *settings, int failures)
{
	assert(failures >= 1);
	if (settings->base_ns == 0)
		return 0;
	/* factor^(failures - 1) by squaring, so that a thousand failures cost ten rounds. What
	 * overflows becomes infinite, and is over the cap. */
	double power = 1.0;
	double square = settings->factor;
	for (unsigned n = (unsigned)failures - 1; n > 0; n /= 2) {
		if (n & 1)
			power *= square;
		square *= square;
	}
	double bound_ns = (double)settings->base_ns * power + 0.5;
	if (bound_ns >= (double)settings->cap_ns)
		return settings->cap_ns;
	return (int64_t)bound_ns;
}

void retry_failed(struct retry *r, instant now, struct random *random)
{
	r->tokens = retry_tokens(r, now);
	r->failed_at = now;
	if (r->failures < INT_MAX)
		r->failures++;
	r->next_at = instant_add(now, random_span(random, retry_bound(&r->settings, r->failures)));
	if (!pay(r)) {
		int64_t half_ns = r->settings.cap_ns / 2;
		r->next_at = instant_add(now, half_ns + random_span(random, half_ns));
	}
}

void retry_succeeded(struct retry *r)
{
	r->failures = 0;
	r->next_at = INT64_MIN;
}

void retry_waive(struct retry *r, instant now)
{
	r->next_at = instant_min(r->next_at, now);
}

bool retry_admits(const struct retry *r, instant now)
{
	return now >= r->next_at;
}

bool retry_is_exhausted(const struct retry *r)
{
	return r->failures > r->settings.retries;
}
