/* Who gets a server connection and who is turned away. */
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

static void expect_rejected(const struct rig *r, int client, enum engine_reject reject)
{
	assert_int_equal(rig_count(r, ACTION_REJECT), 1);
	assert_int_equal(rig_first(r, ACTION_REJECT)->client, client);
	assert_int_equal(rig_first(r, ACTION_REJECT)->reject, reject);
}

/* ---- the queue ---- */

static void who_comes_first_is_served_first(void **state)
{
	struct rig *r = with_one_server();
	static const int order[] = {7, 3, 9, 0};
	for (int i = 0; i < 4; i++) {
		r->now += S;
		rig_waits(r, order[i]);
		assert_int_equal(rig_count(r, ACTION_ASSIGN), i == 0);
	}
	for (int i = 1; i < 4; i++) {
		rig_released(r, 0);
		expect_assigned(r, order[i], 0);
	}
	assert_int_equal(r->engine.assigned, 4);
}

static void who_left_is_not_served(void **state)
{
	struct rig *r = with_one_server();
	for (int client = 0; client < 4; client++)
		rig_waits(r, client);
	rig_tell(r, (struct engine_event){.kind = EVENT_CLIENT_LEFT, .client = 1});
	assert_int_equal(r->log_count, 0);
	rig_released(r, 0);
	expect_assigned(r, 2, 0);
	/* One that holds a server leaves by giving it back; said in the other way it changes
	 * nothing. */
	rig_tell(r, (struct engine_event){.kind = EVENT_CLIENT_LEFT, .client = 2});
	assert_int_equal(r->clients[2].state, CLIENT_HOLDING);
}

static void at_run_time_a_client_waits_as_long_as_was_set_and_no_longer(void **state)
{
	struct rig *r = with_one_server();
	rig_waits(r, 0);
	r->now = 10 * S;
	rig_waits(r, 1);
	r->now = 12 * S;
	rig_waits(r, 2);
	r->engine.path.state = PATH_OVERLOADED; /* which lengthens other waits */
	rig_go(r, 100 * S - 1);
	assert_int_equal(rig_count(r, ACTION_REJECT), 0);
	assert_int_equal(engine_deadline(&r->engine), 100 * S);
	rig_go(r, 100 * S);
	expect_rejected(r, 1, REJECT_POOL_TIMEOUT);
	rig_go(r, 102 * S);
	expect_rejected(r, 2, REJECT_POOL_TIMEOUT);
	assert_int_equal(r->engine.rejects, 2);
}

static void during_the_start_the_wait_follows_the_path(void **state)
{
	struct rig *r = fresh();
	r->settings.servers_kept = 0;
	r->settings.deadlines.base_ns[DEADLINE_POOL] = 10 * S;
	r->settings.deadlines.base_ns[DEADLINE_CONNECTION] = 2 * S;
	r->settings.retry.base_ns = 0;
	r->settings.breaker.enabled = false;
	rig_init(r, SEED);
	rig_to_database(r);
	rig_waits(r, 0);
	rig_go(r, 20 * S - 1); /* attempts time out: overloaded, twice the base */
	assert_int_equal(r->engine.path.state, PATH_OVERLOADED);
	assert_int_equal(rig_count(r, ACTION_REJECT), 0);
	rig_go(r, 20 * S);
	expect_rejected(r, 0, REJECT_POOL_TIMEOUT);
}

static void a_patient_client_is_never_turned_away(void **state)
{
	struct rig *r = with_one_server();
	rig_waits(r, 0);
	rig_waits_patiently(r, 1);
	rig_waits(r, 2);
	rig_go(r, 10000 * S);
	expect_rejected(r, 2, REJECT_POOL_TIMEOUT); /* behind it, and no less served by time */
	rig_gone(r, 0, OUTCOME_SHUTDOWN, false);
	assert_int_equal(rig_count(r, ACTION_REJECT), 0);
	rig_go(r, 10010 * S);
	rig_failed(r, 0, OUTCOME_AUTH);
	rig_go(r, 10020 * S);
	assert_int_equal(rig_count(r, ACTION_REJECT), 0);
	rig_go(r, 10050 * S); /* tried for it after the cap */
	rig_ok(r, 0);
	expect_assigned(r, 1, 0);
}

