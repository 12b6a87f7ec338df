#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bug.h"
#include "core/startup.h"

/* As BEHAVIOUR has them in production: cache and websocket can be done without. */
static const struct startup_settings production = {
	.critical = {true, true, true, false, true, false, true},
	.wanted = {true, true, true, true, true, true, true},
	.timeout_ns = {10 * NS_PER_S, 30 * NS_PER_S, 90 * NS_PER_S, 10 * NS_PER_S, 60 * NS_PER_S,
		10 * NS_PER_S, 20 * NS_PER_S},
};

static void expect_statuses(const struct startup *s, const enum phase_status expected[PHASE_COUNT])
{
	for (enum phase phase = 0; phase < PHASE_COUNT; phase++)
		assert_int_equal(s->phases[phase].status, expected[phase]);
}

static void nothing_happens_before_it_begins(void **state)
{
	struct startup s;
	startup_init(&s, &production);
	assert_int_equal(startup_deadline(&s), INSTANT_NEVER);
	assert_false(startup_is_over(&s));
	assert_false(startup_is_complete(&s));
	for (enum phase phase = 0; phase < PHASE_COUNT; phase++) {
		assert_int_equal(s.phases[phase].status, PHASE_PENDING);
		assert_int_equal(s.phases[phase].began_at, -1);
		assert_int_equal(s.phases[phase].ended_at, -1);
		assert_int_equal(s.phases[phase].timeout_ns, 0);
	}
}

static void seven_phases_run_in_order_and_one_at_a_time(void **state)
{
	struct startup s;
	startup_init(&s, &production);
	startup_begin(&s, 100);
	for (enum phase phase = 0; phase < PHASE_COUNT; phase++) {
		assert_int_equal(s.current, phase);
		for (enum phase other = 0; other < PHASE_COUNT; other++)
			assert_int_equal(s.phases[other].status, other < phase ? PHASE_COMPLETED
								 : other == phase
									 ? PHASE_IN_PROGRESS
									 : PHASE_PENDING);
		assert_int_equal(s.phases[phase].began_at, 100 + phase);
		startup_phase_ended(&s, phase, true, 101 + phase);
		assert_int_equal(s.phases[phase].ended_at, 101 + phase);
	}
	assert_true(startup_is_over(&s));
	assert_true(startup_is_complete(&s));
	assert_int_equal(s.began_at, 100);
	assert_int_equal(s.ended_at, 107);
	assert_int_equal(startup_failed_phase(&s), PHASE_COUNT);
	assert_int_equal(startup_deadline(&s), INSTANT_NEVER);
}

static void each_phase_has_a_deadline_of_its_own(void **state)
{
	struct startup s;
	startup_init(&s, &production);
	startup_begin(&s, 0);
	assert_int_equal(startup_deadline(&s), 10 * NS_PER_S);
	startup_phase_ended(&s, PHASE_INIT, true, NS_PER_S);
	assert_int_equal(startup_deadline(&s), 31 * NS_PER_S);
	startup_phase_ended(&s, PHASE_DEPENDENCIES, true, 2 * NS_PER_S);
	assert_int_equal(startup_deadline(&s), 92 * NS_PER_S);
	assert_int_equal(s.phases[PHASE_DATABASE].timeout_ns, 90 * NS_PER_S);
}

static void a_deadline_may_follow_the_path_and_start_anew_with_a_step(void **state)
{
	struct startup s;
	startup_init(&s, &production);
	startup_begin(&s, 0);
	startup_phase_ended(&s, PHASE_INIT, true, 0);
	startup_phase_ended(&s, PHASE_DEPENDENCIES, true, 5 * NS_PER_S);
	startup_set_timeout(&s, 155 * NS_PER_S);
	assert_int_equal(startup_deadline(&s), 160 * NS_PER_S);
	startup_restart_timeout(&s, 45 * NS_PER_S, 50 * NS_PER_S);
	assert_int_equal(startup_deadline(&s), 95 * NS_PER_S);
	assert_int_equal(s.phases[PHASE_DATABASE].timeout_ns, 45 * NS_PER_S);
	assert_int_equal(s.phases[PHASE_DATABASE].began_at, 5 * NS_PER_S);
	startup_set_timeout(&s, 60 * NS_PER_S);
	assert_int_equal(startup_deadline(&s), 110 * NS_PER_S);
	startup_phase_ended(&s, PHASE_DATABASE, true, 60 * NS_PER_S);
	assert_int_equal(startup_deadline(&s), 70 * NS_PER_S);
}

static void after_a_critical_failure_nothing_more_is_attempted(void **state)
{
	struct startup s;
	startup_init(&s, &production);
	startup_begin(&s, 0);
	startup_phase_ended(&s, PHASE_INIT, true, 1);
	startup_phase_ended(&s, PHASE_DEPENDENCIES, true, 2);
	startup_phase_ended(&s, PHASE_DATABASE, false, 3);
	expect_statuses(
		&s, (const enum phase_status[]){PHASE_COMPLETED, PHASE_COMPLETED, PHASE_FAILED,
			    PHASE_SKIPPED, PHASE_SKIPPED, PHASE_SKIPPED, PHASE_SKIPPED});
	assert_true(startup_is_over(&s));
	assert_false(startup_is_complete(&s));
	assert_int_equal(startup_failed_phase(&s), PHASE_DATABASE);
	assert_int_equal(s.ended_at, 3);
	assert_int_equal(s.phases[PHASE_CACHE].began_at, -1);
}

