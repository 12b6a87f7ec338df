#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "exact.h"
#include "wire/frame.h"

static enum wire_result parse(const char *bytes, size_t len, struct frame *frame)
{
	struct bytes in = exact(bytes, len);
	enum wire_result result = frame_parse(in, frame);
	exact_free(in);
	return result;
}

#define PARSE(literal, frame) parse(literal, sizeof(literal) - 1, frame)

static void a_frame_is_a_type_and_a_length_that_counts_itself(void **state)
{
	struct frame frame;
	assert_int_equal(PARSE("Q\0\0\0\x0dselect 1\0", &frame), WIRE_OK);
	assert_int_equal(frame.type, 'Q');
	assert_int_equal(frame.len, 14);
	assert_int_equal(PARSE("S\0\0\0\4", &frame), WIRE_OK);
	assert_int_equal(frame.type, 'S');
	assert_int_equal(frame.len, FRAME_HEADER);
	assert_int_equal(PARSE("\xff\x01\x02\x03\x04", &frame), WIRE_OK);
	assert_int_equal(frame.type, 0xff);
	assert_int_equal(frame.len, 0x01020305);
}

static void the_header_alone_is_enough(void **state)
{
	static const char query[] = "Q\0\0\0\x0dselect 1";
	for (size_t len = 0; len < sizeof(query); len++) {
		struct frame frame = {0};
		enum wire_result result = parse(query, len, &frame);
		assert_int_equal(result, len < FRAME_HEADER ? WIRE_PARTIAL : WIRE_OK);
		assert_int_equal(frame.len, len < FRAME_HEADER ? 0 : 14);
	}
}

static void a_length_that_does_not_hold_itself_is_bad(void **state)
{
	struct frame frame;
	assert_int_equal(PARSE("Q\0\0\0\0", &frame), WIRE_BAD);
	assert_int_equal(PARSE("Q\0\0\0\3", &frame), WIRE_BAD);
}

static void a_length_over_postgresqls_limit_or_negative_is_bad(void **state)
{
	struct frame frame;
	assert_int_equal(PARSE("Q\x3f\xff\xff\xff", &frame), WIRE_OK);
	assert_int_equal(frame.len, 0x40000000);
	assert_int_equal(PARSE("Q\x40\0\0\0", &frame), WIRE_BAD);
	assert_int_equal(PARSE("Q\x80\0\0\0", &frame), WIRE_BAD);
	assert_int_equal(PARSE("Q\xff\xff\xff\xff", &frame), WIRE_BAD);
}

static void the_body_is_what_follows_the_header(void **state)
{
	struct bytes in = EXACT("E\0\0\0\6xyZ\0\0\0\5I");
	struct frame frame;
	assert_int_equal(frame_parse(in, &frame), WIRE_OK);
	struct bytes body = frame_body(in, &frame);
	assert_int_equal(body.len, 2);
	assert_memory_equal(body.at, "xy", 2);
	struct bytes rest = {in.at + frame.len, in.len - frame.len};
	assert_int_equal(frame_parse(rest, &frame), WIRE_OK);
	assert_int_equal(frame.type, 'Z');
	assert_int_equal(frame_body(rest, &frame).len, 1);
	exact_free(in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_frame_is_a_type_and_a_length_that_counts_itself),
		cmocka_unit_test(the_header_alone_is_enough),
		cmocka_unit_test(a_length_that_does_not_hold_itself_is_bad),
		cmocka_unit_test(a_length_over_postgresqls_limit_or_negative_is_bad),
		cmocka_unit_test(the_body_is_what_follows_the_header),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
