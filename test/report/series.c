#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "report/series.h"

/* However long an arm lasts, its series keeps its size, and no request is lost on the way. */
static void a_long_series_is_thinned_out(void **state)
{
	struct series s = {0};
	int served = 0;

	for (int i = 0; i < 10 * SERIES_MAX; i++)
		series_add(&s, &(struct series_point){.at_s = i, .served = 1});
	assert_in_range(s.count, SERIES_MAX / 2, SERIES_MAX - 1);
	for (int i = 0; i < s.count; i++) {
		served += s.points[i].served;
		if (i > 0)
			assert_true(s.points[i].at_s - s.points[i - 1].at_s == s.every);
	}
	assert_int_equal(served + s.served, 10 * SERIES_MAX);
	series_release(&s);
}

static void a_short_one_is_kept_whole(void **state)
{
	struct series s = {0};

	for (int i = 0; i < 10; i++)
		series_add(&s, &(struct series_point){.at_s = i, .ready = i});
	assert_int_equal(s.count, 10);
	assert_int_equal(s.points[9].ready, 9);
	series_release(&s);
	assert_null(s.points);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_long_series_is_thinned_out),
		cmocka_unit_test(a_short_one_is_kept_whole),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
