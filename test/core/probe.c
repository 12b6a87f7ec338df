#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bug.h"
#include "core/probe.h"

#define S NS_PER_S

static const struct probe_settings usual = {5 * S, 15 * S, 60 * S, 3 * S};

static struct random seeded(void)
{
	struct random random;
	random_init(&random, 3);
	return random;
}

static struct probe probe_with(const struct probe_settings *settings, struct random *random)
{
	struct probe p;
	probe_init(&p, settings, 0, random);
	return p;
}

static void it_is_due_half_to_one_and_a_half_of_its_time_after_the_last_news(void **state)
{
	struct random random = seeded();
	struct probe p = probe_with(&usual, &random);
	int64_t least_ns = INT64_MAX, most_ns = 0;
	for (int i = 0; i < 1000; i++) {
		probe_told(&p, true, 100 * S, &random);
		int64_t after_ns = p.open_at - 100 * S;
		least_ns = after_ns < least_ns ? after_ns : least_ns;
		most_ns = after_ns > most_ns ? after_ns : most_ns;
		assert_in_range(p.idle_at, 130 * S, 190 * S);
	}
	assert_in_range(least_ns, 5 * S / 2, 26 * S / 10);
	assert_in_range(most_ns, 74 * S / 10, 15 * S / 2);
}

/* Whatever a probe finds: how late it is found out is a share of how long it lasted. */
static void it_is_asked_after_a_tenth_of_the_time_that_it_has_been_open_within_bounds(void **state)
{
	static const struct {
		int64_t after_s, interval_s;
	} expected[] = {{0, 5}, {50, 5}, {80, 8}, {150, 15}, {1000, 15}};
	struct random random = seeded();
	struct probe p = probe_with(&usual, &random);
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		instant now = (7 + expected[i].after_s) * S;
		probe_told(&p, false, now, &random);
		assert_int_equal(p.since, 7 * S);
		assert_in_range(p.open_at - now, expected[i].interval_s * S / 2,
			expected[i].interval_s * S * 3 / 2);
		if (expected[i].interval_s > 5)
			assert_true(p.open_at - now > 5 * S / 2);
	}
	probe_told(&p, true, 2000 * S, &random);
	probe_told(&p, false, 2001 * S, &random);
	assert_int_equal(p.since, 2001 * S);
}

static void what_a_probe_found_is_remembered(void **state)
{
	struct random random = seeded();
	struct probe p = probe_with(&usual, &random);
	const struct path_attempt failed = {.outcome = OUTCOME_TIMEOUT, .stage = STAGE_TCP};
	probe_begin(&p, false, 7 * S);
	probe_end(&p, &failed, 9 * S, &random);
	assert_int_equal(p.last.outcome, OUTCOME_TIMEOUT);
	assert_int_equal(p.ended[OUTCOME_TIMEOUT], 1);
	assert_int_equal(p.began_at, 7 * S);
	assert_int_equal(p.ended_at, 9 * S);
	assert_in_range(p.open_at, 9 * S + 5 * S / 2, 9 * S + 15 * S / 2);
}

static void times_of_zero_are_never_due_and_draw_nothing(void **state)
{
	struct random random = seeded(), before = random;
	struct probe_settings off = {0};
	struct probe p = probe_with(&off, &random);
	probe_told(&p, true, 5, &random);
	assert_int_equal(p.open_at, INSTANT_NEVER);
	assert_int_equal(p.idle_at, INSTANT_NEVER);
	assert_true(random.state == before.state);
}

static void a_most_below_the_first_does_not_shorten_it(void **state)
{
	struct random random = seeded();
	struct probe_settings settings = usual;
	settings.interval_max_ns = S;
	struct probe p = probe_with(&settings, &random);
	probe_told(&p, false, 0, &random);
	probe_told(&p, false, 1000 * S, &random);
	assert_in_range(p.open_at, 1000 * S + 5 * S / 2, 1000 * S + 15 * S / 2);
}

static void other_settings_hold_at_once(void **state)
{
	struct random random = seeded();
	struct probe p = probe_with(&usual, &random);
	struct probe_settings settings = {20 * S, 60 * S, 0, S};
	probe_configure(&p, &settings, 100 * S, &random);
	assert_in_range(p.open_at, 110 * S, 130 * S);
	assert_int_equal(p.idle_at, INSTANT_NEVER);
}

static void two_at_a_time_are_a_bug(void **state)
{
	struct random random = seeded();
	struct probe p = probe_with(&usual, &random);
	const struct path_attempt good = {.outcome = OUTCOME_OK, .stage = STAGE_TLS};
	assert_true(IS_BUG(probe_end(&p, &good, 0, &random)));
	probe_begin(&p, true, 0);
	assert_true(IS_BUG(probe_begin(&p, true, 0)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_due_half_to_one_and_a_half_of_its_time_after_the_last_news),
		cmocka_unit_test(
			it_is_asked_after_a_tenth_of_the_time_that_it_has_been_open_within_bounds),
		cmocka_unit_test(what_a_probe_found_is_remembered),
		cmocka_unit_test(times_of_zero_are_never_due_and_draw_nothing),
		cmocka_unit_test(a_most_below_the_first_does_not_shorten_it),
		cmocka_unit_test(other_settings_hold_at_once),
		cmocka_unit_test(two_at_a_time_are_a_bug),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
