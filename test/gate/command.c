#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gate/command.h"

static struct command one(const char *text)
{
	struct command c;
	struct error error;
	assert_int_equal(command_next(&text, &c, &error), 0);
	return c;
}

static void refused(const char *text, const char *sqlstate)
{
	struct command c;
	struct error error;
	while (command_next(&text, &c, &error) == 0)
		assert_true(c.verb != COMMAND_EMPTY);
	assert_string_equal(error.sqlstate, sqlstate);
	assert_true(*error.text);
}

static void test_words(void **state)
{
	(void)state;
	struct command c = one(" \n\tsHoW\tpools ;");
	assert_int_equal(c.verb, COMMAND_SHOW);
	assert_string_equal(c.word, "pools");
	assert_string_equal(c.tag, "SHOW");
	c = one("KILL_CLIENT 17");
	assert_int_equal(c.verb, COMMAND_KILL_CLIENT);
	assert_string_equal(c.word, "17");
}

static void test_names_are_as_they_are_written(void **state)
{
	(void)state;
	assert_string_equal(one("show MyBase").word, "MyBase");
	assert_string_equal(one("show \"my \"\"base\"\" ;\"").word, "my \"base\" ;");
	assert_string_equal(one("show my-base.x_1").word, "my-base.x_1");
	assert_string_equal(one("show \303\244").word, "\303\244");
	/* In quotes it is a name, and no command. */
	refused("\"show\" pools", "42601");
}

static void test_comments(void **state)
{
	(void)state;
	assert_string_equal(one("/* ; */ show -- it\n pools--all").word, "pools");
	assert_string_equal(one("show/**/pools").word, "pools");
	assert_int_equal(one("-- nothing").verb, COMMAND_EMPTY);
	assert_int_equal(one("/* no end").verb, COMMAND_EMPTY);
}

static void test_several(void **state)
{
	(void)state;
	const char *text = ";; show a; set b = 'c;d';show e;";
	struct command c;
	struct error error;
	assert_int_equal(command_next(&text, &c, &error), 0);
	assert_string_equal(c.word, "a");
	assert_int_equal(command_next(&text, &c, &error), 0);
	assert_int_equal(c.verb, COMMAND_SET);
	assert_string_equal(c.value, "c;d");
	assert_int_equal(command_next(&text, &c, &error), 0);
	assert_string_equal(c.word, "e");
	assert_int_equal(command_next(&text, &c, &error), 0);
	assert_int_equal(c.verb, COMMAND_EMPTY);
	assert_int_equal(*text, 0);
}

static void test_set(void **state)
{
	(void)state;
	struct command c = one("set session pool.idle to '1''5'");
	assert_string_equal(c.word, "pool.idle");
	assert_string_equal(c.value, "1'5");
	assert_string_equal(one("SET a=b").value, "b");
	assert_string_equal(one("SET \"to\" TO \"to\"").value, "to");
	refused("set a", "42601");
	refused("set a =", "42601");
	refused("set a b", "42601");
	refused("set a = b c", "42601");
	refused("set 'a' = b", "42601");
}

static void test_courtesies(void **state)
{
	(void)state;
	assert_string_equal(one("begin isolation level serializable, read only").tag, "BEGIN");
	assert_string_equal(one("END").tag, "COMMIT");
	assert_int_equal(one("DISCARD ALL").verb, COMMAND_NOTHING);
	assert_int_equal(one("close all; show x").verb, COMMAND_NOTHING);
	refused("begin 'x", "42601");
}

static void test_nonsense(void **state)
{
	(void)state;
	char lengthy[4000];
	static const char *const wrong[] = {"show", "show a b", "show 'a'", "dance", "=",
		"show \"a", "show a 'b", "kill_client", "show a,b", "pools", "12"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		refused(wrong[i], "42601");
	memset(lengthy, 'a', sizeof(lengthy));
	memcpy(lengthy, "show ", 5);
	lengthy[sizeof(lengthy) - 1] = 0;
	refused(lengthy, "42601");
	lengthy[5 + COMMAND_WORD_MAX + 1] = 0;
	refused(lengthy, "42601");
	lengthy[5 + COMMAND_WORD_MAX] = 0;
	assert_int_equal(strlen(one(lengthy).word), COMMAND_WORD_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_names_are_as_they_are_written),
		cmocka_unit_test(test_comments),
		cmocka_unit_test(test_several),
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_courtesies),
		cmocka_unit_test(test_nonsense),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
