/*
 * owner - who a connection belongs to: the gate of an instance, by the server's id in its engine,
 * or, where there is no Standpipe, the pool of its service, by the slot.
 */
#ifndef STANDPIPE_SIM_OWNER_H
#define STANDPIPE_SIM_OWNER_H

#include <stdbool.h>

#include "core/outcome.h"

struct world;

void owner_conn_stage(struct world *w, int instance, int id, enum stage stage);
/* It is IDLE. */
void owner_conn_opened(struct world *w, int instance, int id);
/* It is no more: it did not come to be, */
void owner_conn_failed(struct world *w, int instance, int id, enum outcome outcome);
/* or it was cut; `unused`: nothing was asked of it since it was given out. */
void owner_conn_lost(struct world *w, int instance, int id, enum outcome outcome, bool unused);
/* Its transaction is over; it is IDLE. */
void owner_conn_answered(struct world *w, int instance, int id);

#endif
