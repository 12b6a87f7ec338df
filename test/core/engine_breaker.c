/* What the engine does while the breaker is not closed: whom it serves, whom it turns away, and how it
 * finds out that the path is back. */
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
	r.settings.probe = (struct probe_settings){5 * S, 15 * S, 0, 3 * S};
	return &r;
}

static struct rig *at_run_time(void)
{
	struct rig *r = fresh();
	rig_init(r, SEED);
	rig_to_run_time(r);
	return r;
}

/* Fails the attempts under way and to come until the breaker is open. */
static void fail_until_open(struct rig *r, enum outcome outcome)
{
	while (r->engine.breaker.judged != BREAKER_OPEN) {
		int server = 0;
		while (server < RIG_SERVERS && r->servers[server].state != SERVER_CONNECTING)
			server++;
		if (server < RIG_SERVERS)
			rig_failed(r, server, outcome);
		else
			rig_go(r, engine_deadline(&r->engine));
	}
}

static void probed(struct rig *r, enum outcome outcome)
{
	rig_tell(r, (struct engine_event){.kind = EVENT_PROBED,
			    .probe = {.outcome = outcome, .stage = STAGE_TLS}});
}

static void by_hand(struct rig *r, enum breaker_mode mode)
{
	rig_tell(r, (struct engine_event){.kind = EVENT_BREAKER, .breaker_mode = mode});
}

/* Goes on to when something is done. */
static void go_on(struct rig *r, enum engine_action_kind until)
{
	do {
		assert_true(engine_deadline(&r->engine) != INSTANT_NEVER);
		rig_go(r, instant_max(engine_deadline(&r->engine), r->now));
	} while (rig_count(r, until) == 0);
}

/* Without its only server, and the breaker open. */
static struct rig *cut_off(enum outcome outcome)
{
	struct rig *r = at_run_time();
	rig_gone(r, 0, OUTCOME_RESET, false);
	fail_until_open(r, outcome);
	assert_int_equal(r->engine.breaker.state, BREAKER_OPEN);
	return r;
}

/* ---- the light probe ---- */

static void while_open_it_is_asked_lightly_and_one_at_a_time(void **state)
{
	struct rig *r = cut_off(OUTCOME_UNREACHABLE);
	instant opened_at = r->now;
	go_on(r, ACTION_PROBE);
	assert_in_range(r->now - opened_at, 5 * S / 2, 15 * S / 2);
	const struct engine_action *a = rig_first(r, ACTION_PROBE);
	assert_true(a->asks);
	assert_int_equal(a->timeout_ns, 3 * S);
	assert_int_equal(a->server, POOL_NOBODY);
	rig_go(r, r->now + 3 * S);
	assert_int_equal(rig_count(r, ACTION_PROBE), 0);
}

static void one_that_gets_through_brings_the_next_attempt_forward(void **state)
{
	struct rig *r = cut_off(OUTCOME_UNREACHABLE);
	instant until = r->engine.breaker.until;
	r->engine.connects.window = 4;
	go_on(r, ACTION_PROBE);
	r->engine.retry.next_at = r->now + 20 * S;
	r->now += NS_PER_MS;
	probed(r, OUTCOME_OK);
	assert_int_equal(r->engine.breaker.state, BREAKER_HALF_OPEN);
	assert_int_equal(rig_notice(r, NOTICE_BREAKER)->cause, BREAKER_BY_PROBE);
	assert_true(r->engine.connects.window == 1.0);
	/* At once, whatever pause the attempts before it have earned: the probes are what is paced. */
	assert_int_equal(rig_count(r, ACTION_CONNECT), 1);
	assert_true(r->now < until);
	rig_ok(r, rig_first(r, ACTION_CONNECT)->server);
	assert_int_equal(r->engine.breaker.state, BREAKER_CLOSED);
	assert_int_equal(rig_count(r, ACTION_PROBE), 0);
}

static void one_that_fails_leaves_it_open(void **state)
{
	struct rig *r = cut_off(OUTCOME_UNREACHABLE);
	instant until = r->engine.breaker.until;
	int probes = 0;
	while (r->engine.breaker.state == BREAKER_OPEN) {
		rig_go(r, engine_deadline(&r->engine));
		if (rig_count(r, ACTION_PROBE) == 0)
			continue;
		probes++;
		probed(r, OUTCOME_TIMEOUT);
	}
	assert_true(r->now >= until); /* its time was what ended it */
	assert_in_range(probes, 7, 20);
}

