#include "core/connects.h"

#include <assert.h>

/* Of Vegas: how many attempts may stand in a queue; and of the gradient. */
#define VEGAS_ALPHA        1.0
#define VEGAS_BETA         2.0
#define GRADIENT_TOLERANCE 1.5
#define GRADIENT_LEAST     0.5

#define THRESHOLD_LEAST 2.0 /* as RFC 5681's */

static const char *const rule_names[CONNECTS_RULE_COUNT] = {
	[CONNECTS_FIXED] = "fixed",
	[CONNECTS_AIMD] = "aimd",
	[CONNECTS_VEGAS] = "vegas",
	[CONNECTS_GRADIENT] = "gradient",
};

const char *connects_rule_name(enum connects_rule rule)
{
	assert(rule < CONNECTS_RULE_COUNT);
	return rule_names[rule];
}

static void set_window(struct connects *c, double window)
{
	double max = c->settings.window_max;
	c->window = window < 1.0 ? 1.0 : window > max ? max : window;
	if (c->settings.rule == CONNECTS_FIXED)
		c->window = max;
}

/* ---- growth, by rule; `swell` is 1.0 or more ---- */

/* One for each success: what was a window's worth comes back as two. */
static double slow_start(const struct connects *c)
{
	double window = c->window + 1.0;
	return window > c->threshold ? c->threshold : window;
}

static double grow_fixed(struct connects *c, double swell)
{
	(void)swell;
	return c->window;
}

static double grow_aimd(struct connects *c, double swell)
{
	if (swell > CONNECTS_SWELL)
		return c->window;
	return c->window < c->threshold ? slow_start(c) : c->window + 1.0 / c->window;
}

static double grow_vegas(struct connects *c, double swell)
{
	double queued = c->window * (1.0 - 1.0 / swell);
	if (c->window < c->threshold) {
		if (queued < VEGAS_ALPHA)
			return slow_start(c);
		c->threshold = c->window;
	}
	if (queued < VEGAS_ALPHA)
		return c->window + 1.0 / c->window;
	return queued > VEGAS_BETA ? c->window - 1.0 / c->window : c->window;
}

/* Newton's; core has no libm. Good to a millionth for 1 .. 1000, the windows that there are. */
static double square_root(double x)
{
	double root = x > 16.0 ? x / 8.0 : x;
	for (int i = 0; i < 8; i++)
		root = (root + x / root) / 2.0;
	return root;
}

static double grow_gradient(struct connects *c, double swell)
{
	double gradient = GRADIENT_TOLERANCE / swell;
	if (gradient > 1.0)
		gradient = 1.0;
	if (gradient < GRADIENT_LEAST)
		gradient = GRADIENT_LEAST;
	double aim = gradient * c->window + square_root(c->window);
	/* A window's worth of successes goes all the way; all of it at each of them would
	 * overshoot, for they began long before. */
	return c->window + (aim - c->window) / c->window;
}

static double (*const growth[CONNECTS_RULE_COUNT])(struct connects *c, double swell) = {
	[CONNECTS_FIXED] = grow_fixed,
	[CONNECTS_AIMD] = grow_aimd,
	[CONNECTS_VEGAS] = grow_vegas,
	[CONNECTS_GRADIENT] = grow_gradient,
};

double connects_swell(const struct connects_sample *sample)
{
	double swell = 1.0;
	for (enum stage stage = STAGE_TCP; stage <= STAGE_AUTH; stage++) {
		if (sample->least_ns[stage] <= 0)
			continue;
		double least_ns = (double)(sample->least_ns[stage] + CONNECTS_NOISE_NS);
		double times = (double)sample->stage_ns[stage] / least_ns;
		swell = times > swell ? times : swell;
	}
	return swell;
}

/* ---- giving way ---- */

static void cut(struct connects *c, double window, instant began_at, instant now)
{
	/* Those of one round tell of one trouble. */
	if (began_at > c->cut_at) {
		c->threshold = c->window > 2.0 * THRESHOLD_LEAST ? c->window / 2.0
								 : THRESHOLD_LEAST;
		c->cut_at = now;
		c->peak = c->under_way;
		c->cuts++;
	} else if (window > 1.0) {
		return;
	}
	set_window(c, window);
}

/* ---- verbs ---- */

static void end_one(struct connects *c)
{
	assert(c->under_way > 0);
	c->under_way--;
}

void connects_init(struct connects *c, const struct connects_settings *settings)
{
	assert(settings->window_max >= 1 && settings->rule < CONNECTS_RULE_COUNT);
	*c = (struct connects){
		.settings = *settings,
		.threshold = settings->window_max,
		.cut_at = INT64_MIN,
	};
	set_window(c, 1.0);
}

void connects_configure(struct connects *c, const struct connects_settings *settings)
{
	double max = settings->window_max;
	assert(settings->window_max >= 1 && settings->rule < CONNECTS_RULE_COUNT);
	/* Nothing has been lost as yet: slow start goes on up to the new bound. */
	if (c->threshold >= c->settings.window_max || c->threshold > max)
		c->threshold = max;
	bool was_fixed = c->settings.rule == CONNECTS_FIXED;
	c->settings = *settings;
	/* A fixed window has learned nothing. */
	set_window(c, was_fixed ? 1.0 : c->window);
}

bool connects_has_room(const struct connects *c)
{
	return c->under_way < (int)c->window;
}

bool connects_admit(struct connects *c)
{
	if (!connects_has_room(c))
		return false;
	c->under_way++;
	if (c->under_way > c->peak)
		c->peak = c->under_way;
	return true;
}

void connects_succeeded(struct connects *c, const struct connects_sample *sample)
{
	double swell = connects_swell(sample);
	end_one(c);
	double window = growth[c->settings.rule](c, swell);
	double most = 2.0 * c->peak > c->window ? 2.0 * c->peak : c->window;
	set_window(c, window > most ? most : window);
}

void connects_lost(struct connects *c, bool silence, instant began_at, instant now)
{
	end_one(c);
	cut(c, silence ? 1.0 : c->window / 2.0, began_at, now);
}

void connects_abandoned(struct connects *c)
{
	end_one(c);
}

void connects_dropped(struct connects *c, instant dialled_at, instant now)
{
	cut(c, c->window / 2.0, dialled_at, now);
}

void connects_restart(struct connects *c)
{
	set_window(c, 1.0);
}
