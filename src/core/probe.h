/*
 * probe - when the path is to be asked lightly, because nothing else tells.
 *
 * While the breaker is open nobody connects, so nothing tells that the path is well again: its time
 * would have to pass blindly. A light probe is cheap enough to ask meanwhile: a TCP connect and an
 * SSLRequest, to which PostgreSQL answers one byte (protocol documentation, 55.2.10) before it
 * knows who asks: it costs the server a fork and no login. It says nothing of whether there is room
 * for a login, so it only brings the next attempt forward, which decides.
 *
 * Where the host itself answered that nothing listens, or the server that it is not ready, a login
 * is the probe (engine_breaker.c): it asks no more of the path, and leaves a connection behind. On
 * a path that begins few connections a second that halves what a fleet needs to be back.
 *
 * The time between two is a tenth of the time that the breaker has not been closed, within bounds:
 * what is found out late is so by a share of the outage, however long it is, and a fleet asks the
 * less the longer nothing answers. It is jittered over half to one and a half of it, or a fleet
 * whose breakers opened together would ask together.
 *
 * When nothing at all connects (a pool that is content with what it has), what is known of the path
 * ages. After idle_ns of that TCP alone is asked: a connect that is closed again.
 */
#ifndef STANDPIPE_CORE_PROBE_H
#define STANDPIPE_CORE_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/instant.h"
#include "base/random.h"
#include "core/path.h"

#define PROBE_SHARE 10 /* of the time since the breaker opened */

struct probe_settings {
	int64_t interval_ns; /* while the breaker is open, at first; 0: never */
	int64_t interval_max_ns; /* what that grows to; less than interval_ns: it does not grow */
	int64_t idle_ns; /* without news of the path while all is well; 0: never */
	int64_t timeout_ns; /* an answer that takes longer is none */
};

struct probe {
	struct probe_settings settings;
	bool under_way;
	bool asks; /* the one under way, or the last: for a byte, not for TCP alone */
	instant since; /* the breaker has not been closed; -1: it is */
	instant open_at, idle_at; /* the next, while the breaker is open or closed; INSTANT_NEVER */
	instant began_at, ended_at; /* of the last; -1: none */
	struct path_attempt last; /* how that went; ended at STAGE_TCP or, if it asks, STAGE_TLS */
	int64_t ended[OUTCOME_COUNT];
};

void probe_init(
	struct probe *p, const struct probe_settings *settings, instant now, struct random *random);
void probe_configure(
	struct probe *p, const struct probe_settings *settings, instant now, struct random *random);

/* Something was heard of the path, by an attempt or a probe: the next need not be asked so soon.
 * `closed`: the breaker is now. */
void probe_told(struct probe *p, bool closed, instant now, struct random *random);

void probe_begin(struct probe *p, bool asks, instant now);
void probe_end(struct probe *p, const struct path_attempt *how, instant now, struct random *random);

#endif
