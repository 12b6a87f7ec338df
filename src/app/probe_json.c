/* `standpipe probe --json`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "app/probe_show.h"

static void put(json_t *object, const char *name, json_t *value)
{
	if (!value || json_object_set_new(object, name, value) < 0)
		abort();
}

/* Without secrets, and in UTF-8. */
static json_t *text(const struct probe_shown *s, const char *value)
{
	char clean[PROBE_TEXT_MAX];
	secrets_clean(s->secrets, value, clean, sizeof(clean));
	return json_string(clean);
}

static json_t *seconds(int64_t span_ns)
{
	return json_real(s_from_ns(span_ns));
}

/* 0 is what the kernel has not measured. */
static json_t *seconds_or_null(int64_t span_ns)
{
	return span_ns > 0 ? seconds(span_ns) : json_null();
}

static json_t *number_or_null(int number)
{
	return number >= 0 ? json_integer(number) : json_null();
}

static void put_spans(json_t *object, const struct probe_spans *s)
{
	bool any = s->count > 0;
	put(object, "passed", json_integer(s->count));
	put(object, "min_s", any ? seconds(s->min_ns) : json_null());
	put(object, "p50_s", any ? seconds(s->p50_ns) : json_null());
	put(object, "p95_s", any ? seconds(s->p95_ns) : json_null());
	put(object, "max_s", any ? seconds(s->max_ns) : json_null());
}

static json_t *target_json(const struct probe_shown *s)
{
	json_t *o = json_object();
	put(o, "address", text(s, s->config->address));
	put(o, "database", text(s, s->config->gate.database));
	put(o, "user", text(s, s->config->gate.user));
	put(o, "reached", *s->record->place ? text(s, s->record->place) : json_null());
	put(o, "tls", *s->record->tls ? text(s, s->record->tls) : json_null());
	return o;
}

static json_t *stages_json(const struct probe_numbers *n)
{
	json_t *o = json_object();
	for (enum stage stage = 0; stage < STAGE_COUNT; stage++) {
		json_t *one = json_object();
		put_spans(one, &n->stages[stage]);
		/* What was ready and did not answer has failed at its query. */
		put(one, "failed", json_integer(stage == STAGE_READY ? 0 : n->failed_in[stage]));
		put(o, stage_name(stage), one);
	}
	json_t *query = json_object();
	put_spans(query, &n->query);
	put(query, "failed", json_integer(n->failed_in[STAGE_READY]));
	put(o, "query", query);
	return o;
}

static json_t *attempt_json(const struct probe_shown *s, const struct probe_attempt *a)
{
	static const char *const parts[] = {"first", "series", "ramp"};
	json_t *o = json_object(), *stages = json_object();
	put(o, "part", json_string(parts[a->part]));
	put(o, "parallel", json_integer(a->parallel));
	put(o, "outcome", json_string(outcome_name(a->outcome)));
	put(o, "stage", json_string(stage_name(a->stage)));
	for (enum stage stage = 0; stage <= a->stage; stage++)
		if (stage != STAGE_TLS || a->stage_ns[stage] > 0)
			put(stages, stage_name(stage), seconds(a->stage_ns[stage]));
	put(o, "stages_s", stages);
	put(o, "query_s", a->queries > 0 ? seconds(a->query_ns[0]) : json_null());
	put(o, "syns_again", json_integer(a->syns_again));
	put(o, "rtt_s", seconds_or_null(a->tcp.rtt_ns));
	if (a->outcome != OUTCOME_OK) {
		put(o, "sqlstate", *a->error.sqlstate ? text(s, a->error.sqlstate) : json_null());
		put(o, "error", text(s, a->error.text));
	}
	return o;
}

static json_t *attempts_json(const struct probe_shown *s)
{
	const struct probe_numbers *n = s->numbers;
	json_t *o = json_object(), *failed_by = json_object(), *list = json_array();
	put(o, "total", json_integer(s->record->count));
	put(o, "ok", json_integer(n->ok));
	put(o, "failed", json_integer(n->failed));
	for (enum outcome outcome = 0; outcome < OUTCOME_COUNT; outcome++)
		if (n->failed_by[outcome] > 0)
			put(failed_by, outcome_name(outcome), json_integer(n->failed_by[outcome]));
	put(o, "failed_by", failed_by);
	for (int i = 0; i < s->record->count; i++)
		json_array_append_new(list, attempt_json(s, &s->record->attempts[i]));
	put(o, "list", list);
	return o;
}

