/* A login and `select 1`, by libpq. */
#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "io/check_work.h"

/* The first SQLSTATE in a message of libpq's verbose form, "FATAL:  28P01: ...". */
static const char *sqlstate_of(const char *message, char sqlstate[6])
{
	static const char allowed[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	for (const char *at = strstr(message, ":  "); at; at = strstr(at + 1, ":  "))
		if (strspn(at + 3, allowed) == 5 && at[8] == ':') {
			memcpy(sqlstate, at + 3, 5);
			sqlstate[5] = '\0';
			return at + 10; /* after ": " */
		}
	sqlstate[0] = '\0';
	return message;
}

static const char *mend_of(const char *sqlstate, const char *message)
{
	if (strncmp(sqlstate, "28", 2) == 0)
		return "; are user and password right, and does pg_hba.conf let them in?";
	if (strcmp(sqlstate, "3D000") == 0)
		return "; create the database, or name another";
	if (strcmp(sqlstate, "53300") == 0)
		return "; every connection that it allows is taken";
	if (strstr(message, "Connection refused"))
		return "; nothing listens there: is it started, and the port right?";
	return "";
}

static int fail(struct check_work *w, PGconn *conn, const char *stage)
{
	char sqlstate[6];
	/* The last line is of the last host that was tried. */
	const char *message = sqlstate_of(PQerrorMessage(conn), sqlstate);
	int len = (int)strcspn(message, "\n");
	error_set(&w->error, stage, 0, "%s: %.*s%s", w->target.name, len > 120 ? 120 : len, message,
		mend_of(sqlstate, message));
	error_sqlstate(&w->error, sqlstate);
	return -1;
}

static int login(struct check_work *w, PGconn *conn)
{
	if (PQstatus(conn) == CONNECTION_BAD)
		return fail(w, conn, "tcp");
	PostgresPollingStatusType next = PGRES_POLLING_WRITING;
	while (next != PGRES_POLLING_OK) {
		bool connecting = PQstatus(conn) == CONNECTION_STARTED;
		short events = next == PGRES_POLLING_READING ? POLLIN : POLLOUT;
		if (check_work_wait(w, PQsocket(conn), events, connecting ? "tcp" : "auth",
			    connecting ? "connection" : "login") < 0)
			return -1;
		next = PQconnectPoll(conn);
		if (next == PGRES_POLLING_FAILED)
			return fail(w, conn, connecting ? "tcp" : "auth");
	}
	return 0;
}

static int select_one(struct check_work *w, PGconn *conn)
{
	if (!PQsendQuery(conn, "select 1"))
		return fail(w, conn, "query");
	while (PQisBusy(conn)) {
		if (check_work_wait(w, PQsocket(conn), POLLIN, "query", "answer to a query") < 0)
			return -1;
		if (!PQconsumeInput(conn))
			return fail(w, conn, "query");
	}
	PGresult *result = PQgetResult(conn);
	int failed = PQresultStatus(result) == PGRES_TUPLES_OK ? 0 : fail(w, conn, "query");
	PQclear(result);
	return failed;
}

/* Not to stderr, as libpq does: whoever logs in is told the same. */
static void ignore_notice(void *context, const PGresult *notice)
{
	(void)context;
	(void)notice;
}

int check_work_postgres(struct check_work *w)
{
	/* The URI last: what it says wins over these. */
	static const char *const keys[] = {"application_name", "dbname", NULL};
	const char *const values[] = {"standpipe check", w->target.text, NULL};
	PGconn *conn = PQconnectStartParams(keys, values, 1);
	if (!conn)
		abort();
	PQsetErrorVerbosity(conn, PQERRORS_VERBOSE);
	PQsetNoticeReceiver(conn, ignore_notice, NULL);
	int result = login(w, conn);
	if (result == 0)
		result = select_one(w, conn);
	PQfinish(conn);
	return result;
}
