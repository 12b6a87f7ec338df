/* The seven phases as the engine runs them: order, deadlines, failures, ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rig.h"

static struct rig *fresh(void)
{
	static struct rig r;
	rig_settings(&r);
	return &r;
}

static void expect_notice(const struct engine_action *a, enum phase phase, int from, int to)
{
	assert_int_equal(a->kind, ACTION_NOTICE);
	assert_int_equal(a->notice, NOTICE_PHASE);
	assert_int_equal(a->phase, phase);
	assert_int_equal(a->from, from);
	assert_int_equal(a->to, to);
}

static void expect_begin(const struct rig *r, int at, enum phase phase)
{
	assert_in_range(r->log_count, at + 2, RIG_LOG);
	expect_notice(&r->log[at], phase, PHASE_PENDING, PHASE_IN_PROGRESS);
	assert_int_equal(r->log[at + 1].kind, ACTION_PHASE_BEGIN);
	assert_int_equal(r->log[at + 1].phase, phase);
}

static enum phase_status status(const struct rig *r, enum phase phase)
{
	return r->engine.startup.phases[phase].status;
}

static void nothing_happens_before_the_start(void **state)
{
	struct rig *r = fresh();
	rig_init(r, 1);
	assert_int_equal(engine_deadline(&r->engine), INSTANT_NEVER);
	rig_tick(r);
	assert_int_equal(r->log_count, 0);
	assert_int_equal(r->engine.availability, AVAILABILITY_UNAVAILABLE);
}

static void seven_phases_begin_in_order_each_when_the_one_before_is_done(void **state)
{
	struct rig *r = fresh();
	rig_init(r, 1);
	rig_start(r);
	assert_int_equal(r->log_count, 2);
	expect_begin(r, 0, PHASE_INIT);
	for (enum phase phase = PHASE_INIT; phase < PHASE_FINALIZE; phase++) {
		r->now += S;
		if (phase == PHASE_DATABASE)
			rig_ok(r, 0);
		rig_done(r, phase, true);
		expect_notice(&r->log[0], phase, PHASE_IN_PROGRESS, PHASE_COMPLETED);
		expect_begin(r, 1, phase + 1);
		assert_int_equal(rig_count(r, ACTION_PHASE_BEGIN), 1);
		assert_int_equal(r->engine.availability, AVAILABILITY_UNAVAILABLE);
	}
	r->now += S;
	rig_done(r, PHASE_FINALIZE, true);
	assert_int_equal(r->log_count, 3);
	expect_notice(&r->log[0], PHASE_FINALIZE, PHASE_IN_PROGRESS, PHASE_COMPLETED);
	assert_int_equal(r->log[1].notice, NOTICE_STARTED);
	assert_int_equal(r->log[2].notice, NOTICE_AVAILABILITY);
	assert_int_equal(r->log[2].from, AVAILABILITY_UNAVAILABLE);
	assert_int_equal(r->log[2].to, AVAILABILITY_FULL);
	assert_int_equal(r->engine.startup.ended_at, 7 * S);
	rig_go(r, 20 * S);
	assert_int_equal(r->log_count, 0);
}

static void what_is_not_wanted_is_skipped_and_said_so(void **state)
{
	struct rig *r = fresh();
	r->settings.startup.wanted[PHASE_DEPENDENCIES] = false;
	r->settings.startup.wanted[PHASE_CACHE] = false;
	r->settings.startup.wanted[PHASE_WEBSOCKET] = false;
	rig_init(r, 1);
	rig_start(r);
	rig_done(r, PHASE_INIT, true);
	expect_notice(&r->log[0], PHASE_INIT, PHASE_IN_PROGRESS, PHASE_COMPLETED);
	expect_notice(&r->log[1], PHASE_DEPENDENCIES, PHASE_PENDING, PHASE_SKIPPED);
	expect_begin(r, 2, PHASE_DATABASE);
	rig_ok(r, 0);
	rig_done(r, PHASE_DATABASE, true);
	expect_notice(&r->log[1], PHASE_CACHE, PHASE_PENDING, PHASE_SKIPPED);
	expect_begin(r, 2, PHASE_SERVICES);
	rig_done(r, PHASE_SERVICES, true);
	expect_notice(&r->log[1], PHASE_WEBSOCKET, PHASE_PENDING, PHASE_SKIPPED);
	expect_begin(r, 2, PHASE_FINALIZE);
	rig_done(r, PHASE_FINALIZE, true);
	assert_non_null(rig_notice(r, NOTICE_STARTED));
	assert_int_equal(r->engine.availability, AVAILABILITY_FULL);
}

static void a_critical_failure_skips_the_rest_and_ends_with_code_3_once(void **state)
{
	struct rig *r = fresh();
	rig_init(r, 1);
	rig_start(r);
	rig_done(r, PHASE_INIT, true);
	rig_done(r, PHASE_DEPENDENCIES, false);
	expect_notice(&r->log[0], PHASE_DEPENDENCIES, PHASE_IN_PROGRESS, PHASE_FAILED);
	for (enum phase phase = PHASE_DATABASE; phase < PHASE_COUNT; phase++)
		expect_notice(&r->log[phase - 1], phase, PHASE_PENDING, PHASE_SKIPPED);
	assert_int_equal(rig_count(r, ACTION_PHASE_BEGIN), 0);
	assert_int_equal(rig_count(r, ACTION_EXIT), 1);
	assert_int_equal(rig_first(r, ACTION_EXIT)->code, 3);
	assert_int_equal(r->engine.availability, AVAILABILITY_UNAVAILABLE);
	rig_waits(r, 0);
	rig_tell(r, (struct engine_event){.kind = EVENT_COMMAND_EXITED, .code = 1});
	rig_go(r, 300 * S);
	assert_int_equal(rig_count(r, ACTION_EXIT), 0);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 0);
}

static void what_can_be_done_without_fails_and_the_start_goes_on(void **state)
{
	struct rig *r = fresh();
	rig_init(r, 1);
	rig_to_database(r);
	rig_ok(r, 0);
	rig_done(r, PHASE_DATABASE, true);
	rig_done(r, PHASE_CACHE, false);
	expect_notice(&r->log[0], PHASE_CACHE, PHASE_IN_PROGRESS, PHASE_FAILED);
	expect_begin(r, 1, PHASE_SERVICES);
	assert_int_equal(rig_count(r, ACTION_EXIT), 0);
	rig_done(r, PHASE_SERVICES, true);
	rig_done(r, PHASE_WEBSOCKET, true);
	rig_done(r, PHASE_FINALIZE, true);
	assert_non_null(rig_notice(r, NOTICE_STARTED));
	assert_int_equal(rig_notice(r, NOTICE_AVAILABILITY)->to, AVAILABILITY_DEGRADED);
}

static void a_phase_out_of_time_is_cancelled_at_its_deadline_and_not_before(void **state)
{
	struct rig *r = fresh();
	rig_init(r, 1);
	rig_start(r);
	r->now = 4 * S;
	rig_done(r, PHASE_INIT, true);
	assert_int_equal(engine_deadline(&r->engine), 64 * S);
	rig_go(r, 64 * S - 1);
	assert_int_equal(r->log_count, 0);
	rig_go(r, 64 * S);
	assert_int_equal(r->log[0].kind, ACTION_PHASE_CANCEL);
	assert_int_equal(r->log[0].phase, PHASE_DEPENDENCIES);
	assert_true(r->engine.startup.phases[PHASE_DEPENDENCIES].timed_out);
	assert_int_equal(rig_first(r, ACTION_EXIT)->code, ENGINE_EXIT_STARTUP_FAILED);
	/* Its work ended at the same moment, and says so too late. */
	rig_done(r, PHASE_DEPENDENCIES, true);
	assert_int_equal(r->log_count, 0);
	assert_int_equal(status(r, PHASE_DEPENDENCIES), PHASE_FAILED);
}

