#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"
#include "exact.h"
#include "wire/frame.h"
#include "wire/message.h"

/* Every proper prefix of the body is malformed, and nothing past its end is read. */
#define EACH_CUT_IS_BAD(literal, parse, message)                         \
	do {                                                             \
		for (size_t cut = 0; cut < sizeof(literal) - 1; cut++) { \
			struct bytes part = exact(literal, cut);         \
			assert_int_equal(parse(part, message), -1);      \
			exact_free(part);                                \
		}                                                        \
	} while (0)

/* ---- reading ---- */

static void a_parse_has_a_name_a_text_and_types(void **state)
{
	static const char bytes[] = "s1\0select $1, $2\0\0\2\0\0\0\x17\0\0\0\x19";
	struct message_parse m;
	struct bytes body = EXACT(bytes);
	assert_int_equal(message_parse_parse(body, &m), 0);
	assert_string_equal(m.name, "s1");
	assert_string_equal(m.query, "select $1, $2");
	assert_int_equal(m.types.len, 10);
	assert_memory_equal(m.types.at, "\0\2\0\0\0\x17\0\0\0\x19", 10);
	exact_free(body);
	EACH_CUT_IS_BAD(bytes, message_parse_parse, &m);
}

static void a_parse_whose_count_of_types_is_wrong_is_malformed(void **state)
{
	struct message_parse m;
	struct bytes more = EXACT("\0q\0\0\0x");
	assert_int_equal(message_parse_parse(more, &m), -1);
	exact_free(more);
	struct bytes fewer = EXACT("\0q\0\0\2\0\0\0\1");
	assert_int_equal(message_parse_parse(fewer, &m), -1);
	exact_free(fewer);
	struct bytes huge = EXACT("\0q\0\xff\xff\0\0\0\1");
	assert_int_equal(message_parse_parse(huge, &m), -1);
	exact_free(huge);
	struct bytes unnamed = EXACT("\0\0\0\0");
	assert_int_equal(message_parse_parse(unnamed, &m), 0);
	assert_string_equal(m.name, "");
	assert_string_equal(m.query, "");
	exact_free(unnamed);
}

static void a_bind_has_a_portal_a_statement_and_a_rest(void **state)
{
	static const char bytes[] = "p\0s1\0";
	struct message_bind m;
	struct bytes body = EXACT("p\0s1\0\0\0\0\0\0\0");
	assert_int_equal(message_parse_bind(body, &m), 0);
	assert_string_equal(m.portal, "p");
	assert_string_equal(m.statement, "s1");
	assert_int_equal(m.rest, 5);
	exact_free(body);
	EACH_CUT_IS_BAD(bytes, message_parse_bind, &m);
}

static void a_target_is_a_statement_or_a_portal(void **state)
{
	static const char bytes[] = "Ss1\0";
	struct message_target m;
	struct bytes body = EXACT(bytes);
	assert_int_equal(message_parse_target(body, &m), 0);
	assert_int_equal(m.kind, 'S');
	assert_string_equal(m.name, "s1");
	exact_free(body);
	EACH_CUT_IS_BAD(bytes, message_parse_target, &m);
	body = EXACT("P\0");
	assert_int_equal(message_parse_target(body, &m), 0);
	assert_int_equal(m.kind, 'P');
	assert_string_equal(m.name, "");
	exact_free(body);
	body = EXACT("Xs1\0");
	assert_int_equal(message_parse_target(body, &m), -1);
	exact_free(body);
	body = EXACT("Ss1\0more");
	assert_int_equal(message_parse_target(body, &m), -1);
	exact_free(body);
}

static void an_error_has_fields_in_any_order(void **state)
{
	static const char bytes[] = "MFehler\0C53300\0VFATAL\0SFATAL(de)\0Xwhat\0Hwarte\0\0";
	struct message_error m;
	struct bytes body = EXACT(bytes);
	assert_int_equal(message_parse_error(body, &m), 0);
	assert_string_equal(m.message, "Fehler");
	assert_string_equal(m.sqlstate, "53300");
	assert_string_equal(m.severity, "FATAL");
	assert_string_equal(m.hint, "warte");
	exact_free(body);
	EACH_CUT_IS_BAD(bytes, message_parse_error, &m);
}

