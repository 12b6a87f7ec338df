/* When the engine opens connections to the database, and when it does not: pace, retry, breaker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rig.h"

#define SEED 11

static struct rig *fresh(void)
{
	static struct rig r;
	rig_settings(&r);
	return &r;
}

/* The same draws as the engine makes. */
static struct random draws(void)
{
	struct random random;
	random_init(&random, SEED);
	return random;
}

static void connects_begin_only_from_the_database_phase_on(void **state)
{
	struct rig *r = fresh();
	rig_init(r, SEED);
	rig_waits(r, 0);
	rig_start(r);
	rig_done(r, PHASE_INIT, true);
	rig_waits(r, 1);
	rig_go(r, 50 * S);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 0);
	rig_done(r, PHASE_DEPENDENCIES, true);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 1);
	assert_int_equal(rig_first(r, ACTION_CONNECT)->server, 0);
}

static void without_a_database_phase_nothing_is_connected_to(void **state)
{
	struct rig *r = fresh();
	r->settings.startup.wanted[PHASE_DATABASE] = false;
	rig_init(r, SEED);
	rig_start(r);
	for (enum phase phase = PHASE_INIT; phase < PHASE_COUNT; phase++)
		if (phase != PHASE_DATABASE)
			rig_done(r, phase, true);
	assert_int_equal(r->engine.availability, AVAILABILITY_FULL);
	rig_waits(r, 0);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 0);
	rig_go(r, 90 * S);
	assert_int_equal(rig_first(r, ACTION_REJECT)->reject, REJECT_POOL_TIMEOUT);
}

static void none_is_opened_before_it_is_needed_but_for_those_kept(void **state)
{
	struct rig *r = fresh();
	r->settings.servers_kept = 0;
	rig_init(r, SEED);
	rig_to_database(r);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 0);
	rig_go(r, 60 * S);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 0);
	rig_waits(r, 0);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 1);
}

static void one_at_first_and_more_at_once_with_each_success(void **state)
{
	struct rig *r = fresh();
	r->settings.servers_kept = 20;
	rig_init(r, SEED);
	rig_to_database(r);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 1);
	r->now += NS_PER_MS;
	rig_ok(r, 0);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 2);
	r->now += NS_PER_MS;
	rig_ok(r, 1);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 2); /* 1 under way, 3 allowed */
	rig_ok(r, 2);
	assert_int_equal(r->engine.connects.under_way, 4); /* the most */
	/* A loss halves it. */
	rig_failed(r, 3, OUTCOME_TIMEOUT);
	rig_go(r, r->now + 2 * S);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 0);
	rig_ok(r, 4);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 0);
	rig_ok(r, 5);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 1);
}

/* ---- retry ---- */

static void the_delays_between_attempts_are_full_jitter(void **state)
{
	struct rig *r = fresh();
	struct random mine = draws();
	r->settings.breaker.enabled = false;
	rig_init(r, SEED);
	rig_to_run_time(r);
	random_span(&mine, 360 * S); /* the life of server 0 */
	static const int64_t bounds_s[] = {2, 4, 8, 16, 30, 30, 30};
	for (size_t i = 0; i < sizeof(bounds_s) / sizeof(bounds_s[0]); i++) {
		if (i == 0)
			rig_gone(r, 0, OUTCOME_RESET, false);
		else
			rig_failed(r, 0, OUTCOME_REFUSED);
		int64_t delay_ns = random_span(&mine, bounds_s[i] * S);
		assert_int_equal(r->engine.retry.next_at, r->now + delay_ns);
		rig_go(r, r->now + delay_ns - 1);
		assert_int_equal(rig_count(r, ACTION_CONNECT), 0);
		rig_go(r, r->now + 1);
		assert_int_equal(rig_count(r, ACTION_CONNECT), 1);
	}
}