static void done_at_the_very_deadline_is_done(void **state)
{
	struct rig *r = fresh();
	rig_init(r, 1);
	rig_start(r);
	r->now = 10 * S;
	rig_done(r, PHASE_INIT, true);
	assert_int_equal(status(r, PHASE_INIT), PHASE_COMPLETED);
	assert_int_equal(rig_count(r, ACTION_PHASE_CANCEL), 0);
}

static void every_phase_but_the_database_has_the_deadline_it_was_given(void **state)
{
	static const int64_t expected_s[PHASE_COUNT] = {10, 60, 90, 15, 120, 10, 30};
	struct rig *r = fresh();
	rig_init(r, 1);
	rig_start(r);
	for (enum phase phase = PHASE_INIT; phase < PHASE_COUNT; phase++) {
		if (phase == PHASE_DATABASE)
			rig_ok(r, 0);
		assert_int_equal(r->engine.startup.current, phase);
		assert_int_equal(
			startup_deadline(&r->engine.startup), r->now + expected_s[phase] * S);
		r->now += 3 * S;
		rig_done(r, phase, true);
	}
}

/* ---- the database phase ---- */

static void the_database_deadline_follows_the_path_upwards_only(void **state)
{
	struct rig *r = fresh();
	r->settings.retry.base_ns = 1;
	r->settings.retry.cap_ns = 1;
	r->settings.deadlines.base_ns[DEADLINE_CONNECTION] = 5 * S;
	rig_init(r, 1);
	rig_to_database(r);
	assert_int_equal(startup_deadline(&r->engine.startup), 90 * S);
	rig_go(r, 9 * S);
	assert_int_equal(r->engine.path.state, PATH_UNKNOWN);
	assert_int_equal(startup_deadline(&r->engine.startup), 90 * S);
	rig_go(r, 11 * S); /* the second attempt has timed out: overloaded, twice the base */
	assert_int_equal(r->engine.path.state, PATH_OVERLOADED);
	assert_int_equal(startup_deadline(&r->engine.startup), 180 * S);
	for (int server = 0; server < RIG_SERVERS; server++)
		if (r->attempts[server].under_way)
			rig_ok(r, server);
	rig_go(r, 40 * S); /* calm again, and no later than before */
	assert_int_equal(r->engine.path.state, PATH_NORMAL);
	assert_int_equal(startup_deadline(&r->engine.startup), 180 * S);
}

