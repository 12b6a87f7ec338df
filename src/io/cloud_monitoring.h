/*
 * cloud_monitoring - what Google's Cloud Monitoring knows of a Serverless VPC Access connector, for
 * reports only: its samples are a minute apart and up to two minutes late, so no decision may wait
 * for them or be made by them.
 *
 * A question is one token of the metadata server, which is kept until shortly before its life is
 * over, and one timeSeries.list for each metric (Monitoring API v3). It runs on a thread of its
 * own, so that a service that hangs holds up nothing of the loop's.
 */
#ifndef STANDPIPE_IO_CLOUD_MONITORING_H
#define STANDPIPE_IO_CLOUD_MONITORING_H

#include <uv.h>

#include "base/error.h"
#include "io/cloud_series.h"

struct cloud_target {
	const char *metadata_url; /* "http://metadata.google.internal" */
	const char *api_url; /* "https://monitoring.googleapis.com" */
	const char *project; /* its id; empty: the metadata server's */
	const char *connector; /* its name; empty: all of the project's together */
	int64_t timeout_ns; /* of one question */
};

struct cloud_sample {
	struct cloud_value values[CLOUD_METRIC_COUNT];
};

struct cloud;

/* The answer to a question, borrowed; of an error `sample` is NULL. No error has the token in
 * it. */
typedef void cloud_answered(
	void *context, const struct cloud_sample *sample, const struct error *error);

/* Copies the target. */
struct cloud *cloud_new(uv_loop_t *loop, const struct cloud_target *target,
	cloud_answered *answered, void *context);

/* Asks; while a question is under way nothing more. */
void cloud_ask(struct cloud *c);

/* `answered` is not called any more. What is under way is given up; the memory goes once the loop
 * has gone on. */
void cloud_free(struct cloud *c);

#endif
