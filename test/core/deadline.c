#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/instant.h"
#include "core/deadline.h"

enum environment { DEVELOPMENT, TEST, STAGING, PRODUCTION, ENVIRONMENTS };

/* BEHAVIOUR's table of timeouts, in seconds. */
static const int base_s[DEADLINE_COUNT][ENVIRONMENTS] = {
	[DEADLINE_INITIALIZATION] = {30, 20, 75, 90},
	[DEADLINE_TABLE_SETUP] = {15, 10, 25, 45},
	[DEADLINE_CONNECTION] = {20, 15, 35, 60},
	[DEADLINE_POOL] = {30, 20, 90, 90},
	[DEADLINE_HEALTH_CHECK] = {10, 5, 20, 30},
};

static struct deadline_settings settings_of(enum environment environment)
{
	bool aware = environment == STAGING || environment == PRODUCTION;
	struct deadline_settings settings = {
		.capacity_aware = aware,
		.scaling_buffer_ns = aware ? 20 * NS_PER_S : 0,
	};
	for (enum deadline_kind kind = 0; kind < DEADLINE_COUNT; kind++)
		settings.base_ns[kind] = base_s[kind][environment] * NS_PER_S;
	return settings;
}

static void factors_are_those_of_the_path_state(void **state)
{
	assert_true(deadline_factor(PATH_UNKNOWN) == 1.0);
	assert_true(deadline_factor(PATH_NORMAL) == 1.0);
	assert_true(deadline_factor(PATH_PRESSURE) == 1.3);
	assert_true(deadline_factor(PATH_SCALING) == 1.5);
	assert_true(deadline_factor(PATH_OVERLOADED) == 2.0);
}

static void without_capacity_awareness_the_base_alone_holds(void **state)
{
	for (enum environment e = DEVELOPMENT; e <= TEST; e++) {
		struct deadline_settings settings = settings_of(e);
		for (enum deadline_kind kind = 0; kind < DEADLINE_COUNT; kind++)
			for (enum path_state path = 0; path < PATH_STATE_COUNT; path++)
				assert_int_equal(deadline_span(&settings, kind, path, INT64_MAX),
					base_s[kind][e] * NS_PER_S);
	}
}

/* Every kind in every state, in tenths of a second. */
static void every_deadline_of_staging_and_production_is_exact(void **state)
{
	static const int tenths[2][DEADLINE_COUNT][PATH_STATE_COUNT] = {
		{
			{750, 750, 975, 1325, 1500},
			{250, 250, 325, 575, 500},
			{350, 350, 455, 725, 700},
			{900, 900, 1170, 1550, 1800},
			{200, 200, 260, 500, 400},
		},
		{
			{900, 900, 1170, 1550, 1800},
			{450, 450, 585, 875, 900},
			{600, 600, 780, 1100, 1200},
			{900, 900, 1170, 1550, 1800},
			{300, 300, 390, 650, 600},
		},
	};
	for (int i = 0; i < 2; i++) {
		struct deadline_settings settings = settings_of(i == 0 ? STAGING : PRODUCTION);
		for (enum deadline_kind kind = 0; kind < DEADLINE_COUNT; kind++)
			for (enum path_state path = 0; path < PATH_STATE_COUNT; path++)
				assert_int_equal(deadline_span(&settings, kind, path, 0),
					tenths[i][kind][path] * 100 * NS_PER_MS);
	}
}

static void what_was_measured_lengthens_but_never_shortens(void **state)
{
	struct deadline_settings settings = settings_of(PRODUCTION);
	assert_int_equal(
		deadline_span(&settings, DEADLINE_CONNECTION, PATH_NORMAL, 1), 60 * NS_PER_S);
	assert_int_equal(deadline_span(&settings, DEADLINE_CONNECTION, PATH_NORMAL, 61 * NS_PER_S),
		61 * NS_PER_S);
	assert_int_equal(
		deadline_span(&settings, DEADLINE_CONNECTION, PATH_SCALING, 100 * NS_PER_S),
		110 * NS_PER_S);
}

static void the_platform_has_the_last_word(void **state)
{
	struct deadline_settings settings = settings_of(PRODUCTION);
	settings.cap_ns = 100 * NS_PER_S;
	assert_int_equal(
		deadline_span(&settings, DEADLINE_INITIALIZATION, PATH_NORMAL, 0), 90 * NS_PER_S);
	assert_int_equal(deadline_span(&settings, DEADLINE_INITIALIZATION, PATH_OVERLOADED, 0),
		100 * NS_PER_S);
	assert_int_equal(
		deadline_span(&settings, DEADLINE_INITIALIZATION, PATH_NORMAL, 500 * NS_PER_S),
		100 * NS_PER_S);
	settings.capacity_aware = false;
	settings.cap_ns = 50 * NS_PER_S;
	assert_int_equal(
		deadline_span(&settings, DEADLINE_INITIALIZATION, PATH_NORMAL, 0), 50 * NS_PER_S);
}

static void the_longest_base_does_not_overflow(void **state)
{
	struct deadline_settings settings = settings_of(PRODUCTION);
	settings.base_ns[DEADLINE_POOL] = INT64_MAX;
	assert_int_equal(deadline_span(&settings, DEADLINE_POOL, PATH_OVERLOADED, 0), INT64_MAX);
	assert_int_equal(deadline_span(&settings, DEADLINE_POOL, PATH_NORMAL, 0), INT64_MAX);
	settings.base_ns[DEADLINE_POOL] = 0;
	assert_int_equal(deadline_span(&settings, DEADLINE_POOL, PATH_OVERLOADED, 0), 0);
	assert_int_equal(deadline_span(&settings, DEADLINE_POOL, PATH_SCALING, 0), 20 * NS_PER_S);
}

static void kinds_have_the_names_that_users_see(void **state)
{
	const char *const names[] = {
		"initialization", "table_setup", "connection", "pool", "health_check"};
	for (enum deadline_kind kind = 0; kind < DEADLINE_COUNT; kind++)
		assert_string_equal(deadline_kind_name(kind), names[kind]);
}

static void a_stage_is_given_four_times_what_it_takes_within_bounds(void **state)
{
	assert_int_equal(deadline_stage_span(60 * NS_PER_S, 0), 60 * NS_PER_S); /* not known */
	assert_int_equal(deadline_stage_span(60 * NS_PER_S, NS_PER_MS), 30 * NS_PER_S);
	assert_int_equal(deadline_stage_span(60 * NS_PER_S, 10 * NS_PER_S), 40 * NS_PER_S);
	assert_int_equal(deadline_stage_span(60 * NS_PER_S, 15 * NS_PER_S), 60 * NS_PER_S);
	assert_int_equal(deadline_stage_span(60 * NS_PER_S, INT64_MAX), 60 * NS_PER_S);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(factors_are_those_of_the_path_state),
		cmocka_unit_test(without_capacity_awareness_the_base_alone_holds),
		cmocka_unit_test(every_deadline_of_staging_and_production_is_exact),
		cmocka_unit_test(what_was_measured_lengthens_but_never_shortens),
		cmocka_unit_test(the_platform_has_the_last_word),
		cmocka_unit_test(the_longest_base_does_not_overflow),
		cmocka_unit_test(kinds_have_the_names_that_users_see),
		cmocka_unit_test(a_stage_is_given_four_times_what_it_takes_within_bounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
