/* How patient one attempt to connect is: redials at the TCP handshake, the end at its deadline. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rig.h"

#define SEED 23

static struct rig *fresh(void)
{
	static struct rig r;
	rig_settings(&r);
	r.settings.dial_patience_ns = S;
	return &r;
}

static void an_attempt_is_abandoned_at_its_deadline_and_counts_as_timed_out(void **state)
{
	struct rig *r = fresh();
	r->settings.dial_patience_ns = 0;
	rig_init(r, SEED);
	rig_to_database(r);
	assert_int_equal(engine_deadline(&r->engine), 60 * S);
	rig_go(r, 60 * S - 1);
	assert_int_equal(r->log_count, 0);
	rig_go(r, 60 * S);
	assert_int_equal(r->log[0].kind, ACTION_ABANDON);
	assert_int_equal(r->log[0].server, 0);
	assert_int_equal(r->servers[0].state, SERVER_NONE);
	assert_int_equal(r->engine.attempts_ended[OUTCOME_TIMEOUT], 1);
	assert_int_equal(r->engine.breaker.failures, 1);
	assert_int_equal(r->engine.path.failures, 1);
	const struct engine_attempt *a = &r->engine.recent[0];
	assert_int_equal(a->serial, 1);
	assert_int_equal(a->path.outcome, OUTCOME_TIMEOUT);
	assert_int_equal(a->began_at, 0);
	assert_int_equal(a->ended_at, 60 * S);
	assert_false(a->under_way);
}

static void answered_at_the_very_deadline_is_answered(void **state)
{
	struct rig *r = fresh();
	rig_init(r, SEED);
	rig_to_database(r);
	r->now = 60 * S;
	rig_ok(r, 0);
	assert_int_equal(rig_count(r, ACTION_ABANDON), 0);
	assert_int_equal(r->engine.pool.idle, 1);
}

static void the_times_of_its_stages_are_kept(void **state)
{
	struct rig *r = fresh();
	r->settings.dial_patience_ns = 0;
	rig_init(r, SEED);
	rig_to_database(r);
	r->now = 2 * NS_PER_MS;
	rig_stage(r, 0, STAGE_TCP);
	r->now = 32 * NS_PER_MS;
	rig_stage(r, 0, STAGE_TLS);
	r->now = 82 * NS_PER_MS;
	rig_stage(r, 0, STAGE_AUTH);
	r->now = 100 * NS_PER_MS;
	rig_ok(r, 0);
	const struct path_attempt *p = &r->engine.recent[0].path;
	assert_int_equal(p->stage, STAGE_READY);
	assert_int_equal(p->stage_ns[STAGE_DNS], 2 * NS_PER_MS);
	assert_int_equal(p->stage_ns[STAGE_TCP], 30 * NS_PER_MS);
	assert_int_equal(p->stage_ns[STAGE_TLS], 50 * NS_PER_MS);
	assert_int_equal(p->stage_ns[STAGE_AUTH], 18 * NS_PER_MS);
	assert_int_equal(path_connect_quantile(&r->engine.path, 0.5), 100 * NS_PER_MS);
	assert_int_equal(r->engine.path.least_ns, 100 * NS_PER_MS);
}

static void a_failed_one_ends_in_the_stage_that_it_was_in(void **state)
{
	struct rig *r = fresh();
	rig_init(r, SEED);
	rig_to_database(r);
	rig_stage(r, 0, STAGE_TCP);
	rig_stage(r, 0, STAGE_AUTH);
	r->now = 7;
	rig_failed(r, 0, OUTCOME_FULL);
	assert_int_equal(r->engine.recent[0].path.stage, STAGE_AUTH);
	assert_int_equal(r->engine.recent[0].path.stage_ns[STAGE_AUTH], 7);
	assert_int_equal(r->engine.recent[0].path.outcome, OUTCOME_FULL);
}

static void a_name_that_is_looked_up_is_not_dialled_afresh(void **state)
{
	struct rig *r = fresh();
	rig_init(r, SEED);
	rig_to_database(r);
	rig_go(r, 59 * S);
	assert_int_equal(rig_count(r, ACTION_REDIAL), 0);
}

static void a_handshake_that_hangs_is_dialled_afresh_each_time_later(void **state)
{
	struct rig *r = fresh();
	struct random mine;
	random_init(&mine, SEED);
	rig_init(r, SEED);
	rig_to_database(r);
	static const int64_t patience_ms[] = {1000, 1500, 2250, 3375};
	int dials = 1;
	for (size_t i = 0; i < sizeof(patience_ms) / sizeof(patience_ms[0]); i++) {
		rig_stage(r, 0, STAGE_TCP);
		int64_t patience_ns = patience_ms[i] * NS_PER_MS;
		instant at = r->now + patience_ns + random_span(&mine, patience_ns);
		rig_stage(r, 0, STAGE_TCP); /* told twice is not longer */
		assert_int_equal(engine_deadline(&r->engine), at);
		rig_go(r, at - 1);
		assert_int_equal(r->log_count, 0);
		rig_go(r, at);
		assert_int_equal(r->log_count, 1);
		assert_int_equal(r->log[0].kind, ACTION_REDIAL);
		assert_int_equal(r->log[0].server, 0);
		assert_int_equal(r->attempts[0].path.stage, STAGE_DNS);
		assert_int_equal(r->attempts[0].dials, ++dials);
		assert_int_equal(r->engine.redials, dials - 1);
		r->now += NS_PER_MS; /* the name, again */
	}
	/* It is one attempt still, with one deadline. */
	assert_int_equal(r->attempts[0].until, 60 * S);
	assert_int_equal(r->attempts[0].path.stage_ns[STAGE_DNS], 3 * NS_PER_MS);
	assert_int_equal(r->engine.breaker.failures, 0);
}