static void a_server_that_is_free_in_the_last_moment_serves(void **state)
{
	struct rig *r = with_one_server();
	rig_waits(r, 0);
	rig_waits(r, 1);
	r->now = 95 * S; /* the loop was late */
	rig_released(r, 0);
	assert_int_equal(rig_count(r, ACTION_REJECT), 0);
	expect_assigned(r, 1, 0);
}

/* ---- the breaker and the queue ---- */

static void open_breaker(struct rig *r, int64_t span_ns)
{
	r->engine.breaker.state = r->engine.breaker.judged = BREAKER_OPEN;
	r->engine.breaker.until = r->now + span_ns;
	rig_tick(r);
}

static void an_open_breaker_turns_clients_away_at_once_if_no_server_is_there(void **state)
{
	struct rig *r = with_one_server();
	rig_gone(r, 0, OUTCOME_RESET, false);
	open_breaker(r, 60 * S);
	rig_waits(r, 0);
	expect_rejected(r, 0, REJECT_BREAKER_OPEN);
	rig_waits_patiently(r, 1);
	assert_int_equal(rig_count(r, ACTION_REJECT), 0);
}

static void an_open_breaker_lets_clients_wait_for_a_server_that_is_there(void **state)
{
	struct rig *r = with_one_server();
	rig_waits(r, 0);
	open_breaker(r, 60 * S);
	rig_waits(r, 1);
	assert_int_equal(rig_count(r, ACTION_REJECT), 0);
	rig_released(r, 0);
	expect_assigned(r, 1, 0);
	rig_waits(r, 2);
	rig_gone(r, 0, OUTCOME_RESET, false); /* the last one: client 2 has nothing to wait for */
	expect_rejected(r, 2, REJECT_BREAKER_OPEN);
}

static void when_its_time_is_over_it_is_probed_whoever_waits(void **state)
{
	struct rig *r = fresh();
	r->settings.servers_kept = 0; /* nothing else would try */
	rig_init(r, SEED);
	rig_to_run_time(r);
	open_breaker(r, 60 * S);
	rig_waits(r, 0);
	expect_rejected(r, 0, REJECT_BREAKER_OPEN);
	rig_go(r, r->engine.breaker.until);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 1);
	assert_int_equal(r->engine.breaker.state, BREAKER_HALF_OPEN);
	rig_waits(r, 1);
	assert_int_equal(rig_count(r, ACTION_REJECT), 0);
	rig_ok(r, 0);
	expect_assigned(r, 1, 0);
	assert_int_equal(r->engine.breaker.state, BREAKER_CLOSED);
}

/* ---- a server is lost ---- */

static void a_client_that_got_nothing_waits_on_at_the_front_as_of_before(void **state)
{
	struct rig *r = with_one_server();
	rig_waits(r, 9);
	r->now = 10 * S;
	rig_waits(r, 0);
	r->now = 40 * S;
	rig_waits(r, 1);
	r->now = 60 * S;
	rig_released(r, 0);
	expect_assigned(r, 0, 0);
	r->now = 61 * S;
	rig_gone(r, 0, OUTCOME_SHUTDOWN, true);
	assert_int_equal(r->pool_groups[0].queue_first, 0);
	assert_int_equal(r->clients[0].since, 10 * S);
	r->engine.retry.next_at = INSTANT_NEVER - 1; /* no server for now */
	rig_go(r, 100 * S - 1);
	assert_int_equal(rig_count(r, ACTION_REJECT), 0);
	rig_go(r, 100 * S);
	expect_rejected(r, 0, REJECT_POOL_TIMEOUT);
	rig_go(r, 130 * S);
	expect_rejected(r, 1, REJECT_POOL_TIMEOUT);
}

