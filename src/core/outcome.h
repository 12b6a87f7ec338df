/*
 * outcome - how an attempt to reach the database ended, by stage and class, and what follows.
 */
#ifndef STANDPIPE_CORE_OUTCOME_H
#define STANDPIPE_CORE_OUTCOME_H

#include <stdbool.h>

/* The stages of a connect, in order. An attempt is *in* a stage until the next one begins. */
enum stage {
	STAGE_DNS,
	STAGE_TCP,
	STAGE_TLS,
	STAGE_AUTH, /* startup packet, authentication, until ReadyForQuery */
	STAGE_READY,
	STAGE_COUNT
};

enum outcome {
	OUTCOME_OK,
	OUTCOME_TIMEOUT, /* no answer in time, at whatever stage */
	OUTCOME_REFUSED, /* ECONNREFUSED: the host is there, the server is not */
	OUTCOME_UNREACHABLE, /* no route, network down */
	OUTCOME_RESET, /* cut: RST or end of stream where none belongs */
	OUTCOME_DNS, /* the name does not resolve */
	OUTCOME_TLS, /* handshake or certificate */
	OUTCOME_FULL, /* SQLSTATE 53300: too many connections */
	OUTCOME_STARTING, /* SQLSTATE 57P03: starting up, shutting down, in recovery */
	OUTCOME_SHUTDOWN, /* SQLSTATE 57P01, 57P02: the server ended the session */
	OUTCOME_AUTH, /* SQLSTATE 28xxx: wrong password, no such role, pg_hba */
	OUTCOME_DATABASE, /* SQLSTATE 3D000: no such database */
	OUTCOME_SETTINGS, /* SQLSTATE 22xxx, 42xxx, 55P02, 58P01: what the session was to be begun with */
	OUTCOME_TOKEN, /* there was no password to log in with: the command that gives it failed */
	OUTCOME_PROTOCOL, /* not PostgreSQL, or any other error from the server */
	OUTCOME_COUNT
};

/* Names as in logs, metrics and JSON: "tcp", "timeout". */
const char *stage_name(enum stage s);
const char *outcome_name(enum outcome o);
/* False: none is called so. */
bool outcome_from_name(const char *name, enum outcome *o);

/* The class of an ErrorResponse's SQLSTATE; NULL or unknown gives OUTCOME_PROTOCOL. */
enum outcome outcome_from_sqlstate(const char *sqlstate);

/* Trying again can't help (wrong password, missing database, bad certificate): fail at once and
 * never open the breaker for it. */
bool outcome_is_permanent(enum outcome o);

/* Counts against the path or the server's capacity: what the breaker and the retry look at. */
bool outcome_is_capacity(enum outcome o);

#endif
