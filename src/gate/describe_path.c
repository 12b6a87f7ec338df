/* The path as JSON: what was measured of it, and what came of that. */
#include <stdlib.h>

#include "gate/describe.h"

static void set(json_t *object, const char *key, json_t *value)
{
	if (json_object_set_new(object, key, value) != 0)
		abort();
}

static json_t *object(void)
{
	json_t *o = json_object();
	if (!o)
		abort();
	return o;
}

static json_t *seconds(int64_t span_ns)
{
	return json_real(s_from_ns(span_ns));
}

static json_t *seconds_if_any(int64_t span_ns)
{
	return span_ns > 0 ? seconds(span_ns) : json_null();
}

static json_t *history(const struct history *h, char mark)
{
	char text[HISTORY_MAX + 1];
	history_text(h, mark, text);
	return json_string(text);
}

/* Newest last: '.' connected, 'x' failed, 't' timed out. */
static json_t *attempts(const struct path *p)
{
	char text[HISTORY_MAX + 1];
	history_text(&p->history, 'x', text);
	for (int i = 0; i < p->timeouts.count; i++)
		if (p->timeouts.failed >> (p->timeouts.count - 1 - i) & 1)
			text[i] = 't';
	return json_string(text);
}

static json_t *quantiles(const struct quantiles *q)
{
	json_t *o = object();
	set(o, "min", seconds(quantiles_value(q, 0.0)));
	set(o, "p50", seconds(quantiles_value(q, 0.5)));
	set(o, "p95", seconds(quantiles_value(q, 0.95)));
	return o;
}

static json_t *connect_times(const struct path *p)
{
	if (p->total.held == 0)
		return json_null();
	json_t *o = object();
	for (enum stage stage = STAGE_DNS; stage < STAGE_READY; stage++)
		set(o, stage_name(stage), quantiles(&p->stages[stage].took));
	set(o, "total", quantiles(&p->total));
	set(o, "least", seconds(p->least_ns));
	set(o, "samples", json_integer(p->total.held));
	return o;
}

static json_t *stage_histories(const struct path *p)
{
	json_t *o = object();
	for (enum stage stage = STAGE_DNS; stage < STAGE_READY; stage++)
		set(o, stage_name(stage), history(&p->stages[stage].history, 'x'));
	return o;
}

static json_t *handshakes(const struct path *p)
{
	json_t *o = object();
	set(o, "syn_lost", json_integer(p->syn_lost));
	set(o, "history", history(&p->syns, 's'));
	return o;
}

static json_t *flow(const struct gate_view *view)
{
	const struct flow *f = &view->engine->path.flow;
	if (f->samples == 0)
		return json_null();
	json_t *o = object();
	set(o, "rtt_s", seconds_if_any(f->rtt_ns));
	set(o, "min_rtt_s", seconds_if_any(minmax_value(&f->floor)));
	set(o, "inflation", json_real(flow_inflation(f, view->now)));
	set(o, "retransmit_ratio", json_real(flow_retransmit_rate(f, view->now)));
	set(o, "retransmits", json_integer(f->retransmits_total));
	set(o, "segments", json_integer(f->segments_total));
	set(o, "delivery_bit_s", json_integer(minmax_value(&f->delivery)));
	set(o, "sampled", describe_time(view, f->sampled_at));
	return o;
}

static json_t *reading(const struct scaling_reading *r)
{
	json_t *o = object();
	set(o, "connections", json_integer(r->connections));
	set(o, "throughput_bit_s", json_real(r->bit_s));
	set(o, "connect_s", seconds(r->connect_ns));
	set(o, "tcp_s", seconds(r->tcp_ns));
	return o;
}

/* What an event has brought: more connections, and connects so many times as quick as during it. */
static json_t *gain(const struct scaling_event *e)
{
	json_t *o = object();
	set(o, "connections", json_integer(e->after.connections - e->before.connections));
	set(o, "connect_ratio",
		e->after.connect_ns > 0
			? json_real((double)e->during.connect_ns / (double)e->after.connect_ns)
			: json_null());
	return o;
}

static json_t *scaling_event(const struct gate_view *view, const struct scaling_event *e)
{
	bool over = e->ended_at >= 0;
	json_t *o = object();
	set(o, "began", describe_time(view, e->began_at));
	set(o, "ended", describe_time(view, e->ended_at));
	set(o, "lasted_s", seconds((over ? e->ended_at : view->now) - e->began_at));
	set(o, "before", reading(&e->before));
	set(o, "during", reading(&e->during));
	set(o, "after", over ? reading(&e->after) : json_null());
	set(o, "gain", over ? gain(e) : json_null());
	return o;
}

/* Newest first. */
static json_t *scaling_events(const struct gate_view *view)
{
	json_t *list = json_array();
	const struct scaling *s = &view->engine->path.scaling;
	const struct scaling_event *e;
	for (int age = 0; (e = scaling_event_at(s, age)); age++)
		json_array_append_new(list, scaling_event(view, e));
	return list;
}

json_t *describe_path(const struct gate_view *view)
{
	const struct path *p = &view->engine->path;
	json_t *o = object();
	set(o, "state", json_string(path_state_name(p->state)));
	set(o, "since", describe_time(view, p->changed_at));
	set(o, "utilisation", json_real(path_utilisation(p)));
	set(o, "connections", json_integer(p->connections));
	set(o, "limit", json_integer(p->settings.limit));
	set(o, "threshold", json_real(p->settings.threshold));
	set(o, "throughput_bit_s", json_real(p->throughput_bit_s));
	set(o, "sent_bytes_s", json_real(p->sent_bit_s / 8.0));
	set(o, "received_bytes_s", json_real((p->throughput_bit_s - p->sent_bit_s) / 8.0));
	set(o, "attempts", json_integer(p->attempts));
	set(o, "failures", json_integer(p->failures));
	set(o, "history", attempts(p));
	set(o, "stage_history", stage_histories(p));
	set(o, "connect_s", connect_times(p));
	set(o, "handshakes", handshakes(p));
	set(o, "tcp", flow(view));
	set(o, "scaling_events", json_integer(p->scaling.begun));
	set(o, "scaling", scaling_events(view));
	return o;
}
