#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/quantiles.h"

#define AGE (600 * NS_PER_S)

static void of_nothing_there_is_none(void **state)
{
	struct quantiles q = {0};
	assert_int_equal(quantiles_value(&q, 0.95), 0);
	assert_int_equal(quantiles_median(&q, 0, 4), 0);
	assert_int_equal(quantiles_deadline(&q, AGE, 0), INSTANT_NEVER);
	quantiles_age(&q, AGE, 0);
}

static void few_are_told_exactly(void **state)
{
	struct quantiles q = {0};
	quantiles_add(&q, 1234567, 0);
	assert_int_equal(quantiles_value(&q, 0.5), 1235 * NS_PER_US); /* to the microsecond */
	quantiles_add(&q, 9 * NS_PER_S, 0);
	assert_int_equal(quantiles_value(&q, 0.5), 1235 * NS_PER_US);
	assert_int_equal(quantiles_value(&q, 0.95), 9 * NS_PER_S);
}

static void the_ring_keeps_the_newest(void **state)
{
	struct quantiles q = {0};
	for (int ms = 1; ms <= QUANTILES_SAMPLES + 10; ms++)
		quantiles_add(&q, ms * NS_PER_MS, 0);
	assert_int_equal(q.held, QUANTILES_SAMPLES);
	assert_int_equal(quantiles_value(&q, 0.0), 11 * NS_PER_MS);
	assert_int_equal(quantiles_value(&q, 1.0), 42 * NS_PER_MS);
}

static void what_is_too_old_is_forgotten_and_the_rest_is_not(void **state)
{
	struct quantiles q = {0};
	quantiles_add(&q, 50 * NS_PER_S, 0);
	quantiles_add(&q, NS_PER_S, 300 * NS_PER_S);
	instant at = quantiles_deadline(&q, AGE, 300 * NS_PER_S);
	assert_in_range(at, 598 * NS_PER_S, 602 * NS_PER_S);
	quantiles_age(&q, AGE, at - 1);
	assert_int_equal(quantiles_value(&q, 1.0), 50 * NS_PER_S);
	quantiles_age(&q, AGE, at);
	assert_int_equal(quantiles_value(&q, 1.0), NS_PER_S);
	quantiles_age(&q, AGE, 5000 * NS_PER_S);
	assert_int_equal(quantiles_value(&q, 1.0), 0);
}

static void medians_are_of_the_newest_or_of_those_behind(void **state)
{
	struct quantiles q = {0};
	for (int ms = 1; ms <= 8; ms++)
		quantiles_add(&q, ms * NS_PER_MS, 0);
	assert_int_equal(quantiles_median(&q, 0, 4), 6500 * NS_PER_US);
	assert_int_equal(quantiles_median(&q, 4, 4), 2500 * NS_PER_US);
	assert_int_equal(quantiles_median(&q, 7, 4), 1 * NS_PER_MS);
	assert_int_equal(quantiles_median(&q, 8, 4), 0);
}

static void spans_have_bounds(void **state)
{
	struct quantiles q = {0};
	quantiles_add(&q, -5, 0);
	assert_int_equal(quantiles_value(&q, 1.0), 0);
	quantiles_add(&q, INT64_MAX / 2, 0);
	assert_int_equal(quantiles_value(&q, 1.0), UINT32_MAX * NS_PER_US);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_nothing_there_is_none),
		cmocka_unit_test(few_are_told_exactly),
		cmocka_unit_test(the_ring_keeps_the_newest),
		cmocka_unit_test(what_is_too_old_is_forgotten_and_the_rest_is_not),
		cmocka_unit_test(medians_are_of_the_newest_or_of_those_behind),
		cmocka_unit_test(spans_have_bounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
