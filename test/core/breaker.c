#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bug.h"
#include "core/breaker.h"

#define OPEN_NS (60 * NS_PER_S)

/* The defaults, without jitter where a test wants exact times. */
static const struct breaker_settings exact = {
	.enabled = true,
	.failure_threshold = 3,
	.open_ns = OPEN_NS,
	.jitter = 0.0,
	.probes = 1,
};

static struct breaker breaker_with(const struct breaker_settings *settings)
{
	struct breaker b;
	breaker_init(&b, settings);
	return b;
}

static struct random seeded(void)
{
	struct random random;
	random_init(&random, 1);
	return random;
}

static struct breaker_pass admit(struct breaker *b, instant now)
{
	struct breaker_pass pass;
	assert_true(breaker_would_admit(b, now));
	assert_true(breaker_admit(b, now, &pass));
	return pass;
}

static void refuses(struct breaker *b, instant now)
{
	struct breaker_pass pass;
	assert_false(breaker_would_admit(b, now));
	assert_false(breaker_admit(b, now, &pass));
}

/* An attempt that is let through and fails, or does not. */
static void fail_one(struct breaker *b, instant now, struct random *random)
{
	struct breaker_pass pass = admit(b, now);
	breaker_failed(b, &pass, now, random);
}

static void succeed_one(struct breaker *b, instant began_at, instant now, struct random *random)
{
	struct breaker_pass pass = admit(b, began_at);
	breaker_succeeded(b, &pass, now, random);
}

/* It has changed so, and lately. */
static void changed(const struct breaker *b, enum breaker_state from, enum breaker_state to,
	enum breaker_cause cause)
{
	const struct breaker_change *c = breaker_change(b, 0);
	assert_non_null(c);
	assert_int_equal(c->from, from);
	assert_int_equal(c->to, to);
	assert_int_equal(c->cause, cause);
	assert_int_equal(b->judged, to);
}

static struct breaker opened_at(instant now, const struct breaker_settings *settings)
{
	struct breaker b = breaker_with(settings);
	struct random random = seeded();
	for (int i = 0; i < settings->failure_threshold; i++)
		fail_one(&b, now, &random);
	return b;
}

static void it_opens_after_three_failures_in_a_row(void **state)
{
	struct breaker b = breaker_with(&exact);
	struct random random = seeded();
	fail_one(&b, 1, &random);
	fail_one(&b, 2, &random);
	assert_int_equal(b.state, BREAKER_CLOSED);
	assert_int_equal(breaker_deadline(&b), INSTANT_NEVER);
	fail_one(&b, 3, &random);
	assert_int_equal(b.state, BREAKER_OPEN);
	assert_int_equal(b.opened_count, 1);
	assert_int_equal(breaker_deadline(&b), 3 + OPEN_NS);
}

static void a_success_between_starts_the_count_over(void **state)
{
	struct breaker b = breaker_with(&exact);
	struct random random = seeded();
	for (int i = 0; i < 10; i++) {
		fail_one(&b, i, &random);
		fail_one(&b, i, &random);
		succeed_one(&b, i, i, &random);
	}
	assert_int_equal(b.state, BREAKER_CLOSED);
}

static void what_tells_nothing_of_the_path_neither_counts_nor_clears(void **state)
{
	struct breaker b = breaker_with(&exact);
	struct random random = seeded();
	fail_one(&b, 1, &random);
	fail_one(&b, 2, &random);
	for (int i = 0; i < 10; i++) {
		struct breaker_pass pass = admit(&b, 3);
		breaker_abandoned(&b, &pass);
	}
	assert_int_equal(b.state, BREAKER_CLOSED);
	fail_one(&b, 4, &random);
	assert_int_equal(b.state, BREAKER_OPEN);
}

static void while_open_nothing_is_let_through_for_sixty_seconds(void **state)
{
	struct breaker b = opened_at(0, &exact);
	refuses(&b, 0);
	refuses(&b, OPEN_NS - 1);
	assert_int_equal(b.state, BREAKER_OPEN);
	admit(&b, OPEN_NS);
	changed(&b, BREAKER_OPEN, BREAKER_HALF_OPEN, BREAKER_BY_TIME);
	assert_int_equal(breaker_deadline(&b), INSTANT_NEVER);
}

