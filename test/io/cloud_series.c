#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/instant.h"
#include "io/cloud_series.h"

/* 2026-11-25T19:00:00Z */
#define AT_S INT64_C(1795633200)

#define INTERVAL(from, to) \
	"{\"startTime\": \"2026-11-25T" from "Z\", \"endTime\": \"2026-11-25T" to "Z\"}"
#define POINT(from, to, value) "{\"interval\": " INTERVAL(from, to) ", \"value\": {" value "}}"
#define SERIES(unit, points)                                                              \
	"{\"metric\": {\"type\": \"vpcaccess.googleapis.com/connector/instances\"}, "     \
	"\"resource\": "                                                                  \
	"{\"type\": \"vpc_access_connector\", \"labels\": {\"connector_name\": \"c\"}}, " \
	"\"metricKind\": \"GAUGE\", \"valueType\": \"INT64\", " unit "\"points\": [" points "]}"
#define LIST(series) "{\"timeSeries\": [" series "]}"

static struct cloud_value parse(enum cloud_metric metric, const char *text)
{
	struct error error = {0};
	struct cloud_value value;
	if (cloud_series_parse(metric, text, strlen(text), &value, &error) < 0)
		fail_msg("%s", error.text);
	return value;
}

static void the_newest_point_counts(void **state)
{
	struct cloud_value v = parse(CLOUD_INSTANCES,
		LIST(SERIES("", POINT("19:00:00", "19:00:00", "\"int64Value\": \"3\"") "," POINT(
					"18:59:00", "18:59:00", "\"int64Value\": \"2\""))));
	assert_true(v.known);
	assert_true(v.value == 3);
	assert_int_equal(v.at_ns, AT_S * NS_PER_S);
}

static void bytes_become_a_rate_over_their_own_interval(void **state)
{
	struct cloud_value v = parse(
		CLOUD_RECEIVED, LIST(SERIES("", POINT("18:59:00.5", "19:00:00.123456Z\", \"x\": \"",
							"\"int64Value\": \"7500000\""))));
	assert_true(v.value == 1e6); /* 7.5 MB in a minute */
	v = parse(CLOUD_SENT,
		LIST(SERIES("", POINT("19:00:00", "19:00:00", "\"int64Value\": \"7500000\""))));
	assert_false(v.known); /* over no time there is no rate */
}

static void a_distribution_is_its_mean_and_percent_a_share(void **state)
{
	struct cloud_value v = parse(CLOUD_CPU,
		LIST(SERIES("\"unit\": \"%\", ",
			POINT("19:00:00", "19:00:00",
				"\"distributionValue\": {\"count\": \"2\", \"mean\": 62.5}"))));
	assert_true(v.value > 0.6249 && v.value < 0.6251);
	v = parse(CLOUD_CPU,
		LIST(SERIES("\"unit\": \"10^2.%\", ",
			POINT("19:00:00", "19:00:00",
				"\"distributionValue\": {\"count\": \"2\", \"mean\": 0.625}"))));
	assert_true(v.value == 0.625);
	v = parse(CLOUD_CPU,
		LIST(SERIES("", POINT("19:00:00", "19:00:00", "\"distributionValue\": {}"))));
	assert_true(v.known);
	assert_true(v.value == 0);
	v = parse(
		CLOUD_CPU, LIST(SERIES("", POINT("19:00:00", "19:00:00", "\"doubleValue\": 0.5"))));
	assert_true(v.value == 0.5);
}

static void several_connectors_are_summed_and_the_busiest_is_told(void **state)
{
#define TWO(a, b)                                                     \
	LIST(SERIES("", POINT("18:59:00", "19:00:00", a)) "," SERIES( \
		"", POINT("18:58:00", "18:59:00", b)))
	struct cloud_value v = parse(
		CLOUD_INSTANCES, TWO("\"int64Value\": \"3\"", "\"int64Value\": \"4\""));
	assert_true(v.value == 7);
	assert_int_equal(v.at_ns, (AT_S - 60) * NS_PER_S);
	v = parse(CLOUD_CPU, TWO("\"doubleValue\": 0.25", "\"doubleValue\": 0.75"));
	assert_true(v.value == 0.75);
	v = parse(CLOUD_CPU, TWO("\"doubleValue\": 0.75", "\"doubleValue\": 0.25"));
	assert_true(v.value == 0.75);
}

