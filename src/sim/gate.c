#include "sim/gate.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "sim/invariant.h"
#include "sim/world.h"

/* The database's work for one of the gate's own questions. */
#define QUESTION_NS NS_PER_MS

static struct gate *gate_at(struct world *w, int instance)
{
	return instance_at(w, instance)->gate;
}

/* ---- memory ---- */

#define CACHE_LINE 64
#define HUGE_PAGE  ((size_t)2 << 20)

static int servers_of(const struct engine_settings *settings)
{
	int servers = settings->budget.pool_size + settings->budget.pool_overflow;

	return servers < 1 ? 1 : servers;
}

void gates_init(struct gates *all, const struct engine_settings *settings, int clients, int count)
{
	const struct engine_memory *m;
	size_t servers = (size_t)servers_of(settings);

	all->settings = settings;
	all->clients = clients;
	all->stride = sizeof(struct gate) +
		      servers * (sizeof *m->servers + sizeof *m->attempts + sizeof(int32_t)) +
		      (size_t)(clients + GATE_OWN_IDS) * sizeof *m->clients +
		      sizeof *m->pool_groups + sizeof *m->groups;
	all->stride = (all->stride + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
	size_t size = all->stride * (size_t)count;
	bool huge = size >= HUGE_PAGE;
	size_t unit = huge ? HUGE_PAGE : CACHE_LINE;
	size = (size + unit - 1) / unit * unit;
	all->memory = aligned_alloc(unit, size);
	if (!all->memory)
		abort();
	if (huge)
		madvise(all->memory, size, MADV_HUGEPAGE); /* or not: it is only slower */
}

void gates_release(struct gates *all)
{
	free(all->memory);
	all->memory = NULL;
}

struct gate *gate_init(struct gates *all, int place)
{
	struct gate *g = (struct gate *)(all->memory + all->stride * (size_t)place);
	size_t servers = (size_t)servers_of(all->settings);
	struct engine_memory m = {
		.servers_max = (int)servers,
		.clients_max = all->clients + GATE_OWN_IDS,
		.groups_max = 1,
	};

	memset(g, 0, all->stride);
	m.servers = (struct pool_server *)(g + 1);
	m.attempts = (struct engine_attempt *)(m.servers + servers);
	m.clients = (struct pool_client *)(m.attempts + servers);
	m.groups = (struct engine_group *)(m.clients + m.clients_max);
	m.pool_groups = (struct pool_group *)(m.groups + 1);
	g->conns = (int32_t *)(m.pool_groups + 1);
	g->memory = m;
	g->clients = all->clients;
	return g;
}

/* ---- stepping ---- */

static void begin_phase(struct world *w, int instance, enum phase phase);
static void cancel_phase(struct world *w, int instance);

static void ask_later(struct world *w, int instance)
{
	world_put(w, OCC_PHASE, instance, instance_at(w, instance)->phase_serial,
		w->now + w->settings->check_interval_ns);
}

static void connect_server(struct world *w, int instance, int server)
{
	struct gate *g = gate_at(w, instance);

	assert(g->conns[server] < 0);
	g->conns[server] = conn_open(w, instance, server);
	/* Names are resolved in no time. */
	gate_conn_stage(w, instance, server, STAGE_TCP);
}

static void close_server(struct world *w, int instance, int server)
{
	struct gate *g = gate_at(w, instance);

	assert(g->conns[server] >= 0);
	conn_close(w, g->conns[server]);
	g->conns[server] = -1;
}

bool gate_is_wanted(const struct world *w, int instance, int client)
{
	const struct gate *g = w->fleet.list[instance].gate;

	if (client >= g->clients)
		return client == g->inquiry;
	const struct slot *slot = &w->fleet.list[instance].service.slots[client];
	return slot->state == SLOT_TAKEN && slot->request != REQUEST_NONE && !slot->done;
}

static void assign(struct world *w, int instance, const struct engine_action *a)
{
	struct gate *g = gate_at(w, instance);

	if (!gate_is_wanted(w, instance, a->client)) {
		/* It left while the engine decided. */
		gate_tell(w, instance,
			(struct engine_event){.kind = EVENT_SERVER_RELEASED, .server = a->server});
		return;
	}
	bool own = a->client >= g->clients;
	const struct scenario_load *load = &w->scenario->load;
	if (own || w->fleet.list[instance].service.state != SERVICE_UP)
		conn_ask(w, g->conns[a->server], QUESTION_NS, 0, a->ping);
	else
		conn_ask(w, g->conns[a->server], load->transaction_ns, load->bytes, a->ping);
}

void gate_second(struct world *w, int instance)
{
	struct gate *g = gate_at(w, instance);

	gate_tell(w, instance,
		(struct engine_event){.kind = EVENT_THROUGHPUT, .bit_s = 8.0 * (double)g->bytes});
	g->bytes = 0;
}

/* What a client asked for has come to nothing. */
static void client_failed(struct world *w, int instance, int client)
{
	struct gate *g = gate_at(w, instance);

	if (!gate_is_wanted(w, instance, client))
		return;
	if (client < g->clients) {
		service_slot_done(w, instance, client, false);
		return;
	}
	g->inquiry = -1;
	ask_later(w, instance);
}

static void take_notice(struct world *w, int instance, const struct engine_action *a)
{
	if (a->notice == NOTICE_STARTED && instance_at(w, instance)->service.state == SERVICE_UP)
		instance_answers(w, instance);
}

static void carry_out(struct world *w, int instance, const struct engine_action *a)
{
	switch (a->kind) {
	case ACTION_PHASE_BEGIN:
		begin_phase(w, instance, a->phase);
		break;
	case ACTION_PHASE_CANCEL:
		cancel_phase(w, instance);
		break;
	case ACTION_CONNECT:
		connect_server(w, instance, a->server);
		break;
	case ACTION_REDIAL:
		conn_redial(w, gate_at(w, instance)->conns[a->server]);
		gate_conn_stage(w, instance, a->server, STAGE_TCP);
		break;
	case ACTION_ABANDON:
	case ACTION_CLOSE:
		close_server(w, instance, a->server);
		break;
	case ACTION_ASSIGN:
		assign(w, instance, a);
		break;
	case ACTION_REJECT:
		client_failed(w, instance, a->client);
		break;
	case ACTION_PROBE:
		gate_probe(w, instance, a);
		break;
	case ACTION_NOTICE:
		take_notice(w, instance, a);
		break;
	case ACTION_EXIT:
		w->told.exit_code = a->code;
		break;
	}
}

static void step(struct world *w, int instance, const struct engine_event *event)
{
	struct gate *g = gate_at(w, instance);
	int before = pool_servers(&g->engine.pool);
	struct engine_actions actions;

	engine_step(&g->engine, event, &actions);
	for (int i = 0; i < actions.count; i++)
		carry_out(w, instance, &actions.list[i]);
	invariant_gate(w, instance, before);
}

/* The timer fires at the first time that was asked for; a later one is looked at then. */
static void set_timer(struct world *w, int instance)
{
	struct instance *i = instance_at(w, instance);
	instant at = engine_deadline(&i->gate->engine);

	if (at >= i->timer_at)
		return;
	i->timer_at = instant_max(at, w->now);
	world_put(w, OCC_TICK, instance, 0, i->timer_at);
}

void gate_tell(struct world *w, int instance, struct engine_event event)
{
	struct gate_told *told = &w->told;

	event.now = w->now;
	if (told->stepping) {
		assert(told->count < GATE_TOLD_MAX);
		told->events[(told->first + told->count++) % GATE_TOLD_MAX] = event;
		return;
	}
	told->stepping = true;
	told->exit_code = -1;
	step(w, instance, &event);
	while (told->count > 0) {
		struct engine_event next = told->events[told->first];
		told->first = (told->first + 1) % GATE_TOLD_MAX;
		told->count--;
		step(w, instance, &next);
	}
	told->stepping = false;
	if (told->exit_code >= 0)
		instance_ended(w, instance, told->exit_code);
	else
		set_timer(w, instance);
}

void gate_tick(struct world *w, int instance)
{
	struct gate *g = gate_at(w, instance);

	instance_at(w, instance)->timer_at = INSTANT_NEVER;
	if (engine_deadline(&g->engine) <= w->now)
		gate_tell(w, instance, (struct engine_event){.kind = EVENT_TICK});
	else
		set_timer(w, instance);
}

/* ---- phases ---- */

static void phase_done(struct world *w, int instance)
{
	struct gate *g = gate_at(w, instance);
	enum phase phase = g->phase;

	g->phase = PHASE_COUNT;
	instance_at(w, instance)->phase_serial++;
	gate_tell(w, instance,
		(struct engine_event){.kind = EVENT_PHASE_DONE, .phase = phase, .ok = true});
}

/* A question of the gate's own: the database phase's is patient, the last check's is a client as
 * any other. */
static void inquire(struct world *w, int instance)
{
	struct gate *g = gate_at(w, instance);
	bool patient = g->phase == PHASE_DATABASE;

	g->inquiry = g->clients + !patient;
	if (g->engine.pool.clients[g->inquiry].state != CLIENT_NONE) {
		/* The one before is still being answered. */
		g->inquiry = -1;
		ask_later(w, instance);
		return;
	}
	gate_tell(w, instance,
		(struct engine_event){
			.kind = EVENT_CLIENT_WAITS, .client = g->inquiry, .patient = patient});
}

static void inquiry_answered(struct world *w, int instance)
{
	struct gate *g = gate_at(w, instance);
	const struct database *d = &w->database;

	g->inquiry = -1;
	if (g->phase == PHASE_DATABASE) {
		gate_tell(w, instance,
			(struct engine_event){.kind = EVENT_SERVER_LIMITS,
				.limits = {d->max_connections, d->superuser_reserved, 0,
					d->sessions}});
		gate_tell(w, instance,
			(struct engine_event){.kind = EVENT_PHASE_STEP, .phase = PHASE_DATABASE});
	}
	if (g->phase != PHASE_COUNT)
		phase_done(w, instance);
}

static void begin_phase(struct world *w, int instance, enum phase phase)
{
	struct gate *g = gate_at(w, instance);

	g->phase = phase;
	instance_at(w, instance)->phase_serial++;
	switch (phase) {
	case PHASE_DATABASE:
	case PHASE_FINALIZE:
		inquire(w, instance);
		break;
	case PHASE_SERVICES:
		service_start(w, instance);
		if (!w->settings->waits_for_ready)
			phase_done(w, instance);
		break;
	case PHASE_INIT:
	case PHASE_DEPENDENCIES:
	case PHASE_CACHE:
	case PHASE_WEBSOCKET:
	case PHASE_COUNT:
		phase_done(w, instance);
		break;
	}
}

static void cancel_phase(struct world *w, int instance)
{
	struct gate *g = gate_at(w, instance);
	int inquiry = g->inquiry;

	g->phase = PHASE_COUNT;
	instance_at(w, instance)->phase_serial++;
	g->inquiry = -1;
	if (inquiry >= 0)
		gate_tell(w, instance,
			(struct engine_event){.kind = EVENT_CLIENT_LEFT, .client = inquiry});
}

void gate_phase_again(struct world *w, int instance)
{
	struct gate *g = gate_at(w, instance);

	if (g->phase == PHASE_SERVICES)
		phase_done(w, instance);
	else if (g->phase != PHASE_COUNT)
		inquire(w, instance);
}

void gate_service_exited(struct world *w, int instance, int code)
{
	gate_tell(w, instance, (struct engine_event){.kind = EVENT_COMMAND_EXITED, .code = code});
}

void gate_service_up(struct world *w, int instance)
{
	struct gate *g = gate_at(w, instance);

	if (g->phase == PHASE_SERVICES)
		/* The next check sees it. */
		world_put(w, OCC_PHASE, instance, instance_at(w, instance)->phase_serial,
			world_next(w, g->engine.startup.phases[PHASE_SERVICES].began_at,
				w->settings->check_interval_ns));
	else if (g->engine.started_noticed)
		instance_answers(w, instance);
}

/* ---- starts and ends ---- */

void gate_start(struct world *w, int instance)
{
	struct gate *g = gate_at(w, instance);
	const struct engine_memory *m = &g->memory;
	uint64_t number = (uint64_t)instance << 32 | instance_at(w, instance)->serial;

	memset(m->servers, 0, (size_t)m->servers_max * sizeof *m->servers);
	memset(m->attempts, 0, (size_t)m->servers_max * sizeof *m->attempts);
	memset(m->clients, 0, (size_t)m->clients_max * sizeof *m->clients);
	memset(m->pool_groups, 0, sizeof *m->pool_groups);
	memset(m->groups, 0, sizeof *m->groups);
	for (int server = 0; server < m->servers_max; server++)
		g->conns[server] = -1;
	instance_at(w, instance)->timer_at = INSTANT_NEVER;
	g->phase = PHASE_COUNT;
	g->inquiry = g->probe = -1;
	engine_init(
		&g->engine, &w->settings->engine, m, world_seed(w, STREAM_ENGINE, number), w->now);
	gate_tell(w, instance, (struct engine_event){.kind = EVENT_START});
}

void gate_stop(struct world *w, int instance)
{
	struct gate *g = gate_at(w, instance);

	for (int server = 0; server < g->memory.servers_max; server++)
		if (g->conns[server] >= 0)
			close_server(w, instance, server);
	if (g->probe >= 0)
		conn_close(w, g->probe);
	instance_at(w, instance)->timer_at = INSTANT_NEVER;
	g->phase = PHASE_COUNT;
	instance_at(w, instance)->phase_serial++;
	g->inquiry = g->probe = -1;
}

/* ---- connections ---- */

void gate_conn_stage(struct world *w, int instance, int id, enum stage stage)
{
	gate_tell(w, instance,
		(struct engine_event){.kind = EVENT_CONNECT_STAGE, .server = id, .stage = stage});
}

void gate_conn_opened(struct world *w, int instance, int id)
{
	gate_tell(w, instance, (struct engine_event){.kind = EVENT_CONNECT_OK, .server = id});
}

void gate_conn_failed(struct world *w, int instance, int id, enum outcome outcome)
{
	gate_at(w, instance)->conns[id] = -1;
	gate_tell(w, instance,
		(struct engine_event){
			.kind = EVENT_CONNECT_FAILED, .server = id, .outcome = outcome});
}

void gate_conn_lost(struct world *w, int instance, int id, enum outcome outcome, bool unused)
{
	struct gate *g = gate_at(w, instance);
	int client = g->engine.pool.servers[id].client;
	bool requeue = unused && client != POOL_NOBODY && gate_is_wanted(w, instance, client);
	uint32_t serial = instance_at(w, instance)->serial;

	g->conns[id] = -1;
	gate_tell(w, instance,
		(struct engine_event){.kind = EVENT_SERVER_GONE,
			.server = id,
			.outcome = outcome,
			.requeue = requeue});
	if (client != POOL_NOBODY && !requeue && instance_at(w, instance)->serial == serial)
		client_failed(w, instance, client);
}

void gate_conn_answered(struct world *w, int instance, int id)
{
	struct gate *g = gate_at(w, instance);
	int client = g->engine.pool.servers[id].client;
	uint32_t serial = instance_at(w, instance)->serial;

	assert(client != POOL_NOBODY);
	gate_tell(w, instance, (struct engine_event){.kind = EVENT_SERVER_RELEASED, .server = id});
	if (instance_at(w, instance)->serial != serial || !gate_is_wanted(w, instance, client))
		return;
	if (client < g->clients)
		service_slot_done(w, instance, client, true);
	else
		inquiry_answered(w, instance);
}