static void half_open_lets_a_bounded_number_of_probes_through(void **state)
{
	struct breaker_settings settings = exact;
	settings.probes = 2;
	struct breaker b = opened_at(0, &settings);
	admit(&b, OPEN_NS);
	struct breaker_pass pass = admit(&b, OPEN_NS);
	refuses(&b, OPEN_NS);
	/* A probe that was given up makes room for the next: no waiting for ever. */
	breaker_abandoned(&b, &pass);
	assert_int_equal(b.state, BREAKER_HALF_OPEN);
	admit(&b, OPEN_NS);
	refuses(&b, OPEN_NS);
}

static void one_success_closes_it(void **state)
{
	struct breaker b = opened_at(0, &exact);
	struct random random = seeded();
	succeed_one(&b, OPEN_NS, OPEN_NS + 7, &random);
	changed(&b, BREAKER_HALF_OPEN, BREAKER_CLOSED, BREAKER_BY_SUCCESS);
	/* And with a clean count. */
	fail_one(&b, OPEN_NS, &random);
	fail_one(&b, OPEN_NS, &random);
	assert_int_equal(b.state, BREAKER_CLOSED);
}

static void one_failed_probe_opens_it_again(void **state)
{
	struct breaker b = opened_at(0, &exact);
	struct random random = seeded();
	struct breaker_pass pass = admit(&b, OPEN_NS);
	breaker_failed(&b, &pass, OPEN_NS + 5, &random);
	changed(&b, BREAKER_HALF_OPEN, BREAKER_OPEN, BREAKER_BY_FAILURE);
	assert_int_equal(b.opened_count, 2);
	assert_int_equal(breaker_deadline(&b), OPEN_NS + 5 + OPEN_NS);
}

/* Until it is closed again. */
static void each_failed_probe_doubles_the_time_open_up_to_a_most(void **state)
{
	static const int64_t spans_s[] = {60, 120, 240, 300, 300, 300};
	struct breaker_settings settings = exact;
	settings.growth = 2.0;
	settings.open_max_ns = 300 * NS_PER_S;
	struct breaker b = opened_at(0, &settings);
	struct random random = seeded();
	for (size_t i = 0; i < sizeof(spans_s) / sizeof(spans_s[0]); i++) {
		instant now = b.until;
		fail_one(&b, now, &random);
		if (i + 1 < sizeof(spans_s) / sizeof(spans_s[0]))
			assert_int_equal(b.until, now + spans_s[i + 1] * NS_PER_S);
	}
	succeed_one(&b, b.until, b.until, &random);
	for (int i = 0; i < 3; i++)
		fail_one(&b, 0, &random);
	assert_int_equal(b.until, OPEN_NS);
}

static void the_time_open_is_jittered_around_its_setting(void **state)
{
	struct breaker_settings settings = exact;
	struct random random;
	int64_t least_ns = INT64_MAX, most_ns = 0;
	settings.jitter = 0.2;
	random_init(&random, 5);
	for (int i = 0; i < 1000; i++) {
		struct breaker b = breaker_with(&settings);
		for (int n = 0; n < 3; n++)
			fail_one(&b, 0, &random);
		assert_in_range(b.until, 48 * NS_PER_S, 72 * NS_PER_S);
		least_ns = b.until < least_ns ? b.until : least_ns;
		most_ns = b.until > most_ns ? b.until : most_ns;
	}
	assert_true(least_ns < 49 * NS_PER_S && most_ns > 71 * NS_PER_S);
}

