#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"

static void a_new_error_is_none(void **state)
{
	struct error e;
	memset(&e, 0xff, sizeof(e));
	error_init(&e);
	assert_false(error_is_set(&e));
	assert_string_equal(e.text, "");
}

static void setting_one_keeps_its_parts_and_says_minus_one(void **state)
{
	struct error e;
	assert_int_equal(error_set(&e, "tcp", ECONNREFUSED, "port %d refused", 5432), -1);
	assert_true(error_is_set(&e));
	assert_string_equal(e.stage, "tcp");
	assert_int_equal(e.code, ECONNREFUSED);
	assert_string_equal(e.text, "port 5432 refused");
	assert_string_equal(e.sqlstate, "");
	assert_string_equal(e.origin, "");
}

static void wrapping_keeps_the_first_cause(void **state)
{
	struct error e;
	error_set(&e, "auth", 7, "password authentication failed");
	error_sqlstate(&e, "28P01");
	error_origin(&e, "10.0.0.5:5432");
	assert_int_equal(error_wrap(&e, "phase %s", "database"), -1);
	assert_string_equal(e.text, "phase database: password authentication failed");
	assert_string_equal(e.stage, "auth");
	assert_int_equal(e.code, 7);
	assert_string_equal(e.sqlstate, "28P01");
	assert_string_equal(e.origin, "10.0.0.5:5432");
}

static void setting_another_forgets_the_one_before(void **state)
{
	struct error e;
	error_set(&e, "auth", 0, "one");
	error_sqlstate(&e, "28P01");
	error_set(&e, "tcp", 0, "two");
	assert_string_equal(e.text, "two");
	assert_string_equal(e.sqlstate, "");
}

static void what_is_too_long_is_cut_to_fit(void **state)
{
	struct error e;
	char text[2 * ERROR_TEXT_MAX];
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	error_set(&e, "config", 0, "%s", text);
	assert_int_equal(strlen(e.text), ERROR_TEXT_MAX - 1);
	error_wrap(&e, "file");
	assert_int_equal(strlen(e.text), ERROR_TEXT_MAX - 1);
	assert_memory_equal(e.text, "file: xxx", 9);
	error_wrap(&e, "%s", text);
	assert_int_equal(strlen(e.text), ERROR_TEXT_MAX - 1);
	error_origin(&e, text);
	assert_int_equal(strlen(e.origin), ERROR_ORIGIN_MAX - 1);
	error_sqlstate(&e, "0123456789");
	assert_string_equal(e.sqlstate, "01234");
	error_sqlstate(&e, NULL);
	assert_string_equal(e.sqlstate, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_error_is_none),
		cmocka_unit_test(setting_one_keeps_its_parts_and_says_minus_one),
		cmocka_unit_test(wrapping_keeps_the_first_cause),
		cmocka_unit_test(setting_another_forgets_the_one_before),
		cmocka_unit_test(what_is_too_long_is_cut_to_fit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
