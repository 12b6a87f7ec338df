#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scene.h"
#include "sim/world.h"

#define S NS_PER_S

static void users_come_at_the_rate_and_are_served(void **state)
{
	for (int standpipe = 0; standpipe < 2; standpipe++) {
		struct scene s;
		struct world w;
		scene_init(&s, standpipe);
		s.scenario.load.rate = 100;
		s.scenario.load.at_ns = 10 * S;
		scene_open(&s, &w, 3);
		world_play(&w, 50 * S);
		/* 4000 are expected; ten standard deviations are 632. */
		assert_in_range(w.load.requests, 3400, 4600);
		assert_int_equal(w.load.failed, 0);
		scene_close(&s, &w);
	}
}

static void nobody_is_up_so_users_fail_after_their_tries(void **state)
{
	struct scene s;
	struct world w;

	scene_init(&s, false);
	s.scenario.load.rate = 10;
	s.scenario.service.start_min_ns = s.scenario.service.start_max_ns = 50 * S;
	scene_open(&s, &w, 1);
	world_play(&w, 40 * S);
	/* Those who came in the last two seconds still try. */
	assert_int_equal(w.load.served, 0);
	assert_true(w.load.failed > 300);
	scene_close(&s, &w);
}

/* The service works on for users who have gone, and so fewer are served than it could serve. */
static void an_overload_works_for_those_who_have_gone(void **state)
{
	struct scene s;
	struct world w;

	scene_init(&s, false);
	s.scenario.instances = 1;
	s.scenario.database.cores = 1;
	s.scenario.load.rate = 20;
	s.scenario.load.transaction_ns = S / 10;
	s.scenario.load.timeout_ns = S;
	s.scenario.load.retries = 0;
	scene_open(&s, &w, 1);
	world_play(&w, 60 * S);
	assert_int_equal(w.database.busy, 1);
	assert_true(w.load.served < 100);
	assert_true(w.load.failed > 900);
	scene_close(&s, &w);
}

/* Two hundred answers a second of 50 kB are 80 Mbit/s: a path for 40 serves half of them in time. */
static void a_path_too_narrow_for_the_answers_holds_them_up(void **state)
{
	double rate[2];
	for (int narrow = 0; narrow < 2; narrow++) {
		struct scene s;
		scene_init(&s, true);
		s.scenario.load.rate = 200;
		s.scenario.load.at_ns = 5 * S;
		s.scenario.load.bytes = 50000;
		s.scenario.load.timeout_ns = S;
		s.scenario.load.retries = 0;
		s.scenario.settle_ns = 50 * S;
		s.scenario.path.bandwidth_bit_s = narrow ? 40e6 : 1e9;
		scene_play(&s, 1);
		rate[narrow] = scene_value(&s, METRIC_SERVED_RATE);
		scene_end(&s);
	}
	assert_true(rate[0] == 1);
	assert_true(rate[1] < 0.7);
}

static void the_platform_starts_more_when_more_is_under_way(void **state)
{
	struct scene s;
	scene_init(&s, true);
	/* By Little's law 100 a second for 0.2 s each are 20 under way: more than 9 times 2. */
	s.scenario.load.rate = 100;
	s.scenario.load.at_ns = 5 * S;
	s.scenario.load.transaction_ns = S / 5;
	s.scenario.database.cores = 64;
	s.scenario.platform.scale_at = 2;
	s.scenario.platform.instances_max = 9;
	s.scenario.settle_ns = 30 * S;
	scene_play(&s, 1);
	assert_int_equal(scene_value(&s, METRIC_INSTANCES), 9);
	assert_int_equal(scene_value(&s, METRIC_READY), 9);
	scene_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(users_come_at_the_rate_and_are_served),
		cmocka_unit_test(nobody_is_up_so_users_fail_after_their_tries),
		cmocka_unit_test(an_overload_works_for_those_who_have_gone),
		cmocka_unit_test(a_path_too_narrow_for_the_answers_holds_them_up),
		cmocka_unit_test(the_platform_starts_more_when_more_is_under_way),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
