#include "gate/drain.h"

#include "gate/client.h"

/* How often it is looked who is left. */
#define LOOK_MS 50

static void look(struct drain *d)
{
	struct hub *h = d->hub;
	instant now = hub_now(h);
	bool up = now >= d->until;
	if (d->over)
		return;
	/* From here on client_released lets those go whose transaction is over. */
	h->draining = now >= d->grace_until;
	for (int i = 0; h->draining && i < h->memory.clients_max; i++)
		if (h->clients[i] && (up || client_is_between(h->clients[i])))
			client_dismiss(h->clients[i]);
	int others = d->others ? d->others(d->context) : 0;
	if (h->counters.clients + others > 0 && !up)
		return;
	d->over = true;
	uv_timer_stop(&d->timer);
	d->done(d->context);
}

static void on_look(uv_timer_t *timer)
{
	look(timer->data);
}

void drain_init(struct drain *d, struct hub *hub, void (*done)(void *context), void *context)
{
	*d = (struct drain){.hub = hub, .done = done, .context = context};
	d->grace_until = d->until = INSTANT_NEVER;
	uv_timer_init(hub->loop, &d->timer);
	d->timer.data = d;
}

void drain_begin(struct drain *d, int64_t grace_ns, int64_t span_ns)
{
	instant now = hub_now(d->hub);
	d->begun = true;
	d->grace_until = instant_min(d->grace_until, instant_add(now, grace_ns));
	d->until = instant_min(d->until, instant_add(now, span_ns));
	/* Not from here: who asked for it may be a client. */
	uv_timer_start(&d->timer, on_look, 0, LOOK_MS);
}

void drain_close(struct drain *d)
{
	uv_close((uv_handle_t *)&d->timer, NULL);
}
