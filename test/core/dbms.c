#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/dbms.h"

static enum dbms_state after(enum outcome outcome, bool serving)
{
	struct dbms d;
	dbms_init(&d, 0);
	dbms_attempt(&d, outcome, serving, 5);
	return d.state;
}

static void attempts_tell_what_it_is_at(void **state)
{
	assert_int_equal(after(OUTCOME_OK, true), DBMS_UP);
	assert_int_equal(after(OUTCOME_STARTING, false), DBMS_STARTING);
	assert_int_equal(after(OUTCOME_SHUTDOWN, false), DBMS_SHUTTING_DOWN);
	assert_int_equal(after(OUTCOME_FULL, true), DBMS_FULL);
	assert_int_equal(after(OUTCOME_REFUSED, false), DBMS_UNREACHABLE);
	assert_int_equal(after(OUTCOME_TIMEOUT, false), DBMS_UNREACHABLE);
	assert_int_equal(after(OUTCOME_AUTH, false), DBMS_UP); /* it said so itself */
	assert_int_equal(after(OUTCOME_TLS, false), DBMS_UNKNOWN);
	assert_int_equal(after(OUTCOME_TOKEN, false), DBMS_UNKNOWN);
}

static void where_sessions_work_it_is_not_unreachable(void **state)
{
	struct dbms d;
	dbms_init(&d, 0);
	dbms_attempt(&d, OUTCOME_OK, true, 1);
	dbms_attempt(&d, OUTCOME_TIMEOUT, true, 2);
	assert_int_equal(d.state, DBMS_UP);
	assert_int_equal(d.changed_at, 1);
	dbms_attempt(&d, OUTCOME_TIMEOUT, false, 3);
	assert_int_equal(d.state, DBMS_UNREACHABLE);
	assert_int_equal(d.changed_at, 3);
}

static void one_ended_session_of_many_is_no_shutdown(void **state)
{
	struct dbms d;
	dbms_init(&d, 0);
	dbms_attempt(&d, OUTCOME_OK, true, 1);
	dbms_lost(&d, OUTCOME_SHUTDOWN, true, 2);
	assert_int_equal(d.state, DBMS_UP);
	dbms_lost(&d, OUTCOME_RESET, false, 2);
	assert_int_equal(d.state, DBMS_UP);
	dbms_lost(&d, OUTCOME_SHUTDOWN, false, 3);
	assert_int_equal(d.state, DBMS_SHUTTING_DOWN);
}

static void a_standby_says_so_until_it_is_promoted(void **state)
{
	struct dbms d;
	dbms_init(&d, 0);
	dbms_told(&d, true, 1);
	assert_int_equal(d.state, DBMS_RECOVERY);
	dbms_attempt(&d, OUTCOME_REFUSED, false, 2);
	dbms_attempt(&d, OUTCOME_OK, true, 3);
	assert_int_equal(d.state, DBMS_RECOVERY); /* as far as is known */
	dbms_told(&d, false, 4);
	assert_int_equal(d.state, DBMS_UP);
}

static void states_have_the_names_that_users_see(void **state)
{
	const char *const names[] = {
		"unknown", "up", "recovery", "starting", "shutting_down", "full", "unreachable"};
	for (enum dbms_state s = 0; s < DBMS_STATE_COUNT; s++)
		assert_string_equal(dbms_state_name(s), names[s]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(attempts_tell_what_it_is_at),
		cmocka_unit_test(where_sessions_work_it_is_not_unreachable),
		cmocka_unit_test(one_ended_session_of_many_is_no_shutdown),
		cmocka_unit_test(a_standby_says_so_until_it_is_promoted),
		cmocka_unit_test(states_have_the_names_that_users_see),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
