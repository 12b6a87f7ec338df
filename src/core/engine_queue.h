/*
 * engine_queue - the engine's part that looks after those who wait: in what order they are served,
 * how long they may wait, and who is turned away (core/backlog has the rules).
 *
 * For engine.c and engine_pool.c alone; everyone else uses core/engine.h.
 */
#ifndef STANDPIPE_CORE_ENGINE_QUEUE_H
#define STANDPIPE_CORE_ENGINE_QUEUE_H

#include "core/engine.h"

/* A client is about to wait in it. */
void engine_queue_begins(struct engine *e, int group, instant now);

/* One of its servers was given back. */
void engine_queue_released(struct engine *e, int group, instant now);

/* Somebody who waits is to be given a server: the newest? */
bool engine_queue_serves(struct engine *e, int group, instant now);

/* `client`, which has just come and been given nothing, may learn at once that it would be in
 * vain. */
void engine_queue_arrived(
	struct engine *e, int client, instant now, struct engine_actions *actions);

/* May be repeated: who found no room among the actions is found again. */
void engine_turn_away(struct engine *e, instant now, struct engine_actions *actions);

/* How long a client of the group may wait now, in ns. */
int64_t engine_queue_patience(const struct engine *e, int group);

/* When the first who waits is to be turned away. */
instant engine_queues_deadline(const struct engine *e);

#endif
