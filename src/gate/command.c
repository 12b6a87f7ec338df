#include "gate/command.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define SYNTAX_ERROR "42601"

enum arity { NONE, MAYBE, ONE };

static const struct rule {
	const char *word;
	const char *tag;
	enum command_verb verb;
	enum arity arity;
} rules[] = {
	{"show", "SHOW", COMMAND_SHOW, ONE},
	{"select", "SELECT 1", COMMAND_SELECT, ONE},
	{"pause", "PAUSE", COMMAND_PAUSE, MAYBE},
	{"resume", "RESUME", COMMAND_RESUME, MAYBE},
	{"disable", "DISABLE", COMMAND_DISABLE, ONE},
	{"enable", "ENABLE", COMMAND_ENABLE, ONE},
	{"reconnect", "RECONNECT", COMMAND_RECONNECT, MAYBE},
	{"wait_close", "WAIT_CLOSE", COMMAND_WAIT_CLOSE, MAYBE},
	{"kill", "KILL", COMMAND_KILL, MAYBE},
	{"breaker", "BREAKER", COMMAND_BREAKER, ONE},
	{"suspend", "SUSPEND", COMMAND_SUSPEND, NONE},
	{"reload", "RELOAD", COMMAND_RELOAD, NONE},
	{"shutdown", "SHUTDOWN", COMMAND_SHUTDOWN, MAYBE},
	{"kill_client", "KILL_CLIENT", COMMAND_KILL_CLIENT, ONE},
};

/* What pools and drivers send around the commands of their users. Nothing can be undone here and
 * there is no state, so there is nothing to do. */
static const struct {
	const char *word, *tag;
} courtesies[] = {
	{"abort", "ROLLBACK"},
	{"begin", "BEGIN"},
	{"close", "CLOSE CURSOR"},
	{"commit", "COMMIT"},
	{"deallocate", "DEALLOCATE"},
	{"discard", "DISCARD"},
	{"end", "COMMIT"},
	{"reset", "RESET"},
	{"rollback", "ROLLBACK"},
	{"start", "START TRANSACTION"},
	{"unlisten", "UNLISTEN"},
};

/* ---- tokens ---- */

enum token { TOKEN_END, TOKEN_WORD, TOKEN_STRING, TOKEN_SIGN, TOKEN_BAD };

struct scanner {
	const char *at;
	enum token token; /* the present one */
	bool quoted; /* a word in double quotes */
	char sign;
	char text[COMMAND_VALUE_MAX + 1];
};

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '.' || c == '-' || (c & 0x80);
}

static const char *skip_block(const char *at)
{
	const char *end = strstr(at + 2, "*/");
	return end ? end + 2 : at + strlen(at);
}

static const char *skip_blanks(const char *at)
{
	for (;;) {
		at += strspn(at, " \t\r\n\f\v");
		if (strncmp(at, "--", 2) == 0)
			at += strcspn(at, "\r\n");
		else if (strncmp(at, "/*", 2) == 0)
			at = skip_block(at);
		else
			return at;
	}
}

/* Behind the opening quote; a doubled one stands for itself. */
static enum token scan_quoted(struct scanner *s, char quote, enum token token)
{
	size_t len = 0;
	while (*s->at && (*s->at != quote || s->at[1] == quote)) {
		s->at += *s->at == quote ? 2 : 1;
		if (len == sizeof(s->text) - 1)
			return TOKEN_BAD;
		s->text[len++] = s->at[-1];
	}
	if (!*s->at++)
		return TOKEN_BAD;
	s->text[len] = 0;
	return token;
}

static enum token scan(struct scanner *s)
{
	s->at = skip_blanks(s->at);
	s->quoted = *s->at == '"';
	*s->text = s->sign = 0;
	if (!*s->at)
		return TOKEN_END;
	if (*s->at == '"' || *s->at == '\'') {
		char quote = *s->at++;
		return scan_quoted(s, quote, s->quoted ? TOKEN_WORD : TOKEN_STRING);
	}
	size_t len = 0;
	while (is_word(s->at[len]) && strncmp(s->at + len, "--", 2) != 0)
		len++;
	if (len == 0) {
		s->sign = *s->at++;
		return TOKEN_SIGN;
	}
	if (len >= sizeof(s->text))
		return TOKEN_BAD;
	memcpy(s->text, s->at, len);
	s->text[len] = 0;
	s->at += len;
	return TOKEN_WORD;
}