static void a_phase_that_ends_sooner_can_shorten_the_time_open(void **state)
{
	struct breaker b = opened_at(0, &exact);
	breaker_cap(&b, 20 * NS_PER_S);
	assert_int_equal(breaker_deadline(&b), 20 * NS_PER_S);
	breaker_cap(&b, 40 * NS_PER_S); /* never lengthens it */
	assert_int_equal(breaker_deadline(&b), 20 * NS_PER_S);
	admit(&b, 20 * NS_PER_S);
	breaker_cap(&b, 0); /* nothing to shorten */
	assert_int_equal(b.state, BREAKER_HALF_OPEN);
	assert_int_equal(breaker_deadline(&b), INSTANT_NEVER);
}

/* Five begin at 0, and three of them fail at 10. */
static struct breaker opened_amid(struct breaker_pass rest[2], struct random *random)
{
	struct breaker b = breaker_with(&exact);
	struct breaker_pass passes[5];
	for (int i = 0; i < 5; i++)
		passes[i] = admit(&b, 0);
	for (int i = 0; i < 3; i++)
		breaker_failed(&b, &passes[i], 10, random);
	rest[0] = passes[3];
	rest[1] = passes[4];
	changed(&b, BREAKER_CLOSED, BREAKER_OPEN, BREAKER_BY_COUNT);
	return b;
}

static void attempts_from_before_it_opened_do_not_move_it_while_open(void **state)
{
	struct random random = seeded();
	struct breaker_pass rest[2];
	struct breaker b = opened_amid(rest, &random);
	breaker_failed(&b, &rest[0], 20, &random);
	breaker_succeeded(&b, &rest[1], 20, &random);
	assert_int_equal(b.state, BREAKER_OPEN);
	assert_int_equal(b.until, 10 + OPEN_NS);
	assert_int_equal(b.opened_count, 1);
	assert_int_equal(b.under_way, 0);
}

/* One that hangs from before would otherwise hold the only place, and its end would say nothing new. */
static void attempts_from_before_it_opened_hold_no_place_and_their_failure_is_no_news(void **state)
{
	struct random random = seeded();
	struct breaker_pass rest[2];
	struct breaker b = opened_amid(rest, &random);
	struct breaker_pass fresh = admit(&b, 10 + OPEN_NS);
	breaker_failed(&b, &rest[0], 10 + OPEN_NS, &random);
	assert_int_equal(b.state, BREAKER_HALF_OPEN);
	assert_int_equal(b.probing, 1);
	refuses(&b, 10 + OPEN_NS);
	breaker_succeeded(&b, &rest[1], 10 + OPEN_NS, &random);
	changed(&b, BREAKER_HALF_OPEN, BREAKER_CLOSED, BREAKER_BY_SUCCESS);
	/* And that one's end is now one like any other's. */
	breaker_failed(&b, &fresh, 10 + OPEN_NS, &random);
	assert_int_equal(b.failures, 1);
	assert_int_equal(b.under_way, 0);
}

static void a_place_of_an_opening_before_is_not_given_back_twice(void **state)
{
	struct breaker_settings settings = exact;
	settings.probes = 2;
	struct breaker b = opened_at(0, &settings);
	struct random random = seeded();
	struct breaker_pass slow = admit(&b, OPEN_NS), bad = admit(&b, OPEN_NS);
	breaker_failed(&b, &bad, OPEN_NS, &random);
	assert_int_equal(b.probing, 0);
	admit(&b, 2 * OPEN_NS);
	admit(&b, 2 * OPEN_NS);
	breaker_failed(&b, &slow, 2 * OPEN_NS, &random);
	assert_int_equal(b.state, BREAKER_HALF_OPEN);
	assert_int_equal(b.probing, 2);
	refuses(&b, 2 * OPEN_NS);
}

/* ---- the window ---- */

static const struct breaker_settings by_rate = {
	.enabled = true,
	.failure_threshold = 1000,
	.open_ns = OPEN_NS,
	.probes = 1,
	.window = 20,
	.minimum = 5,
	.failure_rate = 0.5,
};