static void a_retry_is_due_in_time_though_another_attempt_is_under_way(void **state)
{
	struct rig *r = fresh();
	r->settings.servers_kept = 3;
	rig_init(r, SEED);
	rig_to_database(r);
	rig_ok(r, 0);
	assert_int_equal(r->engine.pool.connecting, 2);
	r->engine.connects.window = 4; /* room for another when half of it is lost */
	r->now = S;
	rig_failed(r, 1, OUTCOME_REFUSED);
	assert_int_equal(r->engine.pool.connecting, 1);
	assert_true(r->engine.retry.next_at > r->now);
	rig_go(r, r->engine.retry.next_at);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 1);
}

static void what_is_neither_permanent_nor_of_capacity_is_retried_and_opens_no_breaker(void **state)
{
	struct rig *r = fresh();
	rig_init(r, SEED);
	rig_to_database(r);
	for (int i = 0; i < 5; i++) {
		rig_failed(r, 0, OUTCOME_PROTOCOL);
		assert_int_equal(rig_count(r, ACTION_CONNECT), 0);
		assert_int_equal(r->engine.breaker.state, BREAKER_CLOSED);
		rig_go(r, instant_max(r->engine.retry.next_at, r->now));
		assert_int_equal(rig_count(r, ACTION_CONNECT), 1);
	}
	assert_int_equal(r->engine.retry.failures, 5);
}

static void in_the_database_phase_no_pause_takes_more_than_a_quarter_of_what_is_left(void **state)
{
	for (uint64_t seed = 1; seed <= 50; seed++) {
		struct rig *r = fresh();
		r->settings.retry.base_ns = 30 * S;
		r->settings.deadlines.base_ns[DEADLINE_INITIALIZATION] = 20 * S;
		rig_init(r, seed);
		rig_to_database(r);
		while (r->now < 19 * S) {
			int64_t left_ns = startup_deadline(&r->engine.startup) - r->now;
			rig_failed(r, 0, OUTCOME_REFUSED);
			rig_go(r, r->now + left_ns / 4);
			assert_int_equal(r->engine.pool.connecting, 1);
		}
	}
}

static void pauses_do_not_shrink_to_nothing_at_the_end_of_a_phase(void **state)
{
	for (uint64_t seed = 1; seed <= 50; seed++) {
		struct rig *r = fresh();
		r->settings.retry.base_ns = 30 * S;
		r->settings.deadlines.base_ns[DEADLINE_INITIALIZATION] = 3 * S;
		rig_init(r, seed);
		rig_to_database(r);
		int attempts = 0;
		while (!r->engine.startup.failed && attempts < 1000) {
			attempts++;
			if (r->engine.pool.connecting > 0)
				rig_failed(r, 0, OUTCOME_REFUSED);
			else
				rig_go(r, engine_deadline(&r->engine));
		}
		assert_in_range(attempts, 5, 50);
	}
}

static void a_success_alone_does_not_end_the_backing_off_a_release_does(void **state)
{
	struct rig *r = fresh();
	r->settings.servers_kept = 2;
	rig_init(r, SEED);
	rig_to_database(r);
	rig_failed(r, 0, OUTCOME_REFUSED);
	rig_go(r, 5 * S);
	rig_ok(r, 0);
	assert_int_equal(r->engine.retry.failures, 1);
	rig_waits(r, 0);
	rig_released(r, 0);
	assert_int_equal(r->engine.retry.failures, 0);
}

static void a_server_from_before_a_failure_does_not_shorten_the_pause(void **state)
{
	struct rig *r = fresh();
	struct random mine = draws();
	rig_init(r, SEED);
	rig_to_run_time(r);
	random_span(&mine, 360 * S); /* the life of server 0 */
	r->now = S;
	rig_waits(r, 0);
	rig_waits(r, 1);
	assert_int_equal(rig_first(r, ACTION_CONNECT)->server, 1);
	r->now = 2 * S;
	rig_failed(r, 1, OUTCOME_PROTOCOL);
	instant next_at = 2 * S + random_span(&mine, 2 * S);
	for (int client = 0; client < 100; client++) {
		rig_waits(r, client + 2);
		rig_released(r, 0); /* served as fast as it can */
		assert_int_equal(rig_count(r, ACTION_ASSIGN), 1);
		assert_int_equal(rig_count(r, ACTION_CONNECT), 0);
	}
	assert_int_equal(r->engine.retry.next_at, next_at);
	rig_go(r, next_at);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 1);
}

