/*
 * engine_announce - the engine's part that tells what has changed: phases, and the states of path,
 * breaker and database. Each change is told once; what found no room among the actions is told by
 * the next step.
 *
 * For engine.c alone; everyone else uses core/engine.h.
 */
#ifndef STANDPIPE_CORE_ENGINE_ANNOUNCE_H
#define STANDPIPE_CORE_ENGINE_ANNOUNCE_H

#include "core/engine.h"

/* What became of phases, and the work of the one that begins. */
void engine_announce_phases(struct engine *e, struct engine_actions *actions);

void engine_announce_states(struct engine *e, struct engine_actions *actions);

#endif
