/*
 * target - the places in a check's target that only the gate can fill in.
 *
 *   $PORT   the port on which the command itself listens: the relay's other side where the door
 *           relays, else the door's own
 */
#ifndef STANDPIPE_GATE_TARGET_H
#define STANDPIPE_GATE_TARGET_H

#include "base/error.h"
#include "gate/settings.h"

#define TARGET_MAX 4096

/* Writes `target` with its places filled in. A port that is not known yet becomes 1, so that the
 * form can be checked. 0, or -1 with `error` if it does not fit into TARGET_MAX. */
int target_expand(const struct gate_settings *settings, const char *target, char out[TARGET_MAX],
	struct error *error);

#endif
