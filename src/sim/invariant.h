/*
 * invariant - what must hold after every event, whatever the scenario.
 *
 * Of the instance that something happened to, always:
 *   - it has no more server connections than its share, or than before;
 *   - its attempts agree in pool, window and breaker;
 *   - nobody waits who could be served, or longer than is allowed;
 *   - nothing comes after a critical phase that failed;
 * and of the world: no flow, place or request is lost, and time does not go back. What takes a look
 * at all connections is checked when all is to be, else now and then.
 */
#ifndef STANDPIPE_SIM_INVARIANT_H
#define STANDPIPE_SIM_INVARIANT_H

#include "sim/world.h"

/* After a step of the instance's engine. */
void invariant_gate(struct world *w, int instance, int servers_before);

/* After an event. */
void invariant_world(struct world *w);

/* All connections, all instances. */
void invariant_all(struct world *w);

#endif
