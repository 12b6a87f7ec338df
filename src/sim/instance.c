#include "sim/instance.h"

#include <assert.h>
#include <stdlib.h>

#include "sim/world.h"

struct instance *instance_at(struct world *w, int instance)
{
	return &w->fleet.list[instance];
}

/* ---- who is in which state ---- */

static void count(struct fleet *f, enum instance_state state, int by)
{
	f->ready += state == INSTANCE_READY ? by : 0;
	f->starting += state == INSTANCE_STARTING ? by : 0;
	f->waiting += state == INSTANCE_WAITING ? by : 0;
}

static void leave_ready(struct fleet *f, int instance)
{
	int place = f->list[instance].place, last = f->ready_list[f->ready - 1];

	f->ready_list[place] = last;
	f->list[last].place = place;
}

static void become(struct world *w, int instance, enum instance_state state)
{
	struct fleet *f = &w->fleet;
	struct instance *at = &f->list[instance];
	bool was = at->state == INSTANCE_READY, is = state == INSTANCE_READY;

	if (was && !is)
		leave_ready(f, instance);
	if (is && !was) {
		at->place = f->ready;
		f->ready_list[f->ready] = instance;
	}
	count(f, at->state, -1);
	count(f, state, 1);
	at->state = state;
	bool all = f->ready == f->wanted && f->starting + f->waiting + f->to_start == 0;
	f->all_ready_at = !all ? -1 : f->all_ready_at < 0 ? w->now : f->all_ready_at;
	if (was != is)
		measure_ready(w);
}

/* ---- how many ---- */

/* The next `instances` come, evenly over `spread_ns`. */
static void add(struct world *w, int instances, int64_t spread_ns)
{
	struct fleet *f = &w->fleet;

	assert(f->present + instances <= f->size);
	for (int i = 0; i < instances; i++) {
		int instance = f->present++;
		f->list[instance].revision = f->revision;
		become(w, instance, INSTANCE_WAITING);
		world_put(w, OCC_BEGIN, instance, f->list[instance].serial,
			w->now + spread_ns / instances * i);
	}
}

/* With all that faults are to add. */
static int size_at_most(const struct world *w)
{
	const struct scenario *s = w->scenario;
	int wanted = s->instances;

	if (s->platform.scale_at > 0 && !w->alone && s->platform.instances_max > wanted)
		wanted = s->platform.instances_max;
	int size = wanted;
	for (int i = 0; i < s->fault_count && !w->alone; i++) {
		if (s->faults[i].kind == FAULT_SCALE_OUT) {
			wanted += s->faults[i].instances;
			size += s->faults[i].instances;
		} else if (s->faults[i].kind == FAULT_DEPLOY) {
			size += wanted;
		}
	}
	/* Those that come first may meet more than came before them. */
	for (int i = 0; i < s->fault_count && !w->alone; i++)
		size += s->faults[i].kind == FAULT_DEPLOY ? wanted - s->instances : 0;
	return size;
}

void instances_start(struct world *w)
{
	struct fleet *f = &w->fleet;

	f->size = size_at_most(w);
	f->wanted = w->scenario->instances;
	f->all_ready_at = -1;
	f->list = calloc((size_t)f->size, sizeof *f->list);
	f->ready_list = calloc((size_t)f->size, sizeof *f->ready_list);
	if (!f->list || !f->ready_list)
		abort();
	for (int i = 0; i < f->size; i++)
		f->list[i] = (struct instance){
			.timer_at = INSTANT_NEVER, .ready_at = -1, .first_ready_at = -1};
	if (w->arm->standpipe)
		gates_init(&f->gates, &w->settings->engine, w->habits.size + w->habits.overflow,
			f->size);
	random_init(&w->random, world_seed(w, STREAM_FLEET, 0));
	add(w, f->wanted, w->scenario->service.spread_ns);
}

static void let_go(struct instance *at)
{
	at->gate = NULL;
	service_release(&at->service);
}

void instances_release(struct fleet *f)
{
	for (int i = 0; i < f->size; i++)
		let_go(&f->list[i]);
	gates_release(&f->gates);
	free(f->list);
	free(f->ready_list);
	*f = (struct fleet){0};
}

/* ---- a start ---- */

void instance_begin(struct world *w, int instance)
{
	const struct scenario *s = w->scenario;
	struct instance *at = instance_at(w, instance);
	int slots = w->habits.size + w->habits.overflow;

	if (!at->service.slots)
		service_init(&at->service, slots);
	if (w->arm->standpipe && !at->gate)
		at->gate = gate_init(&w->fleet.gates, instance);
	w->fleet.starts++;
	at->started_at = at->egress_at = w->now;
	if (w->connector.exists)
		at->egress_at += s->egress_warmup_min_ns +
				 random_span(&w->random,
					 s->egress_warmup_max_ns - s->egress_warmup_min_ns);
	world_put(
		w, OCC_PROBE_TIMEOUT, instance, at->serial, w->now + s->platform.probe_timeout_ns);
	become(w, instance, INSTANCE_STARTING);
	if (w->arm->standpipe)
		gate_start(w, instance);
	else
		service_start(w, instance);
}

