/*
 * One exchange of SCRAM with RFC 7677's verifier and nonces: the input's first byte says whether the
 * channel can be bound and whether the client chose to; then come its two messages, with a line end
 * between. Nobody but the RFC's own client has the password, so nothing but its own two messages may
 * be taken. The input is a verifier and a secret, too.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "exact.h"
#include "gate/userlist.h"
#include "io/scram.h"
#include "target.h"

#define VERIFIER                                                                               \
	"SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT" \
	"4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
#define NONCE "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define FIRST "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
#define FINAL \
	"c=biws,r=rOprNGfwEbeRWgbNEkqO" NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="

static int is(struct bytes message, const char *text)
{
	return message.len == strlen(text) && memcmp(message.at, text, message.len) == 0;
}

static void exchange(int how, struct bytes first, struct bytes final)
{
	struct scram_binding binding = {.bytes = {1, 2, 3}, .len = how & 1 ? 3 : 0};
	struct scram_verifier v;
	struct scram s;
	struct buffer out = BUFFER_INIT;
	struct error error;
	assert(scram_verifier_parse(VERIFIER, &v) == 0);
	scram_init(&s, &v, &binding);
	bool plus = (how & 3) == 3;
	if (scram_first(&s, plus, first, NONCE, &out, &error) == SCRAM_GO_ON) {
		assert(buffer_len(&out) > strlen(NONCE) && buffer_bytes(&out).at[0] == 'r');
		size_t before = buffer_len(&out);
		if (scram_final(&s, final, &out, &error) == SCRAM_GO_ON)
			assert(is(first, FIRST) && is(final, FINAL));
		else
			assert(buffer_len(&out) == before);
	} else {
		assert(buffer_len(&out) == 0);
	}
	scram_release(&s);
	buffer_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct scram_verifier v;
	char *text = malloc(size + 1);
	if (!text)
		abort();
	memcpy(text, data, size);
	text[size] = 0;
	if (scram_verifier_parse(text, &v) == 0)
		assert(v.iterations > 0 && v.salt_len > 0 && v.salt_len <= SCRAM_SALT_MAX);
	assert(secret_kind_of(text) != SECRET_VERIFIER || scram_verifier_parse(text, &v) == 0);
	free(text);
	if (size == 0)
		return 0;
	const uint8_t *end = memchr(data + 1, '\n', size - 1);
	size_t len = end ? (size_t)(end - data) - 1 : size - 1;
	size_t used = 1 + len + (end ? 1 : 0);
	struct bytes first = exact(data + 1, len);
	struct bytes final = exact(data + used, size - used);
	exchange(data[0], first, final);
	exact_free(first);
	exact_free(final);
	return 0;
}
