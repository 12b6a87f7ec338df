/*
 * probe_show - what `standpipe probe` prints: for people while it runs and at its end, in 80
 * columns, with colours on a terminal only; or as one JSON object at its end.
 */
#ifndef STANDPIPE_APP_PROBE_SHOW_H
#define STANDPIPE_APP_PROBE_SHOW_H

#include "app/config.h"
#include "app/probe_record.h"

/* All that there is to show. */
struct probe_shown {
	const struct config *config;
	const struct secrets *secrets; /* hidden in all texts that come from elsewhere */
	const struct probe_record *record;
	const struct probe_numbers *numbers;
	const struct probe_verdict *verdict;
	int exit_code;
};

/* While it runs: where to, and each attempt as it ends. */
void probe_show_target(const struct config *config, int64_t timeout_ns);
void probe_show_attempt(
	const struct probe_record *r, const struct probe_attempt *a, const struct secrets *secrets);

void probe_show_report(const struct probe_shown *s);
void probe_show_json(const struct probe_shown *s);

#endif
