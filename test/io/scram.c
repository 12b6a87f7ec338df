#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/scram.h"

/* RFC 7677, section 3: user "user", password "pencil". */
#define VERIFIER                                                                               \
	"SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT" \
	"4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
#define CLIENT_NONCE  "rOprNGfwEbeRWgbNEkqO"
#define OWN_NONCE     "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define FIRST         "n,,n=user,r=" CLIENT_NONCE
#define SERVER_FIRST  "r=" CLIENT_NONCE OWN_NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
#define WITHOUT_PROOF "c=biws,r=" CLIENT_NONCE OWN_NONCE
#define PROOF         "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
#define FINAL         WITHOUT_PROOF "," PROOF
#define SERVER_FINAL  "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

static struct bytes text(const char *at)
{
	return (struct bytes){(const uint8_t *)at, strlen(at)};
}

static void assert_said(struct buffer *out, const char *expected)
{
	assert_int_equal(buffer_len(out), strlen(expected));
	assert_memory_equal(buffer_bytes(out).at, expected, strlen(expected));
	buffer_release(out);
}

struct exchange {
	struct scram scram;
	struct buffer out;
	struct error error;
};

static void begin(struct exchange *x, const char *verifier, const struct scram_binding *binding)
{
	static const struct scram_binding none = {.len = 0};
	struct scram_verifier v;
	*x = (struct exchange){0};
	assert_int_equal(scram_verifier_parse(verifier, &v), 0);
	scram_init(&x->scram, &v, binding ? binding : &none);
}

static void end(struct exchange *x)
{
	scram_release(&x->scram);
	buffer_release(&x->out);
}

static enum scram_result first(struct exchange *x, bool plus, const char *message)
{
	return scram_first(&x->scram, plus, text(message), OWN_NONCE, &x->out, &x->error);
}

static enum scram_result final(struct exchange *x, const char *message)
{
	return scram_final(&x->scram, text(message), &x->out, &x->error);
}

static void the_rfc_s_own_exchange(void **state)
{
	struct exchange x;
	begin(&x, VERIFIER, NULL);
	assert_int_equal(first(&x, false, FIRST), SCRAM_GO_ON);
	assert_said(&x.out, SERVER_FIRST);
	assert_int_equal(final(&x, FINAL), SCRAM_GO_ON);
	assert_said(&x.out, SERVER_FINAL);
	end(&x);
}

/* The proof signs the name that the client said, whatever that was. */
static void a_proof_for_another_name_or_nonce_is_denied(void **state)
{
	struct exchange x;
	begin(&x, VERIFIER, NULL);
	assert_int_equal(first(&x, false, "n,,n=,r=" CLIENT_NONCE), SCRAM_GO_ON);
	buffer_release(&x.out);
	assert_int_equal(final(&x, FINAL), SCRAM_DENIED);
	assert_int_equal(buffer_len(&x.out), 0);
	end(&x);
}

