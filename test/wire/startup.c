#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"
#include "exact.h"
#include "wire/startup.h"

#define SSL_REQUEST    "\0\0\0\x08\x04\xd2\x16\x2f"
#define GSSENC_REQUEST "\0\0\0\x08\x04\xd2\x16\x30"
#define CANCEL_REQUEST "\0\0\0\x10\x04\xd2\x16\x2e\0\0\x30\x39\xde\xad\xbe\xef"
#define SESSION        "\0\0\0\x20\0\3\0\0user\0app\0database\0main\0\0"
#define SESSION_LEN    (sizeof(SESSION) - 1)

static enum wire_result parse(const char *bytes, size_t len, struct wire_startup *startup)
{
	struct bytes in = exact(bytes, len);
	enum wire_result result = wire_startup_parse(in, startup);
	exact_free(in);
	return result;
}

#define PARSE(literal, startup) parse(literal, sizeof(literal) - 1, startup)

static void requests_for_encryption_are_told_apart(void **state)
{
	struct wire_startup s;
	assert_int_equal(PARSE(SSL_REQUEST, &s), WIRE_OK);
	assert_int_equal(s.kind, WIRE_STARTUP_SSL);
	assert_int_equal(s.len, 8);
	assert_int_equal(PARSE(GSSENC_REQUEST, &s), WIRE_OK);
	assert_int_equal(s.kind, WIRE_STARTUP_GSSENC);
	assert_int_equal(s.len, 8);
}

static void a_cancel_request_has_a_pid_and_a_key(void **state)
{
	struct wire_startup s;
	assert_int_equal(PARSE(CANCEL_REQUEST, &s), WIRE_OK);
	assert_int_equal(s.kind, WIRE_STARTUP_CANCEL);
	assert_int_equal(s.len, 16);
	assert_int_equal(s.pid, 12345);
	assert_int_equal(s.key, 0xdeadbeef);
}

static void a_session_has_a_version_and_parameters(void **state)
{
	struct bytes in = EXACT(SESSION);
	struct wire_startup s;
	const char *name, *value;
	assert_int_equal(SESSION_LEN, 0x20);
	assert_int_equal(wire_startup_parse(in, &s), WIRE_OK);
	assert_int_equal(s.kind, WIRE_STARTUP_SESSION);
	assert_int_equal(s.len, SESSION_LEN);
	assert_int_equal(s.major, 3);
	assert_int_equal(s.minor, 0);
	struct bytes left = s.parameters;
	assert_int_equal(wire_pair_next(&left, &name, &value), 1);
	assert_string_equal(name, "user");
	assert_string_equal(value, "app");
	assert_int_equal(wire_pair_next(&left, &name, &value), 1);
	assert_string_equal(name, "database");
	assert_string_equal(value, "main");
	assert_int_equal(wire_pair_next(&left, &name, &value), 0);
	exact_free(in);
}

static void a_value_may_be_empty(void **state)
{
	struct bytes in = EXACT("\0\0\0\x10\0\3\0\2user\0\0\0\0");
	struct wire_startup s;
	/* A second zero ends the value, a third the packet; a fourth is one too many. */
	assert_int_equal(wire_startup_parse(in, &s), WIRE_BAD);
	exact_free(in);
	in = EXACT("\0\0\0\x0f\0\3\0\2user\0\0\0");
	const char *name, *value;
	assert_int_equal(wire_startup_parse(in, &s), WIRE_OK);
	assert_int_equal(s.minor, 2);
	assert_int_equal(wire_pair_next(&s.parameters, &name, &value), 1);
	assert_string_equal(name, "user");
	assert_string_equal(value, "");
	assert_int_equal(wire_pair_next(&s.parameters, &name, &value), 0);
	exact_free(in);
}

static void a_session_without_parameters_is_whole(void **state)
{
	struct wire_startup s;
	const char *name, *value;
	assert_int_equal(PARSE("\0\0\0\x09\0\3\0\0\0", &s), WIRE_OK);
	assert_int_equal(s.parameters.len, 1);
	struct bytes none = {NULL, 0};
	assert_int_equal(wire_pair_next(&none, &name, &value), 0);
}

static void every_cut_is_partial_and_what_follows_is_left_alone(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} packets[] = {
		{SSL_REQUEST, sizeof(SSL_REQUEST) - 1},
		{GSSENC_REQUEST, sizeof(GSSENC_REQUEST) - 1},
		{CANCEL_REQUEST, sizeof(CANCEL_REQUEST) - 1},
		{SESSION, SESSION_LEN},
	};
	struct wire_startup s;
	for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++)
		for (size_t len = 0; len < packets[i].len; len++)
			assert_int_equal(parse(packets[i].bytes, len, &s), WIRE_PARTIAL);
	assert_int_equal(PARSE(SSL_REQUEST "\x16\x03\x01", &s), WIRE_OK);
	assert_int_equal(s.len, 8);
}

