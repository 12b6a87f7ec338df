/*
 * pool_stats - what was done in a pool: counted as it happens, averaged over a minute or two.
 *
 * Times are taken from hub_now: once a turn of the loop, and so as fine as what a turn takes. A
 * transaction lasts from the first message that is sent to the server to the ReadyForQuery that
 * ends it; a query to the next ReadyForQuery, whatever that says, from when there was something
 * that the server had not answered.
 */
#ifndef STANDPIPE_GATE_POOL_STATS_H
#define STANDPIPE_GATE_POOL_STATS_H

#include <stdint.h>

#include "base/instant.h"

/* How long a period is: averages are of the last whole one and the present one. */
#define POOL_STATS_PERIOD_NS (60 * NS_PER_S)

/* Since the pool was made. */
struct pool_stats {
	int64_t assigned; /* servers given to clients */
	int64_t xact_count; /* transactions that ended */
	int64_t query_count; /* simple queries, and Syncs that end an extended one */
	int64_t bytes_in; /* from its clients */
	int64_t bytes_out; /* to them */
	int64_t xact_ns; /* in transactions */
	int64_t query_ns; /* in queries */
	int64_t wait_ns; /* of clients, for a server */
	int64_t client_parses; /* Parse messages of clients */
	int64_t server_parses; /* Parse messages to servers */
	int64_t binds;
};

/* What a pool remembers of itself: as it was at the end of the last period and of the one
 * before. */
struct pool_history {
	struct pool_stats last, before;
};

/* A period is over. */
void pool_history_turn(struct pool_history *history, const struct pool_stats *stats);

void pool_stats_add(struct pool_stats *sum, const struct pool_stats *one);

/* The averages from `before` to `now`, `span_ns` later: counts and bytes are a second's, xact_ns a
 * transaction's, query_ns a query's, wait_ns an assignment's. */
struct pool_stats pool_stats_average(
	const struct pool_stats *now, const struct pool_stats *before, int64_t span_ns);

#endif