/* By a server that answers and is not ready yet: asked again soon, but not in a hot loop. */
/* By a host on which nothing listens, or a server that is not ready yet: a login asks no more of the
 * path than a light probe would. It is asked soon, but not in a hot loop. */
static void a_host_that_answers_is_asked_by_logins(void **state)
{
	static const enum outcome outcomes[] = {
		OUTCOME_REFUSED, OUTCOME_STARTING, OUTCOME_SHUTDOWN};
	for (int k = 0; k < 3; k++) {
		struct rig *r = cut_off(outcomes[k]);
		instant opened_at = r->now;
		int64_t changes = r->engine.breaker.changes_count;
		for (int i = 0; i < 8; i++) {
			instant before = r->now;
			go_on(r, ACTION_CONNECT);
			assert_true(r->now - before >= 5 * S / 2);
			assert_int_equal(rig_count(r, ACTION_PROBE), 0);
			/* One at a time, and nobody waits for it. */
			rig_waits(r, 3);
			assert_int_equal(rig_first(r, ACTION_REJECT)->client, 3);
			rig_go(r, r->now + S);
			assert_int_equal(rig_count(r, ACTION_CONNECT), 0);
			rig_failed(r, 0, outcomes[k]);
			assert_int_equal(r->engine.breaker.state, BREAKER_OPEN);
		}
		/* Not worth a word: it is as open as it was. */
		assert_int_equal(r->engine.breaker.changes_count, changes);
		assert_int_equal(r->engine.probe.since, opened_at);
		go_on(r, ACTION_CONNECT);
		rig_ok(r, 0);
		assert_int_equal(r->engine.breaker.state, BREAKER_CLOSED);
		assert_int_equal(breaker_change(&r->engine.breaker, 1)->cause, BREAKER_BY_PROBE);
		assert_int_equal(r->engine.probe.since, -1);
	}
}

static void a_server_that_said_that_it_is_full_is_not_asked_lightly(void **state)
{
	struct rig *r = cut_off(OUTCOME_FULL);
	rig_go(r, r->engine.breaker.until - 1);
	assert_int_equal(rig_count(r, ACTION_PROBE), 0);
	rig_go(r, r->now + 1);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 1);
}

static void during_the_startup_no_probe_is_asked_for(void **state)
{
	struct rig *r = fresh();
	r->settings.probe.interval_ns = NS_PER_MS;
	r->settings.probe.idle_ns = NS_PER_MS;
	rig_init(r, SEED);
	rig_to_database(r);
	fail_until_open(r, OUTCOME_REFUSED);
	rig_go(r, r->now + 20 * S);
	assert_int_equal(rig_count(r, ACTION_PROBE), 0);
}

static void a_probe_that_ends_after_the_attempt_has_decided_changes_nothing(void **state)
{
	struct rig *r = cut_off(OUTCOME_UNREACHABLE);
	go_on(r, ACTION_PROBE);
	r->now = r->engine.breaker.until;
	rig_tick(r);
	if (rig_count(r, ACTION_CONNECT) == 0)
		go_on(r, ACTION_CONNECT);
	rig_ok(r, 0);
	assert_int_equal(r->engine.breaker.state, BREAKER_CLOSED);
	r->engine.connects.window = 3;
	probed(r, OUTCOME_OK);
	assert_int_equal(r->engine.breaker.state, BREAKER_CLOSED);
	assert_true(r->engine.connects.window == 3.0);
}

static void a_path_on_which_nothing_connects_is_asked_by_tcp_alone(void **state)
{
	struct rig *r = fresh();
	r->settings.probe.idle_ns = 60 * S;
	rig_init(r, SEED);
	rig_to_run_time(r);
	rig_go(r, 29 * S);
	assert_int_equal(rig_count(r, ACTION_PROBE), 0);
	rig_go(r, 90 * S);
	assert_int_equal(rig_count(r, ACTION_PROBE), 1);
	assert_false(rig_first(r, ACTION_PROBE)->asks);
	probed(r, OUTCOME_TIMEOUT);
	assert_int_equal(r->engine.breaker.state, BREAKER_CLOSED);
	assert_int_equal(r->engine.breaker.failures, 0);
	/* And not again until so long after. */
	rig_go(r, r->now + 29 * S);
	assert_int_equal(rig_count(r, ACTION_PROBE), 0);
	/* A connect tells, too: so many that the path is never without news. */
	for (int i = 0; i < 10; i++) {
		rig_waits(r, 0);
		rig_gone(r, 0, OUTCOME_OK, false);
		rig_ok(r, rig_first(r, ACTION_CONNECT)->server);
		rig_go(r, r->now + 29 * S);
		assert_int_equal(rig_count(r, ACTION_PROBE), 0);
	}
}

