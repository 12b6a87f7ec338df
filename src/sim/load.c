#include "sim/load.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "sim/world.h"

#define SIZE_MIN 256

/* A user tries again after this. */
#define AGAIN_NS NS_PER_S

static struct request *at(struct world *w, int request)
{
	return &w->load.list[request];
}

static int take_place(struct load *l)
{
	if (l->free < 0 || l->size == 0) {
		if (l->count == l->size) {
			l->size = l->size ? 2 * l->size : SIZE_MIN;
			l->list = realloc(l->list, (size_t)l->size * sizeof *l->list);
			if (!l->list)
				abort();
		}
		l->list[l->count] = (struct request){0};
		l->free = -1;
		return l->count++;
	}
	int request = l->free;
	l->free = l->list[request].next;
	return request;
}

static int new_request(struct world *w, int instance)
{
	int request = take_place(&w->load);
	struct request *r = at(w, request);

	*r = (struct request){.asked_at = w->now,
		.instance = instance,
		.next = -1,
		.serial = r->serial + 1,
		.used = true};
	return request;
}

static void forget(struct world *w, int request)
{
	struct request *r = at(w, request);

	*r = (struct request){.next = w->load.free, .serial = r->serial + 1};
	w->load.free = request;
}

void load_release(struct load *l)
{
	free(l->list);
	*l = (struct load){0};
}

/* ---- users ---- */

static void next_arrival(struct world *w, instant from)
{
	double wait_s = -log1p(-random_unit(&w->load.arrivals)) / w->scenario->load.rate;

	world_put(w, OCC_ARRIVAL, 0, 0, instant_add(from, (int64_t)(wait_s * 1e9)));
}

void load_start(struct world *w)
{
	random_init(&w->load.arrivals, world_seed(w, STREAM_ARRIVALS, 0));
	random_init(&w->load.choices, world_seed(w, STREAM_CHOICES, 0));
	if (w->scenario->load.rate > 0 && !w->alone)
		next_arrival(w, w->scenario->load.at_ns);
}

/* A try: at one that is up. */
static void try(struct world *w, int request)
{
	struct request *r = at(w, request);
	const struct fleet *f = &w->fleet;

	r->tries++;
	if (f->ready == 0) {
		load_request_done(w, request, false);
		return;
	}
	int which = (int)random_below(&w->load.choices, (uint32_t)f->ready);
	r->instance = f->ready_list[which];
	world_put(w, OCC_USER_TIMEOUT, request, r->serial, w->now + w->scenario->load.timeout_ns);
	service_request(w, r->instance, request);
}

/* One more instance for each scale_at requests under way that those up do not account for. */
static void scale_by_load(struct world *w)
{
	const struct platform_settings *p = &w->scenario->platform;
	int under_way = 0;

	for (int i = 0; i < w->load.count; i++) {
		const struct request *r = &w->load.list[i];
		under_way += r->used && !r->liveness && r->instance >= 0;
	}
	int wanted = (int)ceil(under_way / p->scale_at);
	if (wanted > p->instances_max)
		wanted = p->instances_max;
	if (wanted > w->fleet.wanted)
		instances_scale_out(w, wanted - w->fleet.wanted);
}

void load_second(struct world *w)
{
	if (w->scenario->platform.scale_at > 0)
		scale_by_load(w);
	for (int i = 0; i < w->fleet.present && w->arm->standpipe && w->scenario->load.bytes > 0;
		i++)
		if (w->fleet.list[i].state == INSTANCE_READY)
			gate_second(w, i);
}

void load_arrival(struct world *w, int unused)
{
	next_arrival(w, w->now);
	measure_came(w);
	try(w, new_request(w, -1));
}

void load_again(struct world *w, int request)
{
	try(w, request);
}

static void user_failed(struct world *w)
{
	w->load.requests++;
	w->load.failed++;
	w->load.failed_lately++;
}

/* The user of a try that failed: asks again, or has had enough. */
static void try_failed(struct world *w, int request)
{
	struct request *r = at(w, request);

	if (r->tries > w->scenario->load.retries) {
		user_failed(w);
		forget(w, request);
		return;
	}
	r->serial++;
	r->instance = -1;
	world_put(w, OCC_AGAIN, request, r->serial, w->now + AGAIN_NS);
}

void load_user_timeout(struct world *w, int request)
{
	struct request left = *at(w, request);

	if (left.instance < 0)
		return; /* a try that has failed already */
	at(w, request)->alone = true;
	if (left.liveness) {
		instance_not_alive(w, left.instance);
		return;
	}
	/* The user goes on with another one. */
	int again = new_request(w, -1);
	at(w, again)->asked_at = left.asked_at;
	at(w, again)->tries = left.tries;
	try_failed(w, again);
}

void load_liveness(struct world *w, int instance)
{
	int request = new_request(w, instance);

	at(w, request)->liveness = true;
	world_put(w, OCC_USER_TIMEOUT, request, at(w, request)->serial,
		w->now + w->scenario->platform.liveness_interval_ns);
	service_request(w, instance, request);
}

static void served(struct world *w, int request)
{
	struct request *r = at(w, request);

	w->load.requests++;
	w->load.served++;
	w->load.served_lately++;
	if (r->tries == 1)
		measure_served_at_once(w, r->asked_at);
}

void load_request_done(struct world *w, int request, bool ok)
{
	struct request r = *at(w, request);

	assert(r.used && !r.waits);
	if (r.alone) {
		forget(w, request);
	} else if (r.liveness) {
		forget(w, request);
		if (ok)
			instance_at(w, r.instance)->service.failures = 0;
		else
			instance_not_alive(w, r.instance);
	} else if (ok) {
		served(w, request);
		forget(w, request);
	} else {
		try_failed(w, request);
	}
}
