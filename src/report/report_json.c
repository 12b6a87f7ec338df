#include <math.h>
#include <string.h>

#include "base/json.h"
#include "report/report.h"

/* Seconds to the millisecond; whole numbers stay whole. */
static json_t *number(double value)
{
	if (isnan(value))
		return json_null();
	if (value == floor(value) && fabs(value) < 1e15)
		return json_integer((json_int_t)value);
	return json_real(round(value * 1000) / 1000);
}

static json_t *exit_codes(const struct result *r)
{
	json_t *codes = json_object();

	for (int i = 0; i < r->exit_count; i++) {
		char code[16];
		snprintf(code, sizeof code, "%d", r->exits[i].code);
		json_put(codes, code, json_integer(r->exits[i].count));
	}
	return codes;
}

static json_t *phases(const struct result *r)
{
	json_t *all = json_object();

	for (int i = 0; i < r->phase_count; i++) {
		const struct result_phase *p = &r->phases[i];
		json_t *one = json_object();
		json_put(one, "instances", json_integer(p->count));
		json_put(one, "p50_s", number(result_quantile(p->seconds, p->count, 0.5)));
		json_put(one, "p95_s", number(result_quantile(p->seconds, p->count, 0.95)));
		json_put(one, "max_s", number(result_quantile(p->seconds, p->count, 1)));
		json_put(all, p->name, one);
	}
	return all;
}

static json_t *connector(const struct result *r)
{
	const struct result_connector *c = &r->connector;

	if (r->arm->path != ARM_PATH_CONNECTOR)
		return json_null();
	return json_pack("{s:i,s:i,s:I,s:I,s:I}", "peak_flows", c->flows_peak, "instances",
		c->instances, "handshakes", (json_int_t)c->completed, "dropped_syns",
		(json_int_t)c->dropped, "bytes", (json_int_t)c->bytes);
}

/* The distributions of the metrics. */
static json_t *runs_of(const struct runs *runs)
{
	json_t *all = json_object();

	for (int m = 0; m < METRICS; m++) {
		enum metric metric = (enum metric)m;
		int measured = runs_measured(runs, metric);
		if (measured == 0)
			continue;
		json_t *one = json_object();
		json_put(one, "p5", number(runs_quantile(runs, metric, 0.05)));
		json_put(one, "p50", number(runs_quantile(runs, metric, 0.5)));
		json_put(one, "p95", number(runs_quantile(runs, metric, 0.95)));
		json_put(one, "measured", json_integer(measured));
		json_put(all, metric_name(metric), one);
	}
	return all;
}

static json_t *arm(const struct result *r)
{
	json_t *one = json_object();

	for (int m = 0; m < METRICS; m++)
		json_put(one, metric_name((enum metric)m), number(r->values[m]));
	json_put(one, "exit_codes", exit_codes(r));
	json_put(one, "bound_parts_s",
		json_pack("{s:o,s:o}", "unconstrained", number(r->reference_s),
			"earliest_admission", number(r->earliest_s)));
	json_put(one, "path", json_string(r->arm->path == ARM_PATH_NONE ? "none" : "connector"));
	json_put(one, "standpipe", json_boolean(r->arm->standpipe));
	json_put(one, "max_connections", json_integer(r->max_connections));
	json_put(one, "warm", r->warm < 0 ? json_null() : json_integer(r->warm));
	json_put(one, "elapsed_s", number(r->elapsed_s));
	json_put(one, "samples", json_integer((json_int_t)r->samples));
	json_put(one, "connector", connector(r));
	json_put(one, "phases", phases(r));
	/* A log may hold anything; what is not UTF-8 cannot be said in JSON. */
	json_t *words = r->last_words[0] ? json_string(r->last_words) : NULL;
	json_put(one, "last_words", words ? words : json_null());
	return one;
}

static json_t *expectations(const struct report *report)
{
	const struct scenario *s = report->scenario;
	json_t *all = json_array();

	for (int i = 0; i < s->expect_count; i++) {
		const struct expect *e = &s->expects[i];
		for (int k = 0; k < s->arm_count; k++) {
			const struct result *r = &report->arms[k];
			if (!r->ran || strcmp(s->arms[k].name, e->arm) != 0)
				continue;
			double share = report_share(report, k, e);
			json_array_append_new(
				all, json_pack("{s:s,s:b,s:f,s:o,s:o}", "expect",
					     s->expect_texts[i], "holds", share >= RUNS_SHARE,
					     "share", share, "left", number(r->values[e->metric]),
					     "right", number(expect_right(e, r->values))));
		}
	}
	return all;
}

json_t *report_json(const struct report *report)
{
	const struct scenario *s = report->scenario;
	json_t *root = json_object(), *arms = json_object();

	for (int i = 0; i < s->arm_count; i++) {
		if (!report->arms[i].ran)
			continue;
		json_t *one = arm(&report->arms[i]);
		if (report->runs[i].count > 1)
			json_put(one, "runs", runs_of(&report->runs[i]));
		json_put(arms, s->arms[i].name, one);
	}
	json_put(root, "scenario", json_string(s->name));
	if (report->postgres_version[0] != '\0') {
		json_put(root, "time_scale", json_real(report->time_scale));
		json_put(root, "postgresql", json_string(report->postgres_version));
	} else {
		json_put(root, "seed", json_string(report->seed));
	}
	json_put(root, "arms", arms);
	json_put(root, "expect", expectations(report));
	return root;
}
