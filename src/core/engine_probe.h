/*
 * engine_probe - the engine's part that asks the path when nothing else tells (core/probe.h).
 *
 * While the breaker is open at run time; and, if the path is monitored, when nothing has connected for
 * long. Not while it is held open by hand, and not while the startup goes on, when no pause is long.
 *
 * For engine.c alone; everyone else uses core/engine.h.
 */
#ifndef STANDPIPE_CORE_ENGINE_PROBE_H
#define STANDPIPE_CORE_ENGINE_PROBE_H

#include "core/engine.h"

/* Asks for a probe if one is due. */
void engine_probe(struct engine *e, instant now, struct engine_actions *actions);

/* It ended. */
void engine_probed(struct engine *e, const struct path_attempt *how, instant now);

/* When the next is due; INSTANT_NEVER: not until something changes, or one is under way. */
instant engine_probe_at(const struct engine *e);

/* While the breaker is open: when a probe may say that it need not be. */
instant engine_probe_tells_at(const struct engine *e);

#endif
