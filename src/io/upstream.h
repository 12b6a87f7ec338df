/*
 * upstream - logging in to PostgreSQL, by libpq: every way it can authenticate and encrypt.
 *
 * libpq's steps run on libuv's pool, since resolving a name blocks and hashing a password for SCRAM
 * takes milliseconds; waiting for the socket is the loop's. After the login the socket (and under
 * TLS its SSL object) is the relay's; the PGconn stays behind as their owner.
 */
#ifndef STANDPIPE_IO_UPSTREAM_H
#define STANDPIPE_IO_UPSTREAM_H

#include <libpq-fe.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <uv.h>

#include "base/buffer.h"
#include "base/error.h"
#include "core/outcome.h"
#include "io/care.h"

/* A server that has let us in. */
struct upstream {
	PGconn *conn; /* owned; upstream_release closes it, and the socket */
	int fd;
	SSL *ssl; /* NULL: plain */
	struct buffer notices; /* owned: NoticeResponse for each that it gave at the login */
};

/* Of those the most that is kept, in bytes, but for the last. */
#define UPSTREAM_NOTICES_MAX 8192

void upstream_release(struct upstream *up);

/* The values that the server reported at login, for the names that libpq keeps: calls `each` for
 * every one that is set. */
void upstream_parameters(const struct upstream *up,
	void (*each)(void *context, const char *name, const char *value), void *context);

struct upstream_login;

struct upstream_events {
	/* The attempt is now in `stage`. */
	void (*stage)(void *context, enum stage stage);
	/* It ended; the login is freed afterwards. OUTCOME_OK: `up` is the receiver's to take
	 * (copied); else `error` says why, with stage, SQLSTATE and the server's text. */
	void (*done)(void *context, enum outcome outcome, const struct upstream *up,
		const struct error *error);
};

/* What to log in to, and how. */
struct upstream_target {
	const char *conninfo; /* libpq's URI or key=value */
	const char *password; /* in place of the conninfo's; NULL: that one */
	const char *origin; /* host:port, for errors */
	struct care care; /* where the conninfo says nothing of it */
	unsigned turn; /* of its places (io/places.h), the one to begin with */
	bool tcp_only; /* done when TCP, or the Unix socket, has connected: nothing has been said yet */
};

/* Begins. Copies the target; nothing is called from inside this call. */
struct upstream_login *upstream_start(uv_loop_t *loop, const struct upstream_target *target,
	const struct upstream_events *events, void *context);

/* Drops the socket and dials afresh, within the same login, beginning with the next place. */
void upstream_redial(struct upstream_login *login);

/* The socket that it dials with now, borrowed until the loop goes on; -1: there is none, or libpq
 * is at work on it. For looking at only. */
int upstream_fd(const struct upstream_login *login);

/* Is it under TLS by now? False while libpq is at work on it. */
bool upstream_is_encrypted(const struct upstream_login *login);

/* `done` will not be called any more. What is under way ends in the background. Returns the turn
 * that begins with the next place. */
unsigned upstream_abandon(struct upstream_login *login);

#endif