static void a_dropped_handshake_narrows_the_window(void **state)
{
	struct rig *r = fresh();
	r->settings.servers_kept = 20;
	rig_init(r, SEED);
	rig_to_database(r);
	rig_ok(r, 0);
	rig_ok(r, 1);
	rig_ok(r, 2);
	assert_true(r->engine.connects.window == 4.0);
	assert_int_equal(r->engine.connects.under_way, 4);
	rig_stage(r, 3, STAGE_TCP);
	rig_go(r, r->attempts[3].dial_until);
	assert_int_equal(rig_count(r, ACTION_REDIAL), 1);
	assert_true(r->engine.connects.window == 2.0);
	/* What is under way goes on; nothing is begun until it fits. */
	assert_int_equal(r->engine.connects.under_way, 4);
	rig_ok(r, 4);
	rig_ok(r, 5);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 0);
	assert_int_equal(r->engine.connects.under_way, 2);
}

/* One that goes through its stages from tcp on, each as long as the last time, but for auth. */
static void connect_slowly(struct rig *r, int server, int64_t auth_ns)
{
	rig_stage(r, server, STAGE_TCP);
	r->now += 10 * NS_PER_MS;
	rig_stage(r, server, STAGE_AUTH);
	r->now += auth_ns;
	rig_ok(r, server);
}

static void a_stage_that_swells_holds_the_window(void **state)
{
	struct rig *r = fresh();
	r->settings.servers_kept = 20;
	rig_init(r, SEED);
	rig_to_database(r);
	connect_slowly(r, 0, 5 * NS_PER_MS);
	assert_true(r->engine.connects.window == 2.0);
	/* Twice as long in all; but the server took nine times as long as it had. */
	connect_slowly(r, 1, 45 * NS_PER_MS);
	assert_true(r->engine.connects.window == 2.0);
	connect_slowly(r, 2, 40 * NS_PER_MS);
	assert_true(r->engine.connects.window == 3.0);
}

