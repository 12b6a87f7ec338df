/*
 * auth_query - users who are in no file, looked up in the database by the SQL of `auth.query`, or by
 * that of the database they ask for (`databases.NAME.auth_query`), in which it is asked then.
 *
 * It is asked as the URL's user, in the gate's own settings but for a search_path that nobody
 * can put anything into, and the name is a parameter of it, never a part of its text. Answers, also
 * that there is no such user, are kept for `auth.cache`. Few questions are under way at a time,
 * whoever asks; clients that ask for the same user wait for one answer.
 */
#ifndef STANDPIPE_GATE_AUTH_QUERY_H
#define STANDPIPE_GATE_AUTH_QUERY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/instant.h"
#include "io/scram.h"

struct client;
struct hub;

/* Questions under way at a time: two, as hub_take_id keeps two ids for the gate's own. */
#define AUTH_QUERY_UNDER_WAY 2
/* Answers that are kept, at most. */
#define AUTH_QUERY_KEPT 1024
/* An answer by which somebody was denied is asked for anew when it is older than that: the password
 * may have been changed. */
#define AUTH_QUERY_DOUBT_NS NS_PER_S

struct lookup;

struct auth_query {
	struct hub *hub; /* borrowed */
	struct lookup **list; /* answered, under way, and waiting to be, in no order */
	int count, size;
	int under_way;
	bool closed;
};

/* What became of a question. */
enum auth_query_result {
	AUTH_QUERY_FOUND, /* the verifier is there */
	AUTH_QUERY_NOBODY, /* no such user, or no secret that is good for anything: `fault` says */
	AUTH_QUERY_FAILED, /* it could not be asked, or failed: the log says why */
	AUTH_QUERY_UNKNOWN, /* not asked yet, or too long ago */
};

void auth_query_init(struct auth_query *q, struct hub *hub);

/* Who is looked up, and by which question; borrowed. */
struct auth_query_name {
	const char *database; /* the one that has a question of its own; NULL: auth.query */
	const char *user;
};

/* The user, for those who ask for this database. */
struct auth_query_name auth_query_name(
	const struct auth_query *q, const char *database, const char *user);
/* Its SQL; empty: nobody is looked up. */
const char *auth_query_sql(const struct auth_query *q, const char *database);

/* What is known of the user now: never FAILED. Copies to `v`; `fault` gets a static text. */
enum auth_query_result auth_query_find(struct auth_query *q, struct auth_query_name name,
	struct scram_verifier *v, const char **fault);

/* Asks, for a client in its login, which waits: login_answered is called, perhaps from inside this
 * call, unless auth_query_leave comes before. */
void auth_query_ask(struct auth_query *q, struct auth_query_name name, struct client *c);
/* The client does not wait any more. */
void auth_query_leave(struct auth_query *q, struct client *c);

/* A password was wrong: see AUTH_QUERY_DOUBT_NS. */
void auth_query_doubt(struct auth_query *q, struct auth_query_name name);

/* Forgets all answers: the question may be another from now on. */
void auth_query_forget(struct auth_query *q);

/* Asks nothing any more: the hub is about to close. */
void auth_query_close(struct auth_query *q);
/* After the last client has gone. */
void auth_query_release(struct auth_query *q);

#endif
