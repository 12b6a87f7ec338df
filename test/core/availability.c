#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/availability.h"

static const struct availability_facts all_well = {
	.command_up = true, .database_up = true, .breaker_closed = true};

/* A startup that is over, in which `failed` failed, critical or not. */
static struct startup ended_with(enum phase failed, bool critical)
{
	struct startup_settings settings = {0};
	struct startup s;
	for (enum phase phase = 0; phase < PHASE_COUNT; phase++)
		settings.wanted[phase] = true;
	if (failed < PHASE_COUNT)
		settings.critical[failed] = critical;
	startup_init(&s, &settings);
	startup_begin(&s, 0);
	while (!startup_is_over(&s))
		startup_phase_ended(&s, s.current, s.current != failed, 1);
	return s;
}

static void unavailable_until_the_startup_is_over(void **state)
{
	const struct startup_settings settings = {.wanted = {[PHASE_FINALIZE] = true}};
	struct startup s;
	startup_init(&s, &settings);
	assert_int_equal(availability_of(&s, &all_well), AVAILABILITY_UNAVAILABLE);
	startup_begin(&s, 0);
	assert_int_equal(availability_of(&s, &all_well), AVAILABILITY_UNAVAILABLE);
	startup_phase_ended(&s, PHASE_FINALIZE, true, 1);
	assert_int_equal(availability_of(&s, &all_well), AVAILABILITY_FULL);
}

static void unavailable_after_any_critical_failure(void **state)
{
	for (enum phase phase = 0; phase < PHASE_COUNT; phase++) {
		struct startup s = ended_with(phase, true);
		assert_int_equal(availability_of(&s, &all_well), AVAILABILITY_UNAVAILABLE);
	}
}

static void degraded_without_cache_or_websocket(void **state)
{
	struct startup cache = ended_with(PHASE_CACHE, false);
	struct startup websocket = ended_with(PHASE_WEBSOCKET, false);
	assert_int_equal(availability_of(&cache, &all_well), AVAILABILITY_DEGRADED);
	assert_int_equal(availability_of(&websocket, &all_well), AVAILABILITY_DEGRADED);
}

static void minimal_without_a_service(void **state)
{
	struct startup s = ended_with(PHASE_SERVICES, false);
	assert_int_equal(availability_of(&s, &all_well), AVAILABILITY_MINIMAL);
}

static void minimal_without_a_database_until_it_comes_after_all(void **state)
{
	struct startup s = ended_with(PHASE_DATABASE, false);
	struct availability_facts facts = all_well;
	facts.database_up = false;
	assert_int_equal(availability_of(&s, &facts), AVAILABILITY_MINIMAL);
	assert_int_equal(availability_of(&s, &all_well), AVAILABILITY_FULL);
}

static void afterwards_what_is_down_now_decides(void **state)
{
	struct startup s = ended_with(PHASE_COUNT, false);
	struct availability_facts facts = all_well;
	assert_int_equal(availability_of(&s, &facts), AVAILABILITY_FULL);
	facts.breaker_closed = false;
	assert_int_equal(availability_of(&s, &facts), AVAILABILITY_DEGRADED);
	facts = all_well;
	facts.database_up = false;
	assert_int_equal(availability_of(&s, &facts), AVAILABILITY_DEGRADED);
	facts.command_up = false;
	assert_int_equal(availability_of(&s, &facts), AVAILABILITY_MINIMAL);
}

static void the_worst_of_several_decides(void **state)
{
	struct startup s = ended_with(PHASE_CACHE, false);
	struct availability_facts facts = all_well;
	facts.command_up = false;
	assert_int_equal(availability_of(&s, &facts), AVAILABILITY_MINIMAL);
	s = ended_with(PHASE_SERVICES, false);
	facts = all_well;
	facts.database_up = false;
	assert_int_equal(availability_of(&s, &facts), AVAILABILITY_MINIMAL);
}

static void levels_have_the_names_that_users_see(void **state)
{
	const char *const names[] = {"full", "degraded", "minimal", "unavailable"};
	for (enum availability a = 0; a < AVAILABILITY_COUNT; a++)
		assert_string_equal(availability_name(a), names[a]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unavailable_until_the_startup_is_over),
		cmocka_unit_test(unavailable_after_any_critical_failure),
		cmocka_unit_test(degraded_without_cache_or_websocket),
		cmocka_unit_test(minimal_without_a_service),
		cmocka_unit_test(minimal_without_a_database_until_it_comes_after_all),
		cmocka_unit_test(afterwards_what_is_down_now_decides),
		cmocka_unit_test(the_worst_of_several_decides),
		cmocka_unit_test(levels_have_the_names_that_users_see),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
