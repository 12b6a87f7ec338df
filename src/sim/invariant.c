#include "sim/invariant.h"

/* One in so many events is followed by a look at everything. */
static const int64_t all_every[] = {
	[SIM_CHECK_SOME] = 1000000, [SIM_CHECK_OFTEN] = 64, [SIM_CHECK_ALL] = 1};

static void check_phases(struct world *w, int instance, const struct startup *s)
{
	bool ended = false;

	for (enum phase phase = 0; phase < PHASE_COUNT; phase++) {
		enum phase_status status = s->phases[phase].status;
		if (ended && status != PHASE_PENDING && status != PHASE_SKIPPED)
			world_broken(w, instance, "phase %s is %s after a critical one failed",
				phase_name(phase), phase_status_name(status));
		ended = ended || (status == PHASE_FAILED && s->settings.critical[phase]);
	}
}

static void check_waits(struct world *w, int instance, const struct engine *e)
{
	const struct pool_group *g = &e->pool.groups[ENGINE_OWN];

	if (e->unfinished)
		return; /* the next step, which comes at once, goes on */
	if (g->waiting > 0 && g->idle > 0 && g->settings.hold == HOLD_NONE)
		world_broken(w, instance, "%d wait beside %d idle servers", g->waiting, g->idle);
	int64_t span_ns = engine_deadline_span(e, DEADLINE_POOL);
	for (int c = g->queue_first; c >= 0; c = e->pool.clients[c].next) {
		const struct pool_client *client = &e->pool.clients[c];
		if (client->patient)
			continue;
		if (instant_add(client->since, span_ns) < w->now)
			world_broken(w, instance, "client %d waits for %.3f s, allowed are %.3f s",
				c, s_from_ns(w->now - client->since), s_from_ns(span_ns));
		break;
	}
}

void invariant_gate(struct world *w, int instance, int servers_before)
{
	const struct engine *e = &w->fleet.list[instance].gate->engine;
	int servers = pool_servers(&e->pool);

	if (servers > e->budget.share && servers > servers_before)
		world_broken(w, instance, "%d server connections, its share is %d", servers,
			e->budget.share);
	int under_way = e->pool.connecting;
	if (e->connects.under_way != under_way || e->breaker.under_way != under_way ||
		e->breaker.probing > under_way)
		world_broken(w, instance,
			"attempts under way: %d by the pool, %d by the window, %d (%d probing) by "
			"the breaker",
			under_way, e->connects.under_way, e->breaker.under_way, e->breaker.probing);
	if (e->breaker.mode == BREAKER_AUTO &&
		(e->breaker.state == BREAKER_OPEN) != (e->breaker.until != INSTANT_NEVER))
		world_broken(w, instance, "the breaker is %s until %lld",
			breaker_state_name(e->breaker.state), (long long)e->breaker.until);
	check_waits(w, instance, e);
	if (w->settings->checks == SIM_CHECK_ALL || e->startup.failed)
		check_phases(w, instance, &e->startup);
}

/* What each gate knows of its servers is so. */
static void check_servers(struct world *w, int instance)
{
	const struct gate *g = w->fleet.list[instance].gate;

	for (int server = 0; server < g->memory.servers_max; server++) {
		int conn = g->conns[server];
		enum pool_server_state state = g->engine.pool.servers[server].state;
		if ((conn >= 0) != (state != SERVER_NONE)) {
			world_broken(
				w, instance, "server %d: the engine and the gate differ", server);
			continue;
		}
		if (conn < 0)
			continue;
		const struct conn *c = &w->conns.list[conn];
		if (c->orphan || c->instance != instance || c->id != server ||
			conn_is_up(c) != (state != SERVER_CONNECTING))
			world_broken(w, instance, "server %d: its connection is lost", server);
	}
}

/* Whoever wants an answer waits for a server or has one: nobody is forgotten. */
static void check_clients(struct world *w, int instance)
{
	const struct gate *g = w->fleet.list[instance].gate;

	for (int client = 0; client < g->clients + GATE_OWN_IDS; client++)
		if (gate_is_wanted(w, instance, client) &&
			g->engine.pool.clients[client].state == CLIENT_NONE)
			world_broken(w, instance, "client %d is forgotten", client);
}

static void check_conns(struct world *w)
{
	int flows = 0, backends = 0, sessions = 0, open = 0;

	for (int i = 0; i < w->conns.count; i++) {
		const struct conn *c = &w->conns.list[i];
		if (c->step == CONN_NONE)
			continue;
		open++;
		flows += c->machine >= 0;
		backends += c->backend;
		sessions += c->session;
	}
	const struct database *d = &w->database;
	if (open != w->conns.open || flows != w->connector.flows || backends != d->backends ||
		sessions != d->sessions)
		world_broken(w, -1,
			"counted %d connections, %d flows, %d backends, %d sessions; known are "
			"%d, %d, %d, %d",
			open, flows, backends, sessions, w->conns.open, w->connector.flows,
			d->backends, d->sessions);
}

/* Each request is with an instance, in a slot or in the queue, or its user waits for the next
 * try. */
static void check_requests(struct world *w)
{
	int used = 0, placed = 0;

	for (int i = 0; i < w->load.count; i++) {
		const struct request *r = &w->load.list[i];
		used += r->used;
		placed += r->used && (r->waits || r->instance < 0);
	}
	for (int i = 0; i < w->fleet.present; i++) {
		const struct service *s = &w->fleet.list[i].service;
		for (int slot = 0; slot < s->slots_max && s->slots; slot++)
			placed += s->slots[slot].request >= 0;
	}
	if (used != placed)
		world_broken(w, -1, "%d requests, of which %d are somewhere", used, placed);
}

void invariant_all(struct world *w)
{
	check_conns(w);
	check_requests(w);
	for (int i = 0; i < w->fleet.present; i++) {
		const struct instance *at = &w->fleet.list[i];
		bool runs = at->state == INSTANCE_STARTING || at->state == INSTANCE_READY;
		if (runs && at->gate) {
			check_servers(w, i);
			check_clients(w, i);
		}
	}
}

void invariant_world(struct world *w)
{
	const struct database *d = &w->database;

	if (w->connector.exists && w->connector.flows != w->connector.capacity.flows)
		world_broken(w, -1, "%d flows, the connector carries %d", w->connector.flows,
			w->connector.capacity.flows);
	if (d->sessions > d->backends || d->backends > d->max_connections || d->busy > d->cores)
		world_broken(w, -1, "%d sessions, %d backends of %d, %d cores busy of %d",
			d->sessions, d->backends, d->max_connections, d->busy, d->cores);
	if (w->events % all_every[w->settings->checks] == 0)
		invariant_all(w);
}