static void it_opens_when_half_of_the_last_attempts_failed(void **state)
{
	struct breaker b = breaker_with(&by_rate);
	struct random random = seeded();
	for (int i = 0; i < 11; i++)
		succeed_one(&b, i, i, &random);
	for (int i = 0; i < 9; i++) {
		fail_one(&b, 20 + i, &random);
		assert_int_equal(b.state, BREAKER_CLOSED);
	}
	/* The 21st attempt pushes the first, a success, out of the window. */
	fail_one(&b, 30, &random);
	changed(&b, BREAKER_CLOSED, BREAKER_OPEN, BREAKER_BY_FAILURE_RATE);
	/* What is past does not count any more when it is closed again. */
	succeed_one(&b, b.until, b.until, &random);
	assert_int_equal(breaker_rates(&b, b.until).attempts, 0);
}

static void few_attempts_are_no_rate(void **state)
{
	struct breaker b = breaker_with(&by_rate);
	struct random random = seeded();
	for (int i = 0; i < 4; i++)
		fail_one(&b, i, &random);
	assert_int_equal(b.state, BREAKER_CLOSED);
	struct breaker_rates rates = breaker_rates(&b, 4);
	assert_int_equal(rates.attempts, 4);
	assert_true(rates.failed == 1.0);
	fail_one(&b, 5, &random);
	assert_int_equal(b.state, BREAKER_OPEN);
}

static void old_attempts_do_not_count(void **state)
{
	struct breaker_settings settings = by_rate;
	struct random random = seeded();
	settings.window_ns = 60 * NS_PER_S;
	struct breaker b = breaker_with(&settings);
	for (int i = 0; i < 4; i++)
		fail_one(&b, 0, &random);
	fail_one(&b, 60 * NS_PER_S + 1, &random);
	assert_int_equal(breaker_rates(&b, 60 * NS_PER_S + 1).attempts, 1);
	assert_int_equal(b.state, BREAKER_CLOSED);
	for (int i = 0; i < 4; i++)
		fail_one(&b, 120 * NS_PER_S + 1, &random);
	assert_int_equal(b.state, BREAKER_OPEN);
}

static void slow_successes_open_it_where_their_rate_is_looked_at(void **state)
{
	struct breaker_settings settings = by_rate;
	struct random random = seeded();
	settings.failure_rate = 0.0;
	settings.slow_ns = NS_PER_S;
	for (int on = 0; on < 2; on++) {
		settings.slow_rate = on ? 0.6 : 0.0;
		struct breaker b = breaker_with(&settings);
		for (int i = 0; i < 2; i++)
			succeed_one(&b, 0, NS_PER_S - 1, &random);
		for (int i = 0; i < 2; i++)
			succeed_one(&b, 0, NS_PER_S, &random);
		assert_int_equal(b.state, BREAKER_CLOSED);
		succeed_one(&b, 0, NS_PER_S, &random);
		assert_true(breaker_rates(&b, NS_PER_S).slow == 0.6);
		if (on)
			changed(&b, BREAKER_CLOSED, BREAKER_OPEN, BREAKER_BY_SLOW_RATE);
		else
			assert_int_equal(b.state, BREAKER_CLOSED);
	}
}

static void the_longest_window_forgets_what_is_older(void **state)
{
	struct breaker_settings settings = by_rate;
	struct random random = seeded();
	settings.window = BREAKER_WINDOW_MAX;
	settings.failure_rate = 1.0;
	struct breaker b = breaker_with(&settings);
	succeed_one(&b, 0, 0, &random);
	for (int i = 1; i < BREAKER_WINDOW_MAX; i++)
		fail_one(&b, i, &random);
	assert_int_equal(b.state, BREAKER_CLOSED);
	fail_one(&b, 100, &random);
	assert_int_equal(b.state, BREAKER_OPEN);
}

/* ---- a light probe ---- */