static void the_severity_that_is_not_localised_counts(void **state)
{
	struct message_error m;
	struct bytes body = EXACT("SSCHWERWIEGEND\0VFATAL\0\0");
	assert_int_equal(message_parse_error(body, &m), 0);
	assert_string_equal(m.severity, "FATAL");
	exact_free(body);
	body = EXACT("SFATAL\0\0"); /* before PostgreSQL 9.6 */
	assert_int_equal(message_parse_error(body, &m), 0);
	assert_string_equal(m.severity, "FATAL");
	exact_free(body);
}

static void fields_that_are_missing_are_empty(void **state)
{
	struct message_error m;
	struct bytes body = EXACT("\0");
	assert_int_equal(message_parse_error(body, &m), 0);
	assert_string_equal(m.severity, "");
	assert_string_equal(m.sqlstate, "");
	assert_string_equal(m.message, "");
	assert_string_equal(m.hint, "");
	exact_free(body);
}

static int parse_parameter(struct bytes body, const char **pair)
{
	return message_parse_parameter(body, &pair[0], &pair[1]);
}

static void a_parameter_has_a_name_and_a_value(void **state)
{
	static const char bytes[] = "TimeZone\0Europe/Berlin\0";
	const char *pair[2];
	struct bytes body = EXACT(bytes);
	assert_int_equal(parse_parameter(body, pair), 0);
	assert_string_equal(pair[0], "TimeZone");
	assert_string_equal(pair[1], "Europe/Berlin");
	exact_free(body);
	EACH_CUT_IS_BAD(bytes, parse_parameter, pair);
}

static int parse_row(struct bytes body, struct bytes *columns)
{
	return message_parse_row(body, columns, 3);
}

static void a_row_has_columns_that_may_be_null_or_empty(void **state)
{
	static const char bytes[] = "\0\3\0\0\0\3abc\xff\xff\xff\xff\0\0\0\0";
	struct bytes columns[3];
	struct bytes body = EXACT(bytes);
	assert_int_equal(parse_row(body, columns), 3);
	assert_int_equal(columns[0].len, 3);
	assert_memory_equal(columns[0].at, "abc", 3);
	assert_null(columns[1].at);
	assert_non_null(columns[2].at);
	assert_int_equal(columns[2].len, 0);
	/* Only as many as there is room for, but all are counted. */
	columns[1].len = 77;
	assert_int_equal(message_parse_row(body, columns, 1), 3);
	assert_int_equal(columns[1].len, 77);
	exact_free(body);
	EACH_CUT_IS_BAD(bytes, parse_row, columns);
}

static int parse_column(struct bytes body, struct message_column *column)
{
	return message_parse_column(&body, column);
}

static void a_column_has_a_name_and_a_type(void **state)
{
	static const char bytes[] = "id\0\0\0\1\0\0\2\0\0\0\x17\0\4\xff\xff\xff\xfe\0\0";
	struct message_column column;
	struct bytes body = EXACT(bytes), rest = body;
	assert_int_equal(message_parse_column(&rest, &column), 0);
	assert_string_equal(column.name, "id");
	assert_int_equal(column.type, 23);
	assert_int_equal(column.size, 4);
	assert_int_equal(column.modifier, 0xfffffffe);
	assert_int_equal(rest.len, 0);
	assert_ptr_equal(rest.at, body.at + body.len);
	assert_int_equal(message_parse_column(&rest, &column), -1);
	exact_free(body);
	EACH_CUT_IS_BAD(bytes, parse_column, &column);
}

static void a_row_of_wrong_lengths_is_malformed(void **state)
{
	struct bytes columns[3];
	static const struct {
		const char *bytes;
		size_t len;
	} rows[] = {
		{"\0\1\0\0\0\4abc", 9},
		{"\0\1\x7f\xff\xff\xff"
		 "abc",
			9},
		{"\0\1\x80\0\0\0"
		 "abc",
			9},
		{"\0\1\xff\xff\xff\xfe"
		 "abc",
			9},
		{"\xff\xff\xff\xff\xff\xff", 6},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bytes body = exact(rows[i].bytes, rows[i].len);
		assert_int_equal(parse_row(body, columns), -1);
		exact_free(body);
	}
	struct bytes none = EXACT("\0\0");
	assert_int_equal(parse_row(none, columns), 0);
	exact_free(none);
}

