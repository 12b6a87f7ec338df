#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/instant.h"
#include "scenario/platform.h"

static void restarts_back_off_to_the_maximum(void **state)
{
	const struct platform_settings p = {
		.restart_delay_ns = NS_PER_S,
		.restart_factor = 2,
		.restart_max_ns = 5 * NS_PER_S,
	};
	const int64_t expected_s[] = {1, 2, 4, 5, 5};

	(void)state;
	for (int i = 0; i < 5; i++)
		assert_int_equal(platform_restart_ns(&p, i + 1), expected_s[i] * NS_PER_S);
	assert_int_equal(platform_restart_ns(&p, 1000000), 5 * NS_PER_S);
}

static void a_factor_of_one_keeps_the_delay(void **state)
{
	const struct platform_settings p = {
		.restart_delay_ns = 7,
		.restart_factor = 1,
		.restart_max_ns = 100,
	};

	(void)state;
	assert_int_equal(platform_restart_ns(&p, 1), 7);
	assert_int_equal(platform_restart_ns(&p, 50), 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(restarts_back_off_to_the_maximum),
		cmocka_unit_test(a_factor_of_one_keeps_the_delay),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
