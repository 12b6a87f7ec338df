#include "wire/sql.h"

#include <string.h>
#include <strings.h>

#include "wire/sql_token.h"

#define CUSTOM_NAME_MAX 256

/* ---- statements ---- */

/* A call of set_config that is being read. */
struct call {
	int depth; /* of its parentheses; 0: there is none */
	int argument; /* 1 to 3 */
	int tokens; /* of this argument so far */
	struct bytes name; /* its first argument, if that is a literal */
	bool computed; /* it is not */
	bool local; /* its third is a literal "true" */
};

struct reading {
	struct scanner scanner;
	uint32_t traits;
	struct token last; /* the word before, of any kind */
	bool begins; /* the next word is a statement's first */
	bool body; /* in DO's: a statement may begin after more than a semicolon */
	bool is_do; /* its literal is such a body */
	uint32_t is_set; /* what the statement, SET, is if it is TO DEFAULT; 0: it is no SET */
	bool maybe_call; /* set_config has been read */
	int depth; /* of parentheses */
	struct call call;
	void (*each)(void *context, struct bytes name); /* may be NULL */
	void *context;
};

static void read_all(struct reading *r);

static void note_custom(struct reading *r, struct bytes name)
{
	if (!sql_is_custom_name(name))
		return;
	r->traits |= SQL_CUSTOM;
	if (r->each)
		r->each(r->context, name);
}

/* After SET [SESSION]: a name of words and dots, of which the first is given. */
static void read_setting(struct reading *r, struct token token)
{
	char room[CUSTOM_NAME_MAX];
	size_t len = 0;
	while (token.kind == TOKEN_WORD || token.kind == TOKEN_NAME) {
		if (token.len + 1 > sizeof(room) - len)
			return;
		memcpy(room + len, token.at, token.len);
		len += token.len;
		struct scanner after = r->scanner;
		token = sql_token_next(&after);
		if (!sql_is_sign(&token, '.')) {
			note_custom(r, (struct bytes){(const uint8_t *)room, len});
			return;
		}
		room[len++] = '.';
		token = sql_token_next(&after);
		r->scanner = after;
	}
}

/* After SET at a statement's beginning. */
static void read_set(struct reading *r)
{
	struct scanner after = r->scanner;
	struct token token = sql_token_next(&after);
	if (sql_is_word(&token, "transaction") || sql_is_word(&token, "constraints"))
		return;
	if (sql_is_word(&token, "local")) {
		r->is_set = SQL_LOCAL;
		r->scanner = after;
		return;
	}
	r->traits |= SQL_SET;
	r->is_set = SQL_RESET;
	if (sql_is_word(&token, "session"))
		token = sql_token_next(&after);
	r->scanner = after;
	read_setting(r, token);
}

/* What a statement's first word alone tells. */
static const struct command {
	const char *word;
	uint32_t trait;
} commands[] = {
	{"reset", SQL_RESET},
	{"discard", SQL_DISCARD},
	{"listen", SQL_LISTEN},
	{"unlisten", SQL_UNLISTEN},
	{"drop", SQL_DROP},
	{"close", SQL_CLOSE},
	{"deallocate", SQL_DEALLOCATE},
	{"load", SQL_LOAD},
	{"do", SQL_RUN},
	{"call", SQL_RUN},
};

static void begin_statement(struct reading *r, const struct token *word)
{
	r->is_do = false;
	r->is_set = 0;
	/* Most statements begin with another letter: SELECT, INSERT, UPDATE. */
	if (word->kind != TOKEN_WORD || word->len < 2 || sql_is_text(word, "select") ||
		!strchr("rdluscp", word->at[0] | 0x20))
		return;
	if (sql_is_text(word, "set")) {
		read_set(r);
		return;
	}
	if (sql_is_text(word, "prepare")) {
		struct scanner after = r->scanner;
		struct token next = sql_token_next(&after);
		if (!sql_is_word(&next, "transaction"))
			r->traits |= SQL_PREPARE;
		return;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (sql_is_text(word, commands[i].word)) {
			r->traits |= commands[i].trait;
			r->is_do = sql_is_text(word, "do");
			return;
		}
	}
}

static bool begins_with(const struct token *token, const char *text)
{
	size_t len = strlen(text);
	return token->len >= len && strncasecmp((const char *)token->at, text, len) == 0;
}

static bool has_part(const struct token *token, const char *part)
{
	size_t len = strlen(part);
	for (size_t i = 0; i + len <= token->len; i++)
		if (strncasecmp((const char *)token->at + i, part, len) == 0)
			return true;
	return false;
}

static void note_lock(struct reading *r, const struct token *name)
{
	if (has_part(name, "unlock"))
		r->traits |= SQL_UNLOCK;
	else if (!has_part(name, "xact"))
		r->traits |= SQL_LOCK;
}

/* May temporary follow this word, meaning a table's kind? */
static bool precedes_temporary(const struct token *last)
{
	return sql_is_word(last, "create") || sql_is_word(last, "local") ||
	       sql_is_word(last, "global") || sql_is_word(last, "replace") ||
	       sql_is_word(last, "into");
}

