/*
 * login - what a client is in the middle of before its session begins; for login*.c alone.
 *
 *   login.c        packets, encryption, who must prove what, the session's beginning, cancel requests
 *   login_sasl.c   the proof by SCRAM
 */
#ifndef STANDPIPE_GATE_LOGIN_H
#define STANDPIPE_GATE_LOGIN_H

#include <stdbool.h>

#include "gate/auth_query.h"
#include "gate/client.h"
#include "io/scram.h"

enum login_step {
	LOGIN_PACKET, /* its startup packet, or what may come before that, is to come */
	LOGIN_LOOKUP, /* the database is being asked who it is */
	LOGIN_SCRAM_FIRST, /* SASLInitialResponse is */
	LOGIN_SCRAM_FINAL, /* SASLResponse is */
};

/* What a startup packet says besides settings; borrowed from it. */
struct login_names {
	const char *user, *database;
	bool replication;
	bool is_check; /* says that it is the gate's own (AUTH_CHECK_NAME) */
};

struct login {
	enum login_step step;
	bool asked_tls, asked_gss; /* each may be asked for once */
	bool direct; /* TLS began without being asked for */
	struct buffer
		startup; /* the parameters of the startup packet, until it has proved itself */
	struct login_names names; /* in that */
	struct scram scram;
	const char *fault; /* why nobody could be this user, for the log; static */
	struct lookup *lookup; /* that it waits for; auth_query's, as is the next: */
	struct client *next_waiting;
};

/* Says no, for something that the client sent. `hint` may be NULL. */
void login_refuse(struct client *c, const char *sqlstate, const char *message, const char *hint);

/* It did not prove who it is: `why` is for the log alone, `message` for the client. */
void login_deny(struct client *c, const char *sqlstate, const char *message, const char *why);

/* It has proved to be the user that it names: from here on it has a session, or is told why not. The
 * parameters are those of the startup packet. */
void login_session(struct client *c, struct bytes parameters, const struct login_names *names);

/* auth_query has found out who it is: copies `v`, which counts for AUTH_QUERY_FOUND alone. Nothing for
 * a client that has gone. */
void login_answered(struct client *c, enum auth_query_result result, const struct scram_verifier *v,
	const char *fault);

/* login_sasl.c: asks for the password's proof; and takes what comes of it, as client_login does. */
void login_scram_begin(struct client *c);
size_t login_scram_take(struct client *c, struct bytes in);

#endif
