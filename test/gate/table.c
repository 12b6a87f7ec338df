#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gate/table.h"
#include "wire/frame.h"
#include "wire/message.h"

#define BINARY UINT64_MAX

/* The one cell of a row, as it goes out. */
static struct bytes cell(struct buffer *out, enum column_type type, uint64_t binary, int64_t value)
{
	const struct column column = {"c", type};
	struct table t = {.columns = &column, .count = 1, .binary = binary, .out = out};
	struct frame frame;
	struct bytes at;
	buffer_release(out);
	table_row(&t);
	if (type == COLUMN_FLOAT8)
		table_real(&t, (double)value / 4);
	else
		table_int(&t, value);
	table_end(&t);
	assert_int_equal(frame_parse(buffer_bytes(out), &frame), WIRE_OK);
	assert_int_equal(message_parse_row(frame_body(buffer_bytes(out), &frame), &at, 1), 1);
	return at;
}

static void expect(
	enum column_type type, uint64_t binary, int64_t value, const char *want, size_t len)
{
	struct buffer out = BUFFER_INIT;
	struct bytes got = cell(&out, type, binary, value);
	assert_int_equal(got.len, len);
	assert_memory_equal(got.at, want, len);
	buffer_release(&out);
}

#define EXPECT(type, binary, value, want) expect(type, binary, value, want, sizeof(want) - 1)

static void whole_numbers_have_two_forms(void **state)
{
	EXPECT(COLUMN_INT4, 0, -17, "-17");
	EXPECT(COLUMN_INT4, BINARY, -17, "\xff\xff\xff\xef");
	EXPECT(COLUMN_INT4, 0, INT64_MAX, "2147483647");
	EXPECT(COLUMN_INT4, BINARY, INT64_MIN, "\x80\0\0\0");
	EXPECT(COLUMN_INT8, 0, INT64_MIN, "-9223372036854775808");
	EXPECT(COLUMN_INT8, BINARY, 258, "\0\0\0\0\0\0\1\2");
}

/* Digits to the base of 10000, as PostgreSQL's numeric_send gives them. */
static void numerics_have_two_forms(void **state)
{
	EXPECT(COLUMN_NUMERIC, 0, 12345678, "12345678");
	EXPECT(COLUMN_NUMERIC, BINARY, 0, "\0\0\0\0\0\0\0\0");
	EXPECT(COLUMN_NUMERIC, BINARY, 7, "\0\1\0\0\0\0\0\0\0\7");
	EXPECT(COLUMN_NUMERIC, BINARY, -10000, "\0\2\0\1\x40\0\0\0\0\1\0\0");
	EXPECT(COLUMN_NUMERIC, BINARY, INT64_MIN,
		"\0\5\0\4\x40\0\0\0\x03\x9a\x0d\x2c\x01\x70\x15\x65\x16\xb0");
}

static void reals_have_two_forms(void **state)
{
	EXPECT(COLUMN_FLOAT8, 0, 1, "0.25");
	EXPECT(COLUMN_FLOAT8, BINARY, 4, "\x3f\xf0\0\0\0\0\0\0");
}

static void a_row_of_several_cells(void **state)
{
	static const struct column columns[] = {
		{"a", COLUMN_TEXT}, {"b", COLUMN_INT4}, {"c", COLUMN_TEXT}};
	struct buffer out = BUFFER_INIT;
	struct table t = {.columns = columns, .count = 3, .binary = 2, .out = &out};
	struct bytes at[3];
	struct frame frame;
	table_row(&t);
	table_text(&t, "x");
	table_int(&t, 1);
	table_text(&t, NULL);
	table_end(&t);
	assert_int_equal(t.rows, 1);
	assert_int_equal(frame_parse(buffer_bytes(&out), &frame), WIRE_OK);
	assert_int_equal(frame.len, buffer_len(&out));
	assert_int_equal(message_parse_row(frame_body(buffer_bytes(&out), &frame), at, 3), 3);
	assert_int_equal(at[0].len, 1);
	assert_memory_equal(at[1].at, "\0\0\0\1", 4);
	assert_null(at[2].at);
	buffer_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_numbers_have_two_forms),
		cmocka_unit_test(numerics_have_two_forms),
		cmocka_unit_test(reals_have_two_forms),
		cmocka_unit_test(a_row_of_several_cells),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
