/* What becomes of idle server connections, old ones, and those over the share. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rig.h"

#define SEED 5

static struct rig *fresh(void)
{
	static struct rig r;
	rig_settings(&r);
	return &r;
}

/* At run time with one server for all, and none but that. */
static struct rig *with_one_server(void)
{
	struct rig *r = fresh();
	r->settings.budget.pool_size = 1;
	r->settings.budget.pool_overflow = 0;
	rig_init(r, SEED);
	rig_to_run_time(r);
	return r;
}

static void expect_assigned(const struct rig *r, int client, int server)
{
	assert_int_equal(rig_count(r, ACTION_ASSIGN), 1);
	assert_int_equal(rig_first(r, ACTION_ASSIGN)->client, client);
	assert_int_equal(rig_first(r, ACTION_ASSIGN)->server, server);
}

static void a_server_is_pinged_if_it_was_idle_for_too_long(void **state)
{
	struct rig *r = with_one_server();
	r->now = 30 * S - 1;
	rig_waits(r, 0);
	assert_false(rig_first(r, ACTION_ASSIGN)->ping);
	rig_released(r, 0);
	r->now = 60 * S - 2;
	rig_waits(r, 0);
	assert_false(rig_first(r, ACTION_ASSIGN)->ping);
	rig_released(r, 0);
	r->now = 90 * S - 2;
	rig_waits(r, 0);
	assert_true(rig_first(r, ACTION_ASSIGN)->ping);
	rig_released(r, 0);
	r->engine.settings.ping_after_ns = INT64_MAX;
	r->now = 3000 * S;
	rig_waits(r, 0);
	assert_false(rig_first(r, ACTION_ASSIGN)->ping);
}

static void a_server_is_recycled_at_its_jittered_age(void **state)
{
	for (uint64_t seed = 1; seed < 20; seed++) {
		struct rig *r = fresh();
		struct random mine;
		random_init(&mine, seed);
		rig_init(r, seed);
		rig_to_run_time(r);
		instant at = 3600 * S - random_span(&mine, 360 * S);
		assert_int_equal(r->servers[0].retire_at, at);
		assert_in_range(at, 3240 * S, 3600 * S);
		rig_go(r, at - 1);
		assert_int_equal(rig_count(r, ACTION_CLOSE), 0);
		rig_go(r, at + S); /* looked at once a second; and one is kept */
		assert_int_equal(rig_count(r, ACTION_CLOSE), 1);
		assert_int_equal(rig_count(r, ACTION_CONNECT), 1);
		assert_int_equal(rig_count(r, ACTION_NOTICE), 0); /* nothing is missed */
	}
}

static void a_server_in_use_is_recycled_when_given_back_though_others_wait(void **state)
{
	struct rig *r = with_one_server();
	rig_go(r, 3230 * S);
	rig_waits(r, 0);
	r->now = 3601 * S;
	rig_waits(r, 1);
	assert_int_equal(rig_count(r, ACTION_CLOSE), 0);
	rig_released(r, 0);
	assert_int_equal(rig_count(r, ACTION_ASSIGN), 0);
	assert_int_equal(rig_count(r, ACTION_CLOSE), 1);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 1);
	rig_ok(r, 0);
	expect_assigned(r, 1, 0);
}

/* The second server's attempts fail until the breaker opens. */
static void lose_until_open(struct rig *r)
{
	for (int turn = 0; turn < 100 && r->engine.breaker.state != BREAKER_OPEN; turn++) {
		rig_go(r, r->now + S);
		if (r->attempts[1].under_way)
			rig_failed(r, 1, OUTCOME_REFUSED);
	}
	assert_int_equal(r->engine.breaker.state, BREAKER_OPEN);
}

static void an_old_one_is_kept_while_no_other_can_be_had(void **state)
{
	struct rig *r = fresh();
	r->settings.budget.pool_size = 2;
	r->settings.budget.pool_overflow = 0;
	rig_init(r, SEED);
	rig_to_run_time(r);
	rig_go(r, r->servers[0].retire_at - 30 * S);
	rig_waits(r, 0);
	expect_assigned(r, 0, 0);
	rig_waits(r, 1);
	lose_until_open(r);
	rig_go(r, r->servers[0].retire_at + S);
	assert_int_equal(r->engine.breaker.state, BREAKER_OPEN);
	/* In use, idle, and in use again: it serves. */
	rig_released(r, 0);
	expect_assigned(r, 1, 0);
	rig_released(r, 0);
	rig_go(r, r->now + 3 * S);
	assert_int_equal(rig_count(r, ACTION_CLOSE), 0);
	rig_waits(r, 0);
	expect_assigned(r, 0, 0);
	rig_released(r, 0);
	/* The probe is let in: now another can be had. */
	while (!r->attempts[1].under_way)
		rig_go(r, r->now + S);
	rig_ok(r, 1);
	rig_go(r, r->now + 2 * S);
	assert_int_equal(rig_count(r, ACTION_CLOSE), 1);
	assert_int_equal(rig_first(r, ACTION_CLOSE)->server, 0);
}

static void one_that_is_to_go_at_once_goes_even_so(void **state)
{
	struct rig *r = fresh();
	r->settings.budget.pool_size = 2;
	r->settings.budget.pool_overflow = 0;
	rig_init(r, SEED);
	rig_to_run_time(r);
	rig_waits(r, 0);
	rig_waits(r, 1);
	lose_until_open(r);
	rig_released(r, 0);
	rig_released(r, 0);
	rig_tell(r, (struct engine_event){.kind = EVENT_RECONNECT, .group = POOL_NOBODY});
	assert_int_equal(rig_count(r, ACTION_CLOSE), 1);
}

