/* What libpq says of failed logins, word for word, and what is made of it. */
#include "io/refusal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define REFUSED(host)                                                \
	"connection to server at \"" host                            \
	"\", port 5432 failed: Connection refused\n\tIs the server " \
	"running on that host and accepting TCP/IP connections?\n"
#define SAID(host, severity, sqlstate, text)                                               \
	"connection to server at \"" host "\", port 5432 failed: " severity ":  " sqlstate \
	": " text "\n"
#define FAILED(host, text) "connection to server at \"" host "\", port 5432 failed: " text "\n"

static const struct {
	const char *message;
	enum outcome outcome;
	const char *sqlstate;
	const char *text;
} cases[] = {
	{REFUSED("db"), OUTCOME_REFUSED, "",
		"connection to server at \"db\", port 5432 failed: Connection refused"},
	{SAID("db", "FATAL", "28P01",
		 "password authentication failed for user \"app\"") "LOCATION:  auth_failed, "
								    "auth.c:338\n",
		OUTCOME_AUTH, "28P01", "password authentication failed for user \"app\""},
	{"connection to server on socket \"/tmp/.s.PGSQL.5432\" failed: No such file or directory\n"
	 "\tIs the server running locally and accepting connections on that socket?\n",
		OUTCOME_REFUSED, "",
		"connection to server on socket \"/tmp/.s.PGSQL.5432\" failed: No such file or "
		"directory"},
	{"could not translate host name \"nowhere\" to address: Name or service not known\n",
		OUTCOME_DNS, "",
		"could not translate host name \"nowhere\" to address: Name or service not known"},
	{FAILED("db", "root certificate file \"/nowhere\" does not exist"), OUTCOME_TLS, "",
		"connection to server at \"db\", port 5432 failed: root certificate file "
		"\"/nowhere\" does "
		"not exist"},
	{FAILED("db", "could not load private key file \"k\": no such file"), OUTCOME_TLS, "",
		"connection to server at \"db\", port 5432 failed: could not load private key file "
		"\"k\": no "
		"such file"},
	{FAILED("db", "SSL error: certificate verify failed"), OUTCOME_TLS, "",
		"connection to server at \"db\", port 5432 failed: SSL error: certificate verify "
		"failed"},
	/* Cut in the handshake, which says nothing of certificates. */
	{FAILED("db", "SSL SYSCALL error: Connection reset by peer"), OUTCOME_RESET, "",
		"connection to server at \"db\", port 5432 failed: SSL SYSCALL error: Connection "
		"reset by "
		"peer"},
	{FAILED("db", "SSL connection has been closed unexpectedly"), OUTCOME_RESET, "",
		"connection to server at \"db\", port 5432 failed: SSL connection has been closed "
		"unexpectedly"},
	{FAILED("db", "received invalid response to SSL negotiation: H"), OUTCOME_TLS, "",
		"connection to server at \"db\", port 5432 failed: received invalid response to "
		"SSL "
		"negotiation: H"},
	{"out of memory", OUTCOME_PROTOCOL, "", "out of memory"},
	{"", OUTCOME_PROTOCOL, "", ""},
	/* Several: the one that promises most counts, and each is named. */
	{REFUSED("a") FAILED("b", "session is read-only"), OUTCOME_REFUSED, "",
		"at \"a\", port 5432: Connection refused; at \"b\", port 5432: session is "
		"read-only"},
	{FAILED("a", "session is read-only") FAILED("b", "session is read-only"), OUTCOME_PROTOCOL,
		"",
		"at \"a\", port 5432: session is read-only; at \"b\", port 5432: session is "
		"read-only"},
	{REFUSED("a") SAID("b", "FATAL", "28P01", "no") "LOCATION:  x, y.c:1\n", OUTCOME_REFUSED,
		"", "at \"a\", port 5432: Connection refused; at \"b\", port 5432: no"},
	{SAID("a", "FATAL", "57P03", "the database system is shutting down"), OUTCOME_SHUTDOWN,
		"57P03", "the database system is shutting down"},
	{SAID("a", "FATAL", "57P03", "the database system is starting up")
			SAID("b", "FATAL", "3D000", "x"),
		OUTCOME_STARTING, "57P03",
		"at \"a\", port 5432: the database system is starting up; at \"b\", port 5432: x"},
	{"could not translate host name \"a\" to address: Name or service not known\n" SAID(
		 "b", "FATAL", "53300", "sorry, too many clients already"),
		OUTCOME_DNS, "",
		"could not translate host name \"a\" to address: Name or service not known; at "
		"\"b\", port "
		"5432: sorry, too many clients already"},
	/* With TLS and then without: one reason. */
	{SAID("a", "FATAL", "28P01", "no") SAID("a", "FATAL", "28P01", "no"), OUTCOME_AUTH, "28P01",
		"at \"a\", port 5432: no"},
};

static void each_message_has_its_class_and_one_line(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char sqlstate[6] = "?????", text[512];
		print_message("%s\n", cases[i].message);
		assert_string_equal(outcome_name(upstream_classify(cases[i].message, sqlstate)),
			outcome_name(cases[i].outcome));
		assert_string_equal(sqlstate, cases[i].sqlstate);
		upstream_describe(cases[i].message, text, sizeof(text));
		assert_string_equal(text, cases[i].text);
	}
}

static void what_the_server_adds_is_of_the_try_that_counts(void **state)
{
	(void)state;
	static const char message[] = SAID("a", "FATAL", "42501", "no")
		SAID("b", "FATAL", "53300", "full\nof others") "DETAIL:  One\nDETAIL: two.\n"
							       "HINT:  Wait,\n  or go.\n"
							       "LOCATION:  f, a.c:1\n";
	char detail[64], hint[64], cut[4];
	upstream_explain(message, detail, hint, sizeof(detail));
	assert_string_equal(detail, "One\nDETAIL: two.");
	assert_string_equal(hint, "Wait,\n  or go.");
	upstream_explain(message, detail, cut, sizeof(cut));
	assert_string_equal(detail, "One");
	assert_string_equal(cut, "Wai");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		upstream_explain(cases[i].message, detail, hint, sizeof(detail));
		assert_string_equal(detail, "");
		assert_string_equal(hint, "");
	}
	upstream_explain("", detail, hint, sizeof(detail));
	assert_string_equal(hint, "");
}

static void a_line_is_cut_to_its_place(void **state)
{
	(void)state;
	char text[24];
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t size = 1; size <= sizeof(text); size++) {
			memset(text, 'x', sizeof(text));
			upstream_describe(cases[i].message, text, size);
			assert_true(strlen(text) < size);
			assert_int_equal(strncmp(text, cases[i].text, strlen(text)), 0);
		}
}

static void a_very_long_message_is_read_to_its_end(void **state)
{
	(void)state;
	char message[8192] = "connection to server at \"a\" failed: ", sqlstate[6], text[256];
	memset(message + strlen(message), 'x', 3000);
	strcat(message, "\n");
	strcat(message, REFUSED("b"));
	assert_int_equal(upstream_classify(message, sqlstate), OUTCOME_REFUSED);
	upstream_describe(message, text, sizeof(text));
	assert_int_equal(strlen(text), sizeof(text) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_message_has_its_class_and_one_line),
		cmocka_unit_test(what_the_server_adds_is_of_the_try_that_counts),
		cmocka_unit_test(a_line_is_cut_to_its_place),
		cmocka_unit_test(a_very_long_message_is_read_to_its_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
