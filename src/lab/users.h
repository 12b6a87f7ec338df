/*
 * users - the load: requests that come as a Poisson process, each a GET of load.path from an
 * instance that is up, drawn evenly. One that is not answered 2xx within load.timeout, or finds
 * nobody up, is asked again a second later, load.retries times, and is lost then.
 *
 * Rate and times are the scenario's: with a time_scale of 0.1, a hundred requests a second are a
 * thousand real ones. At most USERS_MAX are there at a time, waiting for an answer or for their
 * next try; who comes then is turned away: counted as lost, and said in the report.
 */
#ifndef STANDPIPE_LAB_USERS_H
#define STANDPIPE_LAB_USERS_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "lab/fleet.h"
#include "scenario/scenario.h"

#define USERS_MAX 4000

struct users;

/* In the second from `begun_ns` on, in uv_hrtime()'s time, requests came, and all were served by
 * their first try. */
typedef void users_second(void *context, uint64_t begun_ns);

struct users_settings {
	uv_loop_t *loop;
	const struct scenario_load *load;
	struct fleet *fleet;
	double time_scale;
	uint64_t seed;
	users_second *second;
	void *context;
};

struct users_count {
	int64_t served, lost; /* requests that are over */
	int64_t turned_away; /* of those lost */
	int waiting; /* for an answer, or for their next try */
};

/* All that is pointed to is borrowed until users_free. They come from load.at on, since now. */
struct users *users_new(const struct users_settings *settings);

struct users_count users_count(const struct users *u);

/* No more requests; those that wait are forgotten. */
void users_stop(struct users *u);

/* NULL is allowed. Its memory goes when the loop has closed its handles. */
void users_free(struct users *u);

#endif