static void the_platforms_cap_bounds_the_database_deadline_from_the_first(void **state)
{
	struct rig *r = fresh();
	r->settings.deadlines.cap_ns = 50 * S;
	rig_init(r, 1);
	rig_to_database(r);
	assert_int_equal(startup_deadline(&r->engine.startup), 50 * S);
}

static void without_capacity_awareness_the_database_deadline_is_the_base(void **state)
{
	struct rig *r = fresh();
	r->settings.deadlines.capacity_aware = false;
	r->settings.deadlines.base_ns[DEADLINE_CONNECTION] = 5 * S;
	rig_init(r, 1);
	rig_to_database(r);
	rig_go(r, 89 * S);
	assert_int_equal(startup_deadline(&r->engine.startup), 90 * S);
	rig_go(r, 90 * S);
	assert_int_equal(rig_first(r, ACTION_EXIT)->code, 3);
}

static void table_setup_starts_the_databases_deadline_afresh(void **state)
{
	struct rig *r = fresh();
	rig_init(r, 1);
	rig_to_database(r);
	r->now = 80 * S;
	rig_ok(r, 0);
	rig_tell(r, (struct engine_event){.kind = EVENT_PHASE_STEP, .phase = PHASE_DATABASE});
	assert_int_equal(startup_deadline(&r->engine.startup), 125 * S);
	/* From here on it is the table setup's own: no connect lengthens it. */
	r->engine.path.state = PATH_OVERLOADED;
	rig_tick(r);
	assert_int_equal(startup_deadline(&r->engine.startup), 125 * S);
	rig_go(r, 125 * S - 1);
	assert_int_equal(rig_count(r, ACTION_PHASE_CANCEL), 0);
	rig_go(r, 125 * S);
	assert_int_equal(rig_first(r, ACTION_PHASE_CANCEL)->phase, PHASE_DATABASE);
	assert_int_equal(rig_first(r, ACTION_EXIT)->code, 3);
}

