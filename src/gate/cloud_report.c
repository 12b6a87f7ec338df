#include "gate/cloud_report.h"

#include "base/json.h"
#include "gate/describe.h"

void cloud_report_told(
	struct cloud_report *c, const struct cloud_sample *sample, const struct error *error)
{
	c->asked++;
	if (error) {
		c->failed++;
		c->failures++;
		c->error = *error;
		return;
	}
	c->failures = 0;
	error_init(&c->error);
	for (enum cloud_metric m = 0; m < CLOUD_METRIC_COUNT; m++)
		if (sample->values[m].known)
			c->sample.values[m] = sample->values[m];
}

int64_t cloud_report_pause(const struct cloud_report *c, int64_t interval_ns)
{
	int64_t most_ns = interval_ns > CLOUD_REPORT_PAUSE_MAX_NS ? interval_ns
								  : CLOUD_REPORT_PAUSE_MAX_NS;
	for (int i = 0; i < c->failures && interval_ns < most_ns; i++)
		interval_ns *= 2;
	return interval_ns < most_ns ? interval_ns : most_ns;
}

int64_t cloud_report_age(const struct cloud_report *c, int64_t wall_ns)
{
	int64_t newest_ns = -1;
	for (enum cloud_metric m = 0; m < CLOUD_METRIC_COUNT; m++) {
		const struct cloud_value *v = &c->sample.values[m];
		if (v->known && v->at_ns > newest_ns)
			newest_ns = v->at_ns;
	}
	if (newest_ns < 0)
		return -1;
	return wall_ns > newest_ns ? wall_ns - newest_ns : 0;
}

json_t *describe_connector(const struct gate_view *view)
{
	static const char *const keys[CLOUD_METRIC_COUNT] = {
		"instances", "cpu_utilisation", "received_bit_s", "sent_bit_s"};
	const struct cloud_report *c = view->cloud;
	if (!c)
		return json_null();
	json_t *o = json_object();
	for (enum cloud_metric m = 0; m < CLOUD_METRIC_COUNT; m++) {
		const struct cloud_value *v = &c->sample.values[m];
		json_put(o, keys[m], v->known ? json_real(v->value) : json_null());
	}
	int64_t age_ns = cloud_report_age(c, view->wall_ns);
	json_put(o, "sample_age_s", age_ns < 0 ? json_null() : json_real(s_from_ns(age_ns)));
	json_put(o, "asked", json_integer(c->asked));
	json_put(o, "failed", json_integer(c->failed));
	json_put(o, "error", describe_error(view, &c->error));
	return o;
}
