#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/instant.h"

static void adding_to_never_stays_never(void **state)
{
	assert_int_equal(instant_add(INSTANT_NEVER, -NS_PER_S), INSTANT_NEVER);
	assert_int_equal(instant_add(INSTANT_NEVER, NS_PER_S), INSTANT_NEVER);
}

static void a_sum_too_large_is_never(void **state)
{
	assert_int_equal(instant_add(INSTANT_NEVER - 5, 4), INSTANT_NEVER - 1);
	assert_int_equal(instant_add(INSTANT_NEVER - 5, 6), INSTANT_NEVER);
	assert_int_equal(instant_add(1, INT64_MAX), INSTANT_NEVER);
	assert_int_equal(instant_add(10, -15), -5);
}

static void seconds_are_rounded_to_the_nearest_nanosecond(void **state)
{
	assert_int_equal(ns_from_s(1.5), 1500 * NS_PER_MS);
	assert_int_equal(ns_from_s(0.1), 100 * NS_PER_MS);
	assert_int_equal(ns_from_s(-0.1), -100 * NS_PER_MS);
	assert_int_equal(ns_from_s(90), 90 * NS_PER_S);
	assert_true(s_from_ns(2500 * NS_PER_MS) == 2.5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(adding_to_never_stays_never),
		cmocka_unit_test(a_sum_too_large_is_never),
		cmocka_unit_test(seconds_are_rounded_to_the_nearest_nanosecond),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