static void a_database_that_lets_in_and_then_cuts_is_not_asked_in_a_hot_loop(void **state)
{
	struct rig *r = fresh();
	rig_init(r, SEED);
	rig_to_run_time(r);
	instant begin = r->now;
	rig_waits_patiently(r, 0);
	int connects = 0;
	rig_gone(r, 0, OUTCOME_RESET, true);
	while (r->now < begin + 3600 * S) {
		rig_go(r, r->now + 10 * NS_PER_MS);
		for (int i = 0; i < RIG_SERVERS; i++) {
			if (r->servers[i].state != SERVER_CONNECTING)
				continue;
			connects++;
			rig_ok(r, i);
			rig_gone(r, i, OUTCOME_RESET, true);
		}
	}
	/* Backed off to U(0, 30 s): one in about 15 s for each of the window. */
	assert_in_range(connects, 60, 4 * 3600 / 10);
	assert_true(r->engine.retry.failures > 30);
}

static void losses_that_are_not_of_capacity_are_paced_too(void **state)
{
	struct rig *r = fresh();
	rig_init(r, SEED);
	rig_to_run_time(r);
	rig_waits(r, 0);
	rig_gone(r, 0, OUTCOME_PROTOCOL, true);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 0);
	assert_true(r->engine.retry.next_at > r->now);
	assert_int_equal(r->engine.breaker.failures, 0);
}

static void one_closed_for_its_clients_sake_is_replaced_at_once(void **state)
{
	struct rig *r = fresh();
	rig_init(r, SEED);
	rig_to_run_time(r);
	rig_waits(r, 0);
	rig_gone(r, 0, OUTCOME_OK, false);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 1);
}

static void many_lost_at_once_are_one_failure(void **state)
{
	struct rig *r = fresh();
	r->settings.servers_kept = 10;
	rig_init(r, SEED);
	rig_to_database(r);
	for (int server = 0; server < 10; server++)
		rig_ok(r, server);
	assert_int_equal(r->engine.pool.idle, 10);
	for (int server = 0; server < 10; server++)
		rig_gone(r, server, OUTCOME_SHUTDOWN, false);
	assert_int_equal(r->engine.retry.failures, 1);
	assert_int_equal(r->engine.breaker.state, BREAKER_CLOSED);
}

/* At run time: client 0 has server 0, client 1 has server 1. */
static struct rig *with_two_sessions(void)
{
	struct rig *r = fresh();
	r->settings.growth.interval_ns = 0;
	r->settings.servers_kept = 1;
	rig_init(r, SEED);
	rig_to_run_time(r);
	rig_waits(r, 0);
	rig_waits(r, 1);
	rig_go(r, r->now + NS_PER_MS);
	rig_ok(r, 1);
	assert_int_equal(r->engine.pool.busy, 2);
	return r;
}

static void sessions_ended_by_an_administrator_cost_no_pause_while_others_serve(void **state)
{
	struct rig *r = with_two_sessions();
	for (int turn = 0; turn < 100; turn++) {
		rig_gone(r, 1, OUTCOME_SHUTDOWN, false);
		assert_int_equal(r->engine.retry.failures, 0);
		rig_waits(r, 1);
		rig_go(r, r->now + NS_PER_MS);
		assert_true(r->attempts[1].under_way);
		rig_ok(r, 1);
		assert_int_equal(r->engine.pool.busy, 2);
	}
	assert_int_equal(r->engine.retry.broke, 0);
}

static void one_ended_before_it_was_of_use_is_a_failure_all_the_same(void **state)
{
	struct rig *r = with_two_sessions();
	rig_gone(r, 1, OUTCOME_SHUTDOWN, true);
	assert_int_equal(r->engine.retry.failures, 1);

	/* But not if it had lasted, or served another. */
	r = with_two_sessions();
	r->now += r->settings.retry.base_ns;
	rig_gone(r, 1, OUTCOME_SHUTDOWN, true);
	assert_int_equal(r->engine.retry.failures, 0);
	r = with_two_sessions();
	rig_released(r, 1);
	rig_gone(r, 1, OUTCOME_SHUTDOWN, false);
	assert_int_equal(r->engine.retry.failures, 0);
}