static void a_step_of_a_phase_that_is_not_on_changes_nothing(void **state)
{
	struct rig *r = fresh();
	rig_init(r, 1);
	rig_start(r);
	rig_tell(r, (struct engine_event){.kind = EVENT_PHASE_STEP, .phase = PHASE_DATABASE});
	rig_tell(r, (struct engine_event){.kind = EVENT_PHASE_STEP, .phase = PHASE_INIT});
	assert_int_equal(startup_deadline(&r->engine.startup), 10 * S);
	assert_false(r->engine.in_table_setup);
}

static void a_permanent_failure_fails_the_phase_at_once_and_is_not_retried(void **state)
{
	static const enum outcome permanent[] = {
		OUTCOME_AUTH, OUTCOME_DATABASE, OUTCOME_TLS, OUTCOME_SETTINGS};
	for (size_t i = 0; i < sizeof(permanent) / sizeof(permanent[0]); i++) {
		struct rig *r = fresh();
		rig_init(r, 1);
		rig_to_database(r);
		r->now = S;
		rig_failed(r, 0, permanent[i]);
		assert_int_equal(r->log[0].kind, ACTION_PHASE_CANCEL);
		assert_int_equal(r->log[0].phase, PHASE_DATABASE);
		assert_false(r->engine.startup.phases[PHASE_DATABASE].timed_out);
		assert_int_equal(status(r, PHASE_CACHE), PHASE_SKIPPED);
		assert_int_equal(rig_first(r, ACTION_EXIT)->code, 3);
		assert_int_equal(rig_count(r, ACTION_CONNECT), 0);
		assert_int_equal(r->engine.breaker.failures, 0);
		assert_int_equal(r->engine.attempts_ended[permanent[i]], 1);
		rig_go(r, 300 * S);
		assert_int_equal(rig_count(r, ACTION_CONNECT), 0);
		assert_int_equal(r->engine.breaker.state, BREAKER_CLOSED);
	}
}

static void the_step_that_fails_the_start_begins_no_connect(void **state)
{
	struct rig *r = fresh();
	rig_init(r, 1);
	rig_to_database(r);
	r->now = 89 * S;
	rig_failed(r, 0, OUTCOME_REFUSED);
	r->engine.retry.next_at = 90 * S;
	rig_go(r, 90 * S);
	assert_int_equal(rig_first(r, ACTION_EXIT)->code, 3);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 0);
}

static void a_start_that_can_do_without_its_database_goes_on_trying(void **state)
{
	struct rig *r = fresh();
	r->settings.startup.critical[PHASE_DATABASE] = false;
	rig_init(r, 1);
	rig_to_database(r);
	r->now = S;
	rig_failed(r, 0, OUTCOME_REFUSED);
	rig_done(r, PHASE_DATABASE, false);
	assert_int_equal(rig_count(r, ACTION_EXIT), 0);
	rig_done(r, PHASE_CACHE, true);
	rig_done(r, PHASE_SERVICES, true);
	rig_done(r, PHASE_WEBSOCKET, true);
	/* There is nothing yet that could be asked from end to end. */
	assert_int_equal(status(r, PHASE_FINALIZE), PHASE_SKIPPED);
	assert_non_null(rig_notice(r, NOTICE_STARTED));
	assert_int_equal(rig_notice(r, NOTICE_AVAILABILITY)->to, AVAILABILITY_MINIMAL);
	rig_go(r, 3 * S);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 1);
	rig_ok(r, 0);
	assert_int_equal(rig_notice(r, NOTICE_AVAILABILITY)->to, AVAILABILITY_FULL);
}

static void a_database_that_came_late_is_asked_from_end_to_end(void **state)
{
	struct rig *r = fresh();
	r->settings.startup.critical[PHASE_DATABASE] = false;
	rig_init(r, 1);
	rig_to_database(r);
	rig_done(r, PHASE_DATABASE, false);
	rig_done(r, PHASE_CACHE, true);
	rig_ok(r, 0);
	rig_done(r, PHASE_SERVICES, true);
	rig_done(r, PHASE_WEBSOCKET, true);
	assert_int_equal(status(r, PHASE_FINALIZE), PHASE_IN_PROGRESS);
}