static void without_monitoring_no_quiet_path_is_asked(void **state)
{
	struct rig *r = fresh();
	r->settings.probe.idle_ns = 60 * S;
	r->settings.path.monitoring = false;
	rig_init(r, SEED);
	rig_to_run_time(r);
	rig_go(r, 1000 * S);
	assert_int_equal(rig_count(r, ACTION_PROBE), 0);
}

/* A fleet whose breakers opened in the same moment asks at different moments. */
static void a_fleet_does_not_ask_in_step(void **state)
{
	static int in_second[10];
	for (uint64_t seed = 1; seed <= 200; seed++) {
		struct rig *r = fresh();
		rig_init(r, seed);
		rig_to_run_time(r);
		rig_gone(r, 0, OUTCOME_RESET, false);
		fail_until_open(r, OUTCOME_UNREACHABLE);
		instant opened_at = r->now;
		go_on(r, ACTION_PROBE);
		in_second[(r->now - opened_at) / S]++;
	}
	for (int second = 3; second < 7; second++)
		assert_in_range(in_second[second], 20, 60);
	assert_int_equal(in_second[0] + in_second[1] + in_second[8] + in_second[9], 0);
}

/* ---- whoever waits ---- */

static void clients_are_told_at_once_and_when_the_next_try_is(void **state)
{
	struct rig *r = cut_off(OUTCOME_UNREACHABLE);
	rig_waits(r, 3);
	assert_int_equal(rig_first(r, ACTION_REJECT)->client, 3);
	assert_int_equal(rig_first(r, ACTION_REJECT)->reject, REJECT_BREAKER_OPEN);
	/* By the probe, not by the minute that it may take at most. */
	r->engine.retry.next_at = r->now;
	assert_in_range(engine_retry_after_s(&r->engine, r->now), 3, 8);
	go_on(r, ACTION_PROBE);
	assert_int_equal(engine_retry_after_s(&r->engine, r->now), 3);
	r = cut_off(OUTCOME_FULL);
	assert_in_range(engine_retry_after_s(&r->engine, r->now), 54, 66);
}

static void servers_that_work_go_on_being_used_whatever_their_age(void **state)
{
	struct rig *r = fresh();
	r->settings.servers_kept = 2;
	r->settings.server_idle_ns = 60 * S;
	r->settings.server_life_ns = 100 * S;
	r->settings.probe.interval_ns = 0;
	rig_init(r, SEED);
	rig_to_run_time(r);
	rig_ok(r, 1);
	assert_int_equal(r->engine.pool.idle, 2);
	/* More clients than two can serve, and nothing to be had. */
	for (int client = 0; client < 5; client++)
		rig_waits(r, client);
	rig_go(r, r->now + S);
	fail_until_open(r, OUTCOME_TIMEOUT);
	instant opened_at = r->now;
	for (int client = 5; client < 100; client++) {
		rig_go(r, r->now + S / 2);
		assert_int_equal(rig_count(r, ACTION_CLOSE) + rig_count(r, ACTION_REJECT), 0);
		rig_waits(r, client);
		assert_int_equal(rig_count(r, ACTION_REJECT), 0);
		rig_released(r, client % 2);
		assert_int_equal(rig_count(r, ACTION_ASSIGN), 1);
	}
	assert_true(r->now - opened_at > 40 * S);
	assert_int_equal(r->engine.breaker.state, BREAKER_OPEN);
}

static void spare_servers_are_kept_while_no_other_can_be_had(void **state)
{
	struct rig *r = fresh();
	r->settings.servers_kept = 2;
	r->settings.probe.interval_ns = 0;
	rig_init(r, SEED);
	rig_to_run_time(r);
	rig_ok(r, 1);
	/* One of them is one too many from now on. */
	r->settings.servers_kept = 1;
	r->settings.server_idle_ns = 30 * S;
	engine_configure(&r->engine, &r->settings, r->now);
	by_hand(r, BREAKER_HELD_OPEN);
	rig_go(r, r->now + 100 * S);
	assert_int_equal(rig_count(r, ACTION_CLOSE), 0);
	by_hand(r, BREAKER_HELD_CLOSED);
	rig_go(r, r->now + 2 * S);
	assert_int_equal(rig_count(r, ACTION_CLOSE), 1);
}

