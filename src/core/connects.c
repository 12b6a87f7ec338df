#include "core/connects.h"

#include <assert.h>

static void end_one(struct connects *c)
{
	assert(c->under_way > 0);
	c->under_way--;
}

void connects_init(struct connects *c, const struct connects_settings *settings)
{
	assert(settings->window_max >= 1);
	*c = (struct connects){
		.settings = *settings,
		.window = 1.0,
		.threshold = settings->window_max,
	};
}

bool connects_has_room(const struct connects *c)
{
	return c->under_way < (int)c->window;
}

void connects_configure(struct connects *c, const struct connects_settings *settings)
{
	double max = settings->window_max;
	assert(settings->window_max >= 1);
	/* Nothing has been lost as yet: slow start goes on up to the new bound. */
	if (c->threshold >= c->settings.window_max || c->threshold > max)
		c->threshold = max;
	if (c->window > max)
		c->window = max;
	c->settings = *settings;
}

bool connects_admit(struct connects *c)
{
	if (!connects_has_room(c))
		return false;
	c->under_way++;
	return true;
}

void connects_succeeded(struct connects *c, int64_t total_ns, int64_t least_ns)
{
	end_one(c);
	if (least_ns > 0 && (double)total_ns > CONNECTS_SWELL * (double)least_ns)
		return;
	double max = c->settings.window_max;
	if (c->window < c->threshold) {
		/* One for each success: what was a window's worth comes back as two. */
		c->window += 1.0;
		if (c->window > c->threshold)
			c->window = c->threshold;
	} else {
		c->window += 1.0 / c->window;
	}
	if (c->window > max)
		c->window = max;
}

void connects_lost(struct connects *c)
{
	end_one(c);
	c->window /= 2.0;
	if (c->window < 1.0)
		c->window = 1.0;
	c->threshold = c->window;
}

void connects_abandoned(struct connects *c)
{
	end_one(c);
}