static void whatever_is_sent_nothing_is_read_past_the_end(void **state)
{
	struct random random;
	random_init(&random, 9);
	for (int round = 0; round < 20000; round++) {
		uint8_t bytes[40];
		size_t len = random_below(&random, sizeof(bytes));
		for (size_t i = 0; i < len; i++)
			bytes[i] = random_below(&random, 3) ? (uint8_t)random_below(&random, 5)
							    : (uint8_t)random_u32(&random);
		struct bytes body = exact(bytes, len);
		struct message_parse parse;
		struct message_bind bind;
		struct message_target target;
		struct message_error error;
		const char *pair[2];
		struct bytes columns[3];
		if (message_parse_parse(body, &parse) == 0)
			assert_true(strlen(parse.name) + strlen(parse.query) < len);
		if (message_parse_bind(body, &bind) == 0)
			assert_true(bind.rest <= len);
		if (message_parse_target(body, &target) == 0)
			assert_int_equal(strlen(target.name) + 2, len);
		if (message_parse_error(body, &error) == 0)
			assert_true(strlen(error.message) < len);
		if (parse_parameter(body, pair) == 0)
			assert_true(strlen(pair[0]) + strlen(pair[1]) < len);
		int count = parse_row(body, columns);
		for (int i = 0; i < count && i < 3; i++)
			if (columns[i].at)
				assert_true(columns[i].at + columns[i].len <= body.at + len);
		exact_free(body);
	}
}

static void a_sasl_response_has_a_mechanism_and_data(void **state)
{
	static const char bytes[] = "SCRAM-SHA-256\0\0\0\0\3n,,";
	struct message_sasl m;
	struct bytes body = EXACT(bytes);
	assert_int_equal(message_parse_sasl(body, &m), 0);
	assert_string_equal(m.mechanism, "SCRAM-SHA-256");
	assert_int_equal(m.data.len, 3);
	assert_memory_equal(m.data.at, "n,,", 3);
	exact_free(body);
	EACH_CUT_IS_BAD(bytes, message_parse_sasl, &m);
	struct bytes none = EXACT("X\0\xff\xff\xff\xff");
	assert_int_equal(message_parse_sasl(none, &m), 0);
	assert_null(m.data.at);
	exact_free(none);
	struct bytes more = EXACT("X\0\0\0\0\3n,,x");
	assert_int_equal(message_parse_sasl(more, &m), -1);
	exact_free(more);
	struct bytes huge = EXACT("X\0\x7f\xff\xff\xffn,,");
	assert_int_equal(message_parse_sasl(huge, &m), -1);
	exact_free(huge);
}

/* ---- writing ---- */

static void expect(struct buffer *out, const char *bytes, size_t len)
{
	assert_int_equal(buffer_len(out), len);
	assert_memory_equal(buffer_bytes(out).at, bytes, len);
	/* What was written is a frame of exactly that length. */
	struct frame frame;
	assert_int_equal(frame_parse(buffer_bytes(out), &frame), WIRE_OK);
	assert_int_equal(frame.len, len);
	buffer_release(out);
}

#define EXPECT(out, literal) expect(out, literal, sizeof(literal) - 1)

static void messages_of_the_login(void **state)
{
	struct buffer out = BUFFER_INIT;
	message_authentication_ok(&out);
	EXPECT(&out, "R\0\0\0\x08\0\0\0\0");
	message_parameter(&out, "DateStyle", "ISO, MDY");
	EXPECT(&out, "S\0\0\0\x17"
		     "DateStyle\0ISO, MDY\0");
	message_backend_key(&out, 258, 0xdeadbeef);
	EXPECT(&out, "K\0\0\0\x0c\0\0\1\2\xde\xad\xbe\xef");
	message_ready(&out, 'I');
	EXPECT(&out, "Z\0\0\0\5I");
}

