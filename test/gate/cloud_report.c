#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "gate/cloud_report.h"
#include "gate/describe.h"
#include "gate/metrics.h"
#include "instance.h"

#define MINUTE_NS (60 * NS_PER_S)

static const struct error denied = {.stage = "monitoring", .code = 403, .text = "denied"};

static void a_sample_stays_when_the_next_is_missing_or_partial(void **state)
{
	struct cloud_report r = {0};
	struct cloud_sample sample = {.values = {[CLOUD_INSTANCES] = {true, 3, 5 * NS_PER_S},
					      [CLOUD_CPU] = {true, 0.5, 5 * NS_PER_S}}};
	cloud_report_told(&r, &sample, NULL);
	cloud_report_told(&r, NULL, &denied);
	assert_true(r.sample.values[CLOUD_INSTANCES].value == 3);
	assert_int_equal(r.asked, 2);
	assert_int_equal(r.failed, 1);
	assert_string_equal(r.error.text, "denied");
	sample = (struct cloud_sample){.values = {[CLOUD_CPU] = {true, 0.75, 65 * NS_PER_S}}};
	cloud_report_told(&r, &sample, NULL);
	assert_true(r.sample.values[CLOUD_INSTANCES].value == 3);
	assert_true(r.sample.values[CLOUD_CPU].value == 0.75);
	assert_int_equal(r.failures, 0);
	assert_false(error_is_set(&r.error));
}

static void failures_in_a_row_make_it_ask_more_rarely(void **state)
{
	struct cloud_report r = {0};
	assert_int_equal(cloud_report_pause(&r, MINUTE_NS), MINUTE_NS);
	cloud_report_told(&r, NULL, &denied);
	assert_int_equal(cloud_report_pause(&r, MINUTE_NS), 2 * MINUTE_NS);
	cloud_report_told(&r, NULL, &denied);
	assert_int_equal(cloud_report_pause(&r, MINUTE_NS), 4 * MINUTE_NS);
	for (int i = 0; i < 1000; i++)
		cloud_report_told(&r, NULL, &denied);
	assert_int_equal(cloud_report_pause(&r, MINUTE_NS), CLOUD_REPORT_PAUSE_MAX_NS);
	/* Whoever asks once a day is not hurried. */
	assert_int_equal(cloud_report_pause(&r, 24 * 60 * MINUTE_NS), 24 * 60 * MINUTE_NS);
	cloud_report_told(&r, &(struct cloud_sample){0}, NULL);
	assert_int_equal(cloud_report_pause(&r, MINUTE_NS), MINUTE_NS);
}

static void its_age_is_that_of_the_newest_value(void **state)
{
	struct cloud_report r = {0};
	assert_int_equal(cloud_report_age(&r, 100), -1);
	r.sample.values[CLOUD_SENT] = (struct cloud_value){true, 1, 40 * NS_PER_S};
	r.sample.values[CLOUD_CPU] = (struct cloud_value){true, 1, 70 * NS_PER_S};
	assert_int_equal(cloud_report_age(&r, 100 * NS_PER_S), 30 * NS_PER_S);
	assert_int_equal(cloud_report_age(&r, 60 * NS_PER_S), 0); /* clocks differ */
}

static void pages_tell_what_is_known_and_nothing_where_it_is_off(void **state)
{
	static struct instance i;
	struct cloud_report r = {.asked = 3, .failed = 1};
	instance_init(&i);
	json_t *json = describe_connector(&i.view);
	assert_true(json_is_null(json));
	json_decref(json);
	char *text = metrics_text(&i.view);
	assert_null(strstr(text, "standpipe_connector_"));
	free(text);

	r.sample.values[CLOUD_INSTANCES] = (struct cloud_value){
		true, 3, i.view.wall_ns - 90 * NS_PER_S};
	i.view.cloud = &r;
	json = describe_connector(&i.view);
	assert_true(json_real_value(json_object_get(json, "instances")) == 3);
	assert_true(json_is_null(json_object_get(json, "cpu_utilisation")));
	assert_true(json_real_value(json_object_get(json, "sample_age_s")) == 90);
	assert_int_equal(json_integer_value(json_object_get(json, "failed")), 1);
	assert_true(json_is_null(json_object_get(json, "error")));
	json_decref(json);
	text = metrics_text(&i.view);
	assert_non_null(strstr(text, "\nstandpipe_connector_instances 3\n"));
	assert_non_null(strstr(text, "\nstandpipe_connector_sample_age_seconds 90\n"));
	assert_non_null(strstr(text, "\nstandpipe_connector_queries_total{outcome=\"ok\"} 2\n"));
	assert_non_null(
		strstr(text, "\nstandpipe_connector_queries_total{outcome=\"failed\"} 1\n"));
	assert_null(strstr(text, "standpipe_connector_cpu"));
	free(text);
	instance_release(&i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sample_stays_when_the_next_is_missing_or_partial),
		cmocka_unit_test(failures_in_a_row_make_it_ask_more_rarely),
		cmocka_unit_test(its_age_is_that_of_the_newest_value),
		cmocka_unit_test(pages_tell_what_is_known_and_nothing_where_it_is_off),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
