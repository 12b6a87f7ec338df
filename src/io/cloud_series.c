#include "io/cloud_series.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/instant.h"

#define STAGE        "monitoring"
#define TOKEN_MAX    16384
#define LIFE_MAX_S   86400
#define TIME_MAX_S   (INT64_MAX / NS_PER_S) /* in the year 2262 */
#define LIFE_USUAL_S 60 /* where none is told */

const char *cloud_metric_type(enum cloud_metric metric)
{
	static const char *const types[CLOUD_METRIC_COUNT] = {
		"instances", "cpu/utilizations", "received_bytes_count", "sent_bytes_count"};
	return types[metric];
}

static json_t *load(const char *text, size_t len, struct error *error)
{
	json_error_t cause;
	json_t *root = json_loadb(text, len, 0, &cause);
	if (json_is_object(root))
		return root;
	error_set(error, STAGE, 0, "the answer is not a JSON object%s%s", root ? "" : ": ",
		root ? "" : cause.text);
	json_decref(root);
	return NULL;
}

/* RFC 3339 in UTC, fractions of a second passed over. */
static bool parse_time(const json_t *json, int64_t *at_ns)
{
	struct tm parts = {0};
	const char *text = json_string_value(json);
	const char *rest = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &parts) : NULL;
	if (!rest || !strchr(rest, 'Z'))
		return false;
	int64_t at_s = timegm(&parts);
	if (at_s < 0 || at_s > TIME_MAX_S)
		return false;
	*at_ns = at_s * NS_PER_S;
	return true;
}

/* A TypedValue: int64Value (which JSON has as a text), doubleValue, distributionValue. */
static bool parse_number(const json_t *value, double *number)
{
	const json_t *whole = json_object_get(value, "int64Value");
	const json_t *real = json_object_get(value, "doubleValue");
	const json_t *spread = json_object_get(value, "distributionValue");
	const char *text = json_string_value(whole);
	char *end = NULL;
	if (text) {
		*number = strtod(text, &end);
		return end != text && !*end && isfinite(*number);
	}
	if (json_is_object(spread))
		real = json_object_get(spread, "mean"); /* left out when it is 0 */
	*number = json_number_value(real ? real : whole);
	return real || whole || spread;
}

/* A share is told in percent ("%"), or as it is ("10^2.%", "1"). */
static double scale_of(const json_t *series)
{
	const char *unit = json_string_value(json_object_get(series, "unit"));
	return unit && strcmp(unit, "%") == 0 ? 0.01 : 1;
}

/* The newest comes first. A rate is of what was counted over the point's own interval. */
static bool newest(enum cloud_metric metric, const json_t *series, struct cloud_value *value)
{
	const json_t *point = json_array_get(json_object_get(series, "points"), 0);
	const json_t *interval = json_object_get(point, "interval");
	int64_t from_ns = 0;
	if (!parse_time(json_object_get(interval, "endTime"), &value->at_ns) ||
		!parse_number(json_object_get(point, "value"), &value->value))
		return false;
	if (metric == CLOUD_INSTANCES)
		return true;
	if (metric == CLOUD_CPU) {
		value->value *= scale_of(series);
		return true;
	}
	if (!parse_time(json_object_get(interval, "startTime"), &from_ns) ||
		from_ns >= value->at_ns)
		return false;
	value->value *= 8 / s_from_ns(value->at_ns - from_ns);
	return true;
}

static void add(enum cloud_metric metric, struct cloud_value *sum, const struct cloud_value *one)
{
	if (!sum->known) {
		*sum = *one;
		sum->known = true;
		return;
	}
	if (metric == CLOUD_CPU)
		sum->value = one->value > sum->value ? one->value : sum->value;
	else
		sum->value += one->value;
	if (one->at_ns < sum->at_ns)
		sum->at_ns = one->at_ns;
}

int cloud_series_parse(enum cloud_metric metric, const char *text, size_t len,
	struct cloud_value *value, struct error *error)
{
	*value = (struct cloud_value){0};
	json_t *root = load(text, len, error);
	if (!root)
		return -1;
	const json_t *all = json_object_get(root, "timeSeries");
	size_t count = json_array_size(all);
	for (size_t i = 0; i < count; i++) {
		struct cloud_value one = {0};
		if (newest(metric, json_array_get(all, i), &one))
			add(metric, value, &one);
	}
	value->known = value->known && isfinite(value->value);
	json_decref(root);
	return 0;
}

int cloud_token_parse(
	const char *text, size_t len, char **token, int64_t *life_ns, struct error *error)
{
	json_t *root = load(text, len, error);
	if (!root)
		return -1;
	const char *found = json_string_value(json_object_get(root, "access_token"));
	double life_s = json_number_value(json_object_get(root, "expires_in"));
	int failed = 0;
	/* It becomes a header: what would begin another is no token. */
	if (!found || !*found || strlen(found) > TOKEN_MAX || strpbrk(found, "\r\n")) {
		failed = error_set(error, STAGE, 0, "the metadata server gave no access_token");
	} else {
		*token = strdup(found);
		if (!*token)
			abort();
		if (!(life_s >= 1))
			life_s = LIFE_USUAL_S;
		*life_ns = ns_from_s(life_s < LIFE_MAX_S ? life_s : LIFE_MAX_S);
	}
	json_decref(root);
	return failed;
}

void cloud_message_parse(const char *text, size_t len, char *message, size_t size)
{
	json_t *root = json_loadb(text, len, 0, NULL);
	const json_t *cause = json_object_get(root, "error");
	const char *said = json_string_value(json_object_get(cause, "message"));
	snprintf(message, size, "%.*s", said ? (int)strcspn(said, "\r\n") : 0, said ? said : "");
	json_decref(root);
}
