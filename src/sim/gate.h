/*
 * gate - an instance's Standpipe: the real engine, driven as gate/hub.c does it, and the work of
 * the seven phases as gate/phases.c does it.
 *
 * Clients of the engine are the slots of the service's pool, by their number, and behind them two
 * ids for the phases' own questions.
 */
#ifndef STANDPIPE_SIM_GATE_H
#define STANDPIPE_SIM_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/engine.h"

struct world;

#define GATE_OWN_IDS 2

struct gate {
	struct engine engine;
	struct engine_memory memory; /* in one block with this */
	int32_t *conns; /* by server id; -1: none */
	enum phase phase; /* being worked on; PHASE_COUNT: none */
	int probe; /* connection that asks the path; -1: none */
	instant probe_began_at, probe_connected_at;
	int inquiry; /* the client that asks for the phase; -1: nobody does */
	int clients; /* the service's; the gate's own ids follow */
	int64_t bytes; /* that came over the path since they were last told */
};

/* The most events that one step of the engine leads to. */
#define GATE_TOLD_MAX 256

struct gate_told {
	struct engine_event events[GATE_TOLD_MAX]; /* a ring */
	int first, count;
	bool stepping;
	int exit_code; /* -1: none; the instance ends after the step */
};

/* Where the gates of a fleet are, side by side: thousands of engines are far more than caches hold,
 * and on huge pages (where the system gives them) a sixth of the time is saved. */
struct gates {
	const struct engine_settings *settings; /* borrowed */
	int clients; /* of each */
	size_t stride;
	char *memory; /* owned */
};

void gates_init(struct gates *all, const struct engine_settings *settings, int clients, int count);
void gates_release(struct gates *all);

/* The one at its place, to be started. */
struct gate *gate_init(struct gates *all, int place);

/* A start of the instance: all over again, and EVENT_START. */
void gate_start(struct world *w, int instance);

/* The instance ends: its connections are closed. */
void gate_stop(struct world *w, int instance);

void gate_tell(struct world *w, int instance, struct engine_event event);

/* A time that the engine wanted to be told of. */
void gate_tick(struct world *w, int instance);

/* The phase's work is tried again, or its check passes. */
void gate_phase_again(struct world *w, int instance);

/* Does a client of the engine, one of the service's or of the phases', still want its answer? */
bool gate_is_wanted(const struct world *w, int instance, int client);

/* A second is over: the engine is told what came over the path in it. */
void gate_second(struct world *w, int instance);

/* The service has ended with a code, or is up. */
void gate_service_exited(struct world *w, int instance, int code);
void gate_service_up(struct world *w, int instance);

/* The engine wants the path to be asked. Of the connection that asks: it is past TCP; it has
 * ended. */
void gate_probe(struct world *w, int instance, const struct engine_action *a);
void gate_probe_connected(struct world *w, int instance);
void gate_probed(struct world *w, int instance, enum outcome outcome);
/* The probe's time is over. */
void gate_probe_late(struct world *w, int conn);

/* Of its connections: sim/owner.h. */
void gate_conn_opened(struct world *w, int instance, int id);
void gate_conn_failed(struct world *w, int instance, int id, enum outcome outcome);
void gate_conn_lost(struct world *w, int instance, int id, enum outcome outcome, bool unused);
void gate_conn_answered(struct world *w, int instance, int id);
void gate_conn_stage(struct world *w, int instance, int id, enum stage stage);

#endif