static void what_can_be_done_without_may_fail(void **state)
{
	struct startup s;
	startup_init(&s, &production);
	startup_begin(&s, 0);
	for (enum phase phase = 0; phase < PHASE_COUNT; phase++)
		startup_phase_ended(&s, phase, phase != PHASE_CACHE && phase != PHASE_WEBSOCKET, 1);
	expect_statuses(
		&s, (const enum phase_status[]){PHASE_COMPLETED, PHASE_COMPLETED, PHASE_COMPLETED,
			    PHASE_FAILED, PHASE_COMPLETED, PHASE_FAILED, PHASE_COMPLETED});
	assert_true(startup_is_complete(&s));
	assert_int_equal(startup_failed_phase(&s), PHASE_COUNT);
}

static void the_critical_failure_is_named_not_one_that_was_forgiven(void **state)
{
	struct startup s;
	startup_init(&s, &production);
	startup_begin(&s, 0);
	for (enum phase phase = 0; phase < PHASE_FINALIZE; phase++)
		startup_phase_ended(&s, phase, phase != PHASE_CACHE, 1);
	startup_phase_ended(&s, PHASE_FINALIZE, false, 2);
	assert_int_equal(startup_failed_phase(&s), PHASE_FINALIZE);
	assert_false(startup_is_complete(&s));
}

static void a_phase_with_nothing_to_do_is_skipped(void **state)
{
	struct startup_settings settings = production;
	struct startup s;
	settings.wanted[PHASE_INIT] = false;
	settings.wanted[PHASE_CACHE] = false;
	settings.wanted[PHASE_SERVICES] = false;
	settings.wanted[PHASE_FINALIZE] = false;
	startup_init(&s, &settings);
	startup_begin(&s, 0);
	assert_int_equal(s.current, PHASE_DEPENDENCIES);
	startup_phase_ended(&s, PHASE_DEPENDENCIES, true, 1);
	startup_phase_ended(&s, PHASE_DATABASE, true, 2);
	assert_int_equal(s.current, PHASE_WEBSOCKET);
	startup_phase_ended(&s, PHASE_WEBSOCKET, true, 3);
	expect_statuses(
		&s, (const enum phase_status[]){PHASE_SKIPPED, PHASE_COMPLETED, PHASE_COMPLETED,
			    PHASE_SKIPPED, PHASE_SKIPPED, PHASE_COMPLETED, PHASE_SKIPPED});
	assert_true(startup_is_complete(&s));
	assert_int_equal(s.ended_at, 3);
}

static void a_startup_with_nothing_to_do_is_complete_at_once(void **state)
{
	const struct startup_settings nothing = {0};
	struct startup s;
	startup_init(&s, &nothing);
	startup_begin(&s, 4);
	assert_true(startup_is_complete(&s));
	assert_int_equal(s.ended_at, 4);
}

static void phases_out_of_order_are_bugs(void **state)
{
	struct startup s;
	startup_init(&s, &production);
	assert_true(IS_BUG(startup_phase_ended(&s, PHASE_INIT, true, 0)));
	assert_true(IS_BUG(startup_set_timeout(&s, 1)));
	startup_begin(&s, 0);
	assert_true(IS_BUG(startup_begin(&s, 0)));
	assert_true(IS_BUG(startup_phase_ended(&s, PHASE_DATABASE, true, 0)));
	startup_phase_ended(&s, PHASE_INIT, false, 0);
	assert_true(IS_BUG(startup_phase_ended(&s, PHASE_DEPENDENCIES, true, 0)));
}

static void phases_and_statuses_have_the_names_that_users_see(void **state)
{
	const char *const phases[] = {
		"init", "dependencies", "database", "cache", "services", "websocket", "finalize"};
	const char *const statuses[] = {"pending", "in_progress", "completed", "failed", "skipped"};
	for (enum phase phase = 0; phase < PHASE_COUNT; phase++)
		assert_string_equal(phase_name(phase), phases[phase]);
	for (enum phase_status status = 0; status < PHASE_STATUS_COUNT; status++)
		assert_string_equal(phase_status_name(status), statuses[status]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_happens_before_it_begins),
		cmocka_unit_test(seven_phases_run_in_order_and_one_at_a_time),
		cmocka_unit_test(each_phase_has_a_deadline_of_its_own),
		cmocka_unit_test(a_deadline_may_follow_the_path_and_start_anew_with_a_step),
		cmocka_unit_test(after_a_critical_failure_nothing_more_is_attempted),
		cmocka_unit_test(what_can_be_done_without_may_fail),
		cmocka_unit_test(the_critical_failure_is_named_not_one_that_was_forgiven),
		cmocka_unit_test(a_phase_with_nothing_to_do_is_skipped),
		cmocka_unit_test(a_startup_with_nothing_to_do_is_complete_at_once),
		cmocka_unit_test(phases_out_of_order_are_bugs),
		cmocka_unit_test(phases_and_statuses_have_the_names_that_users_see),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
