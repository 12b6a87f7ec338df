/* Groups that are held up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rig.h"

#define SEED 17

enum group { OWN, A };

/* At run time, with one server kept in the own group, which is idle, and another group. */
static struct rig *fresh(void)
{
	static struct rig r;
	rig_settings(&r);
	r.settings.growth.interval_ns = 0;
	rig_init(&r, SEED);
	rig_group(&r, A, (struct pool_group_settings){.family = A});
	rig_to_run_time(&r);
	r.now += S;
	return &r;
}

static void hold(struct rig *r, int group, enum pool_hold how)
{
	rig_group(r, group,
		(struct pool_group_settings){
			.family = group, .servers_kept = group == OWN, .hold = how});
}

static void what_is_idle_is_closed_at_once_and_not_replaced(void **state)
{
	struct rig *r = fresh();
	hold(r, OWN, HOLD_CLOSE);
	assert_int_equal(rig_count(r, ACTION_CLOSE), 1);
	rig_go(r, r->now + 100 * S);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 0);
	assert_int_equal(pool_servers(&r->engine.pool), 0);
	/* Nothing was wrong with the database. */
	assert_int_equal(r->engine.availability, AVAILABILITY_FULL);
	hold(r, OWN, HOLD_NONE);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 1);
}

static void what_is_in_use_is_closed_when_it_is_given_back(void **state)
{
	struct rig *r = fresh();
	rig_waits(r, 0);
	hold(r, OWN, HOLD_CLOSE);
	assert_int_equal(rig_count(r, ACTION_CLOSE), 0);
	rig_waits(r, 1);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 0);
	rig_released(r, 0);
	assert_int_equal(rig_count(r, ACTION_CLOSE), 1);
	assert_int_equal(rig_count(r, ACTION_ASSIGN), 0);
	rig_go(r, r->now + S);
	assert_int_equal(rig_count(r, ACTION_CONNECT) + rig_count(r, ACTION_ASSIGN), 0);
	hold(r, OWN, HOLD_NONE);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 1);
	rig_ok(r, rig_first(r, ACTION_CONNECT)->server);
	assert_int_equal(rig_first(r, ACTION_ASSIGN)->client, 1);
}

static void an_attempt_under_way_is_closed_when_it_succeeds(void **state)
{
	struct rig *r = fresh();
	rig_waits_in(r, 0, A);
	int server = rig_first(r, ACTION_CONNECT)->server;
	hold(r, A, HOLD_CLOSE);
	rig_ok(r, server);
	assert_int_equal(rig_count(r, ACTION_CLOSE), 1);
	assert_int_equal(rig_count(r, ACTION_ASSIGN) + rig_count(r, ACTION_CONNECT), 0);
}

static void a_held_group_keeps_its_servers_if_it_is_only_held(void **state)
{
	struct rig *r = fresh();
	hold(r, OWN, HOLD_ASSIGN);
	rig_waits(r, 0);
	rig_go(r, r->now + S);
	assert_int_equal(rig_count(r, ACTION_ASSIGN) + rig_count(r, ACTION_CLOSE), 0);
	hold(r, OWN, HOLD_NONE);
	assert_int_equal(rig_count(r, ACTION_ASSIGN), 1);
}

static void other_groups_go_on(void **state)
{
	struct rig *r = fresh();
	hold(r, OWN, HOLD_CLOSE);
	rig_waits_in(r, 0, A);
	assert_int_equal(rig_first(r, ACTION_CONNECT)->group, A);
	rig_ok(r, rig_first(r, ACTION_CONNECT)->server);
	rig_group(r, A, (struct pool_group_settings){.family = A, .servers_kept = 2});
	assert_int_equal(rig_count(r, ACTION_CONNECT), 1);
	assert_int_equal(rig_first(r, ACTION_CONNECT)->group, A);
}

static void a_wait_in_a_held_group_has_its_limit(void **state)
{
	struct rig *r = fresh();
	hold(r, OWN, HOLD_CLOSE);
	rig_waits(r, 0);
	rig_go(r, r->now + 1000 * S);
	assert_int_equal(rig_count(r, ACTION_REJECT), 1);
	assert_int_equal(rig_first(r, ACTION_REJECT)->reject, REJECT_POOL_TIMEOUT);
}

static void an_open_breaker_asks_for_no_probe_of_a_held_group(void **state)
{
	struct rig *r = fresh();
	rig_waits_in(r, 0, A);
	for (int i = 0; i < 3; i++) {
		rig_failed(r, rig_first(r, ACTION_CONNECT)->server, OUTCOME_TIMEOUT);
		rig_go(r, r->now + 60 * S);
	}
	hold(r, OWN, HOLD_CLOSE);
	hold(r, A, HOLD_CLOSE);
	rig_go(r, r->now + 200 * S);
	for (int i = 0; i < RIG_SERVERS; i++)
		if (r->attempts[i].under_way)
			rig_failed(r, i, OUTCOME_TIMEOUT);
	rig_go(r, r->now + 1000 * S);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_idle_is_closed_at_once_and_not_replaced),
		cmocka_unit_test(what_is_in_use_is_closed_when_it_is_given_back),
		cmocka_unit_test(an_attempt_under_way_is_closed_when_it_succeeds),
		cmocka_unit_test(a_held_group_keeps_its_servers_if_it_is_only_held),
		cmocka_unit_test(other_groups_go_on),
		cmocka_unit_test(a_wait_in_a_held_group_has_its_limit),
		cmocka_unit_test(an_open_breaker_asks_for_no_probe_of_a_held_group),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
