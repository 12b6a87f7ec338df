#include "scenario/capacity.h"

#include <assert.h>
#include <math.h>

/* Bytes may be saved up for a tenth of a second, as a small queue in a machine would, but never
 * less than one full read. */
#define BYTES_BURST_S   0.1
#define BYTES_BURST_MIN 16384.0

/* Tokens are fractions; a whole one that rounding left a hair short counts. */
#define TOKEN_SLACK 1e-9

static double bytes_per_second(const struct capacity *c)
{
	return c->settings.bandwidth_bit_s / 8;
}

static double bytes_burst(const struct capacity *c)
{
	return fmax(bytes_per_second(c) * BYTES_BURST_S, BYTES_BURST_MIN);
}

static void add_instances(struct capacity *c, int count)
{
	for (int i = 0; i < count && c->count < c->settings.instances_max; i++)
		c->instances[c->count++] = (struct capacity_instance){
			.flows = 0,
			.tokens = c->settings.connect_burst,
			.bytes = bytes_burst(c),
		};
}

void capacity_init(struct capacity *c, const struct capacity_settings *settings, instant now)
{
	assert(settings->instances_min >= 1);
	assert(settings->instances_max >= settings->instances_min);
	assert(settings->instances_max <= CAPACITY_INSTANCES_MAX);
	assert(settings->flows >= 1 && settings->scale_step >= 1);
	assert(settings->connect_rate >= 0 && settings->connect_burst >= 1);
	assert(settings->scale_delay_min_ns >= 0);
	assert(settings->scale_delay_max_ns >= settings->scale_delay_min_ns);
	*c = (struct capacity){.settings = *settings, .now = now, .scale_at = INSTANT_NEVER};
	random_init(&c->random, settings->seed);
	add_instances(c, settings->instances_min);
}

static void fill(struct capacity *c, instant now)
{
	double seconds = s_from_ns(now - c->now);

	for (int i = 0; i < c->count; i++) {
		struct capacity_instance *at = &c->instances[i];
		at->tokens = fmin(
			at->tokens + seconds * c->settings.connect_rate, c->settings.connect_burst);
		at->bytes = fmin(at->bytes + seconds * bytes_per_second(c), bytes_burst(c));
	}
	c->now = now;
}

static bool is_busy(const struct capacity *c)
{
	double room = (double)c->count * c->settings.flows;

	return c->refused || c->flows >= c->settings.scale_at * room;
}

static void scale_if_busy(struct capacity *c)
{
	int64_t spread_ns = c->settings.scale_delay_max_ns - c->settings.scale_delay_min_ns;

	if (c->scale_at != INSTANT_NEVER || c->count == c->settings.instances_max || !is_busy(c))
		return;
	c->scale_at = instant_add(
		c->now, c->settings.scale_delay_min_ns + random_span(&c->random, spread_ns));
}

void capacity_advance(struct capacity *c, instant now)
{
	/* A step that ended in between adds its instances at that moment, and the next one is
	 * judged from there. */
	while (c->scale_at <= now) {
		if (c->scale_at > c->now)
			fill(c, c->scale_at);
		c->scale_at = INSTANT_NEVER;
		c->refused = false;
		add_instances(c, c->settings.scale_step);
		scale_if_busy(c);
	}
	if (now > c->now)
		fill(c, now);
}

/* How many flows may begin on this instance. */
static int room(const struct capacity *c, const struct capacity_instance *at)
{
	int free = c->settings.flows - at->flows;

	if (c->settings.connect_rate <= 0)
		return free;
	return (int)fmin(free, floor(at->tokens + TOKEN_SLACK));
}

int capacity_permits(struct capacity *c, instant now)
{
	int permits = 0;

	capacity_advance(c, now);
	for (int i = 0; i < c->count; i++)
		permits += room(c, &c->instances[i]);
	return permits;
}

int capacity_begin(struct capacity *c, instant now)
{
	int best = -1;

	capacity_advance(c, now);
	for (int i = 0; i < c->count; i++) {
		if (room(c, &c->instances[i]) < 1)
			continue;
		if (best < 0 || c->instances[i].flows < c->instances[best].flows)
			best = i;
	}
	if (best >= 0) {
		c->instances[best].flows++;
		if (c->settings.connect_rate > 0)
			c->instances[best].tokens = fmax(c->instances[best].tokens - 1, 0);
		c->flows++;
		c->flows_begun++;
		scale_if_busy(c);
	}
	return best;
}

void capacity_end(struct capacity *c, int instance, instant now)
{
	capacity_advance(c, now);
	assert(instance >= 0 && instance < c->count && c->instances[instance].flows > 0);
	c->instances[instance].flows--;
	c->flows--;
}

void capacity_refuse(struct capacity *c, instant now)
{
	capacity_advance(c, now);
	c->refused = true;
	scale_if_busy(c);
}

instant capacity_next(const struct capacity *c)
{
	instant next = c->scale_at;

	for (int i = 0; i < c->count; i++) {
		const struct capacity_instance *at = &c->instances[i];
		double whole = floor(at->tokens + TOKEN_SLACK) + 1;

		if (c->settings.connect_rate <= 0 || at->flows + whole - 1 >= c->settings.flows ||
			whole > c->settings.connect_burst + TOKEN_SLACK)
			continue;
		double wait_s = (whole - at->tokens) / c->settings.connect_rate;
		next = instant_min(next, instant_add(c->now, (int64_t)ceil(wait_s * 1e9)));
	}
	return next;
}

int64_t capacity_bytes(struct capacity *c, int instance, instant now)
{
	capacity_advance(c, now);
	assert(instance >= 0 && instance < c->count);
	if (c->settings.bandwidth_bit_s <= 0)
		return INT64_MAX;
	return c->instances[instance].bytes >= 1 ? (int64_t)c->instances[instance].bytes : 0;
}

instant capacity_bytes_at(const struct capacity *c, int instance)
{
	double missing = 1 - c->instances[instance].bytes;

	if (c->settings.bandwidth_bit_s <= 0 || missing <= 0)
		return c->now;
	return instant_add(c->now, (int64_t)ceil(missing / bytes_per_second(c) * 1e9));
}

void capacity_spend(struct capacity *c, int instance, int64_t bytes)
{
	assert(instance >= 0 && instance < c->count && bytes >= 0);
	if (c->settings.bandwidth_bit_s > 0)
		c->instances[instance].bytes -= (double)bytes;
}

instant capacity_earliest(const struct capacity_settings *settings, int instances)
{
	struct capacity_settings quickest = *settings;
	struct capacity c;
	instant now = 0;

	quickest.scale_delay_max_ns = quickest.scale_delay_min_ns;
	capacity_init(&c, &quickest, now);
	for (int begun = 0; begun < instances;) {
		if (capacity_begin(&c, now) >= 0) {
			begun++;
			continue;
		}
		capacity_refuse(&c, now);
		now = capacity_next(&c);
		if (now == INSTANT_NEVER)
			return INSTANT_NEVER;
	}
	return now;
}