static void no_point_is_no_error_and_not_known(void **state)
{
	static const char *const texts[] = {"{}", LIST(""), LIST(SERIES("", "")), LIST("7"),
		"{\"timeSeries\": {}}",
		LIST("{\"points\": [{\"value\": {\"int64Value\": \"3\"}}]}"),
		LIST(SERIES("", POINT("25:00", "nonsense", "\"int64Value\": \"3\""))),
		LIST("{\"points\": [{\"interval\": {\"endTime\": \"4052-11-25T18:59:00Z\"}, "
		     "\"value\": {\"int64Value\": \"3\"}}]}"),
		LIST(SERIES("", POINT("19:00:00", "19:00:00", "\"int64Value\": \"three\""))),
		LIST(SERIES("", POINT("19:00:00", "19:00:00", "\"int64Value\": \"1e999\""))),
		LIST(SERIES("", POINT("19:00:00", "19:00:00", "\"stringValue\": \"3\"")))};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (parse(CLOUD_INSTANCES, texts[i]).known)
			fail_msg("%s", texts[i]);
}

static void what_is_too_large_for_a_number_is_not_known(void **state)
{
	assert_false(parse(CLOUD_INSTANCES,
		LIST(SERIES("",
			POINT("18:59:00", "19:00:00", "\"doubleValue\": 1.7e308")) "," SERIES("",
			POINT("18:59:00", "19:00:00", "\"doubleValue\": 1.7e308"))))
			     .known);
}

static void what_is_not_json_is_an_error(void **state)
{
	static const char *const texts[] = {"", "[]", "<html>", "{\"timeSeries\": [", "null"};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct error error = {0};
		struct cloud_value value;
		char *token = NULL;
		int64_t life_ns;
		assert_int_equal(
			cloud_series_parse(CLOUD_CPU, texts[i], strlen(texts[i]), &value, &error),
			-1);
		assert_string_equal(error.stage, "monitoring");
		assert_int_equal(
			cloud_token_parse(texts[i], strlen(texts[i]), &token, &life_ns, &error),
			-1);
		assert_null(token);
	}
}

static void a_token_comes_with_its_life(void **state)
{
	static const struct {
		const char *text;
		int64_t life_s;
	} cases[] = {
		{"{\"access_token\": \"ya29.c\", \"expires_in\": 3599, \"token_type\": \"Bearer\"}",
			3599},
		{"{\"access_token\": \"ya29.c\"}", 60},
		{"{\"access_token\": \"ya29.c\", \"expires_in\": -5}", 60},
		{"{\"access_token\": \"ya29.c\", \"expires_in\": 1e30}", 86400},
	};
	struct error error = {0};
	char *token = NULL;
	int64_t life_ns;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(cloud_token_parse(cases[i].text, strlen(cases[i].text), &token,
					 &life_ns, &error),
			0);
		assert_string_equal(token, "ya29.c");
		assert_int_equal(life_ns, cases[i].life_s * NS_PER_S);
		free(token);
		token = NULL;
	}
	static const char *const bad[] = {"{}", "{\"access_token\": \"\"}", "{\"access_token\": 7}",
		"{\"access_token\": \"a\\r\\nX-Other: b\"}"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(
			cloud_token_parse(bad[i], strlen(bad[i]), &token, &life_ns, &error), -1);
		assert_null(token);
	}
}

static void an_error_s_message_is_found_or_nothing(void **state)
{
	static const char text[] =
		"{\"error\": {\"code\": 403, \"message\": \"Permission denied.\\nX\"}}";
	char message[32];
	cloud_message_parse(text, strlen(text), message, sizeof(message));
	assert_string_equal(message, "Permission denied.");
	cloud_message_parse("<html>", 6, message, sizeof(message));
	assert_string_equal(message, "");
	cloud_message_parse("{\"error\": \"x\"}", 14, message, sizeof(message));
	assert_string_equal(message, "");
	cloud_message_parse(text, strlen(text), message, 5);
	assert_string_equal(message, "Perm");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_newest_point_counts),
		cmocka_unit_test(bytes_become_a_rate_over_their_own_interval),
		cmocka_unit_test(a_distribution_is_its_mean_and_percent_a_share),
		cmocka_unit_test(several_connectors_are_summed_and_the_busiest_is_told),
		cmocka_unit_test(no_point_is_no_error_and_not_known),
		cmocka_unit_test(what_is_too_large_for_a_number_is_not_known),
		cmocka_unit_test(what_is_not_json_is_an_error),
		cmocka_unit_test(a_token_comes_with_its_life),
		cmocka_unit_test(an_error_s_message_is_found_or_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
