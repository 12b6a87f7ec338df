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
#include "gate/log.h"
#include "gate/settings.h"
#include "io/tls.h"

struct auth {
	const struct auth_settings *settings; /* borrowed */
	struct log *log; /* borrowed */
	struct tls tls;
};

void auth_init(struct auth *a, const struct auth_settings *settings, struct log *log);

/* Reads the files. 0, or -1 with `error`: nothing to begin with. */
int auth_load(struct auth *a, struct error *error);

/* Reads the files again, as `settings` (borrowed from now on) names them. Sessions go on as they are.
 * 0, or -1 with `error`, which has been logged, too: what could be read is in force. */
int auth_reload(struct auth *a, const struct auth_settings *settings, struct error *error);

void auth_release(struct auth *a);

/* May a client have TLS? Then tls_accept(&a->tls, ...) does it. */
bool auth_has_tls(const struct auth *a);

#endif
