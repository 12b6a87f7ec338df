#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "report/runs.h"

/* Twenty runs: makespans of 1 to 18 s, and two that were never all up. */
static struct runs twenty(void)
{
	struct runs r;

	runs_init(&r, 20);
	for (int run = 0; run < 20; run++) {
		/* In no order. */
		int place = (run * 7) % 20;
		for (int m = 0; m < METRICS; m++)
			runs_at(&r, run)[m] = NAN;
		runs_at(&r, run)[METRIC_MAKESPAN_S] = place < 18 ? place + 1 : NAN;
		runs_at(&r, run)[METRIC_READY] = place < 18 ? 4 : 3;
	}
	return r;
}

static void what_never_came_is_later_than_all_that_did(void **state)
{
	struct runs r = twenty();

	assert_true(runs_quantile(&r, METRIC_MAKESPAN_S, 0.05) == 1);
	assert_true(runs_quantile(&r, METRIC_MAKESPAN_S, 0.5) == 10);
	assert_true(runs_quantile(&r, METRIC_MAKESPAN_S, 0.9) == 18);
	assert_true(isnan(runs_quantile(&r, METRIC_MAKESPAN_S, 0.95)));
	assert_int_equal(runs_measured(&r, METRIC_MAKESPAN_S), 18);
	assert_int_equal(runs_measured(&r, METRIC_DIED), 0);
	runs_release(&r);
}

static void an_expectation_holds_in_so_many(void **state)
{
	struct runs r = twenty();
	struct expect e;

	assert_null(expect_parse(&e, "arm.ready == 4"));
	assert_int_equal(runs_hold(&r, &e), 18);
	/* What was not measured holds nowhere. */
	assert_null(expect_parse(&e, "arm.makespan_s > 0"));
	assert_int_equal(runs_hold(&r, &e), 18);
	runs_release(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_never_came_is_later_than_all_that_did),
		cmocka_unit_test(an_expectation_holds_in_so_many),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