static void a_light_probe_that_gets_through_makes_it_half_open_at_once(void **state)
{
	struct breaker b = opened_at(0, &exact);
	struct random random = seeded();
	assert_true(breaker_probed(&b, 5 * NS_PER_S));
	changed(&b, BREAKER_OPEN, BREAKER_HALF_OPEN, BREAKER_BY_PROBE);
	/* It decides nothing: the attempt does. */
	fail_one(&b, 5 * NS_PER_S, &random);
	assert_int_equal(b.state, BREAKER_OPEN);
	assert_true(breaker_probed(&b, 6 * NS_PER_S));
	assert_false(breaker_probed(&b, 6 * NS_PER_S)); /* it is half-open already */
	succeed_one(&b, 6 * NS_PER_S, 6 * NS_PER_S, &random);
	assert_false(breaker_probed(&b, 7 * NS_PER_S));
	assert_int_equal(b.state, BREAKER_CLOSED);
}

static void with_nothing_to_decide_it_closes_when_its_time_is_over(void **state)
{
	struct breaker b = opened_at(0, &exact);
	assert_false(breaker_rest(&b, OPEN_NS - 1));
	assert_int_equal(b.state, BREAKER_OPEN);
	assert_true(breaker_rest(&b, OPEN_NS));
	changed(&b, BREAKER_HALF_OPEN, BREAKER_CLOSED, BREAKER_BY_REST);
	assert_false(breaker_rest(&b, OPEN_NS));
	breaker_set_mode(&b, BREAKER_HELD_OPEN, OPEN_NS);
	assert_false(breaker_rest(&b, INSTANT_NEVER - 1));
}

/* ---- what counts ---- */

static void the_settings_say_what_counts_and_else_what_is_of_capacity_does(void **state)
{
	struct breaker_settings settings = exact;
	struct breaker b = breaker_with(&settings);
	for (enum outcome o = OUTCOME_OK; o < OUTCOME_COUNT; o++)
		assert_int_equal(breaker_counts(&b, o), outcome_is_capacity(o));
	settings.failures = 1U << OUTCOME_FULL | 1U << OUTCOME_PROTOCOL;
	b = breaker_with(&settings);
	for (enum outcome o = OUTCOME_OK; o < OUTCOME_COUNT; o++)
		assert_int_equal(breaker_counts(&b, o), o == OUTCOME_FULL || o == OUTCOME_PROTOCOL);
}

/* ---- by hand ---- */

static void held_open_it_lets_nothing_through_until_it_is_told_to(void **state)
{
	struct breaker b = breaker_with(&exact);
	struct random random = seeded();
	breaker_set_mode(&b, BREAKER_HELD_OPEN, 5);
	changed(&b, BREAKER_CLOSED, BREAKER_OPEN, BREAKER_BY_HAND);
	assert_int_equal(breaker_deadline(&b), INSTANT_NEVER);
	refuses(&b, 1000 * OPEN_NS);
	assert_false(breaker_probed(&b, 1000 * OPEN_NS));
	breaker_cap(&b, 0);
	refuses(&b, 1000 * OPEN_NS);
	/* An attempt decides what comes after. */
	breaker_set_mode(&b, BREAKER_AUTO, 1000 * OPEN_NS);
	changed(&b, BREAKER_OPEN, BREAKER_HALF_OPEN, BREAKER_BY_HAND);
	fail_one(&b, 1000 * OPEN_NS, &random);
	assert_int_equal(b.until, 1001 * OPEN_NS);
}

static void held_closed_it_lets_all_through_and_counts_nothing(void **state)
{
	struct breaker b = opened_at(0, &exact);
	struct random random = seeded();
	breaker_set_mode(&b, BREAKER_HELD_CLOSED, 5);
	changed(&b, BREAKER_OPEN, BREAKER_CLOSED, BREAKER_BY_HAND);
	for (int i = 0; i < 100; i++)
		fail_one(&b, i, &random);
	assert_int_equal(b.state, BREAKER_CLOSED);
	breaker_set_mode(&b, BREAKER_AUTO, 5);
	fail_one(&b, 6, &random);
	fail_one(&b, 6, &random);
	assert_int_equal(b.state, BREAKER_CLOSED);
	fail_one(&b, 6, &random);
	assert_int_equal(b.state, BREAKER_OPEN);
}