void instance_answers(struct world *w, int instance)
{
	const struct instance *at = instance_at(w, instance);

	if (at->state == INSTANCE_STARTING)
		world_put(w, OCC_PROBED, instance, at->serial,
			world_next(w, at->started_at, w->scenario->platform.probe_interval_ns));
}

static void retire_one(struct world *w);

void instance_probed(struct world *w, int instance)
{
	struct instance *at = instance_at(w, instance);

	if (at->state != INSTANCE_STARTING)
		return;
	w->fleet.succeeded++;
	at->failures = 0;
	at->service.failures = 0;
	at->ready_at = w->now;
	become(w, instance, INSTANCE_READY);
	instance_liveness(w, instance);
	if (at->first_ready_at >= 0)
		return;
	at->first_ready_at = w->now;
	if (w->arm->standpipe)
		measure_phases(w, instance);
	if (at->revision == w->fleet.revision && w->fleet.revision > 0)
		retire_one(w);
}

/* ---- its end ---- */

static void tear_down(struct world *w, int instance)
{
	struct instance *at = instance_at(w, instance);

	at->serial++;
	if (at->gate)
		gate_stop(w, instance);
	service_stop(w, instance, false);
}

void instance_ended(struct world *w, int instance, int code)
{
	struct instance *at = instance_at(w, instance);
	bool was_ready = at->state == INSTANCE_READY;

	if (!was_ready && at->state != INSTANCE_STARTING)
		return;
	w->fleet.died += was_ready;
	w->fleet.failed += !was_ready;
	at->failures++;
	result_exit(w->result, code);
	become(w, instance, INSTANCE_WAITING);
	tear_down(w, instance);
	world_put(w, OCC_BEGIN, instance, at->serial,
		w->now + platform_restart_ns(&w->scenario->platform, at->failures));
}

void instance_probe_timeout(struct world *w, int instance)
{
	if (instance_at(w, instance)->state == INSTANCE_STARTING)
		instance_ended(w, instance, INSTANCE_EXIT_KILLED);
}

/* ---- liveness ---- */

/* A gate's /live does not look at the database; nor do most services'. */
void instance_liveness(struct world *w, int instance)
{
	const struct platform_settings *p = &w->scenario->platform;
	struct instance *at = instance_at(w, instance);

	if (*p->liveness_path == '\0' || w->arm->standpipe ||
		w->scenario->service.health != HEALTH_DATABASE || at->state != INSTANCE_READY)
		return;
	world_put(w, OCC_LIVENESS, instance, at->serial, w->now + p->liveness_interval_ns);
	if (at->ready_at < w->now)
		load_liveness(w, instance);
}

void instance_not_alive(struct world *w, int instance)
{
	struct instance *at = instance_at(w, instance);

	if (at->state == INSTANCE_READY &&
		++at->service.failures == w->scenario->platform.liveness_failures)
		world_put(w, OCC_KILL, instance, at->serial, w->now);
}

void instance_kill(struct world *w, int instance)
{
	instance_ended(w, instance, INSTANCE_EXIT_KILLED);
}

/* ---- deploys ---- */

static bool is_better_to_end(const struct instance *a, const struct instance *b)
{
	return !b || (a->state != INSTANCE_READY && b->state == INSTANCE_READY);
}

/* One of an older revision has done its duty, first one that is not up anyway; and the next of
 * the new one may come. */
static void retire_one(struct world *w)
{
	struct fleet *f = &w->fleet;
	struct instance *old = NULL;

	for (int i = 0; i < f->present; i++) {
		struct instance *at = &f->list[i];
		if (at->revision < f->revision && at->state != INSTANCE_RETIRED &&
			is_better_to_end(at, old))
			old = at;
	}
	if (!old)
		return;
	int instance = (int)(old - f->list);
	bool runs = old->state != INSTANCE_WAITING;
	become(w, instance, INSTANCE_RETIRED);
	if (runs)
		tear_down(w, instance);
	old->serial++;
	let_go(old);
	if (f->to_start > 0) {
		f->to_start--;
		add(w, 1, 0);
	}
}

void instances_deploy(struct world *w, int at_a_time)
{
	struct fleet *f = &w->fleet;
	/* One that still goes on is overtaken. */
	int first = at_a_time > 0 && at_a_time < f->wanted ? at_a_time : f->wanted;

	f->revision++;
	f->to_start = f->wanted - first;
	add(w, first, 0);
}

void instances_scale_out(struct world *w, int instances)
{
	w->fleet.wanted += instances;
	add(w, instances, 0);
}
