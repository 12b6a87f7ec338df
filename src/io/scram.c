#include "io/scram.h"

#include <libpq-fe.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/entropy.h"

/* Bytes of our nonce before base64, and of our salts, and how often is hashed: PostgreSQL's. */
#define OWN_NONCE      18
#define OWN_SALT       16
#define OWN_ITERATIONS 4096

/* The text of n bytes in base64, with its zero. */
#define BASE64_SIZE(n) (((n) + 2) / 3 * 4 + 1)

/* ---- base64 ---- */

static void append_base64(struct buffer *out, const uint8_t *at, size_t len)
{
	uint8_t *to = buffer_reserve(out, BASE64_SIZE(len));
	buffer_grow(out, (size_t)EVP_EncodeBlock(to, at, (int)len));
}

/* Strictly: no blanks, no line ends, padding where it belongs. The length, or -1. */
static int decode_base64(struct bytes text, uint8_t *to, size_t size)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t padding = 0;
	uint32_t bits = 0;
	size_t len = 0;
	if (text.len % 4 != 0)
		return -1;
	while (padding < 2 && padding < text.len && text.at[text.len - 1 - padding] == '=')
		padding++;
	for (size_t i = 0; i < text.len; i++) {
		bool pad = i >= text.len - padding;
		const char *digit = pad ? alphabet
					: memchr(alphabet, text.at[i], sizeof(alphabet) - 1);
		if (!digit)
			return -1;
		bits = bits << 6 | (uint32_t)(digit - alphabet);
		if (i % 4 != 3)
			continue;
		size_t count = i + 1 == text.len ? 3 - padding : 3;
		/* Bits that belong to no byte are none, so that a text can't be said in two
		 * ways. */
		if (len + count > size || bits & ((1u << 8 * (3 - count)) - 1))
			return -1;
		for (size_t byte = 0; byte < count; byte++)
			to[len++] = (uint8_t)(bits >> (16 - 8 * byte));
		bits = 0;
	}
	return (int)len;
}

/* ---- verifiers ---- */

static struct bytes bytes_until(const char **at, char end)
{
	size_t len = strcspn(*at, (char[]){end, 0});
	struct bytes part = {(const uint8_t *)*at, len};
	*at += len + ((*at)[len] == end && end);
	return part;
}

int scram_verifier_parse(const char *text, struct scram_verifier *v)
{
	static const char prefix[] = SCRAM_NAME "$";
	*v = (struct scram_verifier){0};
	if (strncmp(text, prefix, sizeof(prefix) - 1) != 0)
		return -1;
	text += sizeof(prefix) - 1;
	char *end;
	long iterations = text[0] >= '1' && text[0] <= '9' ? strtol(text, &end, 10) : 0;
	if (iterations < 1 || iterations > SCRAM_ITERATIONS_MAX || *end != ':')
		return -1;
	text = end + 1;
	v->iterations = (int)iterations;
	int salt_len = decode_base64(bytes_until(&text, '$'), v->salt, sizeof(v->salt));
	if (salt_len < 1)
		return -1;
	v->salt_len = (size_t)salt_len;
	if (decode_base64(bytes_until(&text, ':'), v->stored, SCRAM_KEY) != SCRAM_KEY ||
		decode_base64(bytes_until(&text, 0), v->server, SCRAM_KEY) != SCRAM_KEY)
		return -1;
	return 0;
}

static int make_by_libpq(const char *password, struct scram_verifier *v)
{
	/* libpq wants a connection for it, but not one that is open: this one fails to parse. */
	PGconn *conn = PQconnectStart("=");
	char *text = conn ? PQencryptPasswordConn(conn, password, "", "scram-sha-256") : NULL;
	int result = text ? scram_verifier_parse(text, v) : -1;
	if (text)
		OPENSSL_cleanse(text, strlen(text));
	PQfreemem(text);
	PQfinish(conn);
	return result;
}

static void hmac(const uint8_t key[SCRAM_KEY], struct bytes text, uint8_t to[SCRAM_KEY])
{
	if (!HMAC(EVP_sha256(), key, SCRAM_KEY, text.at, text.len, to, NULL))
		abort();
}

/* Normalised (RFC 4013, as PostgreSQL has it) an ASCII text is itself. */
static bool is_ascii(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text > 127)
			return false;
	return true;
}

static void derive(const uint8_t key[SCRAM_KEY], const char *of, uint8_t to[SCRAM_KEY])
{
	hmac(key, (struct bytes){(const uint8_t *)of, strlen(of)}, to);
}

void scram_verifier_derive(const char *password, struct scram_verifier *v)
{
	uint8_t salted[SCRAM_KEY], client[SCRAM_KEY];
	if (PKCS5_PBKDF2_HMAC(password, (int)strlen(password), v->salt, (int)v->salt_len,
		    v->iterations, EVP_sha256(), SCRAM_KEY, salted) != 1)
		abort();
	derive(salted, "Client Key", client);
	SHA256(client, SCRAM_KEY, v->stored);
	derive(salted, "Server Key", v->server);
	OPENSSL_cleanse(salted, sizeof(salted));
	OPENSSL_cleanse(client, sizeof(client));
}