/* ---- half-open ---- */

static void the_attempt_that_decides_is_given_the_longest_patience(void **state)
{
	struct rig *r = cut_off(OUTCOME_FULL);
	rig_go(r, r->engine.breaker.until);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 1);
	assert_int_equal(r->engine.attempts[0].timeout_ns, 2 * 60 * S);
	assert_int_equal(r->engine.breaker.probing, 1);
	/* One that never ends is given up, and does not hold the place for ever. */
	rig_go(r, r->now + 2 * 60 * S);
	assert_int_equal(rig_count(r, ACTION_ABANDON), 1);
	assert_int_equal(r->engine.breaker.state, BREAKER_OPEN);
	assert_int_equal(r->engine.breaker.probing, 0);
}

static void the_time_open_grows_with_each_attempt_that_fails(void **state)
{
	struct rig *r = fresh();
	r->settings.breaker.growth = 2.0;
	r->settings.breaker.open_max_ns = 150 * S;
	r->settings.breaker.jitter = 0.0;
	r->settings.probe.interval_ns = 0;
	rig_init(r, SEED);
	rig_to_run_time(r);
	rig_gone(r, 0, OUTCOME_RESET, false);
	static const int64_t spans_s[] = {60, 120, 150, 150};
	for (int i = 0; i < 4; i++) {
		fail_until_open(r, OUTCOME_REFUSED);
		assert_int_equal(r->engine.breaker.until - r->now, spans_s[i] * S);
		go_on(r, ACTION_CONNECT);
	}
}

/* All that is to be had is there: by attempts from before it opened. */
static void a_full_pool_is_no_reason_to_stay_open(void **state)
{
	struct rig *r = fresh();
	r->settings.budget.pool_size = 4;
	r->settings.budget.pool_overflow = 0;
	r->settings.servers_kept = 4;
	r->settings.breaker.failure_threshold = 1;
	r->settings.connects.rule = CONNECTS_FIXED;
	rig_init(r, SEED);
	rig_to_run_time(r);
	rig_gone(r, 0, OUTCOME_OK, false);
	assert_int_equal(r->engine.pool.connecting, 4);
	rig_failed(r, 3, OUTCOME_REFUSED);
	for (int server = 0; server < 3; server++)
		rig_ok(r, server);
	assert_int_equal(r->engine.breaker.state, BREAKER_OPEN);
	r->settings.budget.pool_size = r->settings.servers_kept = 3;
	engine_configure(&r->engine, &r->settings, r->now);
	instant until = r->engine.breaker.until;
	rig_go(r, until - 1);
	if (r->engine.probe.under_way)
		probed(r, OUTCOME_TIMEOUT);
	assert_int_equal(r->engine.breaker.state, BREAKER_OPEN);
	rig_go(r, until);
	assert_int_equal(r->engine.breaker.state, BREAKER_CLOSED);
	assert_int_equal(r->engine.availability, AVAILABILITY_FULL);
}

/* ---- rules, by the engine ---- */

static void a_slow_path_opens_it_where_slowness_counts(void **state)
{
	struct rig *r = fresh();
	r->settings.breaker.window = 10;
	r->settings.breaker.minimum = 3;
	r->settings.breaker.slow_rate = 0.9;
	r->settings.breaker.slow_ns = 4 * S;
	r->settings.servers_kept = 5;
	rig_init(r, SEED);
	rig_to_database(r);
	for (int server = 0; server < 3; server++) {
		assert_int_equal(r->engine.breaker.state, BREAKER_CLOSED);
		r->now += 4 * S;
		rig_ok(r, server);
	}
	assert_int_equal(r->engine.breaker.state, BREAKER_OPEN);
	assert_int_equal(rig_notice(r, NOTICE_BREAKER)->cause, BREAKER_BY_SLOW_RATE);
}