static void several_that_return_keep_their_order(void **state)
{
	struct rig *r = fresh();
	r->settings.servers_kept = 3;
	rig_init(r, SEED);
	rig_to_run_time(r);
	rig_ok(r, 1);
	rig_ok(r, 2);
	for (int client = 0; client < 5; client++) {
		r->now = client + 1;
		rig_waits(r, client);
	}
	assert_int_equal(r->engine.pool.holding, 3);
	static const int lost[] = {1, 2, 0};
	for (int i = 0; i < 3; i++)
		rig_gone(r, lost[i], OUTCOME_SHUTDOWN, true);
	int expected = 0;
	for (int client = r->pool_groups[0].queue_first; client != POOL_NOBODY;
		client = r->clients[client].next)
		assert_int_equal(client, expected++);
	assert_int_equal(expected, 5);
}

static void a_client_that_was_given_something_does_not_wait_on(void **state)
{
	struct rig *r = with_one_server();
	rig_waits(r, 0);
	rig_gone(r, 0, OUTCOME_SHUTDOWN, false);
	assert_int_equal(r->clients[0].state, CLIENT_NONE);
	assert_int_equal(r->engine.pool.waiting, 0);
}

static void a_loss_that_crosses_the_closing_is_no_news(void **state)
{
	struct rig *r = with_one_server();
	rig_go(r, 3600 * S);
	assert_int_equal(rig_count(r, ACTION_CLOSE), 1);
	struct rig *fewer = fresh();
	fewer->settings.servers_kept = 0;
	rig_init(fewer, SEED);
	rig_gone(fewer, 0, OUTCOME_RESET, false);
	assert_int_equal(fewer->engine.retry.failures, 0);
}

/* ---- more to do than one answer holds ---- */

static void a_hundred_to_be_turned_away_are_so_in_several_steps_and_none_is_lost(void **state)
{
	struct rig *r = with_one_server();
	rig_waits(r, 199);
	r->now = S;
	for (int client = 0; client < 100; client++)
		rig_waits(r, client);
	r->now = 91 * S;
	rig_tick(r);
	assert_int_equal(r->log_count, ENGINE_ACTIONS_MAX);
	assert_true(engine_deadline(&r->engine) <= r->now);
	bool told[100] = {false};
	int steps = 0;
	for (int count = 0; count < 100; steps++) {
		assert_true(r->log_count > 0);
		for (int i = 0; i < r->log_count; i++) {
			assert_int_equal(r->log[i].kind, ACTION_REJECT);
			assert_int_equal(r->log[i].client, count++); /* in their order */
			assert_false(told[r->log[i].client]);
			told[r->log[i].client] = true;
		}
		rig_tick(r);
	}
	assert_int_equal(steps, 4);
	assert_int_equal(r->engine.pool.waiting, 0);
	assert_int_equal(r->engine.rejects, 100);
	assert_true(engine_deadline(&r->engine) > r->now);
}

static void many_servers_that_are_too_old_are_closed_in_several_steps(void **state)
{
	struct rig *r = fresh();
	r->settings.servers_kept = 40;
	r->settings.path.limit = 1000;
	r->settings.budget.path_limit = 1000;
	r->settings.budget.pool_size = 40;
	rig_init(r, SEED);
	rig_to_database(r);
	for (int server = 0; server < 40; server++)
		rig_ok(r, server);
	r->now = 4000 * S;
	rig_tick(r);
	int closed = rig_count(r, ACTION_CLOSE);
	assert_true(engine_deadline(&r->engine) <= r->now);
	rig_go(r, r->now);
	assert_int_equal(closed + rig_count(r, ACTION_CLOSE), 40);
}