static void lengths_out_of_range_are_bad_as_soon_as_they_are_known(void **state)
{
	struct wire_startup s;
	assert_int_equal(PARSE("\0\0\0\0", &s), WIRE_BAD);
	assert_int_equal(PARSE("\0\0\0\7", &s), WIRE_BAD);
	assert_int_equal(PARSE("\0\0\0\x08", &s), WIRE_PARTIAL);
	assert_int_equal(PARSE("\0\0\x27\x10", &s), WIRE_PARTIAL); /* 10000 */
	assert_int_equal(PARSE("\0\0\x27\x11", &s), WIRE_BAD);
	assert_int_equal(PARSE("\xff\xff\xff\xff", &s), WIRE_BAD);
	assert_int_equal(PARSE("\x80\0\0\x08", &s), WIRE_BAD);
	/* What others begin with: TLS at once, HTTP, a message without a start. */
	assert_int_equal(PARSE("\x16\x03\x01\x02", &s), WIRE_BAD);
	assert_int_equal(PARSE("GET ", &s), WIRE_BAD);
	assert_int_equal(PARSE("Q\0\0\0", &s), WIRE_BAD);
}

static void requests_of_the_wrong_size_are_bad(void **state)
{
	struct wire_startup s;
	assert_int_equal(PARSE("\0\0\0\x09\x04\xd2\x16\x2f\0", &s), WIRE_BAD);
	assert_int_equal(PARSE("\0\0\0\x0c\x04\xd2\x16\x30\0\0\0\0", &s), WIRE_BAD);
	assert_int_equal(PARSE("\0\0\0\x0c\x04\xd2\x16\x2e\0\0\0\1", &s), WIRE_BAD);
	assert_int_equal(PARSE("\0\0\0\x14\x04\xd2\x16\x2e\0\0\0\1\0\0\0\2\0\0\0\3", &s), WIRE_BAD);
}

static void parameters_that_are_not_ended_are_bad(void **state)
{
	struct wire_startup s;
	/* No terminator at all; no final one; a name without a value; text behind the end. */
	assert_int_equal(PARSE("\0\0\0\x08\0\3\0\0", &s), WIRE_BAD);
	assert_int_equal(PARSE("\0\0\0\x0c\0\3\0\0user", &s), WIRE_BAD);
	assert_int_equal(PARSE("\0\0\0\x0d\0\3\0\0user\0", &s), WIRE_BAD);
	assert_int_equal(PARSE("\0\0\0\x10\0\3\0\0user\0app", &s), WIRE_BAD);
	assert_int_equal(PARSE("\0\0\0\x11\0\3\0\0user\0app\0", &s), WIRE_BAD);
	assert_int_equal(PARSE("\0\0\0\x12\0\3\0\0user\0app\0x", &s), WIRE_BAD);
	assert_int_equal(PARSE("\0\0\0\x13\0\3\0\0user\0app\0\0x", &s), WIRE_BAD);
}

static void another_protocol_is_told_by_its_version_alone(void **state)
{
	struct wire_startup s;
	assert_int_equal(PARSE("\0\0\0\x0c\0\2\0\1abcd", &s), WIRE_OK);
	assert_int_equal(s.kind, WIRE_STARTUP_SESSION);
	assert_int_equal(s.major, 2);
	assert_int_equal(s.minor, 1);
}

static void whatever_is_sent_nothing_is_read_past_the_end(void **state)
{
	struct random random;
	random_init(&random, 3);
	for (int round = 0; round < 20000; round++) {
		char bytes[64];
		size_t len = 8 + random_below(&random, sizeof(bytes) - 8);
		for (size_t i = 0; i < len; i++)
			bytes[i] = random_below(&random, 2) ? (char)random_below(&random, 256) : 0;
		bytes_put_u32((uint8_t *)bytes, (uint32_t)len);
		bytes_put_u32((uint8_t *)bytes + 4, 0x30000);
		struct bytes in = exact(bytes, len);
		struct wire_startup s;
		const char *name, *value;
		int pairs = 0;
		if (wire_startup_parse(in, &s) == WIRE_OK)
			while (wire_pair_next(&s.parameters, &name, &value))
				pairs += strlen(name) > 0 && strlen(value) < len;
		assert_in_range(pairs, 0, 32);
		exact_free(in);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_for_encryption_are_told_apart),
		cmocka_unit_test(a_cancel_request_has_a_pid_and_a_key),
		cmocka_unit_test(a_session_has_a_version_and_parameters),
		cmocka_unit_test(a_value_may_be_empty),
		cmocka_unit_test(a_session_without_parameters_is_whole),
		cmocka_unit_test(every_cut_is_partial_and_what_follows_is_left_alone),
		cmocka_unit_test(lengths_out_of_range_are_bad_as_soon_as_they_are_known),
		cmocka_unit_test(requests_of_the_wrong_size_are_bad),
		cmocka_unit_test(parameters_that_are_not_ended_are_bad),
		cmocka_unit_test(another_protocol_is_told_by_its_version_alone),
		cmocka_unit_test(whatever_is_sent_nothing_is_read_past_the_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
