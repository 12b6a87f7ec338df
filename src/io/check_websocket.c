/* The opening handshake of RFC 6455, section 4, and a clean close. */
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <uv.h>

#include "io/check_work.h"

#define HEAD_MAX 16384
#define CLOSE_NS (1 * NS_PER_S) /* for the other side's part of a clean close */

#define KEY_BYTES  16
#define KEY_TEXT   24 /* of those, in base64 */
#define SHA1_BYTES 20
#define SHA1_TEXT  28
#define KEY_GUID   "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* RFC 6455, section 1.3 */

static void make_key(char key[KEY_TEXT + 1])
{
	unsigned char nonce[KEY_BYTES];
	if (RAND_bytes(nonce, sizeof(nonce)) != 1)
		abort();
	EVP_EncodeBlock((unsigned char *)key, nonce, sizeof(nonce));
}

static void make_accept(const char *key, char accept[SHA1_TEXT + 1])
{
	char text[KEY_TEXT + sizeof(KEY_GUID)];
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	snprintf(text, sizeof(text), "%s%s", key, KEY_GUID);
	if (EVP_Digest(text, strlen(text), digest, &len, EVP_sha1(), NULL) != 1 ||
		len != SHA1_BYTES)
		abort();
	EVP_EncodeBlock((unsigned char *)accept, digest, (int)len);
}

static int send_request(struct check_work *w, CURL *curl, const char *key)
{
	char *request = NULL;
	int len = asprintf(&request,
		"GET %s HTTP/1.1\r\n"
		"Host: %s\r\n"
		"User-Agent: standpipe/" STANDPIPE_VERSION "\r\n"
		"Upgrade: websocket\r\n"
		"Connection: Upgrade\r\n"
		"Sec-WebSocket-Key: %s\r\n"
		"Sec-WebSocket-Version: 13\r\n"
		"\r\n",
		w->target.path, w->target.origin, key);
	if (len < 0)
		abort();
	int result = check_send(w, curl, request, (size_t)len);
	free(request);
	return result;
}

/* Receives until the head is whole; `head` ends in zero. */
static int receive_head(struct check_work *w, CURL *curl, char *head)
{
	size_t len = 0;
	while (len < HEAD_MAX) {
		int got = check_receive(w, curl, head + len, HEAD_MAX - len, "answer");
		if (got < 0)
			return -1;
		if (got == 0)
			return error_set(&w->error, "websocket", 0,
				"%s: closed the connection without an answer", w->target.name);
		len += (size_t)got;
		head[len] = '\0';
		if (strstr(head, "\r\n\r\n"))
			return 0;
	}
	return error_set(&w->error, "websocket", 0, "%s: the answer's head is over %d bytes",
		w->target.name, HEAD_MAX);
}

/* Is there a header `name` with `value`? Exactly, or as one word of a list without regard to
 * case. */
static bool has_header(const char *head, const char *name, const char *value, bool exactly)
{
	size_t name_len = strlen(name), value_len = strlen(value);
	for (const char *line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n")) {
		line += 2;
		size_t len = strcspn(line, "\r\n");
		if (len <= name_len || strncasecmp(line, name, name_len) != 0 ||
			line[name_len] != ':')
			continue;
		const char *end = line + len;
		for (const char *word = line + name_len + 1; word < end;) {
			word += strspn(word, " \t,");
			size_t word_len = strcspn(word, exactly ? " \t\r\n" : " \t,\r\n");
			if (word_len == value_len &&
				(exactly ? memcmp(word, value, value_len) == 0
					 : strncasecmp(word, value, value_len) == 0))
				return true;
			if (word_len == 0)
				break;
			word += word_len;
		}
	}
	return false;
}

static int judge(struct check_work *w, const char *head, const char *accept)
{
	const char *name = w->target.name;
	int status = 0;
	if (sscanf(head, "HTTP/1.%*1d %3d", &status) != 1)
		return error_set(&w->error, "websocket", 0, "%s: the answer is not HTTP/1.1", name);
	if (status != 101)
		return error_set(&w->error, "websocket", status, "%s: answered %d instead of 101%s",
			name, status,
			status == 404   ? "; is the path right?"
			: status == 403 ? "; does it want a login or an Origin?"
			: status == 200 ? "; does anything speak WebSocket on this path?"
					: "");
	if (!has_header(head, "Upgrade", "websocket", false) ||
		!has_header(head, "Connection", "Upgrade", false))
		return error_set(&w->error, "websocket", status,
			"%s: answered 101, but without Upgrade: websocket and Connection: Upgrade; "
			"does "
			"a proxy strip them?",
			name);
	if (!has_header(head, "Sec-WebSocket-Accept", accept, true))
		return error_set(&w->error, "websocket", status,
			"%s: answered 101 with a wrong Sec-WebSocket-Accept; does a cache or proxy "
			"answer for it?",
			name);
	return 0;
}

/* A close frame with 1000 (normal), masked by zeros, and the other side's end: so that the service
 * does not log a client that vanished. How that goes does not matter any more. */
static void say_goodbye(struct check_work *w, CURL *curl)
{
	static const unsigned char frame[] = {0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8};
	char rest[512];
	w->deadline = instant_min(w->deadline, (instant)uv_hrtime() + CLOSE_NS);
	int got = check_send(w, curl, frame, sizeof(frame));
	while (got >= 0 && (got = check_receive(w, curl, rest, sizeof(rest), "close")) > 0)
		;
	error_init(&w->error);
}

int check_work_websocket(struct check_work *w)
{
	CURL *curl = check_connect(w);
	if (!curl)
		return -1;
	char key[KEY_TEXT + 1], accept[SHA1_TEXT + 1];
	make_key(key);
	make_accept(key, accept);
	char *head = calloc(1, HEAD_MAX + 1);
	if (!head)
		abort();
	int result = send_request(w, curl, key);
	if (result == 0)
		result = receive_head(w, curl, head);
	if (result == 0)
		result = judge(w, head, accept);
	free(head);
	if (result == 0)
		say_goodbye(w, curl);
	curl_easy_cleanup(curl);
	return result;
}
