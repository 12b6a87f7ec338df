/*
 * command - what somebody types at the console, taken apart.
 *
 * PgBouncer's grammar, with a little more: several commands with semicolons between, comments, and
 * what drivers send on their own account and would stumble over if it failed (BEGIN, SET
 * DateStyle). Words are as they are written, but for the quotes: PgBouncer does not fold names, so
 * nor do we.
 */
#ifndef STANDPIPE_GATE_COMMAND_H
#define STANDPIPE_GATE_COMMAND_H

#include "base/error.h"

/* Longer words are refused. PostgreSQL's own names have 63 bytes. */
#define COMMAND_WORD_MAX  127
#define COMMAND_VALUE_MAX 1023

enum command_verb {
	COMMAND_EMPTY, /* there is nothing but blanks and comments */
	COMMAND_SHOW, /* word */
	COMMAND_SELECT, /* word: digits */
	COMMAND_SET, /* word, value */
	COMMAND_NOTHING, /* tag: done by doing nothing */
	COMMAND_PAUSE, /* word, or none: a database */
	COMMAND_RESUME,
	COMMAND_DISABLE,
	COMMAND_ENABLE,
	COMMAND_RECONNECT,
	COMMAND_KILL,
	COMMAND_WAIT_CLOSE,
	COMMAND_KILL_CLIENT, /* word: digits */
	COMMAND_SUSPEND,
	COMMAND_BREAKER, /* word */
	COMMAND_RELOAD,
	COMMAND_SHUTDOWN, /* word, or none */
	COMMAND_VERB_COUNT,
};

struct command {
	enum command_verb verb;
	const char *tag; /* what CommandComplete says: "PAUSE"; a literal */
	char word[COMMAND_WORD_MAX + 1]; /* empty: none */
	char value[COMMAND_VALUE_MAX + 1];
};

/* Takes the first command off `*text`, which ends with a zero, and moves behind its semicolon. At
 * the end `*text` points to the zero and the command is COMMAND_EMPTY. 0, or -1 with SQLSTATE and
 * text; `*text` is not to be used any more then. */
int command_next(const char **text, struct command *c, struct error *error);

/* What is wrong with a command. Always returns -1. */
__attribute__((format(printf, 3, 4))) int command_fail(
	struct error *error, const char *sqlstate, const char *format, ...);

#endif
