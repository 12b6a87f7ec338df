#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "wire/switches.h"

/* All settings as "name=value name=value", and a "!" at the end if it is refused. */
static const char *told(const char *options)
{
	static char text[4096];
	static struct wire_switches s;
	const char *name, *value;
	int result;
	text[0] = 0;
	wire_switches_init(&s, options);
	while ((result = wire_switch_next(&s, &name, &value)) > 0) {
		size_t len = strlen(text);
		snprintf(text + len, sizeof(text) - len, "%s%s=%s", len ? " " : "", name, value);
	}
	return result < 0 ? strcat(text, "!") : text;
}

static void settings_are_told(void **state)
{
	assert_string_equal(told(""), "");
	assert_string_equal(told("  \t\n\v\f\r "), "");
	assert_string_equal(told("-c geqo=off"), "geqo=off");
	assert_string_equal(told("-cgeqo=off"), "geqo=off");
	assert_string_equal(told("--geqo=off"), "geqo=off");
	assert_string_equal(told("  -c   geqo=off\t--work-mem=4MB\v"), "geqo=off work_mem=4MB");
	assert_string_equal(told("-c search_path=a\\ b,c"), "search_path=a b,c");
	assert_string_equal(told("-c a=back\\\\slash"), "a=back\\slash");
	assert_string_equal(told("-c a=x\\=y=z"), "a=x=y=z");
	assert_string_equal(told("-c a="), "a=");
	assert_string_equal(
		told("-c a=x-y --statement-timeout=5-0"), "a=x-y statement_timeout=5-0");
	assert_string_equal(told("-c a=1 -c A=2"), "a=1 A=2");
	assert_string_equal(told("-c --a=1"), "__a=1");
	assert_string_equal(told("-c a=\\"), "a=\\");
	assert_string_equal(told("-c a=1 -- "), "a=1");
}

static void switches_stand_for_settings(void **state)
{
	assert_string_equal(told("-e"), "datestyle=euro");
	assert_string_equal(told("-S 4096"), "work_mem=4096");
	assert_string_equal(told("-fs -f h -ft"),
		"enable_seqscan=false enable_hashjoin=false enable_tidscan=false");
	assert_string_equal(told("-tpa -t pl -te"),
		"log_parser_stats=true log_planner_stats=true log_executor_stats=true");
	assert_string_equal(told("-seOc a=1"), "log_statement_stats=true datestyle=euro "
					       "allow_system_table_mods=true a=1");
	assert_string_equal(told("-d 0"), "log_min_messages=notice");
	assert_string_equal(told("-d 1 -e"), "log_min_messages=debug1 datestyle=euro");
	assert_string_equal(told("-d5"), "log_min_messages=debug5 log_statement=all "
					 "debug_print_parse=true debug_print_plan=true "
					 "debug_print_rewritten=true");
	/* The server refuses these itself, in its own words. */
	assert_string_equal(told("-B 10 -i -p 1"), "shared_buffers=10 listen_addresses=* port=1");
}

static void what_a_server_ignores_from_a_client_is_ignored(void **state)
{
	assert_string_equal(told("-E -j -n -T -b -D /tmp -r file -v 3 -C x -c a=1"), "a=1");
}

static void the_rest_is_refused(void **state)
{
	static const char *const rest[] = {"-c", "-c geqo", "-cgeqo", "--geqo", "geqo=off", "-",
		"-- a", "-c =x", "--=x", "-x", "-f", "-fz", "-t p", "-t x", "-d"};
	for (size_t i = 0; i < sizeof(rest) / sizeof(rest[0]); i++)
		assert_string_equal(told(rest[i]), "!");
	assert_string_equal(told("-c a=1 trailing"), "a=1!");
	assert_string_equal(told("-c a=1 -c"), "a=1!");
	assert_string_equal(told("-ex"), "datestyle=euro!");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(settings_are_told),
		cmocka_unit_test(switches_stand_for_settings),
		cmocka_unit_test(what_a_server_ignores_from_a_client_is_ignored),
		cmocka_unit_test(the_rest_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
