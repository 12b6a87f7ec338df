/*
 * habits - what the service of an arm does with connections, from the arm's variables: those that
 * examples/fastapi reads, with its defaults.
 */
#ifndef STANDPIPE_SIM_HABITS_H
#define STANDPIPE_SIM_HABITS_H

#include <stdint.h>

#include "scenario/scenario.h"

/* More than this a service does not open. */
#define HABITS_SLOTS_MAX 10000

struct habits {
	int size, overflow; /* DB_POOL_SIZE, DB_MAX_OVERFLOW */
	int warm; /* DB_POOL_WARM: opened at the start; else all of `size` */
	int64_t initialization_ns; /* DB_INITIALIZATION_TIMEOUT, for all that a start does */
	int64_t pool_timeout_ns; /* DB_POOL_TIMEOUT: a request's wait for a connection */
	int64_t hold_ns; /* DB_HOLD: it keeps that for so long when its transaction is over */
	int tls_trips; /* round trips, by PGSSLMODE: none, the question whether, and TLS 1.3's */
};

void habits_of(struct habits *h, const struct scenario_arm *arm);

/* The value of a variable that is a time, as such or in seconds; `preset_ns` when it is neither. */
int64_t habits_span_ns(const struct scenario_arm *arm, const char *name, int64_t preset_ns);

/* The arm that tells what the instances take of themselves: the one that it names, else the same
 * without path, on a database with room for all that its pools may open. */
void habits_reference(
	const struct scenario *s, const struct scenario_arm *arm, struct scenario_arm *reference);

#endif
