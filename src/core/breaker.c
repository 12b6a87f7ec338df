#include "core/breaker.h"

#include <assert.h>
#include <stddef.h>

static const char *const state_names[BREAKER_STATE_COUNT] = {
	[BREAKER_CLOSED] = "closed",
	[BREAKER_OPEN] = "open",
	[BREAKER_HALF_OPEN] = "half_open",
};

static const char *const mode_names[BREAKER_MODE_COUNT] = {
	[BREAKER_AUTO] = "auto",
	[BREAKER_HELD_OPEN] = "open",
	[BREAKER_HELD_CLOSED] = "closed",
	[BREAKER_METRICS] = "metrics",
};

static const char *const cause_names[BREAKER_CAUSE_COUNT] = {
	[BREAKER_BY_COUNT] = "count",
	[BREAKER_BY_FAILURE_RATE] = "failure_rate",
	[BREAKER_BY_SLOW_RATE] = "slow_rate",
	[BREAKER_BY_TIME] = "time",
	[BREAKER_BY_PROBE] = "probe",
	[BREAKER_BY_SUCCESS] = "success",
	[BREAKER_BY_FAILURE] = "failure",
	[BREAKER_BY_REST] = "rest",
	[BREAKER_BY_HAND] = "hand",
};

#define BY(cause) (1U << BREAKER_BY_##cause)

/* Which state may follow which, and why; everything else is a bug. */
static const unsigned state_may[BREAKER_STATE_COUNT][BREAKER_STATE_COUNT] = {
	[BREAKER_CLOSED] = {[BREAKER_OPEN] = BY(COUNT) | BY(FAILURE_RATE) | BY(SLOW_RATE) |
					     BY(HAND)},
	[BREAKER_OPEN] = {[BREAKER_HALF_OPEN] = BY(TIME) | BY(PROBE) | BY(HAND),
		[BREAKER_CLOSED] = BY(HAND)},
	[BREAKER_HALF_OPEN] = {[BREAKER_CLOSED] = BY(SUCCESS) | BY(REST) | BY(HAND),
		[BREAKER_OPEN] = BY(FAILURE) | BY(HAND)},
};

/* ---- what is in force ---- */

static enum breaker_mode mode_in_force(const struct breaker *b)
{
	return b->settings.enabled ? b->mode : BREAKER_HELD_CLOSED;
}

/* The rules judge, whatever is made of it. */
static bool is_judging(const struct breaker *b)
{
	enum breaker_mode mode = mode_in_force(b);
	return mode == BREAKER_AUTO || mode == BREAKER_METRICS;
}

static void put_in_force(struct breaker *b)
{
	b->state = mode_in_force(b) == BREAKER_METRICS ? BREAKER_CLOSED : b->judged;
}

static void forget_window(struct breaker *b)
{
	b->failed = b->slow = 0;
	b->window_count = 0;
}

static void become(
	struct breaker *b, enum breaker_state state, enum breaker_cause cause, instant now)
{
	enum breaker_state from = b->judged;
	assert(state_may[from][state] & 1U << cause);
	b->changes[b->changes_count++ % BREAKER_CHANGES] = (struct breaker_change){
		now, from, state, cause};
	b->transitions[from][state]++;
	b->judged = state;
	b->until = INSTANT_NEVER;
	b->probing = 0;
	if (state == BREAKER_OPEN) {
		b->opened_count++;
		b->openings++;
	}
	if (state == BREAKER_CLOSED) {
		b->failures = b->openings = 0;
		forget_window(b);
	}
	put_in_force(b);
}

/* ---- opening ---- */

static int64_t open_span(const struct breaker *b, struct random *random)
{
	const struct breaker_settings *s = &b->settings;
	double span_ns = (double)s->open_ns, most_ns = (double)s->open_max_ns;
	/* A thousand openings cost no more than those that it takes to get to the most. */
	for (int i = 1; i < b->openings && s->growth > 1.0 && span_ns < most_ns; i++)
		span_ns = span_ns * s->growth < most_ns ? span_ns * s->growth : most_ns;
	double part = 1.0 - s->jitter + 2.0 * s->jitter * random_unit(random);
	return (int64_t)(span_ns * part + 0.5);
}

static void open_up(struct breaker *b, enum breaker_cause cause, instant now, struct random *random)
{
	become(b, BREAKER_OPEN, cause, now);
	b->until = instant_add(now, open_span(b, random));
}

/* ---- the window ---- */

static void record(struct breaker *b, const struct breaker_pass *pass, bool failed, instant now)
{
	bool slow = b->settings.slow_ns > 0 && now - pass->began_at >= b->settings.slow_ns;
	b->failed = b->failed << 1 | failed;
	b->slow = b->slow << 1 | slow;
	b->ended_at[b->ended++ % BREAKER_WINDOW_MAX] = now;
	if (b->window_count < BREAKER_WINDOW_MAX)
		b->window_count++;
}

