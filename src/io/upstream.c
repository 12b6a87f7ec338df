#include "io/upstream.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "io/places.h"
#include "io/refusal.h"
#include "wire/message.h"

/* One dial: a PGconn on its way. At most one of `work` (a step on the pool) and `poll` (waiting
 * for the socket) is under way. */
struct dial {
	struct upstream_login *login; /* NULL: nobody waits for it any more */
	char *conninfo, *password; /* owned; of the login, which may be gone before them */
	struct care care;
	unsigned turn;
	bool tcp_only;
	PGconn *conn;
	struct buffer notices;
	PostgresPollingStatusType next; /* what libpq waits for */
	uv_work_t work;
	uv_poll_t poll;
	uv_loop_t *loop;
	bool working, watching, unwatching;
};

struct upstream_login {
	uv_loop_t *loop;
	struct upstream_target target; /* its texts are owned */
	struct upstream_events events;
	void *context;
	struct dial *dial;
	enum stage stage;
};

static void dial_step(struct dial *d);

/* ---- what went wrong ---- */

static void fill_error(struct error *error, const struct upstream_login *login, const char *message,
	enum outcome *outcome)
{
	char sqlstate[6], text[ERROR_TEXT_MAX];
	*outcome = upstream_classify(message, sqlstate);
	upstream_describe(message, text, sizeof(text));
	error_set(error, stage_name(login->stage), 0, "%s", text);
	error_sqlstate(error, sqlstate);
	error_origin(error, login->target.origin);
	upstream_explain(message, error->detail, error->hint, sizeof(error->detail));
}

/* ---- a dial's end ---- */

