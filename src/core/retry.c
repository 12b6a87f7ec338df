#include "core/retry.h"

#include <assert.h>
#include <limits.h>

void retry_init(struct retry *r, const struct retry_settings *settings)
{
	assert(settings->retries >= 0 && settings->factor >= 1.0);
	assert(settings->base_ns >= 0 && settings->cap_ns >= 0);
	*r = (struct retry){.settings = *settings, .next_at = INT64_MIN};
}

void retry_configure(struct retry *r, const struct retry_settings *settings, instant now)
{
	assert(settings->retries >= 0 && settings->factor >= 1.0);
	r->settings = *settings;
	r->next_at = instant_min(r->next_at, instant_add(now, settings->cap_ns));
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
	if (r->failures < INT_MAX)
		r->failures++;
	r->next_at = instant_add(now, random_span(random, retry_bound(&r->settings, r->failures)));
}

void retry_succeeded(struct retry *r)
{
	r->failures = 0;
	r->next_at = INT64_MIN;
}

bool retry_admits(const struct retry *r, instant now)
{
	return now >= r->next_at;
}

bool retry_is_exhausted(const struct retry *r)
{
	return r->failures > r->settings.retries;
}