static void with_nothing_between_them_finalize_is_skipped_with_the_database_too(void **state)
{
	struct rig *r = fresh();
	r->settings.startup.critical[PHASE_DATABASE] = false;
	r->settings.startup.wanted[PHASE_CACHE] = false;
	r->settings.startup.wanted[PHASE_SERVICES] = false;
	r->settings.startup.wanted[PHASE_WEBSOCKET] = false;
	rig_init(r, 1);
	rig_to_database(r);
	rig_done(r, PHASE_DATABASE, false);
	assert_true(startup_is_complete(&r->engine.startup));
	assert_int_equal(status(r, PHASE_FINALIZE), PHASE_SKIPPED);
}

static void only_a_failed_database_skips_finalize(void **state)
{
	struct rig *r = fresh();
	r->settings.servers_kept = 0;
	rig_init(r, 1);
	rig_to_database(r);
	rig_done(r, PHASE_DATABASE, true);
	rig_done(r, PHASE_CACHE, false);
	rig_done(r, PHASE_SERVICES, true);
	rig_done(r, PHASE_WEBSOCKET, false);
	assert_int_equal(status(r, PHASE_FINALIZE), PHASE_IN_PROGRESS);
}

static void a_database_that_was_never_reached_is_missed(void **state)
{
	struct rig *r = fresh();
	r->settings.servers_kept = 0;
	r->settings.startup.critical[PHASE_DATABASE] = false;
	rig_init(r, 1);
	rig_to_database(r);
	rig_done(r, PHASE_DATABASE, false);
	rig_done(r, PHASE_CACHE, true);
	rig_done(r, PHASE_SERVICES, true);
	rig_done(r, PHASE_WEBSOCKET, true);
	assert_int_equal(rig_notice(r, NOTICE_AVAILABILITY)->to, AVAILABILITY_MINIMAL);
}

/* ---- the command ---- */

static void command_exits(struct rig *r, int code)
{
	rig_tell(r, (struct engine_event){.kind = EVENT_COMMAND_EXITED, .code = code});
}

static void to_services(struct rig *r)
{
	rig_to_database(r);
	rig_ok(r, 0);
	rig_done(r, PHASE_DATABASE, true);
	rig_done(r, PHASE_CACHE, true);
	assert_int_equal(r->engine.startup.current, PHASE_SERVICES);
}

static void a_command_that_ends_before_it_was_ready_fails_its_phase(void **state)
{
	struct rig *r = fresh();
	rig_init(r, 1);
	to_services(r);
	command_exits(r, 1);
	assert_int_equal(rig_first(r, ACTION_PHASE_CANCEL)->phase, PHASE_SERVICES);
	assert_int_equal(status(r, PHASE_SERVICES), PHASE_FAILED);
	assert_false(r->engine.startup.phases[PHASE_SERVICES].timed_out);
	assert_int_equal(rig_count(r, ACTION_EXIT), 1);
	assert_int_equal(rig_first(r, ACTION_EXIT)->code, 3);
}

static void a_command_that_can_be_done_without_leaves_a_minimal_instance(void **state)
{
	struct rig *r = fresh();
	r->settings.startup.critical[PHASE_SERVICES] = false;
	rig_init(r, 1);
	to_services(r);
	command_exits(r, 1);
	assert_int_equal(rig_count(r, ACTION_EXIT), 0);
	rig_done(r, PHASE_WEBSOCKET, false);
	rig_done(r, PHASE_FINALIZE, true);
	assert_int_equal(rig_notice(r, NOTICE_AVAILABILITY)->to, AVAILABILITY_MINIMAL);
	command_exits(r, 1); /* as told twice */
	assert_int_equal(rig_count(r, ACTION_EXIT), 0);
}

static void after_the_start_the_commands_end_is_the_programs_with_its_code(void **state)
{
	struct rig *r = fresh();
	rig_init(r, 1);
	rig_to_run_time(r);
	command_exits(r, 128 + 15);
	assert_int_equal(rig_count(r, ACTION_EXIT), 1);
	assert_int_equal(rig_first(r, ACTION_EXIT)->code, 143);
	assert_int_equal(rig_notice(r, NOTICE_AVAILABILITY)->to, AVAILABILITY_MINIMAL);
	command_exits(r, 0);
	assert_int_equal(rig_count(r, ACTION_EXIT), 0);
}

