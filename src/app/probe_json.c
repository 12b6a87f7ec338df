/* `standpipe probe --json`. */
#include <stdio.h>
#include <string.h>

#include "app/probe_show.h"
#include "base/json.h"

/* Without secrets, and in UTF-8. */
static json_t *text(const struct probe_shown *s, const char *value)
{
	char clean[PROBE_TEXT_MAX];
	secrets_clean(s->secrets, value, clean, sizeof(clean));
	return json_string(clean);
}

/* 0 is what the kernel has not measured. */
static json_t *seconds_or_null(int64_t span_ns)
{
	return span_ns > 0 ? json_seconds(span_ns) : json_null();
}

static json_t *number_or_null(int number)
{
	return number >= 0 ? json_integer(number) : json_null();
}

static void put_spans(json_t *object, const struct probe_spans *s)
{
	bool any = s->count > 0;
	json_put(object, "passed", json_integer(s->count));
	json_put(object, "min_s", any ? json_seconds(s->min_ns) : json_null());
	json_put(object, "p50_s", any ? json_seconds(s->p50_ns) : json_null());
	json_put(object, "p95_s", any ? json_seconds(s->p95_ns) : json_null());
	json_put(object, "max_s", any ? json_seconds(s->max_ns) : json_null());
}

static json_t *target_json(const struct probe_shown *s)
{
	json_t *o = json_object();
	json_put(o, "address", text(s, s->config->address));
	json_put(o, "database", text(s, s->config->gate.database));
	json_put(o, "user", text(s, s->config->gate.user));
	json_put(o, "reached", *s->record->place ? text(s, s->record->place) : json_null());
	json_put(o, "tls", *s->record->tls ? text(s, s->record->tls) : json_null());
	return o;
}

static json_t *stages_json(const struct probe_numbers *n)
{
	json_t *o = json_object();
	for (enum stage stage = 0; stage < STAGE_COUNT; stage++) {
		json_t *one = json_object();
		put_spans(one, &n->stages[stage]);
		/* What was ready and did not answer has failed at its query. */
		json_put(one, "failed",
			json_integer(stage == STAGE_READY ? 0 : n->failed_in[stage]));
		json_put(o, stage_name(stage), one);
	}
	json_t *query = json_object();
	put_spans(query, &n->query);
	json_put(query, "failed", json_integer(n->failed_in[STAGE_READY]));
	json_put(o, "query", query);
	return o;
}

static json_t *attempt_json(const struct probe_shown *s, const struct probe_attempt *a)
{
	static const char *const parts[] = {"first", "series", "ramp"};
	json_t *o = json_object(), *stages = json_object();
	json_put(o, "part", json_string(parts[a->part]));
	json_put(o, "parallel", json_integer(a->parallel));
	json_put(o, "outcome", json_string(outcome_name(a->outcome)));
	json_put(o, "stage", json_string(stage_name(a->stage)));
	for (enum stage stage = 0; stage <= a->stage; stage++)
		if (stage != STAGE_TLS || a->stage_ns[stage] > 0)
			json_put(stages, stage_name(stage), json_seconds(a->stage_ns[stage]));
	json_put(o, "stages_s", stages);
	json_put(o, "query_s", a->queries > 0 ? json_seconds(a->query_ns[0]) : json_null());
	json_put(o, "syns_again", json_integer(a->syns_again));
	json_put(o, "rtt_s", seconds_or_null(a->tcp.rtt_ns));
	if (a->outcome != OUTCOME_OK) {
		json_put(o, "sqlstate",
			*a->error.sqlstate ? text(s, a->error.sqlstate) : json_null());
		json_put(o, "error", text(s, a->error.text));
	}
	return o;
}

static json_t *attempts_json(const struct probe_shown *s)
{
	const struct probe_numbers *n = s->numbers;
	json_t *o = json_object(), *failed_by = json_object(), *list = json_array();
	json_put(o, "total", json_integer(s->record->count));
	json_put(o, "ok", json_integer(n->ok));
	json_put(o, "failed", json_integer(n->failed));
	for (enum outcome outcome = 0; outcome < OUTCOME_COUNT; outcome++)
		if (n->failed_by[outcome] > 0)
			json_put(failed_by, outcome_name(outcome),
				json_integer(n->failed_by[outcome]));
	json_put(o, "failed_by", failed_by);
	for (int i = 0; i < s->record->count; i++)
		json_array_append_new(list, attempt_json(s, &s->record->attempts[i]));
	json_put(o, "list", list);
	return o;
}

static json_t *histogram_json(const struct probe_numbers *n)
{
	json_t *list = json_array();
	for (int i = 0; i < PROBE_BUCKETS; i++) {
		const struct probe_bucket *b = &n->buckets[i];
		json_t *one = json_object();
		json_put(one, "from_s", json_seconds(b->from_ns));
		json_put(one, "to_s", b->to_ns == INT64_MAX ? json_null() : json_seconds(b->to_ns));
		json_put(one, "count", json_integer(b->count));
		json_array_append_new(list, one);
	}
	return list;
}

