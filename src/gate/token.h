/*
 * token - the password for logins upstream where a command gives it: an access token of a cloud,
 * which lives for minutes.
 *
 * It is fetched when the first login needs it, kept for database.password_life, fetched again
 * before that is over, and at once when the server refuses it. While a new one can't be had the one
 * at hand is used as long as it lives. Logins wait for it (server_token_came).
 */
#ifndef STANDPIPE_GATE_TOKEN_H
#define STANDPIPE_GATE_TOKEN_H

#include <stdbool.h>
#include <uv.h>

#include "base/error.h"
#include "base/instant.h"
#include "gate/secrets.h"

struct hub;
struct gate_pool;
struct command;

#define TOKEN_VARIABLES    4 /* that tell the command what the password is for */
#define TOKEN_VARIABLE_MAX 1024

struct token {
	struct hub *hub; /* borrowed */
	struct secrets *secrets; /* borrowed; NULL: nobody hides it */
	struct command *run; /* under way, or NULL */
	char *command; /* that `value` came from; owned */
	char *value; /* owned, wiped; NULL: none */
	char *before; /* the one before it, which may still turn up in a text; owned, wiped */
	instant fetched_at, until; /* of the value */
	uv_timer_t timer; /* to the next fetch */
};

void token_init(struct token *t, struct hub *h);
void token_close(struct token *t);
void token_release(struct token *t);

/* The hub's settings are others; `elsewhere`: the database, too. */
void token_configure(struct token *t, bool elsewhere);

/* Does the pool log in with it? As database.url's own user, to the same servers. */
bool token_is_for(const struct token *t, const struct gate_pool *pool);

/* The password, borrowed until the loop goes on; NULL: it must be fetched first. */
const char *token_value(struct token *t, instant now);

/* Every server that waits for it will be told, perhaps before this returns. */
void token_fetch(struct token *t);

/* The server refused the one of `fetched_at`: it is not used any more. */
void token_refused(struct token *t, instant fetched_at);

/* For the command: our own environment, and PGHOST, PGPORT, PGUSER and PGDATABASE of `conninfo`.
 * NULL-ended; to be freed, with `texts` and our environment behind it. */
const char **token_environment(
	const char *conninfo, char texts[TOKEN_VARIABLES][TOKEN_VARIABLE_MAX]);

#endif