/* Anywhere in a statement. Most words are told apart by their first letter. */
static void note_word(struct reading *r, const struct token *word)
{
	switch (word->len ? word->at[0] | 0x20 : 0) {
	case 's':
		r->maybe_call = sql_is_text(word, "set_config");
		break;
	case 'p':
		if (begins_with(word, "pg_advisory_") || begins_with(word, "pg_try_advisory_"))
			note_lock(r, word);
		else if (begins_with(word, "pg_temp"))
			r->traits |= SQL_TEMP;
		else if (sql_is_word(word, "pg_backend_pid"))
			r->traits |= SQL_PID;
		break;
	case 'e':
		if (sql_is_word(word, "execute"))
			r->traits |= SQL_EXECUTE;
		break;
	case 't':
		if ((sql_is_word(word, "temp") || sql_is_word(word, "temporary")) &&
			precedes_temporary(&r->last))
			r->traits |= SQL_TEMP;
		break;
	case 'h':
		if (sql_is_word(word, "hold") && sql_is_word(&r->last, "with"))
			r->traits |= SQL_HOLD;
		break;
	case 'd':
		if (r->is_set && sql_is_word(word, "default"))
			r->traits |= r->is_set;
		break;
	case 'l':
		if (r->is_set && sql_is_word(word, "local") && sql_is_word(&r->last, "zone"))
			r->traits |= r->is_set;
		break;
	default:
		break;
	}
}

/* ---- calls of set_config ---- */

static void end_call(struct reading *r)
{
	struct call *call = &r->call;
	bool local = call->local && call->argument == 3;
	if (!local) {
		r->traits |= SQL_SET;
		if (call->computed)
			r->traits |= SQL_BOUND;
		else
			note_custom(r, call->name);
	}
	*call = (struct call){0};
}

static bool is_true(const struct token *token)
{
	static const char *const texts[] = {"true", "t", "yes", "y", "on", "1"};
	if (token->kind == TOKEN_WORD)
		return sql_is_text(token, "true");
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (token->kind == TOKEN_LITERAL && sql_is_text(token, texts[i]))
			return true;
	return false;
}

/* A token within its parentheses. */
static void read_argument(struct reading *r, const struct token *token)
{
	struct call *call = &r->call;
	if (sql_is_sign(token, ',') && r->depth == call->depth) {
		call->argument++;
		call->tokens = 0;
		return;
	}
	if (call->argument == 1) {
		/* A cast of the literal changes nothing; anything else may. */
		bool cast = call->tokens > 0 &&
			    (sql_is_sign(token, ':') || sql_is_word(token, "text"));
		if (call->tokens == 0 && token->kind == TOKEN_LITERAL)
			call->name = (struct bytes){token->at, token->len};
		else if (!cast)
			call->computed = true;
	} else if (call->argument == 3) {
		call->local = call->tokens == 0 && is_true(token);
	}
	call->tokens++;
}

static void begin_call(struct reading *r)
{
	if (r->call.depth) { /* one within the other's arguments */
		r->traits |= SQL_SET | SQL_BOUND;
		return;
	}
	r->call = (struct call){.depth = r->depth, .argument = 1};
}

static void read_sign(struct reading *r, const struct token *token)
{
	bool calls = r->maybe_call;
	r->maybe_call = false;
	if (token->sign == ')') {
		if (r->call.depth && r->depth == r->call.depth)
			end_call(r);
		r->depth -= r->depth > 0;
	} else if (token->sign == ';') {
		if (r->call.depth)
			end_call(r);
		r->begins = true;
		r->depth = 0;
		return;
	}
	if (r->call.depth)
		read_argument(r, token);
	if (token->sign == '(') {
		r->depth++;
		if (calls)
			begin_call(r);
	}
	r->begins = false;
}

/* ---- the whole ---- */

/* In a procedure's body statements also begin after these. */
static bool opens_block(const struct token *word)
{
	return sql_is_word(word, "begin") || sql_is_word(word, "then") ||
	       sql_is_word(word, "else") || sql_is_word(word, "loop");
}

static void read_word(struct reading *r, const struct token *word)
{
	bool begins = r->begins;
	r->begins = false;
	r->maybe_call = false;
	if (r->call.depth)
		read_argument(r, word);
	if (begins)
		begin_statement(r, word);
	note_word(r, word);
	if (r->body && opens_block(word))
		r->begins = true;
	r->last = *word;
}

static void read_literal(struct reading *r, const struct token *literal)
{
	r->begins = r->maybe_call = false;
	if (r->call.depth)
		read_argument(r, literal);
	if (!r->is_do)
		return;
	r->is_do = false;
	struct reading body = {
		.scanner = {literal->at, literal->at + literal->len, false},
		.begins = true,
		.body = true,
		.each = r->each,
		.context = r->context,
	};
	read_all(&body);
	r->traits |= body.traits;
}

static void read_all(struct reading *r)
{
	for (;;) {
		struct token token = sql_token_next(&r->scanner);
		switch (token.kind) {
		case TOKEN_END:
			if (r->call.depth)
				end_call(r);
			if (r->scanner.unsure)
				r->traits |= SQL_UNSURE;
			return;
		case TOKEN_WORD:
		case TOKEN_NAME:
			read_word(r, &token);
			break;
		case TOKEN_LITERAL:
			read_literal(r, &token);
			break;
		case TOKEN_SIGN:
			read_sign(r, &token);
			break;
		}
	}
}

uint32_t sql_traits(struct bytes text)
{
	struct reading r = {.scanner = sql_scanner_of(text), .begins = true};
	read_all(&r);
	return r.traits;
}

void sql_settings(struct bytes text, void (*each)(void *context, struct bytes name), void *context)
{
	struct reading r = {
		.scanner = sql_scanner_of(text),
		.begins = true,
		.each = each,
		.context = context,
	};
	read_all(&r);
}

bool sql_is_custom_name(struct bytes name)
{
	bool dotted = false, letter = false;
	if (name.len >= CUSTOM_NAME_MAX)
		return false;
	for (size_t i = 0; i < name.len; i++) {
		uint8_t c = name.at[i];
		if (c == '.' && letter) {
			dotted = true;
			letter = false;
		} else if (sql_is_letter(c) || (letter && (sql_is_digit(c) || c == '$'))) {
			letter = true;
		} else {
			return false;
		}
	}
	return dotted && letter;
}