static void with_metrics_only_it_says_what_it_would_do_and_refuses_nothing(void **state)
{
	struct breaker_settings settings = exact;
	struct random random = seeded();
	settings.mode = BREAKER_METRICS;
	struct breaker b = opened_at(0, &settings);
	assert_int_equal(b.judged, BREAKER_OPEN);
	assert_int_equal(b.state, BREAKER_CLOSED);
	assert_int_equal(b.spared, 0);
	struct breaker_pass early = admit(&b, 1);
	assert_int_equal(b.spared, 1);
	/* As if it had not been. */
	breaker_succeeded(&b, &early, 2, &random);
	assert_int_equal(b.judged, BREAKER_OPEN);
	struct breaker_pass place = admit(&b, OPEN_NS);
	assert_int_equal(b.judged, BREAKER_HALF_OPEN);
	struct breaker_pass over = admit(&b, OPEN_NS);
	assert_int_equal(b.spared, 2);
	assert_int_equal(b.probing, 1);
	breaker_abandoned(&b, &over);
	assert_int_equal(b.probing, 1);
	breaker_failed(&b, &place, OPEN_NS, &random);
	assert_int_equal(b.judged, BREAKER_OPEN);
	assert_int_equal(b.state, BREAKER_CLOSED);
	/* Put in charge, it does what it would have done. */
	breaker_set_mode(&b, BREAKER_AUTO, OPEN_NS);
	assert_int_equal(b.state, BREAKER_OPEN);
	refuses(&b, OPEN_NS);
}

static void the_hand_outlasts_settings_that_say_the_same_as_before(void **state)
{
	struct breaker_settings settings = exact;
	struct breaker b = breaker_with(&settings);
	breaker_set_mode(&b, BREAKER_HELD_OPEN, 1);
	settings.failure_threshold = 5;
	breaker_configure(&b, &settings, 2);
	assert_int_equal(b.mode, BREAKER_HELD_OPEN);
	settings.mode = BREAKER_METRICS;
	breaker_configure(&b, &settings, 3);
	assert_int_equal(b.mode, BREAKER_METRICS);
	assert_int_equal(b.state, BREAKER_CLOSED);
	assert_int_equal(b.judged, BREAKER_HALF_OPEN);
	settings.enabled = false;
	breaker_configure(&b, &settings, 4);
	assert_int_equal(b.judged, BREAKER_CLOSED);
}

static void held_open_from_the_start_it_is_open_from_the_start(void **state)
{
	struct breaker_settings settings = exact;
	settings.mode = BREAKER_HELD_OPEN;
	struct breaker b = breaker_with(&settings);
	assert_int_equal(b.state, BREAKER_OPEN);
	refuses(&b, 1000 * OPEN_NS);
}

/* ---- what is remembered ---- */

static void changes_are_counted_and_the_last_are_remembered(void **state)
{
	struct breaker b = opened_at(0, &exact);
	struct random random = seeded();
	for (int i = 1; i <= 5; i++)
		fail_one(&b, i * OPEN_NS, &random); /* half-open, and open again */
	assert_int_equal(b.changes_count, 11);
	assert_int_equal(b.transitions[BREAKER_CLOSED][BREAKER_OPEN], 1);
	assert_int_equal(b.transitions[BREAKER_OPEN][BREAKER_HALF_OPEN], 5);
	assert_int_equal(b.transitions[BREAKER_HALF_OPEN][BREAKER_OPEN], 5);
	assert_int_equal(breaker_change(&b, 0)->at, 5 * OPEN_NS);
	assert_int_equal(breaker_change(&b, 2)->at, 4 * OPEN_NS);
	assert_non_null(breaker_change(&b, BREAKER_CHANGES - 1));
	assert_null(breaker_change(&b, BREAKER_CHANGES));
	b = breaker_with(&exact);
	assert_null(breaker_change(&b, 0));
}

