#include "core/path.h"

#include <assert.h>
#include <string.h>

/* How many of the last connects a step in latency is looked for in. */
#define STEP_SAMPLES 4

/* 0.55 x 20 is a hair over 11 in binary; a rank is meant as a person would reckon it. */
#define RANK_EPSILON 1e-6

static const char *const state_names[PATH_STATE_COUNT] = {
	[PATH_UNKNOWN] = "unknown",
	[PATH_NORMAL] = "normal",
	[PATH_PRESSURE] = "capacity_pressure",
	[PATH_SCALING] = "scaling",
	[PATH_OVERLOADED] = "overloaded",
};

const char *path_state_name(enum path_state state)
{
	assert(state < PATH_STATE_COUNT);
	return state_names[state];
}

/* ---- numbers ---- */

static int bits_set(uint64_t word)
{
	int count = 0;
	for (; word; word &= word - 1)
		count++;
	return count;
}

static void sort(int64_t *values, int count)
{
	for (int i = 1; i < count; i++) {
		int64_t value = values[i];
		int at = i;
		for (; at > 0 && values[at - 1] > value; at--)
			values[at] = values[at - 1];
		values[at] = value;
	}
}

/* Sorts `values`, 1 or more. */
static int64_t median(int64_t *values, int count)
{
	sort(values, count);
	int64_t low = values[(count - 1) / 2];
	return low + (values[count / 2] - low) / 2;
}

static int samples_held(const struct path *p)
{
	return p->samples < PATH_SAMPLES ? (int)p->samples : PATH_SAMPLES;
}

static int64_t quantile(const struct path *p, const int64_t ring[PATH_SAMPLES], double q)
{
	int count = samples_held(p);
	assert(q >= 0.0 && q <= 1.0);
	if (count == 0)
		return 0;
	int64_t sorted[PATH_SAMPLES];
	memcpy(sorted, ring, (size_t)count * sizeof(*sorted));
	sort(sorted, count);
	double exact = q * count - RANK_EPSILON;
	int rank = exact > 0.0 ? (int)exact + 1 : 1; /* rounded up: the nearest rank */
	return sorted[rank - 1];
}

double path_utilisation(const struct path *p)
{
	const struct path_settings *s = &p->settings;
	double by_connections = s->limit > 0 ? (double)p->connections / s->limit : 0.0;
	double by_throughput = s->baseline_bit_s > 0 ? p->throughput_bit_s / s->baseline_bit_s
						     : 0.0;
	return by_connections > by_throughput ? by_connections : by_throughput;
}

int64_t path_connect_quantile(const struct path *p, double q)
{
	return quantile(p, p->total_ns, q);
}

int64_t path_stage_quantile(const struct path *p, enum stage stage, double q)
{
	assert(stage < STAGE_COUNT);
	return quantile(p, p->stage_ns[stage], q);
}

/* ---- what the state is made of ---- */

static bool timed_out_lately(const struct path *p, instant now)
{
	return p->timed_out_at >= 0 && now < instant_add(p->timed_out_at, PATH_CALM_NS);
}

/* Over `bound`, or was and is not yet PATH_HYSTERESIS below it. */
static bool is_over(double utilisation, double bound, bool was)
{
	if (utilisation > bound)
		return true;
	double leave_at = bound > PATH_HYSTERESIS ? bound - PATH_HYSTERESIS : 0.0;
	return was && utilisation > leave_at;
}

/* The last four connects took far longer than those before: what a path does that is at its limit
 * and adds to itself. */
static bool has_stepped(const struct path *p)
{
	int count = samples_held(p);
	if (count <= STEP_SAMPLES)
		return false;
	int64_t last[STEP_SAMPLES], before[PATH_SAMPLES];
	for (int age = 0; age < count; age++) {
		int64_t total_ns = p->total_ns[(p->samples - 1 - (uint32_t)age) % PATH_SAMPLES];
		if (age < STEP_SAMPLES)
			last[age] = total_ns;
		else
			before[age - STEP_SAMPLES] = total_ns;
	}
	int64_t last_ns = median(last, STEP_SAMPLES);
	int64_t before_ns = median(before, count - STEP_SAMPLES);
	return (double)last_ns > PATH_STEP_FACTOR * (double)before_ns &&
	       last_ns - before_ns > PATH_STEP_MIN_NS;
}

