#include "sim/faults.h"

#include "sim/world.h"

static const struct scenario_fault *at(const struct world *w, int fault)
{
	return &w->scenario->faults[fault];
}

void faults_start(struct world *w)
{
	for (int i = 0; i < w->scenario->fault_count && !w->alone; i++) {
		world_put(w, OCC_FAULT_BEGINS, i, 0, at(w, i)->at_ns);
		world_put(w, OCC_FAULT_ENDS, i, 0, at(w, i)->at_ns + at(w, i)->for_ns);
	}
}

instant faults_over_at(const struct world *w)
{
	instant over = 0;

	for (int i = 0; i < w->scenario->fault_count && !w->alone; i++)
		over = instant_max(over, at(w, i)->at_ns + at(w, i)->for_ns);
	return over;
}

/* The most of those that last. */
static void set_slow(struct world *w)
{
	w->connector.slow = 1;
	for (int i = 0; i < w->scenario->fault_count; i++) {
		const struct scenario_fault *f = at(w, i);
		bool lasts = w->now >= f->at_ns && w->now < f->at_ns + f->for_ns;
		if (f->kind == FAULT_SLOW && lasts && f->factor > w->connector.slow)
			w->connector.slow = f->factor;
	}
}

/* Another of the same kind may still last. */
static bool database_is_kept_down(const struct world *w)
{
	for (int i = 0; i < w->scenario->fault_count; i++) {
		const struct scenario_fault *f = at(w, i);
		bool stops = f->kind == FAULT_DATABASE_RESTART || f->kind == FAULT_FAILOVER;
		if (stops && w->now >= f->at_ns && w->now < f->at_ns + f->for_ns)
			return true;
	}
	return false;
}

static void cut_flows(struct world *w)
{
	for (int conn = 0; conn < w->conns.count; conn++)
		if (w->conns.list[conn].machine >= 0)
			conn_cut(w, conn, OUTCOME_RESET);
}

void faults_begin(struct world *w, int fault)
{
	const struct scenario_fault *f = at(w, fault);
	struct connector *c = &w->connector;
	instant until = f->at_ns + f->for_ns;

	if (fault == 0)
		measure_fault(w);
	switch (f->kind) {
	case FAULT_DATABASE_RESTART:
		database_stop(w);
		break;
	case FAULT_FAILOVER:
		database_vanish(w);
		break;
	case FAULT_PARTITION:
		if (c->exists)
			c->partitioned_until = instant_max(c->partitioned_until, until);
		break;
	case FAULT_CONNECTOR_RESTART:
		if (!c->exists)
			break;
		c->down_until = instant_max(c->down_until, until);
		cut_flows(w);
		break;
	case FAULT_SLOW:
		if (c->exists)
			set_slow(w);
		break;
	case FAULT_DEPLOY:
		instances_deploy(w, f->instances);
		break;
	case FAULT_SCALE_OUT:
		instances_scale_out(w, f->instances);
		break;
	}
}

void faults_end(struct world *w, int fault)
{
	if (fault == 0)
		measure_fault_over(w);
	switch (at(w, fault)->kind) {
	case FAULT_FAILOVER:
		database_chill(w, at(w, fault)->factor, at(w, fault)->for_ns);
		__attribute__((fallthrough));
	case FAULT_DATABASE_RESTART:
		if (!database_is_kept_down(w) && w->database.state == DATABASE_DOWN)
			database_start(w);
		break;
	case FAULT_SLOW:
		set_slow(w);
		break;
	case FAULT_PARTITION:
	case FAULT_CONNECTOR_RESTART:
	case FAULT_DEPLOY:
	case FAULT_SCALE_OUT:
		break;
	}
}
