#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/outcome.h"

static void sqlstates_are_classed_by_what_follows_from_them(void **state)
{
	const struct {
		const char *sqlstate;
		enum outcome outcome;
	} rows[] = {
		{"53300", OUTCOME_FULL},
		{"57P01", OUTCOME_SHUTDOWN},
		{"57P02", OUTCOME_SHUTDOWN},
		{"57P03", OUTCOME_STARTING},
		{"28P01", OUTCOME_AUTH},
		{"28000", OUTCOME_AUTH},
		{"3D000", OUTCOME_DATABASE},
		{"55000", OUTCOME_DATABASE},
		{"22023", OUTCOME_SETTINGS},
		{"55P02", OUTCOME_SETTINGS},
		{"58P01", OUTCOME_SETTINGS},
		{"42704", OUTCOME_SETTINGS},
		{"53200", OUTCOME_PROTOCOL},
		{"57014", OUTCOME_PROTOCOL},
		{"3F000", OUTCOME_PROTOCOL},
		{"XX000", OUTCOME_PROTOCOL},
		{"", OUTCOME_PROTOCOL},
		{"28", OUTCOME_PROTOCOL},
		{"533000", OUTCOME_PROTOCOL},
		{NULL, OUTCOME_PROTOCOL},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(outcome_from_sqlstate(rows[i].sqlstate), rows[i].outcome);
}

static void only_what_no_retry_can_mend_is_permanent(void **state)
{
	for (enum outcome o = 0; o < OUTCOME_COUNT; o++)
		assert_int_equal(
			outcome_is_permanent(o), o == OUTCOME_AUTH || o == OUTCOME_DATABASE ||
							 o == OUTCOME_TLS || o == OUTCOME_SETTINGS);
}

static void only_the_path_and_the_servers_capacity_count_against_the_breaker(void **state)
{
	for (enum outcome o = 0; o < OUTCOME_COUNT; o++)
		assert_int_equal(outcome_is_capacity(o), o != OUTCOME_OK && o != OUTCOME_PROTOCOL &&
								 o != OUTCOME_TOKEN &&
								 !outcome_is_permanent(o));
}

static void stages_and_outcomes_have_the_names_that_users_see(void **state)
{
	const char *const stages[] = {"dns", "tcp", "tls", "auth", "ready"};
	const char *const outcomes[] = {"ok", "timeout", "refused", "unreachable", "reset", "dns",
		"tls", "full", "starting", "shutdown", "auth", "database", "settings", "token",
		"protocol"};
	for (enum stage s = 0; s < STAGE_COUNT; s++)
		assert_string_equal(stage_name(s), stages[s]);
	for (enum outcome o = 0; o < OUTCOME_COUNT; o++)
		assert_string_equal(outcome_name(o), outcomes[o]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sqlstates_are_classed_by_what_follows_from_them),
		cmocka_unit_test(only_what_no_retry_can_mend_is_permanent),
		cmocka_unit_test(only_the_path_and_the_servers_capacity_count_against_the_breaker),
		cmocka_unit_test(stages_and_outcomes_have_the_names_that_users_see),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
