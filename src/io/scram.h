/*
 * scram - the server's side of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677), as
 * PostgreSQL speaks them: the client's first message has no user's name, which is the startup
 * packet's. It does no I/O: messages in, messages out.
 *
 * What is compared with a secret is compared in constant time, and the password of a user that does
 * not exist takes the same steps, with a salt that stays the same, and fails at the end.
 */
#ifndef STANDPIPE_IO_SCRAM_H
#define STANDPIPE_IO_SCRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/error.h"

#define SCRAM_NAME      "SCRAM-SHA-256"
#define SCRAM_PLUS_NAME "SCRAM-SHA-256-PLUS"

#define SCRAM_KEY 32 /* bytes of a SHA-256 */

/* PostgreSQL's salts have 16 bytes; others' may be longer. */
#define SCRAM_SALT_MAX 64
/* A client hashes so often: more would be an attack on it (and RFC 7677 asks for 4096 at least). */
#define SCRAM_ITERATIONS_MAX 10000000

/* PostgreSQL's PG_MAX_SASL_MESSAGE_LENGTH: longer messages are refused unread. */
#define SCRAM_MESSAGE_MAX 1024

/* What is stored of a password. */
struct scram_verifier {
	int iterations;
	size_t salt_len;
	uint8_t salt[SCRAM_SALT_MAX];
	uint8_t stored[SCRAM_KEY]; /* H(HMAC(salted password, "Client Key")) */
	uint8_t server[SCRAM_KEY]; /* HMAC(salted password, "Server Key") */
	bool mock; /* of nobody: every proof fails */
};

/* Reads "SCRAM-SHA-256$4096:salt$StoredKey:ServerKey", as in PostgreSQL's rolpassword. 0, or -1. */
int scram_verifier_parse(const char *text, struct scram_verifier *v);

/* Its keys, of a password that is normalised and its salt and iterations. */
void scram_verifier_derive(const char *password, struct scram_verifier *v);

/* Of a password, with a salt of its own, normalised as clients do: takes a millisecond, or three by
 * libpq, which knows how to normalise what is not ASCII. 0, or -1 when libpq can't. */
int scram_verifier_make(const char *password, struct scram_verifier *v);

/* Of a user that there is none of: the same for the same secret and name. */
void scram_verifier_mock(
	const uint8_t secret[SCRAM_KEY], const char *user, struct scram_verifier *v);

/* What the connection can be bound to (tls-server-end-point); len 0: nothing. */
struct scram_binding {
	uint8_t bytes[64];
	size_t len;
};

enum scram_result {
	SCRAM_GO_ON, /* what was appended to `out` is to be sent */
	SCRAM_DENIED, /* wrong password, or no such user */
	SCRAM_BAD, /* not SCRAM: `error` has the SQLSTATE and what is wrong */
};

/* One exchange. */
struct scram {
	struct scram_verifier verifier;
	struct scram_binding binding;
	bool plus; /* the client chose SCRAM_PLUS_NAME */
	struct buffer header; /* the client's GS2 header, which its last message repeats */
	struct buffer nonce; /* the client's, then ours */
	struct buffer signed_text; /* RFC 5802's AuthMessage as far as it is known */
};

/* Copies `v` and `binding`. */
void scram_init(
	struct scram *s, const struct scram_verifier *v, const struct scram_binding *binding);
void scram_release(struct scram *s);

/* Takes client-first-message, of at most SCRAM_MESSAGE_MAX bytes, of the mechanism `plus` or not,
 * and appends server-first-message. `own_nonce`: NULL, or (for tests) what to take for a random
 * one. */
enum scram_result scram_first(struct scram *s, bool plus, struct bytes message,
	const char *own_nonce, struct buffer *out, struct error *error);

/* Takes client-final-message and appends server-final-message: the client has proved that it knows
 * the password. */
enum scram_result scram_final(
	struct scram *s, struct bytes message, struct buffer *out, struct error *error);

#endif
