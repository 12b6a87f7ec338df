/*
 * probe_record - what `standpipe probe` measured, and what follows from it. Pure: the numbers come
 * from probe_run.c or from a test.
 */
#ifndef STANDPIPE_APP_PROBE_RECORD_H
#define STANDPIPE_APP_PROBE_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "app/check_plan.h"
#include "base/error.h"
#include "core/engine.h"
#include "io/cloud_monitoring.h"
#include "io/tcp_info.h"

#define PROBE_QUERIES     10 /* round trips on the first connection; on each other, one */
#define PROBE_STEPS_MAX   10 /* of the ramp: 1, 2, 4, ... */
#define PROBE_PLACE_MAX   128
#define PROBE_TLS_MAX     64
#define PROBE_VERSION_MAX 64
#define PROBE_ADVICE_MAX  16
#define PROBE_TEXT_MAX    512

/* What an attempt was made for. */
enum probe_part {
	PROBE_FIRST, /* the one that is looked at closely */
	PROBE_SERIES, /* one after the other */
	PROBE_RAMP, /* several at once, held until the last of them is there */
};

struct probe_attempt {
	enum probe_part part;
	int parallel; /* so many at once */
	enum outcome outcome;
	enum stage stage; /* where it ended; STAGE_READY: connected, and a query failed unless OK */
	/* Time in each stage, 0 where it did not get; of STAGE_READY the whole connect's. Of the
	 * stage in which it failed, the time until then; of STAGE_TLS 0 where there is no TLS: to
	 * ask for it is then part of STAGE_AUTH. */
	int64_t stage_ns[STAGE_COUNT];
	int64_t query_ns[PROBE_QUERIES];
	int queries;
	struct tcp_sample tcp; /* at its end; all zero: not known */
	int64_t syns_again; /* SYNs that had no answer and were sent again */
	struct error error; /* if it failed */
};

/* What the server said of itself. */
struct probe_server {
	bool known;
	struct engine_limits limits; /* backends with one of ours among them */
	char version[PROBE_VERSION_MAX]; /* "15.8" */
};

/* What Cloud Monitoring says of the VPC connector. */
struct probe_cloud {
	bool asked;
	struct cloud_sample sample;
	struct error error; /* why there is none; not set: it was answered */
	int64_t wall_ns; /* when, ns since 1970 */
};

struct probe_record {
	struct probe_attempt *attempts; /* owned, in the order in which they ended */
	int count, size;
	struct probe_server server;
	struct probe_cloud cloud;
	char place[PROBE_PLACE_MAX]; /* that the first one reached: "10.0.0.5:5432" */
	char tls[PROBE_TLS_MAX]; /* "TLSv1.3, TLS_AES_256_GCM_SHA384"; empty: none */
	int parallel_wanted; /* the widest step asked for */
	int parallel_allowed; /* ... and made, so as not to take what others need */
	bool interrupted;
};

/* Copies. */
struct probe_attempt *probe_record_add(struct probe_record *r, const struct probe_attempt *a);
void probe_record_release(struct probe_record *r);

/* ---- numbers ---- */

struct probe_spans {
	int count;
	int64_t min_ns, p50_ns, p95_ns, max_ns; /* nearest rank */
};

/* Sorts `spans` in place. */
struct probe_spans probe_spans_of(int64_t *spans, int count);

/* Connects at once. */
struct probe_step {
	int parallel, ok, failed;
	int syns_again; /* connects that were made only by a SYN sent again */
	struct probe_spans ready;
};

/* Connect times in steps of 1, 2, 5: from below 1 ms to over 50 s. */
#define PROBE_BUCKETS 16

struct probe_bucket {
	int64_t from_ns, to_ns; /* to: INT64_MAX for the last */
	int count;
};

struct probe_numbers {
	int ok, failed;
	int failed_by[OUTCOME_COUNT];
	int failed_in[STAGE_COUNT];
	struct probe_spans stages[STAGE_COUNT]; /* of the connects that got through that stage */
	struct probe_spans query;
	int64_t rtt_ns, min_rtt_ns; /* the median of the smoothed, the least; 0: not known */
	int64_t segments_again; /* sent again, SYNs left out */
	int connects_again; /* that were made only by a SYN sent again */
	int64_t syns_again; /* of all, failed ones included */
	struct probe_step steps[PROBE_STEPS_MAX];
	int steps_count;
	int gave_way; /* the first step that was too much, by its place; -1: none */
	bool gave_way_slowly; /* ... by its latency: none failed */
	struct probe_bucket buckets[PROBE_BUCKETS];
};

void probe_numbers_init(struct probe_numbers *n, const struct probe_record *r);

/* ---- advice ---- */

enum probe_severity { PROBE_OK, PROBE_NOTE, PROBE_WARNING, PROBE_CRITICAL };

/* "ok", "note", "warning", "critical" */
const char *probe_severity_name(enum probe_severity s);

struct probe_advice {
	enum probe_severity severity;
	const char *code; /* static: "dns_slow" */
	char text[PROBE_TEXT_MAX];
};

struct probe_verdict {
	struct probe_advice advice[PROBE_ADVICE_MAX]; /* worst first */
	int count;
	enum probe_severity worst;
	bool has_plan; /* the server told its limits */
	struct plan plan; /* of the settings' fleet, with those limits */
};

/* `budget` is what the configuration says of the fleet. */
void probe_judge(struct probe_verdict *v, const struct probe_record *r,
	const struct probe_numbers *n, const struct budget_settings *budget);

#endif
