/*
 * auth - who must prove what before a session begins, and what the gate shows of itself.
 *
 * `auth.local` is asked of clients on the Unix socket and on loopback, `auth.remote` of all others.
 * Files are read when the gate begins, and again by auth_reload; a file that can't be used then
 * leaves what was read before in force, and the log says so.
 */
#ifndef STANDPIPE_GATE_AUTH_H
#define STANDPIPE_GATE_AUTH_H

#include <stdbool.h>

#include "base/error.h"
#include "gate/auth_query.h"
#include "gate/log.h"
#include "gate/settings.h"
#include "gate/userlist.h"
#include "io/scram.h"
#include "io/tls.h"

/* As what the gate's own query end to end (the finalize phase) makes itself known: it knows a password
 * of this process's own, whatever others must prove, and nobody else who uses the name does. */
#define AUTH_CHECK_NAME "standpipe finalize"

struct auth {
	const struct auth_settings *settings; /* borrowed */
	struct log *log; /* borrowed */
	struct tls tls;
	struct userlist users;
	struct userlist_user own; /* the URL's own user, who needs no file */
	struct userlist configured; /* those of `users` with a password, who need none either */
	uint8_t secret[SCRAM_KEY]; /* of this process, for users that there are none of */
	char check_password[2 * SCRAM_KEY + 1]; /* AUTH_CHECK_NAME's */
	struct userlist_user check; /* ... and its verifier */
	struct auth_query query; /* for those in no file */
};

/* Could the files that the settings name be used? 0, or -1 with `error`. */
int auth_check(const struct auth_settings *settings, struct error *error);

/* Nothing is read yet. `hub` is borrowed, and need not be ready. */
void auth_init(
	struct auth *a, struct hub *hub, const struct auth_settings *settings, struct log *log);

/* Reads the files. 0, or -1 with `error`: nothing to begin with. */
int auth_load(struct auth *a, struct error *error);

/* Reads the files again, as `settings` (borrowed from now on) names them. Sessions go on as they are.
 * 0, or -1 with `error`, which has been logged, too: what could be read is in force. */
int auth_reload(struct auth *a, const struct auth_settings *settings, struct error *error);

/* Asks nothing any more: the hub is about to close. */
void auth_close(struct auth *a);
/* After the last client has gone. */
void auth_release(struct auth *a);

/* May a client have TLS? Then tls_accept(&a->tls, ...) does it. */
bool auth_has_tls(const struct auth *a);

/* What the proof of a user who asks for the database is checked against, copied to `v`: of a user that there is none of, or whose
 * secret is good for nothing, a mock. Then, too, `fault` says why, for the log; else it is NULL.
 * False: it must be looked up first, by auth_query_ask. */
bool auth_verifier(struct auth *a, const char *database, const char *user, struct scram_verifier *v,
	const char **fault);

/* The same for AUTH_CHECK_NAME. */
void auth_check_verifier(struct auth *a, struct scram_verifier *v);

#endif