/* What the patience grows to when every handshake hangs. */
static int64_t longest_patience(struct rig *r)
{
	rig_init(r, SEED);
	rig_to_database(r);
	for (int i = 0; i < 20; i++) {
		rig_stage(r, 0, STAGE_TCP);
		rig_go(r, r->attempts[0].dial_until);
	}
	return r->attempts[0].dial_patience_ns;
}

static void the_patience_grows_to_eight_seconds_or_to_what_was_set(void **state)
{
	struct rig *r = fresh();
	r->settings.deadlines.base_ns[DEADLINE_CONNECTION] = 3000 * S;
	r->settings.deadlines.base_ns[DEADLINE_INITIALIZATION] = 3000 * S;
	r->settings.deadlines.cap_ns = 0;
	assert_int_equal(longest_patience(r), 8 * S);
	r->settings.dial_patience_ns = 20 * S;
	r->now = 0;
	assert_int_equal(longest_patience(r), 20 * S);
}

static void a_spare_one_dials_less_often_than_one_that_is_waited_for(void **state)
{
	struct rig *r = fresh();
	r->settings.servers_kept = 2;
	r->settings.spare_calm_ns = 5 * S;
	rig_init(r, SEED);
	rig_to_database(r);
	rig_stage(r, 0, STAGE_TCP); /* the first is nobody's spare */
	assert_in_range(r->attempts[0].dial_until, S, 2 * S);
	rig_ok(r, 0);
	rig_stage(r, 1, STAGE_TCP);
	assert_in_range(r->attempts[1].dial_until, r->now + 4 * S, r->now + 8 * S);
	rig_waits(r, 0);
	rig_waits(r, 1);
	rig_go(r, r->attempts[1].dial_until);
	rig_stage(r, 1, STAGE_TCP); /* somebody waits meanwhile */
	assert_in_range(r->attempts[1].dial_until, r->now + 3 * S / 2, r->now + 3 * S);
}

static void while_handshakes_are_dropped_no_spare_one_is_begun(void **state)
{
	struct rig *r = fresh();
	r->settings.servers_kept = 4;
	r->settings.spare_calm_ns = 5 * S;
	rig_init(r, SEED);
	rig_to_database(r);
	rig_stage(r, 0, STAGE_TCP);
	rig_go(r, r->attempts[0].dial_until);
	instant dropped_at = r->now;
	assert_int_equal(rig_count(r, ACTION_REDIAL), 1);
	rig_ok(r, 0); /* needed, and there */
	assert_int_equal(rig_count(r, ACTION_CONNECT), 0);
	rig_go(r, dropped_at + 5 * S - 1);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 0);
	/* But whoever is waited for is. */
	rig_waits(r, 0);
	rig_waits(r, 1);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 1);
	rig_ok(r, 1);
	rig_go(r, dropped_at + 5 * S);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 2);
}

static void past_the_handshake_nothing_is_dialled_afresh(void **state)
{
	static const enum stage past[] = {STAGE_TLS, STAGE_AUTH, STAGE_READY};
	for (size_t i = 0; i < sizeof(past) / sizeof(past[0]); i++) {
		struct rig *r = fresh();
		rig_init(r, SEED);
		rig_to_database(r);
		rig_stage(r, 0, STAGE_TCP);
		rig_stage(r, 0, past[i]);
		assert_int_equal(engine_deadline(&r->engine), 60 * S);
		rig_go(r, 60 * S - 1);
		assert_int_equal(rig_count(r, ACTION_REDIAL), 0);
	}
}

