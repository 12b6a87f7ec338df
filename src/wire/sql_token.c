#include "wire/sql_token.h"

#include <string.h>

static bool is_space(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The character `ahead` of where it is; 0 past the end. */
static uint8_t peek(const struct scanner *s, size_t ahead)
{
	return (size_t)(s->end - s->at) > ahead ? s->at[ahead] : 0;
}

/* Comments nest. */
static void skip_comment(struct scanner *s)
{
	int depth = 0;
	do {
		if (peek(s, 0) == '/' && peek(s, 1) == '*') {
			depth++;
			s->at += 2;
		} else if (peek(s, 0) == '*' && peek(s, 1) == '/') {
			depth--;
			s->at += 2;
		} else {
			s->at++;
		}
	} while (depth > 0 && s->at < s->end);
}

static void skip_blank(struct scanner *s)
{
	while (s->at < s->end) {
		if (is_space(*s->at)) {
			s->at++;
		} else if (*s->at == '-' && peek(s, 1) == '-') {
			while (s->at < s->end && *s->at != '\n' && *s->at != '\r')
				s->at++;
		} else if (*s->at == '/' && peek(s, 1) == '*') {
			skip_comment(s);
		} else {
			return;
		}
	}
}

/* At the opening quote; `escapes`: a backslash takes away the meaning of what follows. */
static struct token scan_quoted(
	struct scanner *s, uint8_t quote, bool escapes, enum token_kind kind)
{
	const uint8_t *from = ++s->at;
	while (s->at < s->end) {
		uint8_t c = *s->at;
		if (c == '\\' && quote == '\'') {
			/* The second half of a character, in some encodings of East Asia? */
			if (escapes && s->at > from && s->at[-1] >= 0x80)
				s->unsure = true;
			/* Its meaning depends on standard_conforming_strings. */
			if (!escapes && peek(s, 1) == '\'')
				s->unsure = true;
			s->at += escapes && s->end - s->at > 1 ? 2 : 1;
		} else if (c != quote) {
			s->at++;
		} else if (peek(s, 1) == quote) {
			s->at += 2;
		} else {
			break;
		}
	}
	struct token token = {kind, from, (size_t)(s->at - from), 0};
	if (s->at < s->end)
		s->at++;
	return token;
}

/* At a dollar. */
static struct token scan_dollar(struct scanner *s)
{
	const uint8_t *tag = s->at;
	size_t len = 1;
	if (sql_is_letter(peek(s, 1)))
		while (sql_is_letter(peek(s, len)) || sql_is_digit(peek(s, len)))
			len++;
	if (peek(s, len) != '$') { /* a parameter, or an error */
		s->at++;
		while (sql_is_digit(peek(s, 0)))
			s->at++;
		return (struct token){TOKEN_SIGN, tag, 1, '$'};
	}
	len++;
	const uint8_t *from = s->at = tag + len;
	while ((size_t)(s->end - s->at) >= len) {
		const uint8_t *next = memchr(s->at, '$', (size_t)(s->end - s->at) - len + 1);
		if (!next)
			break;
		s->at = next;
		if (memcmp(next, tag, len) == 0) {
			s->at += len;
			return (struct token){TOKEN_LITERAL, from, (size_t)(next - from), 0};
		}
		s->at++;
	}
	s->at = s->end;
	return (struct token){TOKEN_LITERAL, from, (size_t)(s->end - from), 0};
}

struct token sql_token_next(struct scanner *s)
{
	skip_blank(s);
	if (s->at >= s->end) {
		s->at = s->end;
		return (struct token){.kind = TOKEN_END};
	}
	const uint8_t *from = s->at;
	uint8_t c = *from;
	if (sql_is_letter(c)) {
		const uint8_t *at = from + 1;
		while (at < s->end && (sql_is_letter(*at) || sql_is_digit(*at) || *at == '$'))
			at++;
		s->at = at;
		if (s->at - from == 1 && (c | 0x20) == 'e' && peek(s, 0) == '\'')
			return scan_quoted(s, '\'', true, TOKEN_LITERAL);
		return (struct token){TOKEN_WORD, from, (size_t)(s->at - from), 0};
	}
	if (c == '\'')
		return scan_quoted(s, '\'', false, TOKEN_LITERAL);
	if (c == '"')
		return scan_quoted(s, '"', false, TOKEN_NAME);
	if (c == '$')
		return scan_dollar(s);
	s->at++;
	if (sql_is_digit(c))
		while (sql_is_digit(peek(s, 0)))
			s->at++;
	return (struct token){TOKEN_SIGN, from, 1, c};
}
