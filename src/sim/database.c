#include "sim/database.h"

#include <assert.h>

#include "sim/world.h"

/* From the server's start until it takes sessions. */
#define RECOVERY_NS (500 * NS_PER_MS)

static void begin(struct world *w, int conn)
{
	struct conn *c = &w->conns.list[conn];

	double factor = w->now < w->database.cold_until ? w->database.cold_factor : 1;

	w->database.busy++;
	world_put(w, OCC_WORKED, conn, c->serial, w->now + (int64_t)(factor * (double)c->work_ns));
}

void database_work(struct world *w, int conn, int64_t work_ns)
{
	struct database *d = &w->database;
	struct conn *c = &w->conns.list[conn];

	assert(c->backend);
	c->work_ns = work_ns;
	c->next = -1;
	if (d->busy < d->cores) {
		begin(w, conn);
		return;
	}
	if (d->last >= 0)
		w->conns.list[d->last].next = conn;
	else
		d->first = conn;
	d->last = conn;
}

static bool has_place(const struct database *d)
{
	/* Its own place is taken already. */
	return d->max_connections - d->backends >= d->superuser_reserved;
}

void database_worked(struct world *w, int conn)
{
	struct database *d = &w->database;
	struct conn *c = &w->conns.list[conn];
	int next = d->first;

	assert(d->busy > 0);
	d->busy--;
	if (next >= 0) {
		d->first = w->conns.list[next].next;
		if (d->first < 0)
			d->last = -1;
		begin(w, next);
	}
	if (c->step == CONN_LOGIN && !c->orphan) {
		if (has_place(d)) {
			c->session = true;
			if (++d->sessions > d->sessions_peak)
				d->sessions_peak = d->sessions;
		} else {
			d->refused++;
			database_leave(w, conn);
		}
	}
	conn_worked(w, conn);
}

void database_startup(struct world *w, int conn)
{
	struct database *d = &w->database;
	struct conn *c = &w->conns.list[conn];

	if (d->state != DATABASE_UP) {
		conn_refuse(w, conn, d->state == DATABASE_DOWN ? OUTCOME_RESET : OUTCOME_STARTING);
		return;
	}
	if (d->backends >= d->max_connections) {
		d->refused++;
		conn_refuse(w, conn, OUTCOME_FULL);
		return;
	}
	d->backends++;
	c->backend = true;
	c->step = CONN_LOGIN;
	database_work(w, conn, d->login_ns);
}

void database_leave(struct world *w, int conn)
{
	struct conn *c = &w->conns.list[conn];

	assert(c->backend && w->database.backends > 0);
	w->database.backends--;
	w->database.sessions -= c->session;
	c->backend = c->session = false;
}

void database_stop(struct world *w)
{
	struct database *d = &w->database;

	d->state = DATABASE_DOWN;
	/* What it works on is lost with its sessions. */
	d->busy = 0;
	d->first = d->last = -1;
	for (int conn = 0; conn < w->conns.count; conn++) {
		const struct conn *c = &w->conns.list[conn];
		if (c->backend)
			conn_cut(w, conn, c->session ? OUTCOME_SHUTDOWN : OUTCOME_RESET);
	}
	assert(d->backends == 0 && d->sessions == 0);
}

void database_vanish(struct world *w)
{
	database_stop(w);
	w->database.vanished = true;
}

void database_chill(struct world *w, double factor, int64_t for_ns)
{
	w->database.cold_factor = factor;
	w->database.cold_until = w->now + for_ns;
}

void database_start(struct world *w)
{
	w->database.state = DATABASE_STARTING;
	w->database.vanished = false;
	world_put(w, OCC_RECOVERED, 0, 0, w->now + RECOVERY_NS);
}

void database_ready(struct world *w, int unused)
{
	if (w->database.state == DATABASE_STARTING)
		w->database.state = DATABASE_UP;
}