static void one_that_gets_through_late_is_given_time_for_the_rest(void **state)
{
	struct rig *r = fresh();
	r->settings.stage_patience = true;
	rig_init(r, SEED);
	rig_to_database(r);
	while (r->now < 55 * S) { /* the egress is cold for long */
		rig_stage(r, 0, STAGE_TCP);
		rig_go(r, instant_min(r->attempts[0].dial_until, 55 * S));
	}
	rig_stage(r, 0, STAGE_TLS);
	assert_int_equal(r->attempts[0].until, 115 * S);
	rig_go(r, 65 * S);
	assert_int_equal(rig_count(r, ACTION_ABANDON), 0);
	rig_stage(r, 0, STAGE_AUTH);
	assert_int_equal(r->attempts[0].until, 125 * S);
	assert_int_equal(r->attempts[0].timeout_ns, 125 * S);
	rig_stage(r, 0, STAGE_AUTH); /* told twice is not longer */
	r->now += S;
	rig_stage(r, 0, STAGE_AUTH);
	assert_int_equal(r->attempts[0].until, 125 * S);
	rig_ok(r, 0);
	assert_int_equal(r->engine.pool.idle, 1);
}

static void the_platform_caps_it_whatever_the_stage(void **state)
{
	struct rig *r = fresh();
	r->settings.stage_patience = true;
	r->settings.deadlines.cap_ns = 100 * S;
	rig_init(r, SEED);
	rig_to_database(r);
	r->now = 55 * S;
	rig_stage(r, 0, STAGE_TLS);
	assert_int_equal(r->attempts[0].until, 100 * S);
}

static void a_stage_that_is_known_to_be_quick_is_waited_for_half_as_long(void **state)
{
	struct rig *r = fresh();
	r->settings.stage_patience = true;
	r->settings.servers_kept = 2;
	rig_init(r, SEED);
	rig_to_database(r);
	connect_slowly(r, 0, 5 * NS_PER_MS);
	rig_stage(r, 1, STAGE_TCP);
	assert_int_equal(r->attempts[1].until, r->attempts[1].began_at + 60 * S);
	rig_stage(r, 1, STAGE_AUTH);
	assert_int_equal(r->attempts[1].until, r->now + 30 * S);
	rig_go(r, r->now + 30 * S);
	assert_int_equal(rig_count(r, ACTION_ABANDON), 1);
	assert_int_equal(r->engine.recent[1].timeout_ns, 30 * S);
}

static void when_that_is_switched_off_there_is_one_time_for_all(void **state)
{
	struct rig *r = fresh();
	rig_init(r, SEED);
	rig_to_database(r);
	r->now = 55 * S;
	rig_stage(r, 0, STAGE_TLS);
	assert_int_equal(r->attempts[0].until, 60 * S);
}

static void a_syn_that_the_kernel_sent_again_narrows_the_window(void **state)
{
	struct rig *r = fresh();
	r->settings.servers_kept = 20;
	r->settings.dial_patience_ns = 0;
	rig_init(r, SEED);
	rig_to_database(r);
	rig_ok(r, 0);
	rig_ok(r, 1);
	rig_ok(r, 2);
	assert_true(r->engine.connects.window == 4.0);
	rig_stage(r, 3, STAGE_TCP);
	r->now += S;
	rig_tell(r, (struct engine_event){.kind = EVENT_CONNECT_STAGE,
			    .server = 3,
			    .stage = STAGE_TLS,
			    .syn_known = true,
			    .syn_lost = 1});
	rig_ok(r, 3);
	assert_true(r->engine.connects.window < 4.0);
	assert_int_equal(r->engine.connects.cuts, 1);
}

static void without_a_patience_there_is_no_redial(void **state)
{
	struct rig *r = fresh();
	r->settings.dial_patience_ns = 0;
	rig_init(r, SEED);
	rig_to_database(r);
	rig_stage(r, 0, STAGE_TCP);
	rig_go(r, 60 * S - 1);
	assert_int_equal(r->log_count, 0);
}

static void a_redial_and_the_end_at_once_is_the_end(void **state)
{
	struct rig *r = fresh();
	rig_init(r, SEED);
	rig_to_database(r);
	rig_stage(r, 0, STAGE_TCP);
	r->now = 60 * S; /* nobody woke up in time */
	rig_tick(r);
	assert_int_equal(rig_count(r, ACTION_REDIAL), 0);
	assert_int_equal(rig_count(r, ACTION_ABANDON), 1);
}