/* However many attempts end in the step that also ends the start, nothing of it is lost. */
static void an_end_that_finds_no_room_comes_with_the_next_step(void **state)
{
	for (int attempts = 20; attempts <= 40; attempts++) {
		struct rig *r = fresh();
		r->settings.servers_kept = attempts;
		r->settings.connects.window_max = attempts;
		r->settings.path.limit = 1000;
		r->settings.budget.path_limit = 1000;
		r->settings.budget.pool_size = 40;
		r->settings.deadlines.capacity_aware = false;
		r->settings.deadlines.base_ns[DEADLINE_INITIALIZATION] = 60 * S;
		rig_init(r, SEED);
		r->engine.connects.window = attempts;
		rig_to_database(r);
		rig_go(r, 0); /* to begin them takes more than one step, too */
		assert_int_equal(r->engine.pool.connecting, attempts);
		rig_go(r, 60 * S);
		assert_int_equal(rig_count(r, ACTION_ABANDON), attempts);
		assert_int_equal(rig_count(r, ACTION_PHASE_CANCEL), 1);
		assert_int_equal(rig_count(r, ACTION_EXIT), 1);
		int phases = 0;
		for (int i = 0; i < r->log_count; i++)
			phases += r->log[i].kind == ACTION_NOTICE &&
				  r->log[i].notice == NOTICE_PHASE;
		assert_int_equal(phases, 5); /* one failed, four skipped */
		assert_non_null(rig_notice(r, NOTICE_BREAKER));
		assert_non_null(rig_notice(r, NOTICE_PATH));
	}
}

/* ---- what others are told ---- */

static void retry_after_is_until_the_next_attempt_may_be(void **state)
{
	struct rig *r = with_one_server();
	assert_int_equal(engine_retry_after_s(&r->engine, r->now), 1);
	r->engine.retry.next_at = r->now + 4 * S + 1;
	assert_int_equal(engine_retry_after_s(&r->engine, r->now), 5);
	assert_int_equal(engine_retry_after_s(&r->engine, r->now + 4 * S), 1);
	open_breaker(r, 33 * S);
	assert_int_equal(engine_retry_after_s(&r->engine, r->now), 33);
	assert_int_equal(engine_retry_after_s(&r->engine, r->now + 100 * S), 1);
}

static void rejects_have_names(void **state)
{
	assert_string_equal(engine_reject_name(REJECT_POOL_TIMEOUT), "pool_timeout");
	assert_string_equal(engine_reject_name(REJECT_BREAKER_OPEN), "breaker_open");
	assert_string_equal(engine_reject_name(REJECT_PERMANENT), "permanent");
}

static void a_database_that_is_lost_degrades_and_one_that_returns_mends(void **state)
{
	struct rig *r = with_one_server();
	rig_gone(r, 0, OUTCOME_SHUTDOWN, false);
	assert_int_equal(rig_notice(r, NOTICE_AVAILABILITY)->from, AVAILABILITY_FULL);
	assert_int_equal(rig_notice(r, NOTICE_AVAILABILITY)->to, AVAILABILITY_DEGRADED);
	rig_go(r, 3 * S);
	assert_int_equal(rig_count(r, ACTION_NOTICE), 0);
	rig_ok(r, 0);
	assert_int_equal(rig_notice(r, NOTICE_AVAILABILITY)->to, AVAILABILITY_FULL);
}

#define MS NS_PER_MS

/* Twenty clients at once, one server that serves one a millisecond. */
static void a_burst_that_one_server_drains_opens_no_second(void **state)
{
	struct rig r;
	rig_settings(&r);
	r.settings.growth = (struct standing_settings){.interval_ns = 200 * MS};
	rig_init(&r, 1);
	rig_to_run_time(&r);
	for (int client = 0; client < 20; client++)
		rig_waits(&r, client);
	for (int client = 0; client < 20; client++) {
		rig_go(&r, r.now + MS);
		assert_int_equal(rig_count(&r, ACTION_CONNECT), 0);
		rig_released(&r, 0);
	}
	assert_int_equal(r.engine.pool.waiting, 0);
	assert_int_equal(pool_servers(&r.engine.pool), 1);
}