struct breaker_rates breaker_rates(const struct breaker *b, instant now)
{
	const struct breaker_settings *s = &b->settings;
	struct breaker_rates rates = {0, 0.0, 0.0};
	int most = b->window_count < s->window ? b->window_count : s->window;
	int failed = 0, slow = 0;
	for (int age = 0; age < most; age++) {
		instant at = b->ended_at[(b->ended - 1 - age) % BREAKER_WINDOW_MAX];
		if (s->window_ns > 0 && now - at > s->window_ns)
			break;
		rates.attempts++;
		failed += b->failed >> age & 1;
		slow += b->slow >> age & 1;
	}
	if (rates.attempts > 0) {
		rates.failed = (double)failed / rates.attempts;
		rates.slow = (double)slow / rates.attempts;
	}
	return rates;
}

/* Opens a closed one when a rule says so. */
static void judge(struct breaker *b, instant now, struct random *random)
{
	const struct breaker_settings *s = &b->settings;
	if (b->failures >= s->failure_threshold) {
		open_up(b, BREAKER_BY_COUNT, now, random);
		return;
	}
	if (s->failure_rate <= 0.0 && s->slow_rate <= 0.0)
		return;
	const struct breaker_rates rates = breaker_rates(b, now);
	if (rates.attempts < s->minimum)
		return;
	if (s->failure_rate > 0.0 && rates.failed >= s->failure_rate)
		open_up(b, BREAKER_BY_FAILURE_RATE, now, random);
	else if (s->slow_rate > 0.0 && rates.slow >= s->slow_rate)
		open_up(b, BREAKER_BY_SLOW_RATE, now, random);
}

/* ---- attempts ---- */

static void check_settings(const struct breaker_settings *s)
{
	assert(s->probes >= 1 && (s->failure_threshold >= 1 || !s->enabled));
	assert(s->open_ns >= 0 && s->jitter >= 0.0 && s->jitter <= 1.0);
	assert(s->window >= 0 && s->window <= BREAKER_WINDOW_MAX);
	assert(s->mode < BREAKER_MODE_COUNT);
}

/* By the rules alone. */
static bool would_let_through(const struct breaker *b, instant now)
{
	switch (b->judged) {
	case BREAKER_OPEN:
		return now >= b->until; /* half-open then, with no place taken yet */
	case BREAKER_HALF_OPEN:
		return b->probing < b->settings.probes;
	case BREAKER_CLOSED:
	case BREAKER_STATE_COUNT:
		break;
	}
	return true;
}

void breaker_admit_probe(struct breaker *b, instant now, struct breaker_pass *pass)
{
	assert(b->judged == BREAKER_OPEN && is_judging(b));
	*pass = (struct breaker_pass){.began_at = now, .opening = b->opened_count, .probes = true};
	b->under_way++;
}

bool breaker_would_admit(const struct breaker *b, instant now)
{
	return mode_in_force(b) == BREAKER_METRICS || would_let_through(b, now);
}

bool breaker_admit(struct breaker *b, instant now, struct breaker_pass *pass)
{
	if (b->judged == BREAKER_OPEN && now >= b->until)
		become(b, BREAKER_HALF_OPEN, BREAKER_BY_TIME, now);
	bool through = would_let_through(b, now);
	if (!through && mode_in_force(b) != BREAKER_METRICS)
		return false;
	*pass = (struct breaker_pass){
		.began_at = now,
		.opening = b->opened_count,
		.holds_place = through && b->judged == BREAKER_HALF_OPEN,
	};
	b->spared += !through;
	b->probing += pass->holds_place;
	b->under_way++;
	return true;
}

bool breaker_counts(const struct breaker *b, enum outcome outcome)
{
	assert(outcome < OUTCOME_COUNT);
	if (b->settings.failures == 0)
		return outcome_is_capacity(outcome);
	return b->settings.failures >> outcome & 1;
}

void breaker_abandoned(struct breaker *b, const struct breaker_pass *pass)
{
	assert(b->under_way > 0);
	b->under_way--;
	/* Its place is gone already if the state is another than that which it began in. */
	if (pass->holds_place && b->judged == BREAKER_HALF_OPEN &&
		pass->opening == b->opened_count) {
		assert(b->probing > 0);
		b->probing--;
	}
}

void breaker_succeeded(
	struct breaker *b, const struct breaker_pass *pass, instant now, struct random *random)
{
	breaker_abandoned(b, pass);
	if (pass->probes)
		breaker_probed(b, now);
	/* While open only time, or a probe, counts: those that began before it opened took their
	 * places before whatever it was that the others failed for. */
	if (!is_judging(b) || b->judged == BREAKER_OPEN)
		return;
	if (b->judged == BREAKER_HALF_OPEN) {
		become(b, BREAKER_CLOSED, BREAKER_BY_SUCCESS, now);
		return;
	}
	b->failures = 0;
	record(b, pass, false, now);
	judge(b, now, random); /* it may have been slow */
}