static void a_handshake_that_is_dialled_afresh_has_lost_a_syn(void **state)
{
	struct rig *r = fresh();
	rig_init(r, SEED);
	rig_to_database(r);
	for (int i = 0; i < 3; i++) {
		rig_stage(r, 0, STAGE_TCP);
		rig_go(r, r->attempts[0].dial_until);
	}
	assert_int_equal(r->attempts[0].path.syn_lost, 3);
	rig_stage(r, 0, STAGE_TCP);
	r->now += 50 * NS_PER_MS;
	rig_stage(r, 0, STAGE_AUTH);
	rig_ok(r, 0);
	assert_int_equal(r->engine.recent[0].path.syn_lost, 3);
	assert_int_equal(r->engine.path.syn_lost, 3);
}

static void a_short_patience_is_no_proof_of_a_lost_syn(void **state)
{
	struct rig *r = fresh();
	r->settings.dial_patience_ns = 100 * NS_PER_MS;
	rig_init(r, SEED);
	rig_to_database(r);
	rig_stage(r, 0, STAGE_TCP);
	rig_go(r, r->attempts[0].dial_until);
	assert_int_equal(r->attempts[0].dials, 2);
	assert_int_equal(r->attempts[0].path.syn_lost, 0);
}

/* A handshake of that time, with the kernel's count of what it lost, or -1. */
static int syns_lost(int64_t tcp_ns, int counted)
{
	struct rig *r = fresh();
	r->settings.dial_patience_ns = 0;
	rig_init(r, SEED);
	rig_to_database(r);
	rig_stage(r, 0, STAGE_TCP);
	r->now = tcp_ns;
	rig_tell(r, (struct engine_event){.kind = EVENT_CONNECT_STAGE,
			    .stage = STAGE_TLS,
			    .syn_known = counted >= 0,
			    .syn_lost = counted});
	rig_ok(r, 0);
	int lost = (int)r->engine.path.syn_lost;
	r->now = 0;
	return lost;
}

static void a_handshakes_time_tells_what_it_lost_where_the_kernel_does_not(void **state)
{
	assert_int_equal(syns_lost(20 * NS_PER_MS, -1), 0);
	assert_int_equal(syns_lost(1020 * NS_PER_MS, -1), 1);
	assert_int_equal(syns_lost(3020 * NS_PER_MS, -1), 2);
	assert_int_equal(syns_lost(3020 * NS_PER_MS, 3), 3);
	assert_int_equal(syns_lost(1020 * NS_PER_MS, 0), 0); /* the loop was late, not the SYN */
}

static void a_handshake_that_times_out_has_lost_its_syns(void **state)
{
	struct rig *r = fresh();
	r->settings.dial_patience_ns = 0;
	rig_init(r, SEED);
	rig_to_database(r);
	rig_stage(r, 0, STAGE_TCP);
	rig_go(r, 60 * S);
	assert_int_equal(r->engine.path.syn_lost, 1);
}

static void a_stage_told_of_an_attempt_that_is_over_is_ignored(void **state)
{
	struct rig *r = fresh();
	rig_init(r, SEED);
	rig_to_database(r);
	r->now = 60 * S;
	rig_tick(r);
	rig_stage(r, 0, STAGE_TCP);
	assert_int_equal(r->engine.recent[0].path.stage, STAGE_DNS);
}

static void the_last_sixteen_are_remembered(void **state)
{
	struct rig *r = fresh();
	r->settings.breaker.enabled = false;
	r->settings.retry.base_ns = 0;
	rig_init(r, SEED);
	rig_to_database(r);
	for (int i = 0; i < 40; i++)
		rig_failed(r, 0, OUTCOME_REFUSED);
	for (int i = 0; i < ENGINE_ATTEMPTS_MAX; i++) {
		uint64_t serial = r->engine.recent[i].serial;
		assert_in_range(serial, 25, 40);
		assert_int_equal((serial - 1) % ENGINE_ATTEMPTS_MAX, i);
	}
	assert_int_equal(r->engine.attempts_ended[OUTCOME_REFUSED], 40);
}

