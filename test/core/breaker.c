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

/* An attempt that is let through and fails. */
static void fail_one(struct breaker *b, instant now, struct random *random)
{
	assert_true(breaker_admit(b, now));
	breaker_failed(b, now, random);
}

static struct breaker opened_at(instant now, const struct breaker_settings *settings)
{
	struct breaker b = breaker_with(settings);
	struct random random;
	random_init(&random, 1);
	for (int i = 0; i < settings->failure_threshold; i++)
		fail_one(&b, now, &random);
	return b;
}

static void it_opens_after_three_failures_in_a_row(void **state)
{
	struct breaker b = breaker_with(&exact);
	struct random random;
	random_init(&random, 1);
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
	struct random random;
	random_init(&random, 1);
	for (int i = 0; i < 10; i++) {
		fail_one(&b, i, &random);
		fail_one(&b, i, &random);
		assert_true(breaker_admit(&b, i));
		breaker_succeeded(&b);
	}
	assert_int_equal(b.state, BREAKER_CLOSED);
}

static void what_tells_nothing_of_the_path_neither_counts_nor_clears(void **state)
{
	struct breaker b = breaker_with(&exact);
	struct random random;
	random_init(&random, 1);
	fail_one(&b, 1, &random);
	fail_one(&b, 2, &random);
	for (int i = 0; i < 10; i++) {
		assert_true(breaker_admit(&b, 3));
		breaker_abandoned(&b);
	}
	assert_int_equal(b.state, BREAKER_CLOSED);
	fail_one(&b, 4, &random);
	assert_int_equal(b.state, BREAKER_OPEN);
}

static void while_open_nothing_is_let_through_for_sixty_seconds(void **state)
{
	struct breaker b = opened_at(0, &exact);
	assert_false(breaker_admit(&b, 0));
	assert_false(breaker_admit(&b, OPEN_NS - 1));
	assert_int_equal(b.state, BREAKER_OPEN);
	assert_true(breaker_admit(&b, OPEN_NS));
	assert_int_equal(b.state, BREAKER_HALF_OPEN);
	assert_int_equal(breaker_deadline(&b), INSTANT_NEVER);
}

static void half_open_lets_a_bounded_number_of_probes_through(void **state)
{
	struct breaker_settings settings = exact;
	settings.probes = 2;
	struct breaker b = opened_at(0, &settings);
	assert_true(breaker_admit(&b, OPEN_NS));
	assert_true(breaker_admit(&b, OPEN_NS));
	assert_false(breaker_admit(&b, OPEN_NS));
	/* A probe that was given up makes room for the next: no waiting for ever. */
	breaker_abandoned(&b);
	assert_int_equal(b.state, BREAKER_HALF_OPEN);
	assert_true(breaker_admit(&b, OPEN_NS));
	assert_false(breaker_admit(&b, OPEN_NS));
}

static void one_success_closes_it(void **state)
{
	struct breaker b = opened_at(0, &exact);
	struct random random;
	random_init(&random, 1);
	assert_true(breaker_admit(&b, OPEN_NS));
	breaker_succeeded(&b);
	assert_int_equal(b.state, BREAKER_CLOSED);
	/* And with a clean count. */
	fail_one(&b, OPEN_NS, &random);
	fail_one(&b, OPEN_NS, &random);
	assert_int_equal(b.state, BREAKER_CLOSED);
}

static void one_failed_probe_opens_it_again(void **state)
{
	struct breaker b = opened_at(0, &exact);
	struct random random;
	random_init(&random, 1);
	assert_true(breaker_admit(&b, OPEN_NS));
	breaker_failed(&b, OPEN_NS + 5, &random);
	assert_int_equal(b.state, BREAKER_OPEN);
	assert_int_equal(b.opened_count, 2);
	assert_int_equal(breaker_deadline(&b), OPEN_NS + 5 + OPEN_NS);
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
	assert_true(breaker_admit(&b, 20 * NS_PER_S));
	breaker_cap(&b, 0); /* nothing to shorten */
	assert_int_equal(b.state, BREAKER_HALF_OPEN);
	assert_int_equal(breaker_deadline(&b), INSTANT_NEVER);
}

static void attempts_from_before_it_opened_do_not_move_it_while_open(void **state)
{
	struct breaker b = breaker_with(&exact);
	struct random random;
	random_init(&random, 1);
	for (int i = 0; i < 5; i++)
		assert_true(breaker_admit(&b, 0));
	for (int i = 0; i < 3; i++)
		breaker_failed(&b, 10, &random);
	assert_int_equal(b.state, BREAKER_OPEN);
	breaker_failed(&b, 20, &random);
	breaker_succeeded(&b);
	assert_int_equal(b.state, BREAKER_OPEN);
	assert_int_equal(b.until, 10 + OPEN_NS);
	assert_int_equal(b.opened_count, 1);
}

static void attempts_from_before_it_opened_are_probes_once_it_is_half_open(void **state)
{
	struct breaker b = breaker_with(&exact);
	struct random random;
	random_init(&random, 1);
	for (int i = 0; i < 4; i++)
		assert_true(breaker_admit(&b, 0));
	for (int i = 0; i < 3; i++)
		breaker_failed(&b, 0, &random);
	assert_false(breaker_admit(&b, OPEN_NS)); /* the fourth is still under way */
	assert_int_equal(b.state, BREAKER_HALF_OPEN);
	breaker_succeeded(&b);
	assert_int_equal(b.state, BREAKER_CLOSED);
	assert_true(breaker_admit(&b, OPEN_NS));
}

static void switched_off_it_never_opens(void **state)
{
	struct breaker_settings settings = exact;
	struct random random;
	settings.enabled = false;
	struct breaker b = breaker_with(&settings);
	random_init(&random, 1);
	for (int i = 0; i < 100; i++)
		fail_one(&b, i, &random);
	assert_int_equal(b.state, BREAKER_CLOSED);
	assert_int_equal(b.opened_count, 0);
}

static void an_end_without_an_attempt_is_a_bug(void **state)
{
	struct breaker b = breaker_with(&exact);
	struct random random;
	random_init(&random, 1);
	assert_true(IS_BUG(breaker_succeeded(&b)));
	assert_true(IS_BUG(breaker_failed(&b, 0, &random)));
	assert_true(IS_BUG(breaker_abandoned(&b)));
}

static void states_have_the_names_that_users_see(void **state)
{
	assert_string_equal(breaker_state_name(BREAKER_CLOSED), "closed");
	assert_string_equal(breaker_state_name(BREAKER_OPEN), "open");
	assert_string_equal(breaker_state_name(BREAKER_HALF_OPEN), "half_open");
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
		cmocka_unit_test(the_time_open_is_jittered_around_its_setting),
		cmocka_unit_test(a_phase_that_ends_sooner_can_shorten_the_time_open),
		cmocka_unit_test(attempts_from_before_it_opened_do_not_move_it_while_open),
		cmocka_unit_test(attempts_from_before_it_opened_are_probes_once_it_is_half_open),
		cmocka_unit_test(switched_off_it_never_opens),
		cmocka_unit_test(an_end_without_an_attempt_is_a_bug),
		cmocka_unit_test(states_have_the_names_that_users_see),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
