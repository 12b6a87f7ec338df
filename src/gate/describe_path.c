/* The path as JSON: what was measured of it, and what came of that. */
#include "base/json.h"
#include "gate/describe.h"

static json_t *seconds_if_any(int64_t span_ns)
{
	return span_ns > 0 ? json_seconds(span_ns) : json_null();
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
	json_t *o = json_object();
	json_put(o, "min", json_seconds(quantiles_value(q, 0.0)));
	json_put(o, "p50", json_seconds(quantiles_value(q, 0.5)));
	json_put(o, "p95", json_seconds(quantiles_value(q, 0.95)));
	return o;
}

static json_t *connect_times(const struct path *p)
{
	if (p->total.held == 0)
		return json_null();
	json_t *o = json_object();
	for (enum stage stage = STAGE_DNS; stage < STAGE_READY; stage++)
		json_put(o, stage_name(stage), quantiles(&p->stages[stage].took));
	json_put(o, "total", quantiles(&p->total));
	json_put(o, "least", json_seconds(p->least_ns));
	json_put(o, "samples", json_integer(p->total.held));
	return o;
}

static json_t *stage_histories(const struct path *p)
{
	json_t *o = json_object();
	for (enum stage stage = STAGE_DNS; stage < STAGE_READY; stage++)
		json_put(o, stage_name(stage), history(&p->stages[stage].history, 'x'));
	return o;
}

static json_t *handshakes(const struct path *p)
{
	json_t *o = json_object();
	json_put(o, "syn_lost", json_integer(p->syn_lost));
	json_put(o, "history", history(&p->syns, 's'));
	return o;
}

static json_t *flow(const struct gate_view *view)
{
	const struct flow *f = &view->engine->path.flow;
	if (f->samples == 0)
		return json_null();
	json_t *o = json_object();
	json_put(o, "rtt_s", seconds_if_any(f->rtt_ns));
	json_put(o, "min_rtt_s", seconds_if_any(minmax_value(&f->floor)));
	json_put(o, "inflation", json_real(flow_inflation(f, view->now)));
	json_put(o, "retransmit_ratio", json_real(flow_retransmit_rate(f, view->now)));
	json_put(o, "retransmits", json_integer(f->retransmits_total));
	json_put(o, "segments", json_integer(f->segments_total));
	json_put(o, "delivery_bit_s", json_integer(minmax_value(&f->delivery)));
	json_put(o, "sampled", describe_time(view, f->sampled_at));
	return o;
}

static json_t *reading(const struct scaling_reading *r)
{
	json_t *o = json_object();
	json_put(o, "connections", json_integer(r->connections));
	json_put(o, "throughput_bit_s", json_real(r->bit_s));
	json_put(o, "connect_s", json_seconds(r->connect_ns));
	json_put(o, "tcp_s", json_seconds(r->tcp_ns));
	return o;
}

/* What an event has brought: more connections, and connects so many times as quick as during it. */
static json_t *gain(const struct scaling_event *e)
{
	json_t *o = json_object();
	json_put(o, "connections", json_integer(e->after.connections - e->before.connections));
	json_put(o, "connect_ratio",
		e->after.connect_ns > 0
			? json_real((double)e->during.connect_ns / (double)e->after.connect_ns)
			: json_null());
	return o;
}

static json_t *scaling_event(const struct gate_view *view, const struct scaling_event *e)
{
	bool over = e->ended_at >= 0;
	json_t *o = json_object();
	json_put(o, "began", describe_time(view, e->began_at));
	json_put(o, "ended", describe_time(view, e->ended_at));
	json_put(o, "lasted_s", json_seconds((over ? e->ended_at : view->now) - e->began_at));
	json_put(o, "before", reading(&e->before));
	json_put(o, "during", reading(&e->during));
	json_put(o, "after", over ? reading(&e->after) : json_null());
	json_put(o, "gain", over ? gain(e) : json_null());
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
	json_t *o = json_object();
	json_put(o, "state", json_string(path_state_name(p->state)));
	json_put(o, "since", describe_time(view, p->changed_at));
	json_put(o, "utilisation", json_real(path_utilisation(p)));
	json_put(o, "connections", json_integer(p->connections));
	json_put(o, "limit", json_integer(p->settings.limit));
	json_put(o, "threshold", json_real(p->settings.threshold));
	json_put(o, "throughput_bit_s", json_real(p->throughput_bit_s));
	json_put(o, "sent_bytes_s", json_real(p->sent_bit_s / 8.0));
	json_put(o, "received_bytes_s", json_real((p->throughput_bit_s - p->sent_bit_s) / 8.0));
	json_put(o, "attempts", json_integer(p->attempts));
	json_put(o, "failures", json_integer(p->failures));
	json_put(o, "history", attempts(p));
	json_put(o, "stage_history", stage_histories(p));
	json_put(o, "connect_s", connect_times(p));
	json_put(o, "handshakes", handshakes(p));
	json_put(o, "tcp", flow(view));
	json_put(o, "scaling_events", json_integer(p->scaling.begun));
	json_put(o, "scaling", scaling_events(view));
	return o;
}