static void what_else_ends_a_server_is_a_failure_and_so_is_the_last_ones_end(void **state)
{
	struct rig *r = with_two_sessions();
	rig_gone(r, 1, OUTCOME_RESET, false);
	assert_int_equal(r->engine.retry.failures, 1);
	r = with_two_sessions();
	rig_gone(r, 1, OUTCOME_SHUTDOWN, false);
	assert_int_equal(r->engine.retry.failures, 0);
	rig_gone(r, 0, OUTCOME_SHUTDOWN, false);
	assert_int_equal(r->engine.retry.failures, 1);
}

/* ---- a database that refuses ---- */

/* Refuses each attempt as soon as it begins, until then. The longest time without one in `gap_ns`. */
static int refuse_until(struct rig *r, instant until, int64_t *gap_ns)
{
	int attempts = 0;
	instant last = r->now;
	*gap_ns = 0;
	while (r->now < until && !r->engine.startup.failed) {
		if (r->engine.pool.connecting > 0) {
			attempts++;
			*gap_ns = r->now - last > *gap_ns ? r->now - last : *gap_ns;
			last = r->now;
			r->now += 10 * NS_PER_MS;
			int server = 0;
			while (r->servers[server].state != SERVER_CONNECTING)
				server++;
			rig_failed(r, server, OUTCOME_FULL);
		} else {
			rig_go(r, instant_min(until, engine_deadline(&r->engine)));
		}
	}
	return attempts;
}

static int attempts_in_an_hour(double throttle_k, int64_t *gap_ns)
{
	struct rig *r = fresh();
	r->settings.breaker.enabled = false;
	r->settings.retry.cap_ns = 4 * S;
	r->settings.throttle_k = throttle_k;
	rig_init(r, SEED);
	rig_to_run_time(r);
	rig_waits_patiently(r, 0);
	rig_gone(r, 0, OUTCOME_SHUTDOWN, true);
	return refuse_until(r, r->now + 3600 * S, gap_ns);
}

static void a_database_that_refuses_is_asked_less_often_but_asked(void **state)
{
	int64_t gap_ns;
	int often = attempts_in_an_hour(0.0, &gap_ns);
	assert_true(gap_ns <= 4 * S + NS_PER_S);
	int seldom = attempts_in_an_hour(2.0, &gap_ns);
	assert_in_range(seldom, often / 5, often * 2 / 3);
	assert_true(gap_ns <= 8 * S + NS_PER_S); /* a back-off, and the throttle's longest */
}

static void one_that_lets_in_again_is_not_held_back_from(void **state)
{
	struct rig *r = fresh();
	int64_t gap_ns;
	r->settings.breaker.enabled = false;
	r->settings.throttle_k = 2.0;
	r->settings.servers_kept = 4;
	r->settings.connects.rule = CONNECTS_FIXED;
	r->settings.connects.window_max = 1;
	rig_init(r, SEED);
	rig_to_run_time(r);
	rig_failed(r, 1, OUTCOME_FULL);
	refuse_until(r, r->now + 60 * S, &gap_ns);
	while (r->engine.pool.connecting == 0)
		rig_go(r, engine_deadline(&r->engine));
	for (int server = 1; server < 4; server++) {
		assert_int_equal(r->servers[server].state, SERVER_CONNECTING);
		rig_ok(r, server);
	}
}

static void a_startup_is_paced_and_never_starved(void **state)
{
	for (uint64_t seed = 1; seed <= 50; seed++) {
		struct rig *r = fresh();
		int64_t gap_ns;
		r->settings.throttle_k = 2.0;
		r->settings.retry.budget = 0.1;
		rig_init(r, seed);
		rig_to_database(r);
		int attempts = refuse_until(r, 600 * S, &gap_ns);
		assert_true(r->engine.startup.failed); /* by the clock alone */
		assert_true(r->now >= 90 * S);
		/* Both pauses are of 5 s at most then. */
		assert_true(gap_ns <= 10 * S + 20 * NS_PER_MS);
		assert_in_range(attempts, 10, 400);
	}
}