static void patience_follows_the_path(void **state)
{
	struct rig *r = fresh();
	r->settings.deadlines.base_ns[DEADLINE_CONNECTION] = 10 * S;
	r->settings.servers_kept = 2;
	rig_init(r, SEED);
	rig_to_database(r);
	r->now = 25 * S;
	r->attempts[0].until = INSTANT_NEVER; /* slower than its patience, and there after all */
	rig_ok(r, 0);
	/* The next is given what the last one needed, and what an overloaded path asks for. */
	assert_int_equal(r->attempts[1].timeout_ns, 25 * S);
}

static void what_connects_need_lengthens_waits_for_them_and_no_others(void **state)
{
	struct rig *r = fresh();
	rig_init(r, SEED);
	rig_to_database(r);
	r->now = 50 * S;
	rig_ok(r, 0);
	int64_t *base_ns = r->engine.settings.deadlines.base_ns;
	for (enum deadline_kind kind = 0; kind < DEADLINE_COUNT; kind++)
		base_ns[kind] = 7 * S;
	static const int64_t expected_s[DEADLINE_COUNT] = {50, 7, 50, 50, 7};
	for (enum deadline_kind kind = 0; kind < DEADLINE_COUNT; kind++)
		assert_int_equal(engine_deadline_span(&r->engine, kind), expected_s[kind] * S);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_attempt_is_abandoned_at_its_deadline_and_counts_as_timed_out),
		cmocka_unit_test(answered_at_the_very_deadline_is_answered),
		cmocka_unit_test(the_times_of_its_stages_are_kept),
		cmocka_unit_test(a_failed_one_ends_in_the_stage_that_it_was_in),
		cmocka_unit_test(a_name_that_is_looked_up_is_not_dialled_afresh),
		cmocka_unit_test(a_handshake_that_hangs_is_dialled_afresh_each_time_later),
		cmocka_unit_test(a_dropped_handshake_narrows_the_window),
		cmocka_unit_test(a_stage_that_swells_holds_the_window),
		cmocka_unit_test(the_patience_grows_to_eight_seconds_or_to_what_was_set),
		cmocka_unit_test(a_spare_one_dials_less_often_than_one_that_is_waited_for),
		cmocka_unit_test(while_handshakes_are_dropped_no_spare_one_is_begun),
		cmocka_unit_test(past_the_handshake_nothing_is_dialled_afresh),
		cmocka_unit_test(one_that_gets_through_late_is_given_time_for_the_rest),
		cmocka_unit_test(the_platform_caps_it_whatever_the_stage),
		cmocka_unit_test(a_stage_that_is_known_to_be_quick_is_waited_for_half_as_long),
		cmocka_unit_test(when_that_is_switched_off_there_is_one_time_for_all),
		cmocka_unit_test(a_syn_that_the_kernel_sent_again_narrows_the_window),
		cmocka_unit_test(without_a_patience_there_is_no_redial),
		cmocka_unit_test(a_redial_and_the_end_at_once_is_the_end),
		cmocka_unit_test(a_handshake_that_is_dialled_afresh_has_lost_a_syn),
		cmocka_unit_test(a_short_patience_is_no_proof_of_a_lost_syn),
		cmocka_unit_test(a_handshakes_time_tells_what_it_lost_where_the_kernel_does_not),
		cmocka_unit_test(a_handshake_that_times_out_has_lost_its_syns),
		cmocka_unit_test(a_stage_told_of_an_attempt_that_is_over_is_ignored),
		cmocka_unit_test(the_last_sixteen_are_remembered),
		cmocka_unit_test(patience_follows_the_path),
		cmocka_unit_test(what_connects_need_lengthens_waits_for_them_and_no_others),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