static void look_for_step(struct path *p, instant now)
{
	bool loaded = path_utilisation(p) >= p->settings.threshold || timed_out_lately(p, now);
	if (!p->settings.monitoring || !loaded || !has_stepped(p))
		return;
	if (p->scaling_until < 0 || now >= p->scaling_until)
		p->scaling_events++;
	p->scaling_until = instant_add(now, p->settings.scaling_ns);
}

/* Brings each part of the state up to date; the worst that holds is the state. */
static enum path_state judge(struct path *p, instant now)
{
	enum path_state mildest = p->attempts > p->failures ? PATH_NORMAL : PATH_UNKNOWN;
	if (!p->settings.monitoring)
		return mildest;
	double utilisation = path_utilisation(p);
	uint64_t recent = p->timeouts & ((UINT64_C(1) << PATH_RECENT) - 1);
	bool many = p->overloaded_by_timeouts || bits_set(recent) >= PATH_TIMEOUTS_OVERLOADED;
	p->overloaded_by_timeouts = many && timed_out_lately(p, now);
	p->overloaded_by_use = is_over(utilisation, PATH_OVERLOADED_AT, p->overloaded_by_use);
	p->pressed = is_over(utilisation, p->settings.threshold, p->pressed);
	if (now >= p->scaling_until)
		p->scaling_until = -1;

	if (p->overloaded_by_use || p->overloaded_by_timeouts)
		return PATH_OVERLOADED;
	if (p->scaling_until >= 0)
		return PATH_SCALING;
	return p->pressed ? PATH_PRESSURE : mildest;
}

/* ---- verbs ---- */

void path_init(struct path *p, const struct path_settings *settings, instant now)
{
	memset(p, 0, sizeof(*p));
	p->settings = *settings;
	p->state = PATH_UNKNOWN;
	p->timed_out_at = p->scaling_until = -1;
	p->changed_at = now;
}

void path_tick(struct path *p, instant now)
{
	enum path_state state = judge(p, now);
	if (state == p->state)
		return;
	p->state = state;
	p->changed_at = now;
}

static void remember(struct path *p, const struct path_attempt *attempt)
{
	uint32_t place = p->samples % PATH_SAMPLES;
	int64_t total_ns = 0;
	for (enum stage stage = 0; stage < STAGE_COUNT; stage++) {
		p->stage_ns[stage][place] = attempt->stage_ns[stage];
		total_ns += attempt->stage_ns[stage];
	}
	p->total_ns[place] = total_ns;
	p->samples++;
	/* Faster than the clock can tell is still a connect: 0 would say that there was none. */
	if (total_ns < 1)
		total_ns = 1;
	if (p->least_ns == 0 || total_ns < p->least_ns)
		p->least_ns = total_ns;
}

void path_attempt(struct path *p, const struct path_attempt *attempt, instant now)
{
	bool failed = attempt->outcome != OUTCOME_OK;
	bool timed_out = attempt->outcome == OUTCOME_TIMEOUT;
	p->attempts++;
	p->failures += failed;
	p->history = p->history << 1 | failed;
	p->timeouts = p->timeouts << 1 | timed_out;
	if (timed_out)
		p->timed_out_at = now;
	if (!failed) {
		remember(p, attempt);
		look_for_step(p, now);
	}
	path_tick(p, now);
}

void path_connections(struct path *p, int connections, instant now)
{
	p->connections = connections;
	path_tick(p, now);
}

void path_limit(struct path *p, int limit, instant now)
{
	p->settings.limit = limit;
	path_tick(p, now);
}

void path_throughput(struct path *p, double bit_s, instant now)
{
	p->throughput_bit_s = bit_s;
	path_tick(p, now);
}

void path_configure(struct path *p, const struct path_settings *settings, instant now)
{
	p->settings = *settings;
	path_tick(p, now);
}

instant path_deadline(const struct path *p)
{
	instant at = p->scaling_until >= 0 ? p->scaling_until : INSTANT_NEVER;
	if (p->overloaded_by_timeouts)
		at = instant_min(at, instant_add(p->timed_out_at, PATH_CALM_NS));
	return at;
}
