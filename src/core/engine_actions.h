/*
 * engine_actions - putting actions on the list, for the engine's own files alone.
 */
#ifndef STANDPIPE_CORE_ENGINE_ACTIONS_H
#define STANDPIPE_CORE_ENGINE_ACTIONS_H

#include <assert.h>

#include "core/engine.h"

/* For `count` more. What finds no room is found again by the next step. */
static inline bool has_room(struct engine *e, const struct engine_actions *actions, int count)
{
	if (actions->count + count <= ENGINE_ACTIONS_MAX)
		return true;
	e->unfinished = true;
	return false;
}

static inline struct engine_action *act(
	struct engine_actions *actions, enum engine_action_kind kind)
{
	assert(actions->count < ENGINE_ACTIONS_MAX);
	struct engine_action *a = &actions->list[actions->count++];
	*a = (struct engine_action){.kind = kind, .server = POOL_NOBODY, .client = POOL_NOBODY};
	return a;
}

static inline struct engine_action *notice(
	struct engine_actions *actions, enum engine_notice what, enum phase phase, int from, int to)
{
	struct engine_action *a = act(actions, ACTION_NOTICE);
	a->notice = what;
	a->phase = phase;
	a->from = from;
	a->to = to;
	return a;
}

#endif
