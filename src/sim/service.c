#include "sim/service.h"

#include <assert.h>
#include <stdlib.h>

#include "sim/world.h"

/* The database's work for a question of the start. */
#define QUESTION_NS NS_PER_MS

/* The driver gives a connect up then (asyncpg's `timeout`). */
#define CONNECT_PATIENCE_NS (60 * NS_PER_S)

#define EXIT_STARTUP_FAILED 3

static struct service *service_at(struct world *w, int instance)
{
	return &instance_at(w, instance)->service;
}

/* ---- the pool ---- */

static void reset(struct service *s)
{
	s->free = s->idle = s->queue_first = s->queue_last = -1;
	s->open = s->warm_left = s->failures = 0;
	for (int i = s->slots_max - 1; i >= 0; i--) {
		s->slots[i] = (struct slot){
			.request = REQUEST_NONE, .conn = -1, .next = s->free, .state = SLOT_FREE};
		s->free = i;
	}
}

void service_init(struct service *s, int slots)
{
	*s = (struct service){.slots_max = slots};
	s->slots = calloc((size_t)slots, sizeof *s->slots);
	if (!s->slots)
		abort();
	reset(s);
}

void service_release(struct service *s)
{
	free(s->slots);
	s->slots = NULL;
}

/* With a connection first; -1: all are taken. */
static int take_slot(struct service *s, int request)
{
	int *list = s->idle >= 0 ? &s->idle : &s->free;
	int slot = *list;

	if (slot < 0)
		return -1;
	*list = s->slots[slot].next;
	s->slots[slot].state = SLOT_TAKEN;
	s->slots[slot].request = request;
	s->slots[slot].done = false;
	return slot;
}

static void put_slot(struct world *w, struct service *s, int slot)
{
	struct slot *at = &s->slots[slot];

	/* More than the pool keeps are closed as they come back. */
	if (at->conn >= 0 && s->open > w->habits.size) {
		conn_close(w, at->conn);
		at->conn = -1;
		s->open--;
	}
	int *list = at->conn >= 0 ? &s->idle : &s->free;
	at->state = at->conn >= 0 ? SLOT_IDLE : SLOT_FREE;
	at->request = REQUEST_NONE;
	at->next = *list;
	*list = slot;
}

static void unlink_idle(struct service *s, int slot)
{
	int *at = &s->idle;

	while (*at != slot)
		at = &s->slots[*at].next;
	*at = s->slots[slot].next;
}

/* ---- one transaction ---- */

static void ask(struct world *w, const struct slot *slot)
{
	const struct scenario_load *load = &w->scenario->load;

	if (slot->request == REQUEST_OWN)
		conn_ask(w, slot->conn, QUESTION_NS, 0, false);
	else
		conn_ask(w, slot->conn, load->transaction_ns, load->bytes, false);
}

static void run_slot(struct world *w, int instance, int slot)
{
	struct service *s = service_at(w, instance);
	struct slot *at = &s->slots[slot];

	if (w->arm->standpipe) {
		gate_tell(w, instance,
			(struct engine_event){.kind = EVENT_CLIENT_WAITS, .client = slot});
	} else if (at->conn >= 0) {
		ask(w, at);
	} else {
		s->open++;
		at->conn = conn_open(w, instance, slot);
		world_put(w, OCC_CONN_LATE, at->conn, w->conns.list[at->conn].serial,
			w->now + CONNECT_PATIENCE_NS);
	}
}

/* ---- the start ---- */

static void start_failed(struct world *w, int instance)
{
	if (!w->arm->standpipe) {
		instance_ended(w, instance, EXIT_STARTUP_FAILED);
		return;
	}
	service_stop(w, instance, true);
	gate_service_exited(w, instance, EXIT_STARTUP_FAILED);
}

static void is_up(struct world *w, int instance)
{
	service_at(w, instance)->state = SERVICE_UP;
	if (w->arm->standpipe)
		gate_service_up(w, instance);
	else
		instance_answers(w, instance);
}

static void check_schema(struct world *w, int instance)
{
	struct service *s = service_at(w, instance);

	s->state = SERVICE_CHECKING;
	run_slot(w, instance, take_slot(s, REQUEST_OWN));
}

/* One of the pool's connections is open and has answered: it is held until all are. */
static void warmed(struct world *w, int instance, int slot)
{
	struct service *s = service_at(w, instance);

	s->slots[slot].done = true;
	if (--s->warm_left > 0)
		return;
	for (int i = s->slots_max - 1; i >= 0; i--)
		if (s->slots[i].state == SLOT_TAKEN)
			put_slot(w, s, i);
	check_schema(w, instance);
}

void service_start(struct world *w, int instance)
{
	const struct scenario_service *habits = &w->scenario->service;
	int64_t spread_ns = habits->start_max_ns - habits->start_min_ns;

	service_at(w, instance)->state = SERVICE_LOADING;
	world_put(w, OCC_LOADED, instance, instance_at(w, instance)->serial,
		w->now + habits->start_min_ns + random_span(&w->random, spread_ns));
}

void service_loaded(struct world *w, int instance)
{
	struct service *s = service_at(w, instance);
	uint32_t serial = instance_at(w, instance)->serial;

	if (s->state != SERVICE_LOADING)
		return;
	s->state = SERVICE_WARMING;
	s->warm_left = w->habits.warm;
	world_put(w, OCC_LATE, instance, serial, w->now + w->habits.initialization_ns);
	for (int i = 0; i < w->habits.warm; i++) {
		run_slot(w, instance, take_slot(s, REQUEST_OWN));
		if (s->state != SERVICE_WARMING || instance_at(w, instance)->serial != serial)
			return;
	}
	if (w->habits.warm == 0)
		check_schema(w, instance);
}