static void only_the_outcomes_that_are_named_open_it(void **state)
{
	struct rig *r = fresh();
	r->settings.breaker.failures = 1U << OUTCOME_PROTOCOL;
	r->settings.probe.interval_ns = 0;
	rig_init(r, SEED);
	rig_to_run_time(r);
	rig_gone(r, 0, OUTCOME_RESET, false);
	for (int i = 0; i < 5; i++) {
		go_on(r, ACTION_CONNECT);
		rig_failed(r, 0, OUTCOME_REFUSED);
	}
	assert_int_equal(r->engine.breaker.state, BREAKER_CLOSED);
	fail_until_open(r, OUTCOME_PROTOCOL);
}

/* ---- by hand ---- */

static void held_open_nothing_connects_and_who_has_a_server_keeps_it(void **state)
{
	struct rig *r = at_run_time();
	rig_waits(r, 0);
	by_hand(r, BREAKER_HELD_OPEN);
	assert_int_equal(rig_notice(r, NOTICE_BREAKER)->cause, BREAKER_BY_HAND);
	rig_go(r, r->now + 3600 * S);
	assert_int_equal(rig_count(r, ACTION_CONNECT) + rig_count(r, ACTION_PROBE), 0);
	rig_waits(r, 1);
	rig_released(r, 0);
	assert_int_equal(rig_count(r, ACTION_ASSIGN), 1);
	rig_gone(r, 0, OUTCOME_RESET, false);
	rig_waits(r, 2);
	assert_int_equal(rig_count(r, ACTION_REJECT), 1);
	assert_int_equal(engine_retry_after_s(&r->engine, r->now), 60);
	/* Let go, an attempt decides. */
	r->now += 60 * S;
	by_hand(r, BREAKER_AUTO);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 1);
	rig_ok(r, 0);
	assert_int_equal(r->engine.breaker.state, BREAKER_CLOSED);
}

static void with_metrics_only_nobody_is_refused_and_every_change_is_told(void **state)
{
	struct rig *r = fresh();
	r->settings.breaker.mode = BREAKER_METRICS;
	rig_init(r, SEED);
	rig_to_run_time(r);
	rig_gone(r, 0, OUTCOME_RESET, false);
	fail_until_open(r, OUTCOME_REFUSED);
	assert_int_equal(rig_notice(r, NOTICE_BREAKER)->to, BREAKER_OPEN);
	assert_int_equal(r->engine.breaker.state, BREAKER_CLOSED);
	rig_waits(r, 0);
	assert_int_equal(rig_count(r, ACTION_REJECT), 0);
	go_on(r, ACTION_CONNECT);
	assert_true(r->now < r->engine.breaker.until);
	assert_int_equal(r->engine.breaker.spared, 1);
	assert_int_equal(rig_count(r, ACTION_PROBE), 0);
	rig_ok(r, 0);
	assert_int_equal(rig_count(r, ACTION_ASSIGN), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(while_open_it_is_asked_lightly_and_one_at_a_time),
		cmocka_unit_test(one_that_gets_through_brings_the_next_attempt_forward),
		cmocka_unit_test(one_that_fails_leaves_it_open),
		cmocka_unit_test(a_host_that_answers_is_asked_by_logins),
		cmocka_unit_test(a_server_that_said_that_it_is_full_is_not_asked_lightly),
		cmocka_unit_test(during_the_startup_no_probe_is_asked_for),
		cmocka_unit_test(a_probe_that_ends_after_the_attempt_has_decided_changes_nothing),
		cmocka_unit_test(a_path_on_which_nothing_connects_is_asked_by_tcp_alone),
		cmocka_unit_test(without_monitoring_no_quiet_path_is_asked),
		cmocka_unit_test(a_fleet_does_not_ask_in_step),
		cmocka_unit_test(clients_are_told_at_once_and_when_the_next_try_is),
		cmocka_unit_test(servers_that_work_go_on_being_used_whatever_their_age),
		cmocka_unit_test(spare_servers_are_kept_while_no_other_can_be_had),
		cmocka_unit_test(the_attempt_that_decides_is_given_the_longest_patience),
		cmocka_unit_test(the_time_open_grows_with_each_attempt_that_fails),
		cmocka_unit_test(a_full_pool_is_no_reason_to_stay_open),
		cmocka_unit_test(a_slow_path_opens_it_where_slowness_counts),
		cmocka_unit_test(only_the_outcomes_that_are_named_open_it),
		cmocka_unit_test(held_open_nothing_connects_and_who_has_a_server_keeps_it),
		cmocka_unit_test(with_metrics_only_nobody_is_refused_and_every_change_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