static void messages_of_the_session(void **state)
{
	struct buffer out = BUFFER_INIT;
	message_query(&out, "select 1");
	EXPECT(&out, "Q\0\0\0\x0dselect 1\0");
	const struct bytes types = {(const uint8_t *)"\0\1\0\0\0\x17", 6};
	message_parse(&out, "a", "b", types);
	EXPECT(&out, "P\0\0\0\x0e"
		     "a\0b\0\0\1\0\0\0\x17");
	message_target(&out, MSG_CLOSE, 'S', "a");
	EXPECT(&out, "C\0\0\0\7Sa\0");
	message_target(&out, MSG_DESCRIBE, 'P', "");
	EXPECT(&out, "D\0\0\0\6P\0");
	message_empty(&out, MSG_SYNC);
	EXPECT(&out, "S\0\0\0\4");
}

static void an_error_that_is_written_can_be_read(void **state)
{
	struct buffer out = BUFFER_INIT;
	message_error(&out, "FATAL", "53300", "full", NULL, NULL);
	EXPECT(&out, "E\0\0\0\x20SFATAL\0VFATAL\0C53300\0Mfull\0\0");
	message_error(&out, "ERROR", "57P03", "no", "why", "");
	EXPECT(&out, "E\0\0\0\x23SERROR\0VERROR\0C57P03\0Mno\0Dwhy\0\0");

	message_error(&out, "ERROR", "0A000", "what", "why", "how");
	struct frame frame;
	struct message_error m;
	assert_int_equal(frame_parse(buffer_bytes(&out), &frame), WIRE_OK);
	assert_int_equal(message_parse_error(frame_body(buffer_bytes(&out), &frame), &m), 0);
	assert_string_equal(m.severity, "ERROR");
	assert_string_equal(m.sqlstate, "0A000");
	assert_string_equal(m.message, "what");
	assert_string_equal(m.hint, "how");
	buffer_release(&out);
}

static void messages_follow_each_other_whatever_was_taken_before(void **state)
{
	struct buffer out = BUFFER_INIT;
	message_empty(&out, MSG_FLUSH);
	buffer_take(&out, 3);
	message_ready(&out, 'T');
	/* Large enough to make the buffer move and grow between the length and its end. */
	char text[5000];
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	message_query(&out, text);
	buffer_take(&out, 2);
	struct bytes left = buffer_bytes(&out);
	struct frame frame;
	assert_int_equal(frame_parse(left, &frame), WIRE_OK);
	assert_int_equal(frame.type, 'Z');
	assert_int_equal(frame.len, 6);
	left = (struct bytes){left.at + frame.len, left.len - frame.len};
	assert_int_equal(frame_parse(left, &frame), WIRE_OK);
	assert_int_equal(frame.type, 'Q');
	assert_int_equal(frame.len, FRAME_HEADER + sizeof(text));
	assert_int_equal(frame.len, left.len);
	assert_string_equal((const char *)frame_body(left, &frame).at, text);
	buffer_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sasl_response_has_a_mechanism_and_data),
		cmocka_unit_test(a_parse_has_a_name_a_text_and_types),
		cmocka_unit_test(a_parse_whose_count_of_types_is_wrong_is_malformed),
		cmocka_unit_test(a_bind_has_a_portal_a_statement_and_a_rest),
		cmocka_unit_test(a_target_is_a_statement_or_a_portal),
		cmocka_unit_test(an_error_has_fields_in_any_order),
		cmocka_unit_test(the_severity_that_is_not_localised_counts),
		cmocka_unit_test(fields_that_are_missing_are_empty),
		cmocka_unit_test(a_parameter_has_a_name_and_a_value),
		cmocka_unit_test(a_row_has_columns_that_may_be_null_or_empty),
		cmocka_unit_test(a_column_has_a_name_and_a_type),
		cmocka_unit_test(a_row_of_wrong_lengths_is_malformed),
		cmocka_unit_test(whatever_is_sent_nothing_is_read_past_the_end),
		cmocka_unit_test(messages_of_the_login),
		cmocka_unit_test(messages_of_the_session),
		cmocka_unit_test(an_error_that_is_written_can_be_read),
		cmocka_unit_test(messages_follow_each_other_whatever_was_taken_before),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
