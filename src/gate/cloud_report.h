/*
 * cloud_report - what Cloud Monitoring told of the VPC connector: for reports, and never for a
 * decision, since it is minutes late.
 */
#ifndef STANDPIPE_GATE_CLOUD_REPORT_H
#define STANDPIPE_GATE_CLOUD_REPORT_H

#include <stdint.h>

#include "base/error.h"
#include "base/instant.h"
#include "io/cloud_monitoring.h"

/* After failures it is asked more rarely, up to this, or its interval if that is longer. */
#define CLOUD_REPORT_PAUSE_MAX_NS (3600 * NS_PER_S)

struct cloud_report {
	struct cloud_sample sample; /* the last; what is not known was never told */
	int64_t asked,
		failed; /* questions that were answered or not; of them, those that were not */
	int failures; /* in a row */
	struct error error; /* of the last one; not set: it was answered */
};

/* Takes in an answer: what it does not know stays as it was. */
void cloud_report_told(
	struct cloud_report *c, const struct cloud_sample *sample, const struct error *error);

/* To the next question: the interval, doubled with each failure in a row. */
int64_t cloud_report_pause(const struct cloud_report *c, int64_t interval_ns);

/* How old the newest value is, at `wall_ns` since 1970; -1: there is none. */
int64_t cloud_report_age(const struct cloud_report *c, int64_t wall_ns);

#endif
