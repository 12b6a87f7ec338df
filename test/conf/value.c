#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/instant.h"
#include "conf/value.h"

static int64_t duration(const char *text)
{
	int64_t value = -77;
	return value_duration(text, &value) ? value : -77;
}

static void durations_have_units_and_a_bare_number_means_seconds(void **state)
{
	assert_int_equal(duration("75"), 75 * NS_PER_S);
	assert_int_equal(duration("75s"), 75 * NS_PER_S);
	assert_int_equal(duration(" 75 s "), 75 * NS_PER_S);
	assert_int_equal(duration("0.25"), 250 * NS_PER_MS);
	assert_int_equal(duration("1.2s"), 1200 * NS_PER_MS);
	assert_int_equal(duration("250ms"), 250 * NS_PER_MS);
	assert_int_equal(duration("10us"), 10 * NS_PER_US);
	assert_int_equal(duration("5ns"), 5);
	assert_int_equal(duration("1.5m"), 90 * NS_PER_S);
	assert_int_equal(duration("2h"), 7200 * NS_PER_S);
	assert_int_equal(duration("0"), 0);
	assert_int_equal(duration("-3"), -3 * NS_PER_S);
}

static void what_is_no_duration_is_refused(void **state)
{
	const char *const bad[] = {"", " ", "s", "ten", "10 seconds", "1s1", "1 2", "0x10", "1e3",
		"inf", "nan", "+-1", "--1", ".", "99999999999999999999h", "1.2.3"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(duration(bad[i]), -77);
}

static void sizes_and_rates_have_units(void **state)
{
	int64_t bytes;
	double bit_s;
	assert_true(value_size("512", &bytes));
	assert_int_equal(bytes, 512);
	assert_true(value_size("64KiB", &bytes));
	assert_int_equal(bytes, 65536);
	assert_true(value_size("1.5 MB", &bytes));
	assert_int_equal(bytes, 1500000);
	assert_true(value_size("2GiB", &bytes));
	assert_int_equal(bytes, INT64_C(2) << 30);
	assert_false(value_size("64KB", &bytes));
	assert_true(value_rate("2Gbit/s", &bit_s));
	assert_true(bit_s == 2e9);
	assert_true(value_rate("100 Mbit", &bit_s));
	assert_true(bit_s == 1e8);
	assert_false(value_rate("100 MB", &bit_s));
}

static void numbers_are_decimal_and_fit(void **state)
{
	int number;
	double real;
	assert_true(value_int("2147483647", &number));
	assert_int_equal(number, 2147483647);
	assert_true(value_int("-5", &number));
	assert_int_equal(number, -5);
	assert_false(value_int("2147483648", &number));
	assert_false(value_int("1.5", &number));
	assert_false(value_int("5 apples", &number));
	assert_false(value_int("", &number));
	assert_true(value_real("0.8", &real));
	assert_true(real == 0.8);
	assert_false(value_real("0.8s", &real));
}

static void yes_and_no_have_their_usual_words(void **state)
{
	bool on;
	const char *const yes[] = {"true", "True", "YES", "on", "1"};
	const char *const no[] = {"false", "No", "off", "0"};
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		on = false;
		assert_true(value_bool(yes[i], &on));
		assert_true(on);
	}
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
		on = true;
		assert_true(value_bool(no[i], &on));
		assert_false(on);
	}
	assert_false(value_bool("maybe", &on));
	assert_false(value_bool("onn", &on));
	assert_false(value_bool("", &on));
}

static void what_is_shown_can_be_read_back(void **state)
{
	const struct {
		int64_t ns;
		const char *text;
	} spans[] = {{0, "0s"}, {75 * NS_PER_S, "75s"}, {3600 * NS_PER_S, "3600s"},
		{1200 * NS_PER_MS, "1.2s"}, {250 * NS_PER_MS, "250ms"}, {1500 * NS_PER_US, "1.5ms"},
		{10 * NS_PER_US, "10us"}, {7, "7ns"}};
	char text[48];
	for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++) {
		value_show_duration(spans[i].ns, text, sizeof(text));
		assert_string_equal(text, spans[i].text);
		assert_int_equal(duration(text), spans[i].ns);
	}
	value_show_size(65536, text, sizeof(text));
	assert_string_equal(text, "64KiB");
	value_show_size(1000, text, sizeof(text));
	assert_string_equal(text, "1000B");
	value_show_rate(2e9, text, sizeof(text));
	assert_string_equal(text, "2Gbit/s");
	value_show_rate(1e8, text, sizeof(text));
	assert_string_equal(text, "100Mbit/s");
	value_show_real(0.7, text, sizeof(text));
	assert_string_equal(text, "0.7");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations_have_units_and_a_bare_number_means_seconds),
		cmocka_unit_test(what_is_no_duration_is_refused),
		cmocka_unit_test(sizes_and_rates_have_units),
		cmocka_unit_test(numbers_are_decimal_and_fit),
		cmocka_unit_test(yes_and_no_have_their_usual_words),
		cmocka_unit_test(what_is_shown_can_be_read_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
