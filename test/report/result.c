#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "report/result.h"

static const struct scenario_arm arm = {.name = "a"};

static void quantiles_are_by_nearest_rank(void **state)
{
	double v[20];

	(void)state;
	for (int i = 0; i < 20; i++)
		v[i] = i + 1;
	assert_true(result_quantile(v, 20, 0.5) == 10);
	assert_true(result_quantile(v, 20, 0.95) == 19);
	assert_true(result_quantile(v, 20, 1) == 20);
	assert_true(result_quantile(v, 1, 0.5) == 1);
	assert_true(result_quantile(v, 20, 0) == 1);
	assert_true(isnan(result_quantile(v, 0, 0.5)));
}

static void the_makespan_needs_all(void **state)
{
	struct result r;
	double ready_s[] = {3, 1, 2};

	(void)state;
	result_init(&r, &arm);
	result_times(&r, ready_s, 3, 3);
	assert_true(r.values[METRIC_MAKESPAN_S] == 3);
	assert_true(r.values[METRIC_READY_P50_S] == 2);
	result_times(&r, ready_s, 3, 4);
	assert_true(isnan(r.values[METRIC_MAKESPAN_S]));
	assert_true(r.values[METRIC_READY_P95_S] == 3);
	result_times(&r, ready_s, 0, 4);
	assert_true(isnan(r.values[METRIC_READY_P50_S]));
}

static void the_bound_is_the_larger_part_and_needs_both(void **state)
{
	struct result r;

	(void)state;
	result_init(&r, &arm);
	result_bound(&r);
	assert_true(isnan(r.values[METRIC_BOUND_S]));
	r.reference_s = 7;
	result_bound(&r);
	assert_true(isnan(r.values[METRIC_BOUND_S]));
	r.earliest_s = 0.25;
	result_bound(&r);
	assert_true(r.values[METRIC_BOUND_S] == 7);
	r.earliest_s = 11;
	result_bound(&r);
	assert_true(r.values[METRIC_BOUND_S] == 11);
}

static void exits_are_counted_by_code_and_none_is_lost(void **state)
{
	struct result r;
	int sum = 0;

	(void)state;
	result_init(&r, &arm);
	result_exit(&r, 3);
	result_exit(&r, 137);
	result_exit(&r, 3);
	assert_int_equal(r.exit_count, 2);
	assert_int_equal(r.exits[0].code, 3);
	assert_int_equal(r.exits[0].count, 2);
	assert_int_equal(r.exits[1].count, 1);
	for (int code = 0; code < 100; code++)
		result_exit(&r, code);
	assert_int_equal(r.exit_count, RESULT_EXITS_MAX);
	for (int i = 0; i < r.exit_count; i++)
		sum += r.exits[i].count;
	assert_int_equal(sum, 103);
}

static void phases_are_gathered_by_name(void **state)
{
	struct result r;

	(void)state;
	result_init(&r, &arm);
	result_phase(&r, "database", 2);
	result_phase(&r, "init", 0.1);
	result_phase(&r, "database", 1);
	result_times(&r, NULL, 0, 1);
	assert_int_equal(r.phase_count, 2);
	assert_string_equal(r.phases[0].name, "database");
	assert_int_equal(r.phases[0].count, 2);
	assert_true(r.phases[0].seconds[0] == 1);
	assert_true(r.phases[0].seconds[1] == 2);
	result_release(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quantiles_are_by_nearest_rank),
		cmocka_unit_test(the_makespan_needs_all),
		cmocka_unit_test(the_bound_is_the_larger_part_and_needs_both),
		cmocka_unit_test(exits_are_counted_by_code_and_none_is_lost),
		cmocka_unit_test(phases_are_gathered_by_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