static json_t *tcp_json(const struct probe_numbers *n)
{
	json_t *o = json_object();
	json_put(o, "rtt_s", seconds_or_null(n->rtt_ns));
	json_put(o, "min_rtt_s", seconds_or_null(n->min_rtt_ns));
	json_put(o, "syns_again", json_integer(n->syns_again));
	json_put(o, "connects_again", json_integer(n->connects_again));
	json_put(o, "segments_again", json_integer(n->segments_again));
	return o;
}

static json_t *ramp_json(const struct probe_shown *s)
{
	const struct probe_numbers *n = s->numbers;
	json_t *o = json_object(), *steps = json_array();
	json_put(o, "wanted", json_integer(s->record->parallel_wanted));
	json_put(o, "allowed", json_integer(s->record->parallel_allowed));
	json_put(o, "gives_way_at",
		n->gave_way < 0 ? json_null() : json_integer(n->steps[n->gave_way].parallel));
	for (int i = 0; i < n->steps_count; i++) {
		const struct probe_step *step = &n->steps[i];
		json_t *one = json_object();
		json_put(one, "parallel", json_integer(step->parallel));
		put_spans(one, &step->ready);
		json_put(one, "failed", json_integer(step->failed));
		json_put(one, "syns_again", json_integer(step->syns_again));
		json_array_append_new(steps, one);
	}
	json_put(o, "steps", steps);
	return o;
}

static json_t *server_json(const struct probe_shown *s)
{
	const struct probe_server *server = &s->record->server;
	if (!server->known)
		return json_null();
	json_t *o = json_object();
	json_put(o, "version", text(s, server->version));
	json_put(o, "in_recovery", json_boolean(server->limits.in_recovery));
	json_put(o, "max_connections", number_or_null(server->limits.max_connections));
	json_put(o, "superuser_reserved", number_or_null(server->limits.superuser_reserved));
	json_put(o, "reserved", number_or_null(server->limits.reserved));
	json_put(o, "backends", number_or_null(server->limits.backends));
	return o;
}

static json_t *capacity_json(const struct probe_verdict *v)
{
	const struct budget *b = &v->plan.budget;
	if (!v->has_plan)
		return json_null();
	json_t *o = json_object();
	json_put(o, "usable", json_integer(b->usable));
	json_put(o, "fleet", json_integer(b->fleet));
	json_put(o, "instances", json_integer(b->settings.instances));
	json_put(o, "share", json_integer(b->share));
	json_put(o, "needed", json_integer(b->needed));
	json_put(o, "fits", json_boolean(b->fits));
	json_put(o, "sentence", json_string(v->plan.sentence));
	return o;
}

static json_t *cloud_json(const struct probe_shown *s)
{
	static const char *const keys[CLOUD_METRIC_COUNT] = {
		"instances", "cpu_utilisation", "received_bit_s", "sent_bit_s"};
	const struct probe_cloud *c = &s->record->cloud;
	if (!c->asked)
		return json_null();
	json_t *o = json_object();
	for (enum cloud_metric m = 0; m < CLOUD_METRIC_COUNT; m++) {
		const struct cloud_value *v = &c->sample.values[m];
		json_put(o, keys[m], v->known ? json_real(v->value) : json_null());
	}
	json_put(o, "error", error_is_set(&c->error) ? text(s, c->error.text) : json_null());
	return o;
}

static json_t *advice_json(const struct probe_shown *s)
{
	const struct probe_verdict *v = s->verdict;
	json_t *list = json_array();
	for (int i = 0; i < v->count; i++) {
		json_t *one = json_object();
		json_put(one, "severity", json_string(probe_severity_name(v->advice[i].severity)));
		json_put(one, "code", json_string(v->advice[i].code));
		json_put(one, "text", text(s, v->advice[i].text));
		json_array_append_new(list, one);
	}
	return list;
}

void probe_show_json(const struct probe_shown *s)
{
	json_t *root = json_object();
	json_put(root, "target", target_json(s));
	json_put(root, "interrupted", json_boolean(s->record->interrupted));
	json_put(root, "attempts", attempts_json(s));
	json_put(root, "stages", stages_json(s->numbers));
	json_put(root, "histogram", histogram_json(s->numbers));
	json_put(root, "tcp", tcp_json(s->numbers));
	json_put(root, "ramp", ramp_json(s));
	json_put(root, "server", server_json(s));
	json_put(root, "capacity", capacity_json(s->verdict));
	json_put(root, "connector", cloud_json(s));
	json_put(root, "advice", advice_json(s));
	json_put(root, "exit_code", json_integer(s->exit_code));
	if (json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(12)) == 0)
		putchar('\n');
	json_decref(root);
}
