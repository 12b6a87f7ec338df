/*
 * ports - free TCP ports of this machine, from below the range that the kernel gives to outgoing
 * connections: with hundreds of those, a port from their range is taken again before it is used.
 */
#ifndef STANDPIPE_LAB_PORTS_H
#define STANDPIPE_LAB_PORTS_H

#include <stdint.h>

#include "base/error.h"
#include "base/random.h"

/* `count` different ports on which nothing listens now. 0, or -1 with `error`. */
int ports_pick(struct random *random, uint16_t *ports, int count, struct error *error);

#endif
