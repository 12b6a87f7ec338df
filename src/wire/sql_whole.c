/* Texts that are told as a whole, where one statement is looked for. */
#include "wire/sql.h"

#include "wire/sql_token.h"

/* As PostgreSQL takes it: ASCII folded, two quotes are one, cut where it is too long. */
static void copy_name(const struct token *token, char name[SQL_NAME_MAX])
{
	size_t len = 0;
	for (size_t i = 0; i < token->len && len < SQL_NAME_MAX - 1; i++) {
		uint8_t c = token->at[i];
		if (token->kind == TOKEN_WORD && c >= 'A' && c <= 'Z')
			c |= 0x20;
		if (token->kind == TOKEN_NAME && c == '"')
			i++;
		name[len++] = (char)c;
	}
	name[len] = 0;
}

/* The token that was read last, if it is a name. */
static bool take_name(const struct scanner *s, const struct token *token, char name[SQL_NAME_MAX],
	struct bytes *written)
{
	if (token->kind != TOKEN_WORD && token->kind != TOKEN_NAME)
		return false;
	if (token->kind == TOKEN_NAME && s->at == token->at + token->len)
		return false; /* it has no end */
	copy_name(token, name);
	written->at = token->at - (token->kind == TOKEN_NAME);
	written->len = (size_t)(s->at - written->at);
	return true;
}

/* Behind DEALLOCATE: [PREPARE] name. */
static bool scan_deallocated(struct scanner *s, char name[SQL_NAME_MAX], struct bytes *written)
{
	struct token token = sql_token_next(s);
	if (sql_is_word(&token, "prepare")) {
		struct scanner after = *s;
		struct token next = sql_token_next(&after);
		if (next.kind == TOKEN_WORD || next.kind == TOKEN_NAME) {
			token = next;
			*s = after;
		}
	}
	return !sql_is_word(&token, "all") && take_name(s, &token, name, written);
}

bool sql_deallocates(struct bytes text, char name[SQL_NAME_MAX], struct bytes *written)
{
	struct scanner s = sql_scanner_of(text);
	struct token token;
	bool found = false;
	do {
		token = sql_token_next(&s);
		if (sql_is_word(&token, "deallocate")) {
			if (found || !scan_deallocated(&s, name, written))
				return false;
			found = true;
			token = sql_token_next(&s);
			if (token.kind != TOKEN_END && !sql_is_sign(&token, ';'))
				return false;
		}
		while (token.kind != TOKEN_END && !sql_is_sign(&token, ';'))
			token = sql_token_next(&s);
	} while (token.kind != TOKEN_END);
	return found && !s.unsure;
}

bool sql_executes(struct bytes text, char name[SQL_NAME_MAX], struct bytes *written)
{
	struct scanner s = sql_scanner_of(text);
	struct token token = sql_token_next(&s);
	bool found = false;
	while (token.kind != TOKEN_END) {
		bool executes = sql_is_word(&token, "execute");
		token = sql_token_next(&s);
		if (!executes)
			continue;
		if (found || !take_name(&s, &token, name, written))
			return false;
		found = true;
	}
	return found && !s.unsure;
}

bool sql_is_planned(struct bytes text)
{
	static const char *const words[] = {
		"select", "insert", "update", "delete", "merge", "with", "values", "table"};
	struct scanner s = sql_scanner_of(text);
	struct token token = sql_token_next(&s);
	while (sql_is_sign(&token, '(') || sql_is_sign(&token, ';'))
		token = sql_token_next(&s);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (sql_is_word(&token, words[i]))
			return true;
	return false;
}

/* After CREATE DATABASE: what it is a copy of. */
static bool read_template(struct scanner *s, char name[SQL_NAME_MAX])
{
	static const struct token usual = {
		TOKEN_WORD, (const uint8_t *)"template1", sizeof("template1") - 1, 0};
	struct token token = sql_token_next(s);
	struct token found = usual;
	while (token.kind != TOKEN_END) {
		bool is_option = sql_is_word(&token, "template");
		token = sql_token_next(s);
		if (!is_option)
			continue;
		if (sql_is_sign(&token, '='))
			token = sql_token_next(s);
		if (token.kind == TOKEN_END || token.kind == TOKEN_SIGN)
			return false;
		if (!sql_is_word(&token, "default"))
			found = token;
	}
	copy_name(&found, name);
	return true;
}

bool sql_wants_alone(struct bytes text, char name[SQL_NAME_MAX])
{
	struct scanner s = sql_scanner_of(text);
	struct token verb = sql_token_next(&s);
	bool drops = sql_is_word(&verb, "drop"), creates = sql_is_word(&verb, "create");
	if (!drops && !creates && !sql_is_word(&verb, "alter"))
		return false;
	struct token token = sql_token_next(&s);
	if (!sql_is_word(&token, "database"))
		return false;
	token = sql_token_next(&s);
	struct scanner after = s;
	struct token next = sql_token_next(&after);
	if (drops && sql_is_word(&token, "if") && sql_is_word(&next, "exists")) {
		s = after;
		token = sql_token_next(&s);
	}
	if (token.kind != TOKEN_WORD && token.kind != TOKEN_NAME)
		return false;
	if (creates)
		return read_template(&s, name);
	copy_name(&token, name);
	return true;
}