void service_late(struct world *w, int instance)
{
	const struct service *s = service_at(w, instance);

	if (s->state == SERVICE_WARMING || s->state == SERVICE_CHECKING)
		start_failed(w, instance);
}

void service_stop(struct world *w, int instance, bool alone)
{
	struct service *s = service_at(w, instance);
	bool tells = alone && w->arm->standpipe;

	for (int request = s->queue_first; request >= 0;) {
		int next = w->load.list[request].next;
		w->load.list[request].waits = false;
		load_request_done(w, request, false);
		request = next;
	}
	s->state = SERVICE_OFF;
	for (int i = 0; i < s->slots_max; i++) {
		struct slot *slot = &s->slots[i];
		int request = slot->request;
		slot->request = REQUEST_NONE;
		if (slot->conn >= 0)
			conn_close(w, slot->conn);
		slot->conn = -1;
		if (request >= 0)
			load_request_done(w, request, false);
		/* One that holds a server is released when it is answered. */
		if (tells && slot->state == SLOT_TAKEN && !slot->done)
			gate_tell(w, instance,
				(struct engine_event){.kind = EVENT_CLIENT_LEFT, .client = i});
	}
	reset(s);
}

/* ---- requests ---- */

static void enqueue(struct world *w, struct service *s, int request)
{
	struct request *r = &w->load.list[request];

	r->waits = true;
	r->next = -1;
	if (s->queue_last >= 0)
		w->load.list[s->queue_last].next = request;
	else
		s->queue_first = request;
	s->queue_last = request;
	world_put(w, OCC_POOL_TIMEOUT, request, r->serial, w->now + w->habits.pool_timeout_ns);
}

void service_request(struct world *w, int instance, int request)
{
	struct service *s = service_at(w, instance);

	if (s->state != SERVICE_UP) {
		load_request_done(w, request, false);
		return;
	}
	int slot = take_slot(s, request);
	if (slot >= 0)
		run_slot(w, instance, slot);
	else
		enqueue(w, s, request);
}

void service_pool_timeout(struct world *w, int request)
{
	struct service *s = service_at(w, w->load.list[request].instance);

	/* First come, first served, and all wait equally long: it is the first. */
	assert(s->queue_first == request);
	s->queue_first = w->load.list[request].next;
	if (s->queue_first < 0)
		s->queue_last = -1;
	w->load.list[request].waits = false;
	load_request_done(w, request, false);
}

/* The next that waits has the slot, or nobody. */
static void pass_on(struct world *w, int instance, int slot)
{
	struct service *s = service_at(w, instance);
	int request = s->queue_first;

	if (request < 0) {
		put_slot(w, s, slot);
		return;
	}
	s->queue_first = w->load.list[request].next;
	if (s->queue_first < 0)
		s->queue_last = -1;
	w->load.list[request].waits = false;
	s->slots[slot].request = request;
	run_slot(w, instance, slot);
}

static void hold(struct world *w, int request, int slot)
{
	struct request *r = &w->load.list[request];

	r->slot = slot;
	service_at(w, r->instance)->slots[slot].done = true;
	world_put(w, OCC_HELD, request, r->serial, w->now + w->habits.hold_ns);
}

void service_held(struct world *w, int request)
{
	struct request r = w->load.list[request];

	service_at(w, r.instance)->slots[r.slot].done = false;
	load_request_done(w, request, true);
	pass_on(w, r.instance, r.slot);
}

void service_slot_done(struct world *w, int instance, int slot, bool ok)
{
	struct service *s = service_at(w, instance);
	int request = s->slots[slot].request;

	assert(s->slots[slot].state == SLOT_TAKEN && request != REQUEST_NONE);
	if (request >= 0 && ok && w->habits.hold_ns > 0 && !w->load.list[request].liveness) {
		hold(w, request, slot);
	} else if (request != REQUEST_OWN) {
		load_request_done(w, request, ok);
		pass_on(w, instance, slot);
	} else if (!ok) {
		start_failed(w, instance);
	} else if (s->state == SERVICE_WARMING) {
		warmed(w, instance, slot);
	} else {
		put_slot(w, s, slot);
		is_up(w, instance);
	}
}

/* ---- its own connections, without Standpipe ---- */

void service_conn_opened(struct world *w, int instance, int slot)
{
	struct slot *at = &service_at(w, instance)->slots[slot];

	ask(w, at);
}

static void forget(struct world *w, int instance, int slot)
{
	struct service *s = service_at(w, instance);

	s->slots[slot].conn = -1;
	s->open--;
}

void service_conn_failed(struct world *w, int instance, int slot, enum outcome outcome)
{
	(void)outcome;
	forget(w, instance, slot);
	service_slot_done(w, instance, slot, false);
}

void service_conn_lost(struct world *w, int instance, int slot, enum outcome outcome)
{
	struct service *s = service_at(w, instance);
	struct slot *at = &s->slots[slot];

	(void)outcome;
	forget(w, instance, slot);
	if (at->state == SLOT_IDLE) {
		unlink_idle(s, slot);
		put_slot(w, s, slot);
	} else if (!at->done) {
		service_slot_done(w, instance, slot, false);
	}
}

void service_conn_answered(struct world *w, int instance, int slot)
{
	service_slot_done(w, instance, slot, true);
}

void service_conn_late(struct world *w, int conn)
{
	struct conn c = w->conns.list[conn];

	if (conn_is_up(&c) || c.orphan)
		return;
	conn_close(w, conn);
	service_conn_failed(w, c.instance, c.id, OUTCOME_TIMEOUT);
}
