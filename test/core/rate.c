/* What expected waits rely on: how fast it goes while there is something to do, and no guess. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/rate.h"

#define MS NS_PER_MS

static void add(struct rate *r, int count, int64_t gap_ns)
{
	for (int i = 0; i < count; i++)
		rate_add(r, gap_ns);
}

static void nothing_is_said_before_enough_was_seen(void **state)
{
	struct rate r = {0};
	assert_true(rate_per_s(&r) == 0.0);
	add(&r, RATE_LEAST - 1, NS_PER_S);
	assert_true(rate_per_s(&r) == 0.0);
	add(&r, 1, NS_PER_S);
	assert_true(rate_per_s(&r) == 1.0);
	/* Nor of a moment in which a lot happened. */
	r = (struct rate){0};
	add(&r, 999, MS);
	assert_true(rate_per_s(&r) == 0.0);
	add(&r, 1, MS);
	assert_true(rate_per_s(&r) == 1000.0);
}

static void it_follows_within_a_time_constant_or_two(void **state)
{
	struct rate r = {0};
	add(&r, 2000, 10 * MS);
	assert_true(rate_per_s(&r) == 100.0);
	add(&r, 200, 50 * MS); /* 10 s at 20 a second */
	assert_true(rate_per_s(&r) > 45.0 && rate_per_s(&r) < 60.0);
	add(&r, 1000, 50 * MS);
	assert_true(rate_per_s(&r) > 19.9 && rate_per_s(&r) < 21.0);
}

static void one_long_gap_halves_it_at_most(void **state)
{
	struct rate r = {0};
	add(&r, 2000, 10 * MS);
	rate_add(&r, 3600 * NS_PER_S);
	assert_true(rate_per_s(&r) > 50.0 && rate_per_s(&r) < 50.1);
}

static void what_comes_at_once_is_counted(void **state)
{
	struct rate r = {0};
	for (int i = 0; i < 20; i++) {
		add(&r, 9, 0);
		rate_add(&r, 100 * MS);
	}
	assert_true(rate_per_s(&r) == 100.0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_said_before_enough_was_seen),
		cmocka_unit_test(it_follows_within_a_time_constant_or_two),
		cmocka_unit_test(one_long_gap_halves_it_at_most),
		cmocka_unit_test(what_comes_at_once_is_counted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
