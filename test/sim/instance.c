#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scene.h"
#include "sim/world.h"

#define S NS_PER_S

static void what_fails_is_started_again_after_1_2_and_4_seconds(void **state)
{
	/* Each start asks after a second, gives up after one more, and pauses. */
	static const int64_t started_s[] = {0, 3, 7, 13};
	struct scene s;
	struct world w;

	scene_init(&s, false);
	scene_set(&s, "DB_INITIALIZATION_TIMEOUT=1");
	s.scenario.instances = 1;
	s.scenario.service.start_max_ns = s.scenario.service.start_min_ns;
	scene_open(&s, &w, 1);
	w.connector.down_until = INSTANT_NEVER;
	for (int i = 0; i < 4; i++) {
		world_play(&w, started_s[i] * S);
		assert_int_equal(w.fleet.starts, i + 1);
		world_play(&w, started_s[i] * S + 2 * S - 1);
		assert_int_equal(w.fleet.failed, i);
		world_play(&w, started_s[i] * S + 2 * S);
		assert_int_equal(w.fleet.failed, i + 1);
	}
	assert_int_equal(s.result.exits[0].code, 3);
	assert_int_equal(s.result.exits[0].count, 4);
	scene_close(&s, &w);
}

static void what_is_not_ready_in_time_is_killed(void **state)
{
	for (int standpipe = 0; standpipe < 2; standpipe++) {
		struct scene s;
		struct world w;
		scene_init(&s, standpipe);
		scene_set(&s, "DB_INITIALIZATION_TIMEOUT=100");
		s.scenario.platform.probe_timeout_ns = 5 * S;
		scene_open(&s, &w, 1);
		w.connector.down_until = INSTANT_NEVER;
		world_play(&w, 5 * S);
		assert_int_equal(w.fleet.failed, 4);
		assert_int_equal(s.result.exits[0].code, INSTANCE_EXIT_KILLED);
		scene_close(&s, &w);
	}
}

static void a_deploy_ends_an_old_one_for_each_new_one(void **state)
{
	for (int at_a_time = 0; at_a_time < 3; at_a_time++) {
		struct scene s;
		struct world w;
		scene_init(&s, at_a_time % 2);
		s.scenario.faults[0] = (struct scenario_fault){
			.at_ns = 10 * S, .kind = FAULT_DEPLOY, .instances = at_a_time};
		s.scenario.fault_count = 1;
		scene_open(&s, &w, 1);
		for (instant at = 10 * S; at < 30 * S; at += S / 10) {
			world_play(&w, at);
			assert_true(w.fleet.ready >= 4);
			int under_way = w.fleet.starting + w.fleet.waiting;
			assert_true(under_way <= (at_a_time ? at_a_time : 4));
		}
		assert_int_equal(w.fleet.ready, 4);
		for (int i = 0; i < 8; i++)
			assert_int_equal(
				w.fleet.list[i].state, i < 4 ? INSTANCE_RETIRED : INSTANCE_READY);
		assert_int_equal(w.fleet.died, 0);
		scene_close(&s, &w);
	}
}

static void a_scale_out_adds_instances(void **state)
{
	struct scene s;

	scene_init(&s, true);
	s.scenario.faults[0] = (struct scenario_fault){
		.at_ns = 10 * S, .kind = FAULT_SCALE_OUT, .instances = 3};
	s.scenario.fault_count = 1;
	scene_play(&s, 1);
	assert_int_equal(scene_value(&s, METRIC_INSTANCES), 7);
	assert_int_equal(scene_value(&s, METRIC_READY), 7);
	scene_end(&s);
}

/* The service's liveness asks a database that does not answer: killed after three in a row. */
static void a_health_that_asks_the_database_kills_the_fleet(void **state)
{
	for (int health = HEALTH_PROCESS; health <= HEALTH_DATABASE; health++) {
		struct scene s;
		scene_init(&s, false);
		s.scenario.service.health = (enum scenario_health)health;
		s.scenario.platform.liveness_path = "/health";
		s.scenario.platform.liveness_interval_ns = 2 * S;
		s.scenario.duration_ns = 120 * S;
		s.scenario.faults[0] = (struct scenario_fault){
			.at_ns = 10 * S, .kind = FAULT_PARTITION, .for_ns = 20 * S};
		s.scenario.fault_count = 1;
		scene_play(&s, 1);
		assert_int_equal(scene_value(&s, METRIC_DIED), health == HEALTH_DATABASE ? 4 : 0);
		assert_int_equal(scene_value(&s, METRIC_READY), 4);
		scene_end(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_fails_is_started_again_after_1_2_and_4_seconds),
		cmocka_unit_test(what_is_not_ready_in_time_is_killed),
		cmocka_unit_test(a_deploy_ends_an_old_one_for_each_new_one),
		cmocka_unit_test(a_scale_out_adds_instances),
		cmocka_unit_test(a_health_that_asks_the_database_kills_the_fleet),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