static void a_command_that_was_ready_ends_the_program_in_later_phases_too(void **state)
{
	struct rig *r = fresh();
	rig_init(r, 1);
	to_services(r);
	rig_done(r, PHASE_SERVICES, true);
	command_exits(r, 7);
	assert_int_equal(rig_count(r, ACTION_EXIT), 1);
	assert_int_equal(rig_first(r, ACTION_EXIT)->code, 7);
	rig_go(r, 300 * S); /* the phases run out of time meanwhile */
	assert_int_equal(rig_count(r, ACTION_EXIT), 0);
}

/* A gate that was started again goes through the phases while the command lives on. */
static void a_command_older_than_its_gate_ends_the_program_in_every_phase(void **state)
{
	for (enum phase until = PHASE_INIT; until <= PHASE_SERVICES; until++) {
		struct rig *r = fresh();
		rig_init(r, 1);
		rig_tell(r, (struct engine_event){.kind = EVENT_COMMAND_UP});
		rig_start(r);
		for (enum phase phase = PHASE_INIT; phase < until; phase++) {
			if (phase == PHASE_DATABASE)
				rig_ok(r, 0);
			rig_done(r, phase, true);
		}
		command_exits(r, 42);
		assert_int_equal(rig_count(r, ACTION_EXIT), 1);
		assert_int_equal(rig_first(r, ACTION_EXIT)->code, 42);
	}
}

static void a_command_older_than_its_gate_is_not_ended_for_a_failed_phase(void **state)
{
	struct rig *r = fresh();
	rig_init(r, 1);
	rig_tell(r, (struct engine_event){.kind = EVENT_COMMAND_UP});
	rig_to_database(r);
	rig_failed(r, 0, OUTCOME_AUTH);
	assert_int_equal(rig_count(r, ACTION_EXIT), 0);
	assert_int_equal(r->engine.startup.phases[PHASE_DATABASE].status, PHASE_FAILED);
	assert_false(r->engine.startup.failed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_happens_before_the_start),
		cmocka_unit_test(seven_phases_begin_in_order_each_when_the_one_before_is_done),
		cmocka_unit_test(what_is_not_wanted_is_skipped_and_said_so),
		cmocka_unit_test(a_critical_failure_skips_the_rest_and_ends_with_code_3_once),
		cmocka_unit_test(what_can_be_done_without_fails_and_the_start_goes_on),
		cmocka_unit_test(a_phase_out_of_time_is_cancelled_at_its_deadline_and_not_before),
		cmocka_unit_test(done_at_the_very_deadline_is_done),
		cmocka_unit_test(every_phase_but_the_database_has_the_deadline_it_was_given),
		cmocka_unit_test(the_database_deadline_follows_the_path_upwards_only),
		cmocka_unit_test(the_platforms_cap_bounds_the_database_deadline_from_the_first),
		cmocka_unit_test(without_capacity_awareness_the_database_deadline_is_the_base),
		cmocka_unit_test(table_setup_starts_the_databases_deadline_afresh),
		cmocka_unit_test(a_step_of_a_phase_that_is_not_on_changes_nothing),
		cmocka_unit_test(a_permanent_failure_fails_the_phase_at_once_and_is_not_retried),
		cmocka_unit_test(the_step_that_fails_the_start_begins_no_connect),
		cmocka_unit_test(a_start_that_can_do_without_its_database_goes_on_trying),
		cmocka_unit_test(a_database_that_came_late_is_asked_from_end_to_end),
		cmocka_unit_test(only_a_failed_database_skips_finalize),
		cmocka_unit_test(a_database_that_was_never_reached_is_missed),
		cmocka_unit_test(
			with_nothing_between_them_finalize_is_skipped_with_the_database_too),
		cmocka_unit_test(a_command_that_ends_before_it_was_ready_fails_its_phase),
		cmocka_unit_test(a_command_that_can_be_done_without_leaves_a_minimal_instance),
		cmocka_unit_test(after_the_start_the_commands_end_is_the_programs_with_its_code),
		cmocka_unit_test(a_command_that_was_ready_ends_the_program_in_later_phases_too),
		cmocka_unit_test(a_command_older_than_its_gate_ends_the_program_in_every_phase),
		cmocka_unit_test(a_command_older_than_its_gate_is_not_ended_for_a_failed_phase),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