void breaker_failed(
	struct breaker *b, const struct breaker_pass *pass, instant now, struct random *random)
{
	breaker_abandoned(b, pass);
	if (!is_judging(b) || b->judged == BREAKER_OPEN)
		return;
	if (b->judged == BREAKER_HALF_OPEN) {
		/* One from before it opened has nothing new to say. */
		if (pass->opening == b->opened_count)
			open_up(b, BREAKER_BY_FAILURE, now, random);
		return;
	}
	b->failures++;
	record(b, pass, true, now);
	judge(b, now, random);
}

/* ---- from outside ---- */

bool breaker_probed(struct breaker *b, instant now)
{
	if (b->judged != BREAKER_OPEN || !is_judging(b))
		return false;
	become(b, BREAKER_HALF_OPEN, BREAKER_BY_PROBE, now);
	return true;
}

bool breaker_rest(struct breaker *b, instant now)
{
	if (!is_judging(b) || b->judged == BREAKER_CLOSED)
		return false;
	if (b->judged == BREAKER_OPEN && now < b->until)
		return false;
	if (b->judged == BREAKER_OPEN)
		become(b, BREAKER_HALF_OPEN, BREAKER_BY_TIME, now);
	become(b, BREAKER_CLOSED, BREAKER_BY_REST, now);
	return true;
}

void breaker_cap(struct breaker *b, instant at)
{
	if (b->judged == BREAKER_OPEN && is_judging(b))
		b->until = instant_min(b->until, at);
}

/* To what the mode in force asks for; `was_held`: open, by the mode before. */
static void obey(struct breaker *b, bool was_held, instant now)
{
	switch (mode_in_force(b)) {
	case BREAKER_HELD_OPEN:
		if (b->judged != BREAKER_OPEN)
			become(b, BREAKER_OPEN, BREAKER_BY_HAND, now);
		b->until = INSTANT_NEVER;
		b->openings = 0; /* no failure of an attempt's */
		break;
	case BREAKER_HELD_CLOSED:
		if (b->judged != BREAKER_CLOSED)
			become(b, BREAKER_CLOSED, BREAKER_BY_HAND, now);
		b->failures = 0;
		forget_window(b);
		break;
	case BREAKER_AUTO:
	case BREAKER_METRICS:
		if (was_held)
			become(b, BREAKER_HALF_OPEN, BREAKER_BY_HAND, now);
		break;
	case BREAKER_MODE_COUNT:
		break;
	}
	put_in_force(b);
}

void breaker_set_mode(struct breaker *b, enum breaker_mode mode, instant now)
{
	assert(mode < BREAKER_MODE_COUNT);
	bool was_held = mode_in_force(b) == BREAKER_HELD_OPEN;
	b->mode = mode;
	obey(b, was_held, now);
}

void breaker_configure(struct breaker *b, const struct breaker_settings *settings, instant now)
{
	check_settings(settings);
	bool was_held = mode_in_force(b) == BREAKER_HELD_OPEN;
	if (settings->mode != b->settings.mode)
		b->mode = settings->mode;
	b->settings = *settings;
	obey(b, was_held, now);
	int64_t longest_ns = settings->open_ns;
	if (settings->growth > 1.0 && settings->open_max_ns > longest_ns)
		longest_ns = settings->open_max_ns;
	breaker_cap(b, instant_add(now, b->openings > 1 ? longest_ns : settings->open_ns));
}

void breaker_init(struct breaker *b, const struct breaker_settings *settings)
{
	check_settings(settings);
	*b = (struct breaker){
		.settings = *settings,
		.mode = settings->mode,
		.state = BREAKER_CLOSED,
		.judged = BREAKER_CLOSED,
		.until = INSTANT_NEVER,
	};
	if (mode_in_force(b) == BREAKER_HELD_OPEN)
		b->state = b->judged = BREAKER_OPEN;
}

/* ---- what is known ---- */

instant breaker_deadline(const struct breaker *b)
{
	return b->until;
}

const struct breaker_change *breaker_change(const struct breaker *b, int i)
{
	if (i >= BREAKER_CHANGES || i >= b->changes_count)
		return NULL;
	return &b->changes[(b->changes_count - 1 - i) % BREAKER_CHANGES];
}

const char *breaker_state_name(enum breaker_state state)
{
	assert(state < BREAKER_STATE_COUNT);
	return state_names[state];
}

const char *breaker_mode_name(enum breaker_mode mode)
{
	assert(mode < BREAKER_MODE_COUNT);
	return mode_names[mode];
}

const char *breaker_cause_name(enum breaker_cause cause)
{
	assert(cause < BREAKER_CAUSE_COUNT);
	return cause_names[cause];
}