/* ---- breaker ---- */

/* Fails every attempt as soon as it begins. */
static void fail_next(struct rig *r, enum outcome outcome)
{
	while (r->engine.pool.connecting == 0)
		rig_go(r, instant_max(engine_deadline(&r->engine), r->now));
	for (int server = 0; server < RIG_SERVERS; server++) {
		if (r->servers[server].state != SERVER_CONNECTING)
			continue;
		rig_failed(r, server, outcome);
		return;
	}
}

static void three_failures_in_a_row_open_the_breaker(void **state)
{
	struct rig *r = fresh();
	rig_init(r, SEED);
	rig_to_database(r);
	fail_next(r, OUTCOME_TIMEOUT);
	fail_next(r, OUTCOME_FULL);
	assert_int_equal(r->engine.breaker.state, BREAKER_CLOSED);
	fail_next(r, OUTCOME_REFUSED);
	const struct engine_action *a = rig_notice(r, NOTICE_BREAKER);
	assert_non_null(a);
	assert_int_equal(a->from, BREAKER_CLOSED);
	assert_int_equal(a->to, BREAKER_OPEN);
}

static void in_the_database_phase_an_open_breaker_is_capped(void **state)
{
	struct rig *r = fresh();
	rig_init(r, SEED);
	rig_to_database(r);
	for (int i = 0; i < 3; i++)
		fail_next(r, OUTCOME_REFUSED);
	instant at = r->engine.breaker.until;
	assert_in_range(at - r->now, 5 * S / 2, 5 * S);
	rig_go(r, at - 1);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 0);
	assert_int_equal(r->engine.breaker.until, at); /* not pushed on by time */
	rig_go(r, at);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 1);
	assert_int_equal(rig_notice(r, NOTICE_BREAKER)->to, BREAKER_HALF_OPEN);
	rig_ok(r, 0);
	assert_int_equal(rig_notice(r, NOTICE_BREAKER)->from, BREAKER_HALF_OPEN);
	assert_int_equal(rig_notice(r, NOTICE_BREAKER)->to, BREAKER_CLOSED);
}

static void at_run_time_it_stays_open_for_its_jittered_time(void **state)
{
	struct rig *r = fresh();
	struct random mine = draws();
	rig_init(r, SEED);
	rig_to_run_time(r);
	random_span(&mine, 360 * S);
	rig_gone(r, 0, OUTCOME_RESET, false);
	random_span(&mine, 2 * S);
	fail_next(r, OUTCOME_REFUSED);
	random_span(&mine, 4 * S);
	fail_next(r, OUTCOME_REFUSED);
	random_span(&mine, 8 * S);
	fail_next(r, OUTCOME_REFUSED);
	double part = 1.0 - 0.1 + 2.0 * 0.1 * random_unit(&mine);
	instant until = r->now + (int64_t)(60e9 * part + 0.5);
	assert_int_equal(r->engine.breaker.until, until);
	assert_in_range(until - r->now, 54 * S, 66 * S);
	rig_go(r, until - 1);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 0);
	rig_go(r, until);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 1);
	/* One probe at a time, whoever waits. */
	for (int client = 0; client < 10; client++)
		rig_waits_patiently(r, client);
	rig_go(r, r->now + 10 * S);
	assert_int_equal(r->engine.pool.connecting, 1);
	rig_failed(r, 0, OUTCOME_REFUSED);
	assert_int_equal(r->engine.breaker.state, BREAKER_OPEN);
	assert_in_range(r->engine.breaker.until - r->now, 54 * S, 66 * S);
}