int scram_verifier_make(const char *password, struct scram_verifier *v)
{
	if (!is_ascii(password))
		return make_by_libpq(password, v);
	*v = (struct scram_verifier){.iterations = OWN_ITERATIONS, .salt_len = OWN_SALT};
	entropy_fill(v->salt, OWN_SALT);
	scram_verifier_derive(password, v);
	return 0;
}

void scram_verifier_mock(
	const uint8_t secret[SCRAM_KEY], const char *user, struct scram_verifier *v)
{
	uint8_t salt[SCRAM_KEY];
	derive(secret, user, salt);
	*v = (struct scram_verifier){
		.iterations = OWN_ITERATIONS, .salt_len = OWN_SALT, .mock = true};
	memcpy(v->salt, salt, OWN_SALT);
	/* Keys of no password. */
	entropy_fill(v->stored, sizeof(v->stored));
	entropy_fill(v->server, sizeof(v->server));
}

/* ---- an exchange ---- */

void scram_init(
	struct scram *s, const struct scram_verifier *v, const struct scram_binding *binding)
{
	*s = (struct scram){.verifier = *v, .binding = *binding};
}

void scram_release(struct scram *s)
{
	buffer_release(&s->header);
	buffer_release(&s->nonce);
	buffer_release(&s->signed_text);
	OPENSSL_cleanse(&s->verifier, sizeof(s->verifier));
	*s = (struct scram){0};
}

static void append(struct buffer *out, const char *text)
{
	buffer_append(out, text, strlen(text));
}

__attribute__((format(printf, 3, 4))) static enum scram_result bad(
	struct error *error, const char *sqlstate, const char *format, ...)
{
	char text[ERROR_TEXT_MAX];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	error_set(error, "scram", 0, "%s", text);
	error_sqlstate(error, sqlstate);
	return SCRAM_BAD;
}

static enum scram_result malformed(struct error *error, const char *why)
{
	return bad(error, "08P01", "malformed SCRAM message: %s", why);
}

/* The value of the attribute `name` at the start of `m`, to the next comma or the end; 0, or -1
 * when another is there. `m` moves behind it. */
static int attribute(struct bytes *m, char name, struct bytes *value)
{
	if (m->len < 2 || m->at[0] != (uint8_t)name || m->at[1] != '=')
		return -1;
	const uint8_t *begin = m->at + 2;
	const uint8_t *comma = memchr(begin, ',', m->len - 2);
	*value = (struct bytes){begin, comma ? (size_t)(comma - begin) : m->len - 2};
	size_t used = 2 + value->len + (comma ? 1 : 0);
	m->at += used;
	m->len -= used;
	return 0;
}

static bool is_printable(struct bytes text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.at[i] < 0x21 || text.at[i] > 0x7e || text.at[i] == ',')
			return false;
	return true;
}

/* The GS2 header: does the client bind the channel, and to what? `m` moves behind it. */
static enum scram_result take_header(struct scram *s, struct bytes *m, struct error *error)
{
	static const char bound[] = "p=tls-server-end-point,";
	const uint8_t *begin = m->at;
	size_t used;
	switch (m->len > 1 ? m->at[0] : 0) {
	case 'n':
	case 'y':
		if (s->plus)
			return malformed(error, "channel binding was chosen and is not there");
		if (m->at[0] == 'y' && s->binding.len > 0)
			return bad(error, "28000",
				"the client thinks that there is no channel binding here, but "
				"there is: somebody may be in between");
		if (m->at[1] != ',')
			return malformed(error, "a comma was expected");
		used = 2;
		break;
	case 'p':
		if (!s->plus)
			return malformed(error, "channel binding was not chosen and is there");
		used = sizeof(bound) - 1;
		if (m->len < used || memcmp(m->at, bound, used) != 0)
			return bad(error, "08P01", "unsupported SCRAM channel-binding type");
		break;
	default:
		return malformed(error, "unexpected channel-binding flag");
	}
	if (m->len > used && m->at[used] == 'a')
		return bad(error, "0A000",
			"client uses authorization identity, but it is not supported");
	if (m->len <= used || m->at[used] != ',')
		return malformed(error, "a comma was expected");
	used++;
	buffer_append(&s->header, begin, used);
	m->at += used;
	m->len -= used;
	return SCRAM_GO_ON;
}

