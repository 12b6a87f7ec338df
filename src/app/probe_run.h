/*
 * probe_run - does the connects of `standpipe probe`: one looked at closely, some one after the
 * other, then a ramp of several at once. All are closed at its end, and it is gentle: it stops
 * after a few failures in a row, at once where trying again can't help, at the first step of the
 * ramp that is too much, and takes no more than half of the server's free connections.
 */
#ifndef STANDPIPE_APP_PROBE_RUN_H
#define STANDPIPE_APP_PROBE_RUN_H

#include <stdint.h>

#include "app/probe_record.h"
#include "io/care.h"

struct probe_plan {
	const char *conninfo; /* libpq's; secret */
	const char *host; /* for errors */
	const char
		*password_command; /* for sh -c: says the password; empty: it is the conninfo's */
	struct care care;
	int count; /* of the series */
	int parallel; /* of the ramp's last step; 1: no ramp */
	int64_t interval_ns; /* between two of the series */
	int64_t timeout_ns; /* of each, its query included */

	/* For who shows how it goes on; any may be NULL. The password came: it must not be
	 * shown. */
	void (*password)(void *context, const char *password);
	void (*ended)(void *context, const struct probe_record *r, const struct probe_attempt *a);
	void *context;
};

/* Runs a loop of its own until it is over, or interrupted by SIGINT or SIGTERM (r->interrupted): a
 * connect that was then waited for for over a second counts as one without an answer. `r` is
 * filled in; probe_record_release it. Returns false if something (a name server) still keeps a
 * thread, which the end of the process would wait for. */
bool probe_run(struct probe_record *r, const struct probe_plan *plan);

/* Asks Cloud Monitoring about the connector, once; ends at SIGINT, too. */
void probe_cloud_ask(struct probe_cloud *answer, const struct cloud_target *target);

#endif
