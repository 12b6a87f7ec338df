/* The gate's light probe of the path. */
#include <assert.h>

#include "sim/gate.h"
#include "sim/world.h"

void gate_probe(struct world *w, int instance, const struct engine_action *a)
{
	struct gate *g = instance_at(w, instance)->gate;

	assert(g->probe < 0);
	g->probe_began_at = w->now;
	g->probe_connected_at = -1;
	g->probe = conn_probe(w, instance, a->asks);
	world_put(w, OCC_PROBE_LATE, g->probe, w->conns.list[g->probe].serial,
		w->now + a->timeout_ns);
}

void gate_probe_connected(struct world *w, int instance)
{
	instance_at(w, instance)->gate->probe_connected_at = w->now;
}

void gate_probed(struct world *w, int instance, enum outcome outcome)
{
	struct gate *g = instance_at(w, instance)->gate;
	bool connected = g->probe_connected_at >= 0;
	instant tcp_at = connected ? g->probe_connected_at : w->now;

	g->probe = -1;
	gate_tell(w, instance,
		(struct engine_event){.kind = EVENT_PROBED,
			.probe = {
				.stage_ns = {[STAGE_TCP] = tcp_at - g->probe_began_at,
					[STAGE_TLS] = w->now - tcp_at},
				.stage = g->engine.probe.asks && connected ? STAGE_TLS : STAGE_TCP,
				.outcome = outcome,
			}});
}

void gate_probe_late(struct world *w, int conn)
{
	int instance = w->conns.list[conn].instance;

	conn_close(w, conn);
	gate_probed(w, instance, OUTCOME_TIMEOUT);
}
