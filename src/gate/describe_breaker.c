/* The circuit breaker and the light probe, as JSON. */
#include <stdlib.h>

#include "gate/describe.h"

static json_t *sure(json_t *json)
{
	if (!json)
		abort();
	return json;
}

/* The last changes, newest last. */
static json_t *changes(const struct gate_view *view)
{
	json_t *list = json_array();
	for (int i = BREAKER_CHANGES - 1; i >= 0; i--) {
		const struct breaker_change *c = breaker_change(&view->engine->breaker, i);
		if (!c)
			continue;
		json_array_append_new(list,
			sure(json_pack("{s:o, s:s, s:s, s:s}", "at", describe_time(view, c->at),
				"from", breaker_state_name(c->from), "to",
				breaker_state_name(c->to), "cause", breaker_cause_name(c->cause))));
	}
	return list;
}

static json_t *last_probe(const struct gate_view *view)
{
	const struct probe *p = &view->engine->probe;
	if (p->ended_at < 0)
		return json_null();
	return sure(json_pack("{s:o, s:s, s:s, s:f, s:f}", "at", describe_time(view, p->ended_at),
		"outcome", outcome_name(p->last.outcome), "stage", stage_name(p->last.stage),
		"tcp_s", s_from_ns(p->last.stage_ns[STAGE_TCP]), "answer_s",
		s_from_ns(p->last.stage_ns[STAGE_TLS])));
}

static json_t *probe(const struct gate_view *view)
{
	const struct engine *e = view->engine;
	json_t *ended = json_object();
	for (enum outcome outcome = 0; outcome < OUTCOME_COUNT; outcome++)
		if (e->probe.ended[outcome] > 0)
			json_object_set_new(ended, outcome_name(outcome),
				json_integer(e->probe.ended[outcome]));
	return sure(json_pack("{s:b, s:o, s:o, s:o}", "under_way", e->probe.under_way, "next",
		describe_time(view, engine_next_probe_at(e)), "last", last_probe(view), "ended",
		ended));
}

json_t *describe_breaker(const struct gate_view *view)
{
	const struct breaker *b = &view->engine->breaker;
	const struct breaker_rates rates = breaker_rates(b, view->now);
	bool open = b->judged == BREAKER_OPEN;
	return sure(
		json_pack("{s:b, s:s, s:s, s:s, s:i, s:i, s:{s:i, s:f, s:f}, s:i, s:i, s:I, s:I, "
			  "s:o, s:o, s:o}",
			"enabled", b->settings.enabled, "mode", breaker_mode_name(b->mode), "state",
			breaker_state_name(b->state), "judged", breaker_state_name(b->judged),
			"failures", b->failures, "threshold", b->settings.failure_threshold,
			"window", "attempts", rates.attempts, "failure_rate", rates.failed,
			"slow_rate", rates.slow, "under_way", b->under_way, "probing", b->probing,
			"opened", (json_int_t)b->opened_count, "spared", (json_int_t)b->spared,
			"until", describe_time(view, open ? b->until : INSTANT_NEVER), "changes",
			changes(view), "probe", probe(view)));
}
