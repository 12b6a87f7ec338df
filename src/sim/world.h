/*
 * world - an arm in virtual time: all parts, the queue of what is still to happen, and the seed
 * that all is drawn from. One thread, no I/O; the same seed gives the same world.
 */
#ifndef STANDPIPE_SIM_WORLD_H
#define STANDPIPE_SIM_WORLD_H

#include "base/error.h"
#include "base/random.h"
#include "report/result.h"
#include "scenario/scenario.h"
#include "sim/agenda.h"
#include "sim/conn.h"
#include "sim/connector.h"
#include "sim/database.h"
#include "sim/faults.h"
#include "sim/gate.h"
#include "sim/habits.h"
#include "sim/instance.h"
#include "sim/load.h"
#include "sim/measure.h"
#include "sim/owner.h"
#include "sim/service.h"
#include "sim/sim.h"

enum occurrence_kind {
	/* Of an instance: */
	OCC_BEGIN, /* its turn to be started */
	OCC_TICK, /* its engine's deadline */
	OCC_PHASE, /* its phase's work is tried again */
	OCC_LOADED, /* the service asks for its database */
	OCC_LATE, /* the service's start has taken too long */
	OCC_PROBED, /* a probe sees it ready */
	OCC_PROBE_TIMEOUT,
	OCC_LIVENESS,
	OCC_KILL,
	OCC_CONN_LATE, /* of a connection: the driver's patience is over */
	OCC_PROBE_LATE, /* of a connection that asks the path only: the gate's is */
	OCC_CONN, /* of a connection: its next step */
	OCC_WORKED, /* of a connection: a core has finished */
	OCC_ARRIVAL,
	OCC_AGAIN, /* of a request: its user tries again */
	OCC_USER_TIMEOUT,
	OCC_HELD, /* of a request: it gives its slot back */
	OCC_POOL_TIMEOUT, /* of a request: it has waited for a slot for too long */
	OCC_RECOVERED, /* the database takes sessions again */
	OCC_FAULT_BEGINS,
	OCC_FAULT_ENDS,
	OCC_SAMPLE,
	OCC_SECOND, /* of the load is over */
	OCC_KINDS,
};

/* What each stream of random numbers is for. */
enum stream {
	STREAM_ENGINE,
	STREAM_FLEET,
	STREAM_ARRIVALS,
	STREAM_CHOICES,
	STREAM_PATH,
};

struct world {
	const struct scenario *scenario; /* borrowed, as the next ones */
	const struct scenario_arm *arm;
	const struct sim_settings *settings;
	struct result *result;
	uint64_t seed;
	bool alone; /* no faults and no load: what the bound is made of */
	instant now, until;
	int64_t events;
	struct agenda agenda;
	struct random random; /* of the fleet: start times, warm-ups */
	struct habits habits;
	struct connector connector;
	struct database database;
	struct conns conns;
	struct fleet fleet;
	struct load load;
	struct measure measure;
	struct gate_told told;
	struct error broken; /* the first invariant that does not hold */
};

/* What is pointed to is borrowed until world_release. `alone`: without load and faults. */
void world_init(struct world *w, const struct scenario *s, const struct scenario_arm *arm,
	const struct sim_settings *settings, uint64_t seed, bool alone, struct result *result);

/* All that happens until `until`; less if all has settled, or an invariant was broken. */
void world_play(struct world *w, instant until);

void world_release(struct world *w);

static inline void world_put(
	struct world *w, enum occurrence_kind kind, int subject, uint32_t serial, instant at)
{
	agenda_put(&w->agenda, (struct occurrence){at, (uint32_t)kind, subject, serial});
}

/* The first of since, since + interval, since + 2 x interval ... that is not over. */
instant world_next(const struct world *w, instant since, int64_t interval_ns);

/* One that does not hold ends the run. */
__attribute__((format(printf, 3, 4))) void world_broken(
	struct world *w, int instance, const char *format, ...);

/* A seed for a part of the world, from the world's. */
uint64_t world_seed(const struct world *w, enum stream stream, uint64_t number);

#endif