enum scram_result scram_first(struct scram *s, bool plus, struct bytes message,
	const char *own_nonce, struct buffer *out, struct error *error)
{
	struct bytes m = message, ignored, nonce;
	uint8_t random[OWN_NONCE];
	char number[16];
	s->plus = plus;
	if (message.len > SCRAM_MESSAGE_MAX || memchr(message.at, 0, message.len))
		return malformed(error, "it is too long, or has a zero in it");
	enum scram_result result = take_header(s, &m, error);
	if (result != SCRAM_GO_ON)
		return result;
	buffer_append(&s->signed_text, m.at, m.len);
	if (m.len > 0 && m.at[0] == 'm')
		return bad(error, "0A000", "client requires an unsupported SCRAM extension");
	/* The user's name is the startup packet's; this one does not count. */
	if (attribute(&m, 'n', &ignored) != 0 || attribute(&m, 'r', &nonce) != 0)
		return malformed(error, "a name and a nonce were expected");
	if (nonce.len == 0 || !is_printable(nonce))
		return malformed(error, "the nonce is empty, or not printable");
	buffer_append(&s->nonce, nonce.at, nonce.len);
	if (own_nonce) {
		append(&s->nonce, own_nonce);
	} else {
		entropy_fill(random, sizeof(random));
		append_base64(&s->nonce, random, sizeof(random));
	}

	size_t before = buffer_len(out);
	append(out, "r=");
	buffer_append(out, buffer_bytes(&s->nonce).at, buffer_len(&s->nonce));
	append(out, ",s=");
	append_base64(out, s->verifier.salt, s->verifier.salt_len);
	snprintf(number, sizeof(number), ",i=%d", s->verifier.iterations);
	append(out, number);

	append(&s->signed_text, ",");
	buffer_append(&s->signed_text, buffer_bytes(out).at + before, buffer_len(out) - before);
	append(&s->signed_text, ",");
	return SCRAM_GO_ON;
}

/* c=: the header again and, with PLUS, what the connection is bound to. */
static bool is_bound(const struct scram *s, struct bytes value)
{
	struct buffer expected = BUFFER_INIT, text = BUFFER_INIT;
	buffer_append(&expected, buffer_bytes(&s->header).at, buffer_len(&s->header));
	if (s->plus)
		buffer_append(&expected, s->binding.bytes, s->binding.len);
	append_base64(&text, buffer_bytes(&expected).at, buffer_len(&expected));
	struct bytes wanted = buffer_bytes(&text);
	bool same = wanted.at && wanted.len == value.len &&
		    memcmp(wanted.at, value.at, value.len) == 0;
	buffer_release(&expected);
	buffer_release(&text);
	return same;
}

/* Does the proof show that the client knows what StoredKey is the hash of? */
static bool is_proved(const struct scram *s, const uint8_t proof[SCRAM_KEY])
{
	uint8_t key[SCRAM_KEY], hash[SCRAM_KEY];
	hmac(s->verifier.stored, buffer_bytes(&s->signed_text), key);
	for (int i = 0; i < SCRAM_KEY; i++)
		key[i] ^= proof[i];
	SHA256(key, SCRAM_KEY, hash);
	OPENSSL_cleanse(key, sizeof(key));
	bool same = CRYPTO_memcmp(hash, s->verifier.stored, SCRAM_KEY) == 0;
	return same && !s->verifier.mock;
}

enum scram_result scram_final(
	struct scram *s, struct bytes message, struct buffer *out, struct error *error)
{
	struct bytes m = message, value, nonce = buffer_bytes(&s->nonce);
	uint8_t proof[SCRAM_KEY], signature[SCRAM_KEY];
	if (message.len > SCRAM_MESSAGE_MAX || memchr(message.at, 0, message.len))
		return malformed(error, "it is too long, or has a zero in it");
	if (attribute(&m, 'c', &value) != 0)
		return malformed(error, "the channel binding was expected");
	if (!is_bound(s, value))
		return s->plus ? bad(error, "28000", "SCRAM channel binding check failed")
			       : malformed(error, "unexpected channel-binding data");
	if (attribute(&m, 'r', &value) != 0)
		return malformed(error, "the nonce was expected");
	if (value.len != nonce.len || CRYPTO_memcmp(value.at, nonce.at, nonce.len) != 0)
		return malformed(error, "the nonce is another");
	/* Extensions may come in between. The proof is last, and signs all that is before it. */
	while (m.len > 0 && m.at[0] != 'p')
		if (attribute(&m, (char)m.at[0], &value) != 0)
			return malformed(error, "an attribute was expected");
	size_t signed_len = message.len - m.len;
	if (attribute(&m, 'p', &value) != 0 || value.at + value.len != message.at + message.len ||
		decode_base64(value, proof, sizeof(proof)) != SCRAM_KEY)
		return malformed(error, "the proof was expected at the end");
	buffer_append(&s->signed_text, message.at, signed_len - 1);
	if (!is_proved(s, proof))
		return SCRAM_DENIED;
	hmac(s->verifier.server, buffer_bytes(&s->signed_text), signature);
	append(out, "v=");
	append_base64(out, signature, sizeof(signature));
	return SCRAM_GO_ON;
}
