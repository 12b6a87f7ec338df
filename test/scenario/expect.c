#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scenario/expect.h"

static bool holds(const char *text, const double *values)
{
	struct expect e;

	assert_null(expect_parse(&e, text));
	return expect_holds(&e, values);
}

static void comparisons_with_numbers_and_metrics(void **state)
{
	double v[METRICS] = {0};

	(void)state;
	v[METRIC_SUCCESS_RATE] = 1.0;
	v[METRIC_PEAK_CONNECTIONS] = 40;
	v[METRIC_BUDGET] = 50;
	v[METRIC_MAKESPAN_S] = 14;
	v[METRIC_BOUND_S] = 10;
	assert_true(holds("a.success_rate >= 1.0", v));
	assert_true(holds("a.success_rate==1", v));
	assert_false(holds("a.success_rate != 1", v));
	assert_true(holds("  a.peak_connections <= budget ", v));
	assert_false(holds("a.peak_connections > budget", v));
	assert_true(holds("a.makespan_s <= 1.5 * bound_s", v));
	assert_false(holds("a.makespan_s < 1.4*bound_s", v));
}

static void what_was_not_measured_never_holds(void **state)
{
	double v[METRICS] = {0};

	(void)state;
	v[METRIC_MAKESPAN_S] = NAN;
	assert_false(holds("a.makespan_s < 10", v));
	assert_false(holds("a.makespan_s >= 0", v));
	assert_false(holds("a.makespan_s != 3", v));
	assert_false(holds("a.starts < makespan_s", v));
}

static void the_parts_are_kept(void **state)
{
	struct expect e;

	(void)state;
	assert_null(expect_parse(&e, "direct-20s.ready_p95_s < 2 * ready_p50_s"));
	assert_string_equal(e.arm, "direct-20s");
	assert_int_equal(e.metric, METRIC_READY_P95_S);
	assert_int_equal(e.op, EXPECT_LT);
	assert_int_equal(e.other, METRIC_READY_P50_S);
	assert_true(e.factor == 2);
}

static void what_is_no_expectation_is_refused(void **state)
{
	const char *const wrong[] = {"", "success_rate > 1", ".starts > 1", "a.speed > 1",
		"a.starts", "a.starts = 1", "a.starts => 1", "a.starts > ", "a.starts > much",
		"a.starts > 2 bound_s", "a.starts > 2 * ", "a.starts > inf", "a.starts > 1 2",
		"a.starts > budget budget",
		"0123456789012345678901234567890123456789012345678901234567890123.starts > 1"};
	struct expect e;

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		assert_non_null(expect_parse(&e, wrong[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comparisons_with_numbers_and_metrics),
		cmocka_unit_test(what_was_not_measured_never_holds),
		cmocka_unit_test(the_parts_are_kept),
		cmocka_unit_test(what_is_no_expectation_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
