#include "io/upstream_query.h"

#include <stdbool.h>
#include <stdlib.h>

#include "io/refusal.h"

struct upstream_query {
	uv_poll_t poll;
	PGconn *conn; /* borrowed */
	PGresult *result; /* owned; the last that came, but an error stays */
	struct error error;
	bool lost; /* the connection is, or was from the beginning */
	upstream_query_done *done; /* NULL: abandoned */
	void *context;
};

static void on_closed(uv_handle_t *handle)
{
	struct upstream_query *q = handle->data;
	if (q->done)
		q->done(q->context, error_is_set(&q->error) ? NULL : q->result,
			error_is_set(&q->error) ? &q->error : NULL);
	PQclear(q->result);
	free(q);
}

static void fail(struct upstream_query *q, const char *message, const char *sqlstate)
{
	char text[ERROR_TEXT_MAX], found[6];
	upstream_classify(message, found);
	upstream_describe(message, text, sizeof(text));
	error_set(&q->error, "query", 0, "%s", text);
	error_sqlstate(&q->error, sqlstate ? sqlstate : found);
}

static void end(struct upstream_query *q)
{
	if (q->lost)
		fail(q, PQerrorMessage(q->conn), NULL);
	else if (PQresultStatus(q->result) != PGRES_TUPLES_OK &&
		 PQresultStatus(q->result) != PGRES_COMMAND_OK)
		fail(q, PQresultErrorMessage(q->result),
			PQresultErrorField(q->result, PG_DIAG_SQLSTATE));
	uv_close((uv_handle_t *)&q->poll, on_closed);
}

static bool is_error(const PGresult *result)
{
	return result && PQresultStatus(result) == PGRES_FATAL_ERROR;
}

/* Takes what libpq has; true when it was all of the answer. */
static bool take(struct upstream_query *q)
{
	while (!PQisBusy(q->conn)) {
		PGresult *next = PQgetResult(q->conn);
		if (!next)
			return true;
		PGresult *other = is_error(q->result) ? next : q->result;
		q->result = is_error(q->result) ? q->result : next;
		PQclear(other);
	}
	return false;
}

static void on_ready(uv_poll_t *poll, int status, int events);

static void wait_more(struct upstream_query *q)
{
	int unsent = PQflush(q->conn);
	q->lost = q->lost || unsent < 0;
	if (q->lost ||
		uv_poll_start(&q->poll, UV_READABLE | (unsent ? UV_WRITABLE : 0), on_ready) != 0)
		end(q);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	struct upstream_query *q = poll->data;
	(void)status;
	(void)events;
	uv_poll_stop(poll);
	q->lost = PQconsumeInput(q->conn) == 0;
	if (!q->lost && take(q))
		end(q);
	else
		wait_more(q);
}

struct upstream_query *upstream_query_start(uv_loop_t *loop, const struct upstream *up,
	const char *sql, upstream_query_done *done, void *context)
{
	struct upstream_query *q = calloc(1, sizeof(*q));
	if (!q || uv_poll_init(loop, &q->poll, up->fd) != 0)
		abort(); /* a socket that was watched just now can't be watched */
	q->poll.data = q;
	q->conn = up->conn;
	q->done = done;
	q->context = context;
	q->lost = PQsendQuery(q->conn, sql) == 0;
	wait_more(q);
	return q;
}

void upstream_query_abandon(struct upstream_query *q)
{
	q->done = NULL;
	if (!uv_is_closing((uv_handle_t *)&q->poll))
		uv_close((uv_handle_t *)&q->poll, on_closed);
}