static void until_the_startup_is_over_it_is_capped_in_every_phase(void **state)
{
	struct rig *r = fresh();
	rig_init(r, SEED);
	rig_to_database(r);
	rig_ok(r, 0);
	rig_done(r, PHASE_DATABASE, true);
	rig_done(r, PHASE_CACHE, true);
	assert_int_equal(r->engine.startup.current, PHASE_SERVICES);
	rig_gone(r, 0, OUTCOME_RESET, false);
	for (int i = 0; i < 3; i++)
		fail_next(r, OUTCOME_REFUSED);
	assert_in_range(r->engine.breaker.until - r->now, 5 * S / 2, 5 * S);
	/* And a service that is just starting is not turned away for it. */
	rig_waits(r, 0);
	assert_int_equal(rig_count(r, ACTION_REJECT), 0);
}

static void a_probe_has_the_longest_patience(void **state)
{
	struct rig *r = fresh();
	rig_init(r, SEED);
	rig_to_database(r);
	for (int i = 0; i < 3; i++)
		fail_next(r, OUTCOME_REFUSED);
	assert_int_equal(r->attempts[0].timeout_ns, 60 * S);
	rig_go(r, r->engine.breaker.until);
	assert_int_equal(r->engine.breaker.state, BREAKER_HALF_OPEN);
	assert_int_equal(r->attempts[0].timeout_ns, 120 * S);
}

static void what_began_before_it_opened_keeps_no_probe_out(void **state)
{
	struct rig *r = fresh();
	r->settings.servers_kept = 4;
	r->settings.breaker.failure_threshold = 1;
	r->settings.connects.rule = CONNECTS_FIXED;
	rig_init(r, SEED);
	rig_to_database(r);
	assert_int_equal(r->engine.pool.connecting, 4);
	r->now = S;
	rig_failed(r, 0, OUTCOME_REFUSED);
	assert_int_equal(r->engine.breaker.state, BREAKER_OPEN);
	rig_go(r, r->engine.breaker.until + S); /* checks that no deadline is due for nothing */
	assert_int_equal(r->engine.pool.connecting, 4);
	assert_int_equal(r->engine.breaker.probing, 1);
	/* And they have nothing new to say. */
	rig_failed(r, 1, OUTCOME_TIMEOUT);
	assert_int_equal(r->engine.breaker.state, BREAKER_HALF_OPEN);
	rig_go(r, r->engine.retry.next_at + S); /* as before: the one place is taken */
	assert_int_equal(rig_count(r, ACTION_CONNECT), 0);
	rig_failed(r, 0, OUTCOME_PROTOCOL);
	rig_go(r, r->engine.retry.next_at);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 1);
}

static void a_breaker_that_is_off_never_opens(void **state)
{
	struct rig *r = fresh();
	r->settings.breaker.enabled = false;
	rig_init(r, SEED);
	rig_to_database(r);
	for (int i = 0; i < 8; i++)
		fail_next(r, OUTCOME_FULL);
	assert_int_equal(r->engine.breaker.state, BREAKER_CLOSED);
}

/* ---- permanent failures at run time ---- */

static void a_permanent_failure_is_tried_again_only_on_demand_and_after_the_cap(void **state)
{
	struct rig *r = fresh();
	rig_init(r, SEED);
	rig_to_run_time(r);
	rig_gone(r, 0, OUTCOME_SHUTDOWN, false);
	rig_go(r, 3 * S);
	rig_failed(r, 0, OUTCOME_AUTH);
	assert_int_equal(r->groups[ENGINE_OWN].retry_at, 33 * S);
	assert_int_equal(engine_retry_after_s(&r->engine, r->now), 30);
	rig_go(r, 10 * S);
	rig_waits(r, 0);
	assert_int_equal(rig_first(r, ACTION_REJECT)->reject, REJECT_PERMANENT);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 0);
	rig_go(r, 1000 * S); /* nobody asks: nothing is tried */
	assert_int_equal(rig_count(r, ACTION_CONNECT), 0);
	rig_waits(r, 1);
	assert_int_equal(rig_count(r, ACTION_REJECT), 0);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 1);
	rig_failed(r, 0, OUTCOME_AUTH);
	assert_int_equal(rig_first(r, ACTION_REJECT)->client, 1);
	rig_go(r, 1100 * S);
	rig_waits(r, 2);
	rig_ok(r, 0); /* mended */
	assert_int_equal(rig_first(r, ACTION_ASSIGN)->client, 2);
	assert_int_equal(r->groups[ENGINE_OWN].permanent, OUTCOME_OK);
}

