#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gate/pool_stats.h"

static void averages_are_of_a_second_or_of_one_of_a_kind(void **state)
{
	const struct pool_stats before = {.xact_count = 100, .xact_ns = 5000, .bytes_in = 1};
	const struct pool_stats now = {.xact_count = 160,
		.xact_ns = 5000 + 60 * 250,
		.query_count = 30,
		.query_ns = 30 * 7,
		.assigned = 3,
		.wait_ns = 12,
		.bytes_in = 61};
	struct pool_stats average = pool_stats_average(&now, &before, 30 * NS_PER_S);
	assert_int_equal(average.xact_count, 2);
	assert_int_equal(average.xact_ns, 250);
	assert_int_equal(average.query_ns, 7);
	assert_int_equal(average.wait_ns, 4);
	assert_int_equal(average.bytes_in, 2);
	/* Nothing was done, no time has passed. */
	average = pool_stats_average(&now, &now, 0);
	assert_int_equal(average.xact_count, 0);
	assert_int_equal(average.xact_ns, 0);
}

static void a_history_has_the_last_two_periods(void **state)
{
	struct pool_history history = {0};
	struct pool_stats stats = {.xact_count = 1};
	pool_history_turn(&history, &stats);
	assert_int_equal(history.before.xact_count, 0);
	stats.xact_count = 2;
	pool_history_turn(&history, &stats);
	assert_int_equal(history.before.xact_count, 1);
	assert_int_equal(history.last.xact_count, 2);
}

static void sums_have_every_figure(void **state)
{
	struct pool_stats one, sum;
	int64_t *figures = (int64_t *)&one;
	for (size_t i = 0; i < sizeof(one) / sizeof(*figures); i++)
		figures[i] = (int64_t)i + 1;
	sum = one;
	pool_stats_add(&sum, &one);
	for (size_t i = 0; i < sizeof(sum) / sizeof(*figures); i++)
		assert_int_equal(((int64_t *)&sum)[i], 2 * (i + 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(averages_are_of_a_second_or_of_one_of_a_kind),
		cmocka_unit_test(a_history_has_the_last_two_periods),
		cmocka_unit_test(sums_have_every_figure),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