static void next(struct scanner *s)
{
	s->token = scan(s);
}

static bool is_end(const struct scanner *s)
{
	return s->token == TOKEN_END || (s->token == TOKEN_SIGN && s->sign == ';');
}

static bool is_keyword(const struct scanner *s, const char *word)
{
	return s->token == TOKEN_WORD && !s->quoted && strcasecmp(s->text, word) == 0;
}

/* ---- commands ---- */

int command_fail(struct error *error, const char *sqlstate, const char *format, ...)
{
	char text[ERROR_TEXT_MAX];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	error_set(error, "console", 0, "%s", text);
	error_sqlstate(error, sqlstate);
	return -1;
}

static bool take_word(const struct scanner *s, struct command *c)
{
	if (s->token != TOKEN_WORD || strlen(s->text) > COMMAND_WORD_MAX)
		return false;
	memcpy(c->word, s->text, strlen(s->text) + 1);
	return true;
}

static int parse_argument(
	struct scanner *s, const struct rule *rule, struct command *c, struct error *error)
{
	c->verb = rule->verb;
	c->tag = rule->tag;
	next(s);
	if (!is_end(s)) {
		if (rule->arity == NONE || !take_word(s, c))
			return command_fail(
				error, SYNTAX_ERROR, "%s takes no such argument", rule->tag);
		next(s);
	} else if (rule->arity == ONE) {
		return command_fail(error, SYNTAX_ERROR, "%s needs an argument", rule->tag);
	}
	if (!is_end(s))
		return command_fail(error, SYNTAX_ERROR, "%s takes one word at most", rule->tag);
	return 0;
}

/* SET [SESSION | LOCAL] word {= | TO} value */
static int parse_set(struct scanner *s, struct command *c, struct error *error)
{
	c->verb = COMMAND_SET;
	c->tag = "SET";
	next(s);
	if (is_keyword(s, "session") || is_keyword(s, "local"))
		next(s);
	if (!take_word(s, c))
		return command_fail(error, SYNTAX_ERROR, "SET needs a name");
	next(s);
	bool equals = is_keyword(s, "to") || (s->token == TOKEN_SIGN && s->sign == '=');
	if (!equals)
		return command_fail(error, SYNTAX_ERROR, "SET needs = or TO behind the name");
	next(s);
	if (s->token != TOKEN_WORD && s->token != TOKEN_STRING)
		return command_fail(error, SYNTAX_ERROR, "SET needs a value");
	snprintf(c->value, sizeof(c->value), "%s", s->text);
	next(s);
	if (!is_end(s))
		return command_fail(error, SYNTAX_ERROR, "SET takes one value");
	return 0;
}

static int parse(struct scanner *s, struct command *c, struct error *error)
{
	if (is_keyword(s, "set"))
		return parse_set(s, c, error);
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (is_keyword(s, rules[i].word))
			return parse_argument(s, &rules[i], c, error);
	for (size_t i = 0; i < sizeof(courtesies) / sizeof(courtesies[0]); i++) {
		if (!is_keyword(s, courtesies[i].word))
			continue;
		c->verb = COMMAND_NOTHING;
		c->tag = courtesies[i].tag;
		do {
			next(s);
		} while (!is_end(s) && s->token != TOKEN_BAD);
		return 0;
	}
	return command_fail(error, SYNTAX_ERROR, "no such command: %.60s",
		s->token == TOKEN_WORD ? s->text : "it must begin with a word");
}

int command_next(const char **text, struct command *c, struct error *error)
{
	struct scanner s = {.at = *text};
	c->verb = COMMAND_EMPTY;
	c->tag = "";
	*c->word = *c->value = 0;
	do {
		next(&s);
	} while (s.token == TOKEN_SIGN && s.sign == ';');
	int result = s.token == TOKEN_END ? 0 : parse(&s, c, error);
	if (result == 0 && s.token == TOKEN_BAD)
		result = command_fail(
			error, SYNTAX_ERROR, "a quote without its end, or too long a word");
	*text = s.at;
	return result;
}