static void a_password_that_changed_under_live_servers_is_not_tried_in_a_hot_loop(void **state)
{
	struct rig *r = fresh();
	rig_init(r, SEED);
	rig_to_run_time(r);
	rig_waits(r, 0);
	rig_waits(r, 1);
	r->now = S;
	rig_failed(r, 1, OUTCOME_AUTH);
	assert_int_equal(rig_count(r, ACTION_REJECT), 0); /* server 0 will serve it */
	int connects = 0;
	for (int i = 2; i < 100; i++) {
		r->now += NS_PER_MS;
		rig_waits(r, i);
		connects += rig_count(r, ACTION_CONNECT);
		rig_released(r, 0);
		connects += rig_count(r, ACTION_CONNECT);
	}
	assert_int_equal(connects, 0);
}

/* ---- limits ---- */

static void limits(struct rig *r, int max_connections, int backends)
{
	rig_tell(r, (struct engine_event){.kind = EVENT_SERVER_LIMITS,
			    .limits = {max_connections, 3, 0, backends}});
}

static void no_more_servers_than_the_share(void **state)
{
	struct rig *r = fresh();
	r->settings.budget.instances = 5; /* 35 / 5 */
	r->settings.servers_kept = 40;
	rig_init(r, SEED);
	rig_to_database(r);
	assert_int_equal(r->engine.budget.share, 7);
	for (int server = 0; server < 7; server++)
		rig_ok(r, server);
	assert_int_equal(r->engine.pool.idle, 7);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 0);
	assert_int_equal(r->engine.path.connections, 35); /* as many in every instance */
	for (int client = 0; client < 20; client++)
		rig_waits(r, client);
	rig_go(r, 60 * S);
	assert_int_equal(pool_servers(&r->engine.pool), 7);
}

static void what_the_server_says_changes_the_share_up_and_down(void **state)
{
	struct rig *r = fresh();
	r->settings.servers_kept = 40;
	r->settings.path.limit = 1000;
	r->settings.budget.path_limit = 1000;
	r->settings.budget.pool_size = 100;
	r->settings.budget.max_connections = 23; /* (23 - 8) x 0.8 - 5 */
	rig_init(r, SEED);
	rig_to_database(r);
	assert_int_equal(r->engine.budget.share, 7);
	for (int server = 0; server < 7; server++)
		rig_ok(r, server);
	limits(r, 28, -1); /* (28 - 8) x 0.8 - 5 */
	assert_int_equal(rig_count(r, ACTION_CONNECT), 4);
	for (int server = 7; server < 11; server++)
		rig_ok(r, server);
	limits(r, 18, -1); /* (18 - 8) x 0.8 - 5 */
	rig_go(r, r->now + S);
	assert_int_equal(pool_servers(&r->engine.pool), 3);
}

static void what_the_server_is_at_is_told_as_it_changes(void **state)
{
	struct rig *r = fresh();
	rig_init(r, SEED);
	rig_to_database(r);
	rig_failed(r, 0, OUTCOME_STARTING);
	assert_int_equal(rig_notice(r, NOTICE_DBMS)->to, DBMS_STARTING);
	rig_go(r, r->engine.retry.next_at);
	rig_ok(r, 0);
	assert_int_equal(rig_notice(r, NOTICE_DBMS)->from, DBMS_STARTING);
	assert_int_equal(rig_notice(r, NOTICE_DBMS)->to, DBMS_UP);
	rig_tell(r, (struct engine_event){.kind = EVENT_SERVER_LIMITS,
			    .limits = {100, 3, 0, 5, .in_recovery = true}});
	assert_int_equal(rig_notice(r, NOTICE_DBMS)->to, DBMS_RECOVERY);
	rig_gone(r, 0, OUTCOME_SHUTDOWN, false);
	assert_int_equal(rig_notice(r, NOTICE_DBMS)->to, DBMS_SHUTTING_DOWN);
	rig_tick(r);
	assert_null(rig_notice(r, NOTICE_DBMS));
}

