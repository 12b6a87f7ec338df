#include "sim/conn.h"

#include <assert.h>
#include <stdlib.h>

#include "sim/world.h"

#define SIZE_MIN 256

/* net.ipv4.tcp_syn_retries: after so many repetitions, and the pause after the last, the kernel
 * says ETIMEDOUT. */
#define SYN_RETRIES 6

/* Halves of the round trips of a login: there and back three times. */
#define LOGIN_THERE 0.5
#define LOGIN_BACK  2.5

static struct conn *at(struct world *w, int conn)
{
	return &w->conns.list[conn];
}

static int take_place(struct conns *conns)
{
	if (conns->free < 0 || conns->size == 0) {
		if (conns->count == conns->size) {
			conns->size = conns->size ? 2 * conns->size : SIZE_MIN;
			conns->list = realloc(
				conns->list, (size_t)conns->size * sizeof *conns->list);
			if (!conns->list)
				abort();
		}
		conns->list[conns->count] = (struct conn){0};
		conns->free = -1;
		return conns->count++;
	}
	int conn = conns->free;
	conns->free = conns->list[conn].next;
	return conn;
}

void conns_release(struct conns *conns)
{
	free(conns->list);
	*conns = (struct conns){0};
}

bool conn_is_up(const struct conn *c)
{
	return c->step >= CONN_IDLE;
}

static void drop_flow(struct world *w, struct conn *c)
{
	if (c->machine >= 0)
		connector_end(&w->connector, c->machine, w->now);
	c->machine = -1;
}

static void let_go(struct world *w, int conn)
{
	struct conn *c = at(w, conn);

	drop_flow(w, c);
	if (c->backend)
		database_leave(w, conn);
	c = at(w, conn);
	*c = (struct conn){.serial = c->serial + 1, .next = w->conns.free, .machine = -1};
	w->conns.free = conn;
	w->conns.open--;
}

/* The next step is taken after so many round trips. */
static void go_on_after(struct world *w, int conn, enum conn_step step, double trips)
{
	at(w, conn)->step = (uint8_t)step;
	world_put(w, OCC_CONN, conn, at(w, conn)->serial,
		w->now + connector_trips_ns(&w->connector, trips));
}

/* It ends before there is a session; a probe has its answer then. */
static void owner_failed(struct world *w, int conn, enum outcome outcome)
{
	struct conn c = *at(w, conn);

	let_go(w, conn);
	if (c.probe)
		gate_probed(w, c.instance, outcome);
	else
		owner_conn_failed(w, c.instance, c.id, outcome);
}

/* ---- the handshake ---- */

static void syn_dropped(struct world *w, int conn)
{
	struct conn *c = at(w, conn);
	int doubled = c->syns - 1 - w->scenario->syn_linear;

	world_put(w, OCC_CONN, conn, c->serial, w->now + (NS_PER_S << (doubled > 0 ? doubled : 0)));
}

static void send_syn(struct world *w, int conn)
{
	struct conn *c = at(w, conn);

	if (c->syns > SYN_RETRIES) {
		owner_failed(w, conn, OUTCOME_TIMEOUT);
		return;
	}
	c->step = CONN_SYN;
	c->syns++;
	if (!w->connector.exists) {
		if (w->database.vanished)
			syn_dropped(w, conn);
		else if (w->database.state == DATABASE_DOWN)
			conn_refuse(w, conn, OUTCOME_REFUSED);
		else
			go_on_after(w, conn, CONN_TCP, 1);
		return;
	}
	if (w->now < instance_at(w, c->instance)->egress_at || w->database.vanished) {
		connector_lost(&w->connector);
		syn_dropped(w, conn);
		return;
	}
	if (w->database.state == DATABASE_DOWN && w->now >= w->connector.partitioned_until) {
		conn_refuse(w, conn, OUTCOME_REFUSED);
		return;
	}
	int machine = connector_syn(&w->connector, w->now);
	if (machine < 0) {
		syn_dropped(w, conn);
		return;
	}
	c->machine = (int16_t)machine;
	go_on_after(w, conn, CONN_TCP, 1);
}

static int begin(struct world *w, const struct conn *as)
{
	int conn = take_place(&w->conns);
	uint32_t serial = at(w, conn)->serial;

	*at(w, conn) = *as;
	at(w, conn)->serial = serial;
	at(w, conn)->next = at(w, conn)->machine = -1;
	w->conns.open++;
	send_syn(w, conn);
	return conn;
}

int conn_open(struct world *w, int instance, int id)
{
	return begin(w, &(struct conn){.instance = instance, .id = id});
}

int conn_probe(struct world *w, int instance, bool asks)
{
	return begin(
		w, &(struct conn){.instance = instance, .id = -1, .probe = true, .asks = asks});
}

void conn_redial(struct world *w, int conn)
{
	struct conn *c = at(w, conn);

	assert(c->step == CONN_SYN || c->step == CONN_TCP ||
		(c->step == CONN_REFUSED && !c->backend));
	drop_flow(w, c);
	c->serial++;
	c->syns = 0;
	send_syn(w, conn);
}

/* ---- the end ---- */

void conn_close(struct world *w, int conn)
{
	struct conn *c = at(w, conn);

	assert(c->step != CONN_NONE && !c->orphan);
	if (c->step == CONN_LOGIN || c->step == CONN_WORK)
		c->orphan = true;
	else
		let_go(w, conn);
}

