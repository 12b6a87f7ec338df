#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/history.h"

static void the_newest_is_the_lowest_bit(void **state)
{
	struct history h = {0};
	history_add(&h, true);
	history_add(&h, false);
	history_add(&h, true);
	assert_int_equal(h.failed, 5);
	assert_int_equal(h.count, 3);
}

static void failures_are_counted_among_the_last(void **state)
{
	struct history h = {0};
	for (int i = 0; i < 200; i++)
		history_add(&h, i % 4 == 0);
	assert_int_equal(h.count, HISTORY_MAX);
	assert_int_equal(history_failures(&h, 0), 0);
	assert_int_equal(history_failures(&h, 3), 0); /* 199, 198, 197 */
	assert_int_equal(history_failures(&h, 4), 1);
	assert_int_equal(history_failures(&h, HISTORY_MAX), 16);
	assert_int_equal(history_failures(&h, 1000), 16);
	for (int i = 0; i < 64; i++)
		history_add(&h, true);
	assert_int_equal(history_failures(&h, HISTORY_MAX), 64);
}

static void as_a_text_the_newest_is_last(void **state)
{
	struct history h = {0};
	char text[HISTORY_MAX + 1];
	history_text(&h, 'x', text);
	assert_string_equal(text, "");
	history_add(&h, true);
	history_add(&h, false);
	history_text(&h, 'x', text);
	assert_string_equal(text, "x.");
	for (int i = 0; i < 64; i++)
		history_add(&h, i == 63);
	history_text(&h, 'x', text);
	assert_int_equal(text[0], '.');
	assert_int_equal(text[63], 'x');
	assert_int_equal(text[64], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_newest_is_the_lowest_bit),
		cmocka_unit_test(failures_are_counted_among_the_last),
		cmocka_unit_test(as_a_text_the_newest_is_last),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
