/*
 * light_probe - does a database's server answer? Without a login.
 *
 * A TCP connect by libpq, so that hosts, ports, Unix sockets and defaults are those of a login; and
 * if it is to ask, an SSLRequest, to which PostgreSQL answers one byte, S or N, whether or not it
 * would let anybody in. A server that has TLS notes in its log that the handshake did not follow
 * ("could not accept SSL connection: EOF detected"); one that is not asked notes nothing.
 *
 * A handshake that gets no answer is dialled afresh, beginning with the next place (io/places.h).
 */
#ifndef STANDPIPE_IO_LIGHT_PROBE_H
#define STANDPIPE_IO_LIGHT_PROBE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/error.h"
#include "core/path.h"

/* So often it dials at most, in equal parts of its time. */
#define LIGHT_PROBE_DIALS 3

struct light_probe_target {
	const char *conninfo; /* libpq's */
	const char *origin; /* host:port, for errors */
	bool asks; /* for the byte; else the connect is all */
	int64_t timeout_ns;
	unsigned turn; /* of its places, the one to begin with */
};

/* It ended; the probe is freed afterwards. `how` has the times of STAGE_DNS, STAGE_TCP and
 * STAGE_TLS (until the byte), and the stage that it ended in; `error` says why it failed, NULL if
 * it did not. `turn`: the place that it ended at. */
typedef void light_probe_done(
	void *context, const struct path_attempt *how, unsigned turn, const struct error *error);

struct light_probe;

/* Begins. Copies the target; nothing is called from inside this call. */
struct light_probe *light_probe_start(uv_loop_t *loop, const struct light_probe_target *target,
	light_probe_done *done, void *context);

/* `done` will not be called any more. */
void light_probe_cancel(struct light_probe *p);

#endif
