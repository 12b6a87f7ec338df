/*
 * cloud_series - what Google's Cloud Monitoring and metadata server answer, as numbers. Pure: text
 * in, numbers out.
 */
#ifndef STANDPIPE_IO_CLOUD_SERIES_H
#define STANDPIPE_IO_CLOUD_SERIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Of a Serverless VPC Access connector; vpcaccess.googleapis.com/connector/... */
enum cloud_metric {
	CLOUD_INSTANCES, /* instances */
	CLOUD_CPU, /* cpu/utilizations: a share, 0..1, the mean of the instances */
	CLOUD_RECEIVED, /* received_bytes_count, as bit/s */
	CLOUD_SENT, /* sent_bytes_count, as bit/s */
	CLOUD_METRIC_COUNT
};

/* The end of the metric's type: "cpu/utilizations". */
const char *cloud_metric_type(enum cloud_metric metric);

struct cloud_value {
	bool known;
	double value;
	int64_t at_ns; /* the end of what it was measured over, ns since 1970 */
};

/* Takes the newest point of each time series of a timeSeries.list answer (Monitoring API v3): of
 * several series (connectors) the sum, of CLOUD_CPU the highest; `at_ns` of the oldest of those. An
 * answer without a point is no error, and not known. 0, or -1 with `error`. */
int cloud_series_parse(enum cloud_metric metric, const char *text, size_t len,
	struct cloud_value *value, struct error *error);

/* The access token of an answer of the metadata server, which is malloc'ed, and how long it is
 * good. 0, or -1 with `error`. */
int cloud_token_parse(
	const char *text, size_t len, char **token, int64_t *life_ns, struct error *error);

/* What an answer that is an error says, in one line: its error.message, or nothing. */
void cloud_message_parse(const char *text, size_t len, char *message, size_t size);

#endif
