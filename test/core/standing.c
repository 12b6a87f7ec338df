/* What growth relies on: a burst is no standing queue, and one answer buys an interval. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/standing.h"

#define MS(n) ((n)*NS_PER_MS)

static const struct standing_settings settings = {.target_ns = MS(5), .interval_ns = MS(100)};

static void a_burst_is_none(void **state)
{
	struct standing s;
	standing_init(&s, &settings);
	/* Twenty come at 0 and are served one a millisecond: the first waited less than the target,
	 * the last 20 ms, and then the queue is empty. */
	for (int i = 0; i < 20; i++) {
		standing_waited(&s, MS(i), MS(i));
		assert_true(standing_at(&s, 0) > MS(i));
	}
	/* The next client finds nobody before it. */
	standing_waited(&s, 0, MS(50));
	assert_int_equal(standing_at(&s, MS(60)), MS(60 + 5 + 100));
}

static void waits_over_the_target_for_an_interval_are_one(void **state)
{
	struct standing s;
	standing_init(&s, &settings);
	standing_waited(&s, MS(6), MS(10));
	standing_waited(&s, MS(9), MS(60));
	assert_int_equal(standing_at(&s, MS(55)), MS(110));
	standing_waited(&s, MS(4), MS(109));
	assert_int_equal(standing_at(&s, MS(108)), MS(108 + 5 + 100));
}

static void a_head_that_nobody_serves_is_one(void **state)
{
	struct standing s;
	standing_init(&s, &settings);
	assert_int_equal(standing_at(&s, MS(7)), MS(7 + 5 + 100));
}

static void an_answer_buys_an_interval(void **state)
{
	struct standing s;
	standing_init(&s, &settings);
	standing_waited(&s, MS(50), MS(50));
	standing_answered(&s, MS(150));
	assert_int_equal(standing_at(&s, MS(60)), MS(250));
}

static void without_an_interval_every_queue_stands(void **state)
{
	struct standing s;
	standing_init(&s, &(struct standing_settings){0});
	standing_answered(&s, MS(3));
	assert_int_equal(standing_at(&s, MS(2)), MS(2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_burst_is_none),
		cmocka_unit_test(waits_over_the_target_for_an_interval_are_one),
		cmocka_unit_test(a_head_that_nobody_serves_is_one),
		cmocka_unit_test(an_answer_buys_an_interval),
		cmocka_unit_test(without_an_interval_every_queue_stands),
	};
	return cmocka_run_group_tests_name("core/standing", tests, NULL, NULL);
}
