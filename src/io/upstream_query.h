/*
 * upstream_query - one query on a connection that upstream has made, while libpq still has it to
 * itself: before a relay takes the socket over, or instead of one.
 */
#ifndef STANDPIPE_IO_UPSTREAM_QUERY_H
#define STANDPIPE_IO_UPSTREAM_QUERY_H

#include "io/upstream.h"

struct upstream_query;

/* The answer, borrowed for the call: of an error `result` is NULL, and `error` has its SQLSTATE and
 * text. The query is gone afterwards, and the connection the caller's again. */
typedef void upstream_query_done(void *context, const PGresult *result, const struct error *error);

/* Asks one statement. `up` is borrowed until `done` is called, which is not from inside this
 * call. */
struct upstream_query *upstream_query_start(uv_loop_t *loop, const struct upstream *up,
	const char *sql, upstream_query_done *done, void *context);

/* `done` is not called any more. The connection is of no use but to be released. */
void upstream_query_abandon(struct upstream_query *q);

#endif
