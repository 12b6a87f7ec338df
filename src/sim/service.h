/*
 * service - what an instance runs: a pool of connections with the habits of examples/fastapi.
 *
 * It opens `warm` connections at its start, all at once, asks each something and checks the schema,
 * within one static timeout; if that fails it ends with code 3. Then it serves requests: each takes
 * a slot of its pool for one transaction, or waits for one. Behind Standpipe a slot's connection is
 * one to the gate, which is there at once; else it is one to the database.
 */
#ifndef STANDPIPE_SIM_SERVICE_H
#define STANDPIPE_SIM_SERVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/instant.h"
#include "core/outcome.h"

struct world;

enum service_state {
	SERVICE_OFF,
	SERVICE_LOADING, /* it does not ask for anything yet */
	SERVICE_WARMING, /* it opens its pool */
	SERVICE_CHECKING, /* it checks the schema */
	SERVICE_UP,
};

enum slot_state {
	SLOT_FREE, /* without a connection */
	SLOT_IDLE, /* with one */
	SLOT_TAKEN,
};

/* In place of a request: the service's own. */
#define REQUEST_NONE (-1)
#define REQUEST_OWN  (-2)

struct slot {
	int32_t request; /* that has taken it */
	int32_t conn; /* without Standpipe: its connection; -1: none */
	int32_t next; /* of those in the same state */
	uint8_t state; /* enum slot_state */
	bool done; /* answered, and held: REQUEST_OWN until all are, others for DB_HOLD */
};

struct service {
	enum service_state state;
	struct slot *slots; /* owned */
	int slots_max;
	int free, idle; /* first of those; -1: none */
	int open; /* with a connection, or on the way to one */
	int warm_left;
	int queue_first, queue_last; /* requests that wait for a slot; -1: none */
	int failures; /* of its liveness in a row */
};

void service_init(struct service *s, int slots);
void service_release(struct service *s);

/* It is started; it asks for the database after its own time. */
void service_start(struct world *w, int instance);
/* That time is over. */
void service_loaded(struct world *w, int instance);
/* The static timeout of its start is over. */
void service_late(struct world *w, int instance);

/* It ends, and its connections are closed. `alone`: its gate, if it has one, lives on. */
void service_stop(struct world *w, int instance, bool alone);

/* A request for it. It ends with load_request_done. */
void service_request(struct world *w, int instance, int request);
/* Its transaction is over for so long that it gives its slot back. */
void service_held(struct world *w, int request);
/* It has waited for a slot for as long as the pool lets it. */
void service_pool_timeout(struct world *w, int request);

/* Behind Standpipe: the slot's transaction is over, or was turned away or lost. */
void service_slot_done(struct world *w, int instance, int slot, bool ok);

/* Without: of its connections: sim/owner.h. */
void service_conn_opened(struct world *w, int instance, int slot);
void service_conn_failed(struct world *w, int instance, int slot, enum outcome outcome);
void service_conn_lost(struct world *w, int instance, int slot, enum outcome outcome);
void service_conn_answered(struct world *w, int instance, int slot);
/* The driver's patience with a connect is over, if it still is one. */
void service_conn_late(struct world *w, int conn);

#endif