static void a_queue_that_stands_opens_one_after_another(void **state)
{
	struct rig r;
	rig_settings(&r);
	r.settings.growth = (struct standing_settings){.interval_ns = 200 * MS};
	r.settings.connects.window_max = 4;
	rig_init(&r, 1);
	rig_to_run_time(&r);
	instant begun = r.now;
	for (int client = 0; client < 5; client++)
		rig_waits(&r, client);
	rig_go(&r, begun + 200 * MS - 1);
	assert_int_equal(pool_servers(&r.engine.pool), 1);
	rig_go(&r, begun + 200 * MS);
	assert_int_equal(pool_servers(&r.engine.pool), 2);
	r.engine.connects.window = 4;
	rig_go(&r, begun + 300 * MS - 1);
	assert_int_equal(pool_servers(&r.engine.pool), 2);
	rig_go(&r, begun + 300 * MS);
	assert_int_equal(pool_servers(&r.engine.pool), 3);
}

static void none_kept_and_none_needed_is_nothing_missed(void **state)
{
	struct rig *r = fresh();
	r->settings.servers_kept = 0;
	rig_init(r, SEED);
	rig_to_database(r);
	rig_waits_patiently(r, 0);
	rig_ok(r, 0);
	rig_released(r, 0);
	for (enum phase phase = PHASE_DATABASE; phase < PHASE_COUNT; phase++)
		rig_done(r, phase, true);
	assert_int_equal(r->engine.availability, AVAILABILITY_FULL);
	rig_go(r, 1000 * S);
	assert_int_equal(rig_count(r, ACTION_CLOSE), 1);
	assert_int_equal(rig_count(r, ACTION_NOTICE), 0);
	rig_waits(r, 0);
	rig_failed(r, 0, OUTCOME_REFUSED);
	assert_int_equal(rig_notice(r, NOTICE_AVAILABILITY)->to, AVAILABILITY_DEGRADED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_comes_first_is_served_first),
		cmocka_unit_test(who_left_is_not_served),
		cmocka_unit_test(at_run_time_a_client_waits_as_long_as_was_set_and_no_longer),
		cmocka_unit_test(during_the_start_the_wait_follows_the_path),
		cmocka_unit_test(a_patient_client_is_never_turned_away),
		cmocka_unit_test(a_server_that_is_free_in_the_last_moment_serves),
		cmocka_unit_test(an_open_breaker_turns_clients_away_at_once_if_no_server_is_there),
		cmocka_unit_test(an_open_breaker_lets_clients_wait_for_a_server_that_is_there),
		cmocka_unit_test(when_its_time_is_over_it_is_probed_whoever_waits),
		cmocka_unit_test(a_client_that_got_nothing_waits_on_at_the_front_as_of_before),
		cmocka_unit_test(several_that_return_keep_their_order),
		cmocka_unit_test(a_client_that_was_given_something_does_not_wait_on),
		cmocka_unit_test(a_loss_that_crosses_the_closing_is_no_news),
		cmocka_unit_test(
			a_hundred_to_be_turned_away_are_so_in_several_steps_and_none_is_lost),
		cmocka_unit_test(many_servers_that_are_too_old_are_closed_in_several_steps),
		cmocka_unit_test(an_end_that_finds_no_room_comes_with_the_next_step),
		cmocka_unit_test(retry_after_is_until_the_next_attempt_may_be),
		cmocka_unit_test(rejects_have_names),
		cmocka_unit_test(a_database_that_is_lost_degrades_and_one_that_returns_mends),
		cmocka_unit_test(a_burst_that_one_server_drains_opens_no_second),
		cmocka_unit_test(a_queue_that_stands_opens_one_after_another),
		cmocka_unit_test(none_kept_and_none_needed_is_nothing_missed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
