#include "io/upstream.h"

#include <assert.h>
#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* One dial: a PGconn on its way. At most one of `work` (a step on the pool) and `poll` (waiting
 * for the socket) is under way. */
struct dial {
	struct upstream_login *login; /* NULL: nobody waits for it any more */
	char *conninfo; /* owned: the first step may outlast the login */
	PGconn *conn;
	PostgresPollingStatusType next; /* what libpq waits for */
	uv_work_t work;
	uv_poll_t poll;
	uv_loop_t *loop;
	bool working, watching, unwatching;
};

struct upstream_login {
	uv_loop_t *loop;
	char *conninfo, *origin; /* owned */
	struct upstream_events events;
	void *context;
	struct dial *dial;
	enum stage stage;
};

static void dial_step(struct dial *d);

/* ---- what went wrong ---- */

/* libpq's verbose form of a server's error: "SEVERITY:  SQLSTATE: message". */
static const char *find_sqlstate(const char *message, char sqlstate[6])
{
	for (const char *at = strstr(message, ":  "); at; at = strstr(at + 1, ":  ")) {
		const char *code = at + 3;
		int len = 0;
		while (len < 5 &&
			(isdigit((unsigned char)code[len]) || isupper((unsigned char)code[len])))
			len++;
		if (len == 5 && code[5] == ':') {
			memcpy(sqlstate, code, 5);
			sqlstate[5] = 0;
			return code + 5;
		}
	}
	sqlstate[0] = 0;
	return NULL;
}

enum outcome upstream_classify(const char *message, char sqlstate[6])
{
	static const struct {
		const char *text;
		enum outcome outcome;
	} signs[] = {
		{"could not translate host name", OUTCOME_DNS},
		{"Connection refused", OUTCOME_REFUSED},
		{"No such file or directory",
			OUTCOME_REFUSED}, /* a Unix socket that is not there */
		{"timeout expired", OUTCOME_TIMEOUT},
		{"Connection timed out", OUTCOME_TIMEOUT},
		{"No route to host", OUTCOME_UNREACHABLE},
		{"Network is unreachable", OUTCOME_UNREACHABLE},
		{"closed the connection unexpectedly", OUTCOME_RESET},
		{"Connection reset", OUTCOME_RESET},
		{"SSL SYSCALL error: EOF", OUTCOME_RESET},
		{"no password supplied", OUTCOME_AUTH},
		{"server does not support SSL", OUTCOME_TLS},
		{"certificate", OUTCOME_TLS},
		{"SSL", OUTCOME_TLS},
	};
	if (find_sqlstate(message, sqlstate))
		return outcome_from_sqlstate(sqlstate);
	for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++)
		if (strstr(message, signs[i].text))
			return signs[i].outcome;
	return OUTCOME_PROTOCOL;
}

/* The last line that says something: libpq gathers what every address answered, and in verbose
 * form adds where in the server's source it happened. */
static void fill_error(struct error *error, const struct upstream_login *login, const char *message,
	enum outcome *outcome)
{
	char sqlstate[6];
	*outcome = upstream_classify(message, sqlstate);
	const char *after = find_sqlstate(message, sqlstate);
	const char *text = after ? after + 1 : message;
	while (isspace((unsigned char)*text))
		text++;
	size_t len = strcspn(text, "\n");
	/* "connection to server at ... failed: Connection refused\n\tIs the server ...?" */
	error_set(error, stage_name(login->stage), 0, "%.*s", (int)len, text);
	error_sqlstate(error, sqlstate);
	error_origin(error, login->origin);
}

/* ---- a dial's end ---- */

static char *copy(const char *text)
{
	char *made = strdup(text);
	if (!made)
		abort();
	return made;
}

/* It holds a password. */
static void forget(char *conninfo)
{
	explicit_bzero(conninfo, strlen(conninfo));
	free(conninfo);
}

static void login_free(struct upstream_login *login)
{
	forget(login->conninfo);
	free(login->origin);
	free(login);
}

static void dial_free(struct dial *d)
{
	if (d->conn)
		PQfinish(d->conn);
	forget(d->conninfo);
	free(d);
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
		up = (struct upstream){d->conn, PQsocket(d->conn), PQgetssl(d->conn)};
		d->conn = NULL;
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

static void on_step(uv_work_t *work)
{
	struct dial *d = work->data;
	if (d->conn) {
		d->next = PQconnectPoll(d->conn);
		return;
	}
	d->conn = PQconnectStart(d->conninfo);
	if (!d->conn) {
		d->next = PGRES_POLLING_FAILED;
		return;
	}
	PQsetErrorVerbosity(d->conn, PQERRORS_VERBOSE);
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
	if (d->next == PGRES_POLLING_OK) {
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
	d->conninfo = copy(login->conninfo);
	d->work.data = d;
	login->dial = d;
	login->stage = STAGE_DNS;
	dial_step(d);
}

/* ---- the public face ---- */

struct upstream_login *upstream_start(uv_loop_t *loop, const char *conninfo, const char *origin,
	const struct upstream_events *events, void *context)
{
	struct upstream_login *login = calloc(1, sizeof(*login));
	if (!login)
		abort();
	login->loop = loop;
	login->conninfo = copy(conninfo);
	login->origin = copy(origin);
	login->events = *events;
	login->context = context;
	dial_begin(login);
	return login;
}

void upstream_redial(struct upstream_login *login)
{
	dial_drop(login->dial);
	dial_begin(login);
}

void upstream_abandon(struct upstream_login *login)
{
	dial_drop(login->dial);
	login_free(login);
}

void upstream_release(struct upstream *up)
{
	if (up->conn)
		PQfinish(up->conn);
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
