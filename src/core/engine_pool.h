/*
 * engine_pool - the engine's part that opens, gives and closes server connections.
 *
 * Groups share one budget, so one group's wish may be another's loss. The rules:
 *
 *   - Within a group, the order is core/engine_queue's: first come, first served, as long as it can.
 *   - A group in which somebody waits and that has no server gets one at once, and when there is no
 *     room, the one idle for the longest of another group is closed for it: one that its group is
 *     not to keep, if there is such a one.
 *   - A group that has servers gets another when its queue stands (core/standing.h), and room is
 *     made for it only by one that has been idle for an interval and that its group is not to keep.
 *   - If all are busy, the first to be given back goes to a group that has none, once that has
 *     waited for an interval and its first client has waited longer than the other's.
 *   - What groups are to keep is opened while there is room, and no room is made for it.
 *
 * For engine.c alone; everyone else uses core/engine.h.
 */
#ifndef STANDPIPE_CORE_ENGINE_POOL_H
#define STANDPIPE_CORE_ENGINE_POOL_H

#include "core/engine.h"

/* Each of these may be repeated: what found no room among the actions is found again. */
void engine_assign(struct engine *e, instant now, struct engine_actions *actions);
void engine_open_servers(struct engine *e, instant now, struct engine_actions *actions);
/* An attempt though the breaker is open, to find out whether it need be. False: there is no place
 * for one. */
bool engine_open_probe(struct engine *e, instant now, struct engine_actions *actions);
/* Closes what is idle and too old, or idle for too long and not to be kept. */
/* Something has happened that may make one of them so: they are looked at within a second. */
void engine_sweep_soon(struct engine *e, instant now);
void engine_sweep(struct engine *e, instant now, struct engine_actions *actions);

/* From when on another server is wanted, whether or not it may be tried then; INSTANT_NEVER: not
 * until something changes. */
instant engine_wants_server_at(const struct engine *e);

/* The database is wanted, its phase has been reached, and the program is not about to end. */
bool engine_may_connect(const struct engine *e);

/* The number of servers is another one now. */
void engine_connections_changed(struct engine *e, instant now);

#endif