static void a_count_of_backends_is_not_believed_for_ever(void **state)
{
	struct rig *r = fresh();
	rig_init(r, SEED);
	rig_to_run_time(r);
	limits(r, 100, 48); /* in a storm: 48 of the path's 50 */
	assert_int_equal(r->engine.path.state, PATH_OVERLOADED);
	rig_go(r, r->now + 59 * S);
	assert_int_equal(r->engine.path.state, PATH_OVERLOADED);
	rig_go(r, r->now + 2 * S + PATH_SETTLE_NS);
	assert_int_equal(r->engine.path.state, PATH_NORMAL);
	assert_int_equal(r->engine.path.connections, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connects_begin_only_from_the_database_phase_on),
		cmocka_unit_test(without_a_database_phase_nothing_is_connected_to),
		cmocka_unit_test(none_is_opened_before_it_is_needed_but_for_those_kept),
		cmocka_unit_test(one_at_first_and_more_at_once_with_each_success),
		cmocka_unit_test(the_delays_between_attempts_are_full_jitter),
		cmocka_unit_test(a_retry_is_due_in_time_though_another_attempt_is_under_way),
		cmocka_unit_test(
			what_is_neither_permanent_nor_of_capacity_is_retried_and_opens_no_breaker),
		cmocka_unit_test(
			in_the_database_phase_no_pause_takes_more_than_a_quarter_of_what_is_left),
		cmocka_unit_test(pauses_do_not_shrink_to_nothing_at_the_end_of_a_phase),
		cmocka_unit_test(a_success_alone_does_not_end_the_backing_off_a_release_does),
		cmocka_unit_test(a_server_from_before_a_failure_does_not_shorten_the_pause),
		cmocka_unit_test(a_database_that_lets_in_and_then_cuts_is_not_asked_in_a_hot_loop),
		cmocka_unit_test(losses_that_are_not_of_capacity_are_paced_too),
		cmocka_unit_test(one_closed_for_its_clients_sake_is_replaced_at_once),
		cmocka_unit_test(many_lost_at_once_are_one_failure),
		cmocka_unit_test(
			sessions_ended_by_an_administrator_cost_no_pause_while_others_serve),
		cmocka_unit_test(one_ended_before_it_was_of_use_is_a_failure_all_the_same),
		cmocka_unit_test(what_else_ends_a_server_is_a_failure_and_so_is_the_last_ones_end),
		cmocka_unit_test(a_database_that_refuses_is_asked_less_often_but_asked),
		cmocka_unit_test(one_that_lets_in_again_is_not_held_back_from),
		cmocka_unit_test(a_startup_is_paced_and_never_starved),
		cmocka_unit_test(three_failures_in_a_row_open_the_breaker),
		cmocka_unit_test(in_the_database_phase_an_open_breaker_is_capped),
		cmocka_unit_test(at_run_time_it_stays_open_for_its_jittered_time),
		cmocka_unit_test(until_the_startup_is_over_it_is_capped_in_every_phase),
		cmocka_unit_test(a_probe_has_the_longest_patience),
		cmocka_unit_test(what_began_before_it_opened_keeps_no_probe_out),
		cmocka_unit_test(a_breaker_that_is_off_never_opens),
		cmocka_unit_test(
			a_permanent_failure_is_tried_again_only_on_demand_and_after_the_cap),
		cmocka_unit_test(
			a_password_that_changed_under_live_servers_is_not_tried_in_a_hot_loop),
		cmocka_unit_test(no_more_servers_than_the_share),
		cmocka_unit_test(what_the_server_says_changes_the_share_up_and_down),
		cmocka_unit_test(what_the_server_is_at_is_told_as_it_changes),
		cmocka_unit_test(a_count_of_backends_is_not_believed_for_ever),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
