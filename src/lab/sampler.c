#include "lab/sampler.h"

#include <assert.h>
#include <libpq-fe.h>
#include <stdlib.h>

#define AGAIN_MS 500 /* between two tries to connect */

struct sampler {
	uv_loop_t *loop;
	uv_timer_t timer;
	uv_poll_t *poll; /* of the connection's socket; frees itself when closed */
	PGconn *connection;
	const struct postgres *postgres;
	int now, peak;
	int64_t count;
};

static void poll_closed(uv_handle_t *handle)
{
	PQfinish(handle->data); /* the socket must outlive the handle */
	free(handle);
}

static void disconnect(struct sampler *s)
{
	if (s->poll) {
		s->poll->data = s->connection;
		uv_close((uv_handle_t *)s->poll, poll_closed);
	} else {
		PQfinish(s->connection);
	}
	s->poll = NULL;
	s->connection = NULL;
}

static void due(uv_timer_t *timer);

static void again(struct sampler *s)
{
	disconnect(s);
	uv_timer_start(&s->timer, due, AGAIN_MS, 0);
}

static void take(struct sampler *s, const PGresult *result)
{
	if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1)
		return;
	s->now = atoi(PQgetvalue(result, 0, 0));
	s->peak = s->now > s->peak ? s->now : s->peak;
	s->count++;
}

static void came(uv_poll_t *poll, int status, int events)
{
	struct sampler *s = poll->data;
	PGresult *result;

	(void)events;
	if (status < 0 || !PQconsumeInput(s->connection)) {
		again(s);
		return;
	}
	while (!PQisBusy(s->connection)) {
		result = PQgetResult(s->connection);
		if (!result) {
			uv_poll_stop(poll);
			uv_timer_start(&s->timer, due, SAMPLER_EVERY_MS, 0);
			return;
		}
		take(s, result);
		PQclear(result);
	}
}

/* Blocks, but for a moment: the socket is local, and a server that is not up refuses at once. */
static int connect_now(struct sampler *s)
{
	char conninfo[POSTGRES_PATH_MAX + 256];

	if (s->postgres->pid == 0)
		return -1;
	postgres_admin(s->postgres, conninfo, sizeof conninfo);
	s->connection = PQconnectdb(conninfo);
	if (PQstatus(s->connection) != CONNECTION_OK)
		return -1;
	s->poll = calloc(1, sizeof *s->poll);
	if (!s->poll)
		abort();
	s->poll->data = s;
	if (uv_poll_init(s->loop, s->poll, PQsocket(s->connection)) < 0) {
		free(s->poll);
		s->poll = NULL;
		return -1;
	}
	return 0;
}

static void due(uv_timer_t *timer)
{
	struct sampler *s = timer->data;

	if (!s->connection && connect_now(s) < 0) {
		again(s);
		return;
	}
	if (!PQsendQuery(s->connection,
		    "select count(*) from pg_stat_activity"
		    " where backend_type = 'client backend' and pid <> pg_backend_pid()")) {
		again(s);
		return;
	}
	uv_poll_start(s->poll, UV_READABLE, came);
}

struct sampler *sampler_new(uv_loop_t *loop, const struct postgres *postgres)
{
	struct sampler *s = calloc(1, sizeof *s);

	if (!s)
		abort();
	s->loop = loop;
	s->postgres = postgres;
	uv_timer_init(loop, &s->timer);
	s->timer.data = s;
	uv_timer_start(&s->timer, due, 0, 0);
	return s;
}

int sampler_now(const struct sampler *s)
{
	return s->now;
}

int sampler_peak(const struct sampler *s)
{
	return s->peak;
}

int64_t sampler_count(const struct sampler *s)
{
	return s->count;
}

static void timer_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void sampler_free(struct sampler *s)
{
	if (!s)
		return;
	disconnect(s);
	uv_close((uv_handle_t *)&s->timer, timer_closed);
}
