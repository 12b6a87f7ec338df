/* What growth relies on: a burst is no standing queue, and each answer buys some time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/standing.h"

static const instant ms = NS_PER_MS;
static const struct standing_settings settings = {.interval_ns = 200 * NS_PER_MS};

static void an_empty_queue_is_none(void **state)
{
	struct standing s;
	standing_init(&s, &settings);
	assert_int_equal(standing_at(&s), INSTANT_NEVER);
	standing_answered(&s, 5 * ms); /* a first server is no answer to it */
	assert_int_equal(standing_at(&s), INSTANT_NEVER);
}

static void a_burst_that_drains_is_none(void **state)
{
	struct standing s;
	standing_init(&s, &settings);
	standing_update(&s, true, 10 * ms);
	standing_update(&s, true, 150 * ms);
	assert_int_equal(standing_at(&s), 210 * ms);
	standing_update(&s, false, 209 * ms);
	assert_int_equal(standing_at(&s), INSTANT_NEVER);
	standing_update(&s, true, 300 * ms);
	assert_int_equal(standing_at(&s), 500 * ms);
}

static void each_answer_buys_less_time(void **state)
{
	struct standing s;
	standing_init(&s, &settings);
	standing_update(&s, true, 0);
	assert_int_equal(standing_at(&s), 200 * ms);
	standing_answered(&s, 200 * ms);
	assert_int_equal(standing_at(&s), 300 * ms);
	standing_answered(&s, 300 * ms);
	assert_int_equal(standing_at(&s), 300 * ms + 200 * ms / 3);
	standing_update(&s, false, 310 * ms);
	standing_update(&s, true, 320 * ms);
	assert_int_equal(standing_at(&s), 520 * ms); /* another queue */
}

static void without_an_interval_every_queue_stands(void **state)
{
	struct standing s;
	standing_init(&s, &(struct standing_settings){0});
	standing_update(&s, true, 3 * ms);
	assert_int_equal(standing_at(&s), 3 * ms);
	standing_answered(&s, 4 * ms);
	assert_int_equal(standing_at(&s), 4 * ms);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_queue_is_none),
		cmocka_unit_test(a_burst_that_drains_is_none),
		cmocka_unit_test(each_answer_buys_less_time),
		cmocka_unit_test(without_an_interval_every_queue_stands),
	};
	return cmocka_run_group_tests_name("core/standing", tests, NULL, NULL);
}
