#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scene.h"
#include "sim/world.h"

#define S NS_PER_S

static void who_finds_no_place_is_told_53300(void **state)
{
	struct scene s;

	/* 4 x 3 connections are wanted, 10 - 3 may be had. */
	scene_init(&s, false);
	s.scenario.database.max_connections = 10;
	scene_set(&s, "DB_INITIALIZATION_TIMEOUT=5");
	scene_play(&s, 1);
	assert_true(scene_value(&s, METRIC_REFUSED_53300) > 0);
	assert_true(scene_value(&s, METRIC_READY) < 4);
	assert_in_range(scene_value(&s, METRIC_PEAK_CONNECTIONS), 5, 7);
	scene_end(&s);
	/* Behind Standpipe they fit. */
	scene_init(&s, true);
	s.scenario.database.max_connections = 10;
	scene_play(&s, 1);
	assert_int_equal(scene_value(&s, METRIC_REFUSED_53300), 0);
	assert_int_equal(scene_value(&s, METRIC_READY), 4);
	scene_end(&s);
}

static void work_beyond_its_cores_waits(void **state)
{
	struct scene s;
	struct world w;

	scene_init(&s, false);
	s.scenario.service.start_max_ns = s.scenario.service.start_min_ns;
	s.scenario.database.login_ns = S;
	scene_open(&s, &w, 1);
	world_play(&w, S + S / 2);
	assert_int_equal(w.database.busy, 2);
	assert_int_equal(w.database.backends, 12);
	assert_int_equal(w.database.sessions, 0);
	/* Two a second. */
	world_play(&w, 3 * S + S / 2);
	assert_int_equal(w.database.sessions, 4);
	scene_close(&s, &w);
}

static void a_restart_cuts_all_and_all_come_back(void **state)
{
	for (int standpipe = 0; standpipe < 2; standpipe++) {
		struct scene s;
		struct world w;
		scene_init(&s, standpipe);
		s.scenario.load.rate = 20;
		s.scenario.faults[0] = (struct scenario_fault){
			.at_ns = 10 * S, .kind = FAULT_DATABASE_RESTART, .for_ns = 3 * S};
		s.scenario.fault_count = 1;
		scene_open(&s, &w, 1);
		world_play(&w, 10 * S - 1);
		assert_int_equal(w.fleet.ready, 4);
		assert_true(w.database.sessions >= 4);
		world_play(&w, 11 * S);
		assert_int_equal(w.database.backends, 0);
		assert_int_equal(w.connector.flows, 0);
		assert_int_equal(w.fleet.ready, 4);
		world_play(&w, 60 * S);
		assert_int_equal(w.fleet.died, 0);
		assert_true(w.database.sessions >= 4);
		assert_true(w.measure.milestones.recovered_ns > 0);
		scene_close(&s, &w);
	}
}

static void while_it_starts_it_takes_nobody(void **state)
{
	struct scene s;
	struct world w;

	scene_init(&s, false);
	scene_open(&s, &w, 1);
	database_stop(&w);
	database_start(&w);
	assert_int_equal(w.database.state, DATABASE_STARTING);
	world_play(&w, S);
	assert_int_equal(w.database.state, DATABASE_UP);
	scene_close(&s, &w);
}

/* A server that is gone refuses nobody; the one that takes its place is slow at first. */
static void a_failover_is_silent_and_then_cold(void **state)
{
	struct scene s;
	struct world w;

	scene_init(&s, true);
	s.scenario.faults[0] = (struct scenario_fault){
		.at_ns = 10 * S, .kind = FAULT_FAILOVER, .for_ns = 10 * S, .factor = 100};
	s.scenario.fault_count = 1;
	s.scenario.duration_ns = 120 * S;
	scene_open(&s, &w, 1);
	world_play(&w, 9 * S);
	assert_int_equal(w.database.sessions, 4);
	int64_t dropped = w.connector.dropped;
	world_play(&w, 19 * S);
	assert_int_equal(w.database.sessions, 0);
	assert_true(w.connector.dropped > dropped);
	for (int i = 0; i < 4; i++)
		assert_int_equal(w.fleet.list[i].gate->engine.attempts_ended[OUTCOME_REFUSED], 0);
	world_play(&w, 20 * S + S / 10);
	assert_int_equal(w.database.cold_until, 30 * S);
	world_play(&w, 120 * S);
	assert_int_equal(w.database.sessions, 4);
	assert_int_equal(w.fleet.died, 0);
	scene_close(&s, &w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_finds_no_place_is_told_53300),
		cmocka_unit_test(work_beyond_its_cores_waits),
		cmocka_unit_test(a_restart_cuts_all_and_all_come_back),
		cmocka_unit_test(while_it_starts_it_takes_nobody),
		cmocka_unit_test(a_failover_is_silent_and_then_cold),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