static void one_that_is_spent_is_closed_and_whoever_waits_gets_another(void **state)
{
	struct rig *r = fresh();
	r->settings.budget.pool_size = 1;
	r->settings.budget.pool_overflow = 0;
	rig_init(r, SEED);
	rig_to_run_time(r);
	rig_waits(r, 0);
	rig_waits(r, 1);
	rig_tell(r,
		(struct engine_event){.kind = EVENT_SERVER_RELEASED, .server = 0, .spent = true});
	assert_int_equal(rig_count(r, ACTION_CLOSE), 1);
	assert_int_equal(rig_count(r, ACTION_ASSIGN), 0);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 1);
	rig_ok(r, 0);
	assert_int_equal(rig_first(r, ACTION_ASSIGN)->client, 1);
}

static void without_a_life_it_lives_on(void **state)
{
	struct rig *r = fresh();
	r->settings.server_life_ns = 0;
	rig_init(r, SEED);
	rig_to_run_time(r);
	rig_go(r, 100000 * S);
	assert_int_equal(rig_count(r, ACTION_CLOSE), 0);
}

static void idle_ones_above_those_kept_are_closed_after_their_time(void **state)
{
	struct rig *r = fresh();
	rig_init(r, SEED);
	rig_to_run_time(r);
	for (int client = 0; client < 4; client++)
		rig_waits(r, client);
	for (int server = 1; server < 4; server++)
		rig_ok(r, server);
	assert_int_equal(r->engine.pool.busy, 4);
	for (int server = 0; server < 4; server++) {
		r->now = (100 + server) * S;
		rig_released(r, server);
	}
	rig_go(r, 700 * S - 1);
	assert_int_equal(rig_count(r, ACTION_CLOSE), 0);
	rig_go(r, 701 * S - 1); /* looked at once a second */
	assert_int_equal(rig_count(r, ACTION_CLOSE), 1);
	assert_int_equal(rig_first(r, ACTION_CLOSE)->server, 0); /* idle for the longest */
	rig_go(r, 900 * S);
	assert_int_equal(rig_count(r, ACTION_CLOSE), 2);
	assert_int_equal(r->servers[3].state, SERVER_IDLE);
	rig_go(r, 3000 * S);
	assert_int_equal(rig_count(r, ACTION_CLOSE), 0);
}

/* Thousands of instances that have nothing to do cost nothing. */
static void a_quiet_engine_is_left_alone_until_a_server_is_too_old(void **state)
{
	struct rig *r = with_one_server();
	int steps = 0;
	while (r->now < 3000 * S) {
		rig_go(r, instant_max(r->now, engine_deadline(&r->engine)));
		steps++;
	}
	/* Its age, less a tenth at most, is what the next deadline is for. */
	assert_in_range(r->now, 3240 * S, 3600 * S);
	assert_in_range(steps, 1, 4);
}

static void without_a_time_idle_ones_stay(void **state)
{
	struct rig *r = fresh();
	r->settings.server_idle_ns = 0;
	r->settings.server_life_ns = 0;
	rig_init(r, SEED);
	rig_to_run_time(r);
	rig_waits(r, 0);
	rig_waits(r, 1);
	rig_ok(r, 1);
	rig_released(r, 0);
	rig_released(r, 1);
	rig_go(r, 100000 * S);
	assert_int_equal(rig_count(r, ACTION_CLOSE), 0);
	assert_int_equal(r->engine.pool.idle, 2);
}

static void over_the_share_a_server_given_back_is_closed_though_others_wait(void **state)
{
	struct rig *r = fresh();
	r->settings.budget.max_connections = 12; /* (12 - 8) x 0.8 - 0 */
	r->settings.budget.buffer = 0;
	rig_init(r, SEED);
	rig_to_run_time(r);
	for (int client = 0; client < 9; client++)
		rig_waits(r, client);
	rig_ok(r, 1);
	rig_ok(r, 2);
	assert_int_equal(r->engine.pool.busy, 3);
	rig_tell(r, (struct engine_event){.kind = EVENT_SERVER_LIMITS,
			    .limits = {10, -1, -1, -1}}); /* (10 - 8) x 0.8 */
	assert_int_equal(r->engine.budget.share, 1);
	rig_released(r, 1);
	assert_int_equal(rig_count(r, ACTION_ASSIGN), 0);
	assert_int_equal(rig_first(r, ACTION_CLOSE)->server, 1);
	rig_released(r, 0);
	assert_int_equal(rig_first(r, ACTION_CLOSE)->server, 0);
	rig_released(r, 2); /* the last one is within the share */
	expect_assigned(r, 3, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_server_is_pinged_if_it_was_idle_for_too_long),
		cmocka_unit_test(a_server_is_recycled_at_its_jittered_age),
		cmocka_unit_test(a_server_in_use_is_recycled_when_given_back_though_others_wait),
		cmocka_unit_test(an_old_one_is_kept_while_no_other_can_be_had),
		cmocka_unit_test(one_that_is_to_go_at_once_goes_even_so),
		cmocka_unit_test(one_that_is_spent_is_closed_and_whoever_waits_gets_another),
		cmocka_unit_test(without_a_life_it_lives_on),
		cmocka_unit_test(idle_ones_above_those_kept_are_closed_after_their_time),
		cmocka_unit_test(a_quiet_engine_is_left_alone_until_a_server_is_too_old),
		cmocka_unit_test(without_a_time_idle_ones_stay),
		cmocka_unit_test(over_the_share_a_server_given_back_is_closed_though_others_wait),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