static void switched_off_it_never_opens(void **state)
{
	struct breaker_settings settings = exact;
	struct random random = seeded();
	settings.enabled = false;
	struct breaker b = breaker_with(&settings);
	for (int i = 0; i < 100; i++)
		fail_one(&b, i, &random);
	assert_int_equal(b.state, BREAKER_CLOSED);
	assert_int_equal(b.opened_count, 0);
}

static void an_end_without_an_attempt_is_a_bug(void **state)
{
	struct breaker b = breaker_with(&exact);
	struct random random = seeded();
	struct breaker_pass pass = {0};
	assert_true(IS_BUG(breaker_succeeded(&b, &pass, 0, &random)));
	assert_true(IS_BUG(breaker_failed(&b, &pass, 0, &random)));
	assert_true(IS_BUG(breaker_abandoned(&b, &pass)));
}

static void names_are_those_that_users_see(void **state)
{
	assert_string_equal(breaker_state_name(BREAKER_CLOSED), "closed");
	assert_string_equal(breaker_state_name(BREAKER_OPEN), "open");
	assert_string_equal(breaker_state_name(BREAKER_HALF_OPEN), "half_open");
	assert_string_equal(breaker_mode_name(BREAKER_AUTO), "auto");
	assert_string_equal(breaker_mode_name(BREAKER_HELD_OPEN), "open");
	assert_string_equal(breaker_mode_name(BREAKER_HELD_CLOSED), "closed");
	assert_string_equal(breaker_mode_name(BREAKER_METRICS), "metrics");
	for (enum breaker_cause cause = 0; cause < BREAKER_CAUSE_COUNT; cause++)
		assert_true(*breaker_cause_name(cause));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_opens_after_three_failures_in_a_row),
		cmocka_unit_test(a_success_between_starts_the_count_over),
		cmocka_unit_test(what_tells_nothing_of_the_path_neither_counts_nor_clears),
		cmocka_unit_test(while_open_nothing_is_let_through_for_sixty_seconds),
		cmocka_unit_test(half_open_lets_a_bounded_number_of_probes_through),
		cmocka_unit_test(one_success_closes_it),
		cmocka_unit_test(one_failed_probe_opens_it_again),
		cmocka_unit_test(each_failed_probe_doubles_the_time_open_up_to_a_most),
		cmocka_unit_test(the_time_open_is_jittered_around_its_setting),
		cmocka_unit_test(a_phase_that_ends_sooner_can_shorten_the_time_open),
		cmocka_unit_test(attempts_from_before_it_opened_do_not_move_it_while_open),
		cmocka_unit_test(
			attempts_from_before_it_opened_hold_no_place_and_their_failure_is_no_news),
		cmocka_unit_test(a_place_of_an_opening_before_is_not_given_back_twice),
		cmocka_unit_test(it_opens_when_half_of_the_last_attempts_failed),
		cmocka_unit_test(few_attempts_are_no_rate),
		cmocka_unit_test(old_attempts_do_not_count),
		cmocka_unit_test(slow_successes_open_it_where_their_rate_is_looked_at),
		cmocka_unit_test(the_longest_window_forgets_what_is_older),
		cmocka_unit_test(a_light_probe_that_gets_through_makes_it_half_open_at_once),
		cmocka_unit_test(with_nothing_to_decide_it_closes_when_its_time_is_over),
		cmocka_unit_test(the_settings_say_what_counts_and_else_what_is_of_capacity_does),
		cmocka_unit_test(held_open_it_lets_nothing_through_until_it_is_told_to),
		cmocka_unit_test(held_closed_it_lets_all_through_and_counts_nothing),
		cmocka_unit_test(with_metrics_only_it_says_what_it_would_do_and_refuses_nothing),
		cmocka_unit_test(the_hand_outlasts_settings_that_say_the_same_as_before),
		cmocka_unit_test(held_open_from_the_start_it_is_open_from_the_start),
		cmocka_unit_test(changes_are_counted_and_the_last_are_remembered),
		cmocka_unit_test(switched_off_it_never_opens),
		cmocka_unit_test(an_end_without_an_attempt_is_a_bug),
		cmocka_unit_test(names_are_those_that_users_see),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
