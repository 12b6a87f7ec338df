/*
 * liveness - the platform's liveness probe of an instance that is up: without a 200 for
 * platform.liveness_failures times in a row it is killed, and comes back after its back-off.
 *
 * A service by itself is asked for platform.liveness_path on its own port, which is what a team
 * configures. One behind Standpipe is asked for /live on the admin port, as the README advises:
 * that answers whatever the database does.
 */
#ifndef STANDPIPE_LAB_LIVENESS_H
#define STANDPIPE_LAB_LIVENESS_H

#include <stdint.h>

struct instance;

/* It is up from `now` on. */
void liveness_begin(struct instance *at, uint64_t now);

/* Probes it if that is due. */
void liveness_watch(struct instance *at, uint64_t now);

#endif