static json_t *histogram_json(const struct probe_numbers *n)
{
	json_t *list = json_array();
	for (int i = 0; i < PROBE_BUCKETS; i++) {
		const struct probe_bucket *b = &n->buckets[i];
		json_t *one = json_object();
		put(one, "from_s", seconds(b->from_ns));
		put(one, "to_s", b->to_ns == INT64_MAX ? json_null() : seconds(b->to_ns));
		put(one, "count", json_integer(b->count));
		json_array_append_new(list, one);
	}
	return list;
}

static json_t *tcp_json(const struct probe_numbers *n)
{
	json_t *o = json_object();
	put(o, "rtt_s", seconds_or_null(n->rtt_ns));
	put(o, "min_rtt_s", seconds_or_null(n->min_rtt_ns));
	put(o, "syns_again", json_integer(n->syns_again));
	put(o, "connects_again", json_integer(n->connects_again));
	put(o, "segments_again", json_integer(n->segments_again));
	return o;
}

static json_t *ramp_json(const struct probe_shown *s)
{
	const struct probe_numbers *n = s->numbers;
	json_t *o = json_object(), *steps = json_array();
	put(o, "wanted", json_integer(s->record->parallel_wanted));
	put(o, "allowed", json_integer(s->record->parallel_allowed));
	put(o, "gives_way_at",
		n->gave_way < 0 ? json_null() : json_integer(n->steps[n->gave_way].parallel));
	for (int i = 0; i < n->steps_count; i++) {
		const struct probe_step *step = &n->steps[i];
		json_t *one = json_object();
		put(one, "parallel", json_integer(step->parallel));
		put_spans(one, &step->ready);
		put(one, "failed", json_integer(step->failed));
		put(one, "syns_again", json_integer(step->syns_again));
		json_array_append_new(steps, one);
	}
	put(o, "steps", steps);
	return o;
}

static json_t *server_json(const struct probe_shown *s)
{
	const struct probe_server *server = &s->record->server;
	if (!server->known)
		return json_null();
	json_t *o = json_object();
	put(o, "version", text(s, server->version));
	put(o, "in_recovery", json_boolean(server->limits.in_recovery));
	put(o, "max_connections", number_or_null(server->limits.max_connections));
	put(o, "superuser_reserved", number_or_null(server->limits.superuser_reserved));
	put(o, "reserved", number_or_null(server->limits.reserved));
	put(o, "backends", number_or_null(server->limits.backends));
	return o;
}

static json_t *capacity_json(const struct probe_verdict *v)
{
	const struct budget *b = &v->plan.budget;
	if (!v->has_plan)
		return json_null();
	json_t *o = json_object();
	put(o, "usable", json_integer(b->usable));
	put(o, "fleet", json_integer(b->fleet));
	put(o, "instances", json_integer(b->settings.instances));
	put(o, "share", json_integer(b->share));
	put(o, "needed", json_integer(b->needed));
	put(o, "fits", json_boolean(b->fits));
	put(o, "sentence", json_string(v->plan.sentence));
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
		put(o, keys[m], v->known ? json_real(v->value) : json_null());
	}
	put(o, "error", error_is_set(&c->error) ? text(s, c->error.text) : json_null());
	return o;
}

static json_t *advice_json(const struct probe_shown *s)
{
	const struct probe_verdict *v = s->verdict;
	json_t *list = json_array();
	for (int i = 0; i < v->count; i++) {
		json_t *one = json_object();
		put(one, "severity", json_string(probe_severity_name(v->advice[i].severity)));
		put(one, "code", json_string(v->advice[i].code));
		put(one, "text", text(s, v->advice[i].text));
		json_array_append_new(list, one);
	}
	return list;
}

void probe_show_json(const struct probe_shown *s)
{
	json_t *root = json_object();
	put(root, "target", target_json(s));
	put(root, "interrupted", json_boolean(s->record->interrupted));
	put(root, "attempts", attempts_json(s));
	put(root, "stages", stages_json(s->numbers));
	put(root, "histogram", histogram_json(s->numbers));
	put(root, "tcp", tcp_json(s->numbers));
	put(root, "ramp", ramp_json(s));
	put(root, "server", server_json(s));
	put(root, "capacity", capacity_json(s->verdict));
	put(root, "connector", cloud_json(s));
	put(root, "advice", advice_json(s));
	put(root, "exit_code", json_integer(s->exit_code));
	if (json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(12)) == 0)
		putchar('\n');
	json_decref(root);
}