static void a_wrong_proof_is_denied(void **state)
{
	struct exchange x;
	begin(&x, VERIFIER, NULL);
	assert_int_equal(first(&x, false, FIRST), SCRAM_GO_ON);
	buffer_release(&x.out);
	assert_int_equal(final(&x, WITHOUT_PROOF ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVU="),
		SCRAM_DENIED);
	assert_int_equal(buffer_len(&x.out), 0);
	end(&x);
}

static void nobody_is_answered_like_somebody_and_denied(void **state)
{
	static const struct scram_binding none = {.len = 0};
	uint8_t secret[SCRAM_KEY] = {1, 2, 3};
	struct scram_verifier one, again, other;
	struct exchange x = {0};
	scram_verifier_mock(secret, "nobody", &one);
	scram_verifier_mock(secret, "nobody", &again);
	scram_verifier_mock(secret, "somebody", &other);
	assert_int_equal(one.salt_len, 16);
	assert_int_equal(one.iterations, 4096);
	assert_memory_equal(one.salt, again.salt, 16);
	assert_memory_not_equal(one.salt, other.salt, 16);

	/* Not even what would prove it, if the keys were known. */
	struct scram_verifier known;
	assert_int_equal(scram_verifier_parse(VERIFIER, &known), 0);
	known.mock = true;
	scram_init(&x.scram, &known, &none);
	assert_int_equal(first(&x, false, FIRST), SCRAM_GO_ON);
	assert_said(&x.out, SERVER_FIRST);
	assert_int_equal(final(&x, FINAL), SCRAM_DENIED);
	end(&x);
}

/* ---- what is no SCRAM ---- */

static void a_first_message_that_is_malformed_is_told(void **state)
{
	static const struct {
		const char *message;
		const char *sqlstate;
	} cases[] = {
		{"", "08P01"}, {"n", "08P01"}, {"n,", "08P01"}, {"n,,", "08P01"},
		{"n,,n=", "08P01"}, {"n,,n=user", "08P01"}, {"n,,n=user,", "08P01"},
		{"n,,n=user,r", "08P01"}, {"n,,n=user,r=", "08P01"}, /* no nonce */
		{"n,,r=abc,n=user", "08P01"}, {"n,,r=abc", "08P01"}, {"n,,n=user,r=a b", "08P01"},
		{"n,,n=user,r=a\x7f", "08P01"}, {"n,,n=user,r=\xc3\xa4", "08P01"},
		{"n,a=other,n=user,r=abc", "0A000"}, {"n,,m=x,n=user,r=abc", "0A000"},
		{"x,,n=user,r=abc", "08P01"}, {"nn,n=user,r=abc", "08P01"},
		{"p=tls-server-end-point,,n=user,r=abc", "08P01"}, /* it did not choose PLUS */
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct exchange x;
		begin(&x, VERIFIER, NULL);
		if (first(&x, false, cases[i].message) != SCRAM_BAD)
			fail_msg("\"%s\" was taken", cases[i].message);
		assert_string_equal(x.error.sqlstate, cases[i].sqlstate);
		assert_int_equal(buffer_len(&x.out), 0);
		end(&x);
	}
}

static void a_final_message_that_is_malformed_is_told(void **state)
{
	static const char *const cases[] = {
		"",
		"c=",
		"c=biws",
		WITHOUT_PROOF,
		WITHOUT_PROOF ",",
		WITHOUT_PROOF ",p=",
		WITHOUT_PROOF ",p",
		WITHOUT_PROOF ",p=dHzb",
		WITHOUT_PROOF ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ",
		WITHOUT_PROOF ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=AAAA",
		WITHOUT_PROOF ",p=*HzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
		WITHOUT_PROOF ",p==HzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
		WITHOUT_PROOF ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVT=",
		FINAL ",",
		FINAL ",x=1",
		WITHOUT_PROOF ",x," PROOF,
		"c=eSws,r=" CLIENT_NONCE OWN_NONCE "," PROOF, /* of another header */
		"c=biw,r=" CLIENT_NONCE OWN_NONCE "," PROOF,
		"c=biws,r=" CLIENT_NONCE "," PROOF, /* half of the nonce */
		"c=biws,r=" CLIENT_NONCE OWN_NONCE "x," PROOF,
		"c=biws,r=," PROOF,
		"r=" CLIENT_NONCE OWN_NONCE "," PROOF,
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct exchange x;
		begin(&x, VERIFIER, NULL);
		assert_int_equal(first(&x, false, FIRST), SCRAM_GO_ON);
		buffer_release(&x.out);
		if (final(&x, cases[i]) != SCRAM_BAD)
			fail_msg("\"%s\" was taken", cases[i]);
		assert_string_equal(x.error.sqlstate, "08P01");
		assert_int_equal(buffer_len(&x.out), 0);
		end(&x);
	}
}

static void an_unknown_attribute_in_between_is_let_pass_and_signed(void **state)
{
	struct exchange x;
	begin(&x, VERIFIER, NULL);
	assert_int_equal(first(&x, false, FIRST), SCRAM_GO_ON);
	buffer_release(&x.out);
	assert_int_equal(final(&x, WITHOUT_PROOF ",x=1," PROOF), SCRAM_DENIED);
	end(&x);
}

/* Nonces of every length up to what a message holds, and beyond. */
static void nonces_may_be_short_or_long(void **state)
{
	char message[SCRAM_MESSAGE_MAX + 2];
	for (size_t len = 9; len <= SCRAM_MESSAGE_MAX + 1; len++) {
		struct exchange x;
		memset(message, 'a', sizeof(message));
		memcpy(message, "n,,n=,r=", 8);
		message[len] = 0;
		begin(&x, VERIFIER, NULL);
		enum scram_result result = first(&x, false, message);
		assert_int_equal(result, len <= SCRAM_MESSAGE_MAX ? SCRAM_GO_ON : SCRAM_BAD);
		if (result == SCRAM_GO_ON) {
			size_t nonce = len - 8;
			assert_memory_equal(buffer_bytes(&x.out).at + 2, message + 8, nonce);
			assert_memory_equal(
				buffer_bytes(&x.out).at + 2 + nonce, OWN_NONCE, strlen(OWN_NONCE));
		}
		end(&x);
	}
}

static void a_zero_in_a_message_ends_it(void **state)
{
	struct exchange x;
	begin(&x, VERIFIER, NULL);
	struct bytes message = {(const uint8_t *)FIRST "\0x", strlen(FIRST) + 2};
	assert_int_equal(
		scram_first(&x.scram, false, message, OWN_NONCE, &x.out, &x.error), SCRAM_BAD);
	end(&x);
}

static void our_nonce_is_another_each_time(void **state)
{
	struct exchange x, y;
	begin(&x, VERIFIER, NULL);
	begin(&y, VERIFIER, NULL);
	scram_first(&x.scram, false, text(FIRST), NULL, &x.out, &x.error);
	scram_first(&y.scram, false, text(FIRST), NULL, &y.out, &y.error);
	assert_int_equal(buffer_len(&x.out), buffer_len(&y.out));
	assert_memory_not_equal(
		buffer_bytes(&x.out).at, buffer_bytes(&y.out).at, buffer_len(&x.out));
	end(&x);
	end(&y);
}

/* ---- channel binding ---- */

static void a_client_that_was_kept_from_binding_is_told(void **state)
{
	const struct scram_binding binding = {.bytes = {1, 2, 3}, .len = 3};
	struct exchange x;
	begin(&x, VERIFIER, &binding);
	assert_int_equal(first(&x, false, "y,,n=,r=abc"), SCRAM_BAD);
	assert_string_equal(x.error.sqlstate, "28000");
	end(&x);
	begin(&x, VERIFIER, NULL); /* there is none to be had */
	assert_int_equal(first(&x, false, "y,,n=,r=abc"), SCRAM_GO_ON);
	end(&x);
}

static void the_binding_must_be_this_connection_s(void **state)
{
	const struct scram_binding binding = {.bytes = {1, 2, 3}, .len = 3};
	/* "p=tls-server-end-point,," and 1, 2, 3; and the same with 1, 2, 4 */
	static const char right[] = "c=cD10bHMtc2VydmVyLWVuZC1wb2ludCwsAQID,r=abc" OWN_NONCE;
	static const char wrong[] = "c=cD10bHMtc2VydmVyLWVuZC1wb2ludCwsAQIE,r=abc" OWN_NONCE;
	char message[256];
	struct exchange x;
	begin(&x, VERIFIER, &binding);
	assert_int_equal(first(&x, true, "p=tls-server-end-point,,n=,r=abc"), SCRAM_GO_ON);
	snprintf(message, sizeof(message), "%s,%s", wrong, PROOF);
	assert_int_equal(final(&x, message), SCRAM_BAD);
	assert_string_equal(x.error.sqlstate, "28000");
	snprintf(message, sizeof(message), "%s,%s", right, PROOF);
	assert_int_equal(final(&x, message), SCRAM_DENIED); /* as far as the proof */
	end(&x);
	begin(&x, VERIFIER, &binding);
	assert_int_equal(first(&x, true, "n,,n=,r=abc"), SCRAM_BAD);
	end(&x);
	begin(&x, VERIFIER, &binding);
	assert_int_equal(first(&x, true, "p=tls-unique,,n=,r=abc"), SCRAM_BAD);
	end(&x);
}

/* ---- verifiers ---- */

static void a_verifier_is_read_strictly(void **state)
{
	static const char *const cases[] = {
		"",
		"SCRAM-SHA-256$",
		"SCRAM-SHA-256$4096",
		"SCRAM-SHA-256$4096:",
		"SCRAM-SHA-256$0:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT"
		"4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
		"SCRAM-SHA-256$99999999999999999999:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7"
		"BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
		"SCRAM-SHA-256$-1:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbs"
		"T4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
		"SCRAM-SHA-256$4096:$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ"
		"7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
		"SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmt"
		"bsT4qY=",
		"SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d:wfPL",
		VERIFIER "AAAA",
		VERIFIER " ",
		"SCRAM-SHA-1$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbs"
		"T4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
	};
	struct scram_verifier v;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (scram_verifier_parse(cases[i], &v) == 0)
			fail_msg("\"%s\" was taken", cases[i]);
	assert_int_equal(scram_verifier_parse(VERIFIER, &v), 0);
	assert_int_equal(v.iterations, 4096);
	assert_int_equal(v.salt_len, 16);
	assert_false(v.mock);
}

static void its_keys_are_those_of_the_rfc(void **state)
{
	struct scram_verifier rfc, v;
	assert_int_equal(scram_verifier_parse(VERIFIER, &rfc), 0);
	v = rfc;
	memset(v.stored, 0, sizeof(v.stored));
	memset(v.server, 0, sizeof(v.server));
	scram_verifier_derive("pencil", &v);
	assert_memory_equal(v.stored, rfc.stored, SCRAM_KEY);
	assert_memory_equal(v.server, rfc.server, SCRAM_KEY);
}

/* A soft hyphen is nothing, and full-width letters are letters: libpq's clients log in with this. */
static void a_password_that_is_not_ascii_is_normalised(void **state)
{
	struct scram_verifier v, plain;
	assert_int_equal(scram_verifier_make("pen\xc2\xad\xef\xbd\x83il", &v), 0);
	plain = v;
	scram_verifier_derive("pencil", &plain);
	assert_memory_equal(v.stored, plain.stored, SCRAM_KEY);
}

static void a_verifier_can_be_made_of_a_password(void **state)
{
	struct scram_verifier one, again;
	assert_int_equal(scram_verifier_make("pencil", &one), 0);
	assert_int_equal(scram_verifier_make("pencil", &again), 0);
	assert_int_equal(one.iterations, 4096);
	assert_memory_not_equal(one.salt, again.salt, 16);
	assert_memory_not_equal(one.stored, again.stored, SCRAM_KEY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_rfc_s_own_exchange),
		cmocka_unit_test(a_proof_for_another_name_or_nonce_is_denied),
		cmocka_unit_test(a_wrong_proof_is_denied),
		cmocka_unit_test(nobody_is_answered_like_somebody_and_denied),
		cmocka_unit_test(a_first_message_that_is_malformed_is_told),
		cmocka_unit_test(a_final_message_that_is_malformed_is_told),
		cmocka_unit_test(an_unknown_attribute_in_between_is_let_pass_and_signed),
		cmocka_unit_test(nonces_may_be_short_or_long),
		cmocka_unit_test(a_zero_in_a_message_ends_it),
		cmocka_unit_test(our_nonce_is_another_each_time),
		cmocka_unit_test(a_client_that_was_kept_from_binding_is_told),
		cmocka_unit_test(the_binding_must_be_this_connection_s),
		cmocka_unit_test(a_verifier_is_read_strictly),
		cmocka_unit_test(its_keys_are_those_of_the_rfc),
		cmocka_unit_test(a_password_that_is_not_ascii_is_normalised),
		cmocka_unit_test(a_verifier_can_be_made_of_a_password),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
