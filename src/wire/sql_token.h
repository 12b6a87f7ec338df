/*
 * sql_token - the words, strings and signs of a text of SQL; between the files of sql.
 */
#ifndef STANDPIPE_WIRE_SQL_TOKEN_H
#define STANDPIPE_WIRE_SQL_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "base/bytes.h"

enum token_kind {
	TOKEN_END,
	TOKEN_WORD, /* keyword or name */
	TOKEN_NAME, /* in double quotes */
	TOKEN_LITERAL, /* in quotes or dollar quotes */
	TOKEN_SIGN, /* one character of anything else */
};

struct token {
	enum token_kind kind;
	const uint8_t *at; /* without its quotes */
	size_t len;
	uint8_t sign;
};

/* Over a text that is borrowed. */
struct scanner {
	const uint8_t *at, *end;
	bool unsure; /* where a string ended depends on settings, or on the encoding */
};

static inline bool sql_is_letter(uint8_t c)
{
	return (uint8_t)((c | 0x20) - 'a') < 26 || c == '_' || c >= 0x80;
}

static inline bool sql_is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static inline struct scanner sql_scanner_of(struct bytes text)
{
	return (struct scanner){text.at, text.at + text.len, false};
}

static inline bool sql_is_text(const struct token *token, const char *text)
{
	size_t len = strlen(text);
	return token->len == len && strncasecmp((const char *)token->at, text, len) == 0;
}

static inline bool sql_is_word(const struct token *token, const char *text)
{
	return token->kind == TOKEN_WORD && sql_is_text(token, text);
}

static inline bool sql_is_sign(const struct token *token, uint8_t sign)
{
	return token->kind == TOKEN_SIGN && token->sign == sign;
}

/* The next one, which borrows from the text; TOKEN_END at its end, and from then on. */
struct token sql_token_next(struct scanner *s);

#endif
