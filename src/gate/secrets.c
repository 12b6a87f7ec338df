#include "gate/secrets.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define STARS       "***"
#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

static void add_form(struct secrets *s, const char *text)
{
	size_t len = strlen(text);
	if (len < SECRETS_LEN_MIN)
		return;
	for (int i = 0; i < s->count; i++)
		if (strcmp(s->list[i].text, text) == 0) {
			s->list[i].uses++;
			return;
		}
	if (s->count == s->size) {
		s->size = s->size ? 2 * s->size : 16;
		s->list = realloc(s->list, (size_t)s->size * sizeof(*s->list));
	}
	char *copy = strdup(text);
	if (!copy || !s->list)
		abort();
	s->list[s->count].text = copy;
	s->list[s->count].uses = 1;
	s->list[s->count++].len = len;
}

static void forget_form(struct secrets *s, const char *text)
{
	for (int i = 0; i < s->count; i++) {
		if (strcmp(s->list[i].text, text) != 0 || --s->list[i].uses > 0)
			continue;
		explicit_bzero(s->list[i].text, s->list[i].len);
		free(s->list[i].text);
		s->list[i] = s->list[--s->count];
		return;
	}
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void percent_decode(const char *text, char *out)
{
	while (*text) {
		int high = *text == '%' ? hex_digit(text[1]) : -1;
		int low = high >= 0 ? hex_digit(text[2]) : -1;
		*out++ = low >= 0 ? (char)(16 * high + low) : *text;
		text += low >= 0 ? 3 : 1;
	}
	*out = 0;
}

/* A text's forms: as it is, and what it says percent-decoded. */
static void each_form(
	struct secrets *s, const char *text, void (*verb)(struct secrets *s, const char *form))
{
	if (!text)
		return;
	char *form = malloc(strlen(text) + 1);
	if (!form)
		abort();
	verb(s, text);
	percent_decode(text, form);
	verb(s, form);
	explicit_bzero(form, strlen(form));
	free(form);
}

void secrets_add(struct secrets *s, const char *text)
{
	each_form(s, text, add_form);
}

void secrets_forget(struct secrets *s, const char *text)
{
	each_form(s, text, forget_form);
}

static void add_slice(struct secrets *s, const char *at, size_t len)
{
	char *text = strndup(at, len);
	if (!text)
		abort();
	secrets_add(s, text);
	explicit_bzero(text, len);
	free(text);
}

void secrets_add_url(struct secrets *s, const char *url)
{
	const char *authority = url ? strstr(url, "://") : NULL;
	if (!authority)
		return;
	authority += 3;
	/* A password may hold any of "/?#" unencoded by mistake: the last @ before the query. */
	size_t len = strcspn(authority, "?");
	const char *at = memrchr(authority, '@', len);
	const char *colon = at ? memchr(authority, ':', (size_t)(at - authority)) : NULL;
	if (colon)
		add_slice(s, colon + 1, (size_t)(at - colon - 1));
	const char *query = authority + len;
	while (*query) {
		query++;
		size_t part = strcspn(query, "&");
		if (strncasecmp(query, "password=", 9) == 0)
			add_slice(s, query + 9, part - 9);
		query += part;
	}
}

/* The length of the UTF-8 character at `p`, 0 if it is none (RFC 3629: no overlong forms, no
 * surrogates, nothing over U+10FFFF). */
static size_t utf8_len(const uint8_t *p)
{
	if (p[0] < 0x80)
		return 1;
	size_t len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	uint8_t least = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
	uint8_t most = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;
	if (p[0] < 0xc2 || p[0] > 0xf4 || p[1] < least || p[1] > most)
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

/* How much of `text` says `secret`, each byte as it is or percent-encoded; 0: it does not. */
static size_t said_len(const char *text, const char *secret)
{
	const char *begin = text;
	for (; *secret; secret++) {
		int high = *text == '%' ? hex_digit(text[1]) : -1;
		int low = high >= 0 ? hex_digit(text[2]) : -1;
		if (*text == *secret)
			text++;
		else if (low >= 0 && (char)(16 * high + low) == *secret)
			text += 3;
		else
			return 0;
	}
	return (size_t)(text - begin);
}

/* The length of the longest secret that is said here, 0 for none. */
static size_t secret_len(const struct secrets *s, const char *text)
{
	size_t longest = 0;
	for (int i = 0; s && i < s->count; i++) {
		size_t len = said_len(text, s->list[i].text);
		if (len > longest)
			longest = len;
	}
	return longest;
}

size_t secrets_clean(const struct secrets *s, const char *text, char *out, size_t size)
{
	size_t used = 0;
	assert(size > 0);
	while (*text) {
		const char *piece = text;
		size_t piece_len = strlen(STARS);
		size_t taken = secret_len(s, text);
		if (taken > 0) {
			piece = STARS;
		} else {
			taken = piece_len = utf8_len((const uint8_t *)text);
			if (taken == 0) {
				taken = 1;
				piece = REPLACEMENT;
				piece_len = strlen(REPLACEMENT);
			}
		}
		if (used + piece_len >= size)
			break;
		memcpy(out + used, piece, piece_len);
		used += piece_len;
		text += taken;
	}
	out[used] = 0;
	return used;
}

void secrets_release(struct secrets *s)
{
	for (int i = 0; i < s->count; i++) {
		explicit_bzero(s->list[i].text, s->list[i].len);
		free(s->list[i].text);
	}
	free(s->list);
	*s = SECRETS_INIT;
}