static void free_secret(const char *text)
{
	char *secret = (char *)text;
	if (secret)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

static char *copy_of(const char *text)
{
	char *copy = text ? strdup(text) : NULL;
	if (text && !copy)
		abort();
	return copy;
}

static void dial_free(struct dial *d)
{
	if (d->conn)
		PQfinish(d->conn);
	buffer_release(&d->notices);
	free_secret(d->conninfo);
	free_secret(d->password);
	free(d);
}

static void login_free(struct upstream_login *login)
{
	free_secret(login->target.conninfo);
	free_secret(login->target.password);
	free((char *)login->target.origin);
	free(login);
}

static void on_unwatched(uv_handle_t *handle)
{
	dial_free(handle->data);
}

/* Nobody waits for it any more: gone as soon as nothing of it is under way. */
static void dial_drop(struct dial *d)
{
	d->login = NULL;
	if (d->working || d->unwatching)
		return; /* after_step or after_watch sees to it */
	if (d->watching) {
		d->watching = false;
		uv_close((uv_handle_t *)&d->poll, on_unwatched);
		return;
	}
	dial_free(d);
}

static void login_end(struct dial *d, enum outcome outcome, const struct error *error)
{
	struct upstream_login *login = d->login;
	struct upstream up = {.fd = -1};
	if (outcome == OUTCOME_OK) {
		/* Or PQfinish would wait on the loop for room to say goodbye in, for ever on a path
		 * that carries nothing any more. */
		PQsetnonblocking(d->conn, 1);
		up = (struct upstream){d->conn, PQsocket(d->conn), PQgetssl(d->conn), d->notices};
		d->conn = NULL;
		d->notices = BUFFER_INIT;
	}
	dial_drop(d);
	login->events.done(login->context, outcome, &up, error);
	login_free(login);
}

/* ---- a dial's way ---- */

static void tell_stage(struct upstream_login *login, enum stage stage)
{
	if (stage == login->stage)
		return;
	login->stage = stage;
	login->events.stage(login->context, stage);
}

static enum stage stage_of(const PGconn *conn)
{
	switch ((int)PQstatus(conn)) {
	case CONNECTION_STARTED:
		return STAGE_TCP;
	case CONNECTION_MADE:
	case CONNECTION_SSL_STARTUP:
	case CONNECTION_GSS_STARTUP:
		return STAGE_TLS;
	default:
		return STAGE_AUTH;
	}
}

static void after_watch(uv_handle_t *handle)
{
	struct dial *d = handle->data;
	d->unwatching = false;
	if (!d->login)
		dial_free(d);
	else
		dial_step(d);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	/* A fresh handle for each wait: libpq may change the socket from step to step. */
	struct dial *d = poll->data;
	d->watching = false;
	d->unwatching = true;
	uv_close((uv_handle_t *)poll, after_watch);
}

static void dial_wait(struct dial *d)
{
	/* A socket that can't be watched is asked again at once: libpq then says what is wrong. */
	if (uv_poll_init(d->loop, &d->poll, PQsocket(d->conn)) != 0) {
		dial_step(d);
		return;
	}
	d->poll.data = d;
	d->watching = true;
	uv_poll_start(
		&d->poll, d->next == PGRES_POLLING_READING ? UV_READABLE : UV_WRITABLE, on_ready);
}

/* What stands before the conninfo it overrides, what stands behind overrides it. */
static PGconn *begin_conn(const struct dial *d)
{
	struct care_texts care;
	struct places places = {NULL, NULL, NULL};
	care_show(&d->care, &care);
	if (d->turn > 0)
		places_init(&places, d->conninfo, d->turn);
	const char *keys[] = {"keepalives", "keepalives_idle", "keepalives_interval",
		"keepalives_count", "tcp_user_timeout", "dbname", "host", "hostaddr", "port",
		"password", d->tcp_only ? "sslmode" : NULL, "gssencmode", NULL};
	const char *values[] = {care.keepalives, care.idle, care.interval, care.count,
		care.user_timeout_ms, d->conninfo, places.host, places.hostaddr, places.port,
		d->password, "disable", "disable", NULL};
	PGconn *conn = PQconnectStartParams(keys, values, 1);
	places_release(&places);
	return conn;
}

/* As the server sent it, for the clients. What libpq says itself has no SQLSTATE, and is for nobody;
 * left to itself libpq writes all of them to stderr. */
static void on_notice(void *context, const PGresult *notice)
{
	static const char fields[] = "SVCMDHPpqWstcdnFLR";
	struct dial *d = context;
	size_t mark;
	if (!PQresultErrorField(notice, PG_DIAG_SQLSTATE) ||
		buffer_len(&d->notices) > UPSTREAM_NOTICES_MAX)
		return;
	message_begin(&d->notices, MSG_NOTICE, &mark);
	for (const char *field = fields; *field; field++) {
		const char *text = PQresultErrorField(notice, *field);
		if (!text)
			continue;
		buffer_append_u8(&d->notices, (uint8_t)*field);
		buffer_append_text(&d->notices, text);
	}
	buffer_append_u8(&d->notices, 0);
	message_end(&d->notices, mark);
}

static void on_step(uv_work_t *work)
{
	struct dial *d = work->data;
	if (d->conn) {
		d->next = PQconnectPoll(d->conn);
		return;
	}
	d->conn = begin_conn(d);
	if (!d->conn) {
		d->next = PGRES_POLLING_FAILED;
		return;
	}
	PQsetErrorVerbosity(d->conn, PQERRORS_VERBOSE);
	PQsetNoticeReceiver(d->conn, on_notice, d);
	d->next = PQstatus(d->conn) == CONNECTION_BAD ? PGRES_POLLING_FAILED
						      : PGRES_POLLING_WRITING;
}

static void after_step(uv_work_t *work, int status)
{
	struct dial *d = work->data;
	(void)status;
	d->working = false;
	if (!d->login) {
		dial_free(d);
		return;
	}
	bool done = d->tcp_only && d->conn && PQstatus(d->conn) == CONNECTION_MADE;
	if (d->next == PGRES_POLLING_OK || done) {
		login_end(d, OUTCOME_OK, NULL);
		return;
	}
	if (d->next == PGRES_POLLING_FAILED) {
		struct error error;
		enum outcome outcome;
		fill_error(&error, d->login, d->conn ? PQerrorMessage(d->conn) : "out of memory",
			&outcome);
		login_end(d, outcome, &error);
		return;
	}
	tell_stage(d->login, stage_of(d->conn));
	dial_wait(d);
}

static void dial_step(struct dial *d)
{
	d->working = true;
	uv_queue_work(d->loop, &d->work, on_step, after_step);
}

static void dial_begin(struct upstream_login *login)
{
	struct dial *d = calloc(1, sizeof(*d));
	if (!d)
		abort();
	d->login = login;
	d->loop = login->loop;
	d->conninfo = copy_of(login->target.conninfo);
	d->password = copy_of(login->target.password);
	d->care = login->target.care;
	d->turn = login->target.turn;
	d->tcp_only = login->target.tcp_only;
	d->work.data = d;
	login->dial = d;
	login->stage = STAGE_DNS;
	dial_step(d);
}

/* ---- the public face ---- */

struct upstream_login *upstream_start(uv_loop_t *loop, const struct upstream_target *target,
	const struct upstream_events *events, void *context)
{
	struct upstream_login *login = calloc(1, sizeof(*login));
	if (!login)
		abort();
	login->loop = loop;
	login->target = *target;
	login->target.conninfo = copy_of(target->conninfo);
	login->target.password = copy_of(target->password);
	login->target.origin = copy_of(target->origin);
	login->events = *events;
	login->context = context;
	dial_begin(login);
	return login;
}

void upstream_redial(struct upstream_login *login)
{
	/* Behind the place that did not answer: it may be one of several. */
	login->target.turn++;
	dial_drop(login->dial);
	dial_begin(login);
}

int upstream_fd(const struct upstream_login *login)
{
	const struct dial *d = login->dial;
	return d->working || !d->conn ? -1 : PQsocket(d->conn);
}

bool upstream_is_encrypted(const struct upstream_login *login)
{
	const struct dial *d = login->dial;
	return !d->working && d->conn && PQsslInUse(d->conn);
}

unsigned upstream_abandon(struct upstream_login *login)
{
	unsigned next = login->target.turn + 1;
	dial_drop(login->dial);
	login_free(login);
	return next;
}

void upstream_release(struct upstream *up)
{
	if (up->conn)
		PQfinish(up->conn);
	buffer_release(&up->notices);
	*up = (struct upstream){.fd = -1};
}

void upstream_parameters(const struct upstream *up,
	void (*each)(void *context, const char *name, const char *value), void *context)
{
	/* What PostgreSQL 14 to 17 report; libpq answers for what it was told of. */
	static const char *const names[] = {"application_name", "client_encoding", "DateStyle",
		"default_transaction_read_only", "in_hot_standby", "integer_datetimes",
		"IntervalStyle", "is_superuser", "scram_iterations", "search_path",
		"server_encoding", "server_version", "session_authorization",
		"standard_conforming_strings", "TimeZone"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *value = PQparameterStatus(up->conn, names[i]);
		if (value)
			each(context, names[i], value);
	}
}