void conn_cut(struct world *w, int conn, enum outcome outcome)
{
	struct conn c = *at(w, conn);

	/* What the database works on for it goes on there. */
	if ((c.step == CONN_LOGIN || c.step == CONN_WORK) && w->database.state != DATABASE_DOWN) {
		at(w, conn)->orphan = true;
		drop_flow(w, at(w, conn));
	} else {
		let_go(w, conn);
	}
	if (c.orphan)
		return;
	if (c.probe)
		gate_probed(w, c.instance, outcome);
	else if (conn_is_up(&c))
		owner_conn_lost(w, c.instance, c.id, outcome, c.step == CONN_PING);
	else
		owner_conn_failed(w, c.instance, c.id, outcome);
}

void conn_refuse(struct world *w, int conn, enum outcome outcome)
{
	at(w, conn)->outcome = (uint8_t)outcome;
	go_on_after(w, conn, CONN_REFUSED, w->database.state == DATABASE_DOWN ? 1 : 0.5);
}

/* ---- steps ---- */

void conn_ask(struct world *w, int conn, int64_t work_ns, int64_t bytes, bool ping)
{
	struct conn *c = at(w, conn);

	assert(c->step == CONN_IDLE);
	c->work_ns = work_ns;
	c->bytes = (int32_t)bytes;
	if (ping)
		go_on_after(w, conn, CONN_PING, 1);
	else
		go_on_after(w, conn, CONN_ASK, CONN_TRANSACTION_TRIPS / 2.0);
}

/* It comes back over the path, behind what passes there already. */
static void answer(struct world *w, int conn)
{
	struct conn *c = at(w, conn);
	int64_t queued_ns = connector_pass(&w->connector, c->machine, c->bytes, w->now);

	if (w->arm->standpipe)
		instance_at(w, c->instance)->gate->bytes += c->bytes;
	c->step = CONN_ANSWER;
	world_put(w, OCC_CONN, conn, c->serial,
		w->now + queued_ns +
			connector_trips_ns(&w->connector, CONN_TRANSACTION_TRIPS / 2.0));
}

void conn_worked(struct world *w, int conn)
{
	struct conn *c = at(w, conn);

	if (c->orphan)
		let_go(w, conn);
	else if (c->step == CONN_LOGIN && !c->session)
		conn_refuse(w, conn, OUTCOME_FULL);
	else if (c->step == CONN_LOGIN)
		go_on_after(w, conn, CONN_LET_IN, LOGIN_BACK);
	else
		answer(w, conn);
}

/* Its owner hears of a stage, and may give it up for that very reason: false then. */
static bool enter(struct world *w, int conn, enum stage stage)
{
	const struct conn c = *at(w, conn);

	owner_conn_stage(w, c.instance, c.id, stage);
	return at(w, conn)->serial == c.serial;
}

static void begin_login(struct world *w, int conn)
{
	if (enter(w, conn, STAGE_AUTH))
		go_on_after(w, conn, CONN_STARTUP, LOGIN_THERE);
}

static void begin_tls(struct world *w, int conn)
{
	const struct conn *c = at(w, conn);

	if (c->probe) {
		gate_probe_connected(w, c->instance);
		if (c->asks)
			go_on_after(w, conn, CONN_TLS, 1);
		else
			owner_failed(w, conn, OUTCOME_OK);
		return;
	}
	if (!enter(w, conn, STAGE_TLS))
		return;
	if (w->habits.tls_trips > 0)
		go_on_after(w, conn, CONN_TLS, w->habits.tls_trips);
	else
		begin_login(w, conn);
}

static void let_in(struct world *w, int conn)
{
	struct conn *c = at(w, conn);

	c->step = CONN_IDLE;
	owner_conn_opened(w, c->instance, c->id);
}

static void answered(struct world *w, int conn)
{
	struct conn *c = at(w, conn);

	c->step = CONN_IDLE;
	owner_conn_answered(w, c->instance, c->id);
}

void conn_go_on(struct world *w, int conn)
{
	struct conn *c = at(w, conn);

	/* What crosses the path meanwhile comes when it heals. */
	if (w->now < w->connector.partitioned_until && c->step != CONN_SYN) {
		world_put(w, OCC_CONN, conn, c->serial, w->connector.partitioned_until);
		return;
	}
	switch ((enum conn_step)c->step) {
	case CONN_SYN:
		send_syn(w, conn);
		break;
	case CONN_TCP:
		begin_tls(w, conn);
		break;
	case CONN_TLS:
		if (c->probe)
			owner_failed(w, conn, OUTCOME_OK);
		else
			begin_login(w, conn);
		break;
	case CONN_STARTUP:
		database_startup(w, conn);
		break;
	case CONN_LET_IN:
		let_in(w, conn);
		break;
	case CONN_REFUSED:
		owner_failed(w, conn, (enum outcome)c->outcome);
		break;
	case CONN_PING:
		go_on_after(w, conn, CONN_ASK, CONN_TRANSACTION_TRIPS / 2.0);
		break;
	case CONN_ASK:
		c->step = CONN_WORK;
		database_work(w, conn, c->work_ns);
		break;
	case CONN_ANSWER:
		answered(w, conn);
		break;
	case CONN_NONE:
	case CONN_LOGIN:
	case CONN_IDLE:
	case CONN_WORK:
		assert(false); /* waits for the database or its owner, not for time */
	}
}
