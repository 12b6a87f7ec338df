/*
 * engine_breaker - the engine's part for the time while the breaker is not closed: it asks the path
 * when nothing else tells (core/probe.h), says when the next try is, and tells of every change.
 *
 * The path is asked while the breaker is open at run time; and, if it is monitored, when nothing
 * has connected for long. Not while the breaker is held open by hand, and not while the startup
 * goes on, when no pause is long.
 *
 * For engine.c alone; everyone else uses core/engine.h.
 */
#ifndef STANDPIPE_CORE_ENGINE_BREAKER_H
#define STANDPIPE_CORE_ENGINE_BREAKER_H

#include "core/engine.h"

/* Asks for a probe if one is due; closes a breaker that has nothing to decide. */
void engine_breaker_watch(struct engine *e, instant now, struct engine_actions *actions);

/* Notices of its changes since the last time, each one, in order. */
void engine_breaker_announce(struct engine *e, struct engine_actions *actions);

/* A probe ended. */
void engine_probed(struct engine *e, const struct path_attempt *how, instant now);

/* When engine_breaker_watch has something to do; INSTANT_NEVER: not until something changes. */
instant engine_breaker_deadline(const struct engine *e);

#endif
