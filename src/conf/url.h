/*
 * url - database URLs as services write them for PostgreSQL.
 *
 *	postgresql+asyncpg://user:secret@db1:5432,db2/name?ssl=require&application_name=shop
 *
 * Schemes are `postgres` and `postgresql`, with any driver suffix (SQLAlchemy's +asyncpg,
 * +psycopg2, +psycopg, +pg8000, ...). Hosts may be names, IPv4, [IPv6], several with commas,
 * missing, or directories of Unix sockets (%2Fcloudsql%2Fname, ?host=/cloudsql/name, and pg8000's
 * ?unix_sock=/cloudsql/name/.s.PGSQL.5432). The parameters host, port, hostaddr, user, password,
 * dbname and unix_sock are understood as the parts they stand for; all others keep their order.
 *
 * Every part is kept twice: as it was written, which is what the service's own driver is to see
 * again, and decoded. With a driver suffix, texts are decoded as SQLAlchemy does it: a lone `%` is
 * itself, `+` is a blank among the parameters, the database's name is taken as it stands, and a
 * password may hold `/` and `?`. Without one as libpq does it: a lone `%` is an error, and `+` is
 * itself.
 *
 * Errors name no part of the URL but its scheme and its parameters' names: no password gets out.
 */
#ifndef STANDPIPE_CONF_URL_H
#define STANDPIPE_CONF_URL_H

#include "base/error.h"
#include "conf/arena.h"

#define URL_MAX            8192 /* bytes */
#define URL_HOSTS_MAX      16
#define URL_PARAMETERS_MAX 64

struct url_host {
	const char *name; /* decoded, without brackets; a directory when it begins with '/' */
	int port; /* 0: missing */
};

struct url_part {
	const char *raw; /* as written; NULL: missing */
	const char *text; /* decoded; NULL: missing */
};

struct url_parameter {
	struct url_part name, value;
};

/* All texts are in the arena that was given to url_parse. */
struct url {
	const char *scheme; /* "postgresql" or "postgres" */
	const char *driver; /* "asyncpg"; empty: none */
	struct url_part user, password, database;
	struct url_host hosts[URL_HOSTS_MAX];
	int hosts_count; /* 0: missing */
	const char *hostaddr; /* libpq's parameter; NULL: missing */
	struct url_parameter parameters[URL_PARAMETERS_MAX];
	int parameters_count;
};

/* Blanks and line ends around the URL are passed over. 0, or -1 with what is wrong and the mend. */
int url_parse(struct url *u, struct arena *arena, const char *text, struct error *error);

/* libpq's URI, with the password: no driver suffix, drivers' spellings of TLS translated to
 * sslmode. Parameters that libpq does not know are left out; `*left_out` lists their names with
 * commas ("" for none). In the arena. */
const char *url_conninfo(const struct url *u, struct arena *arena, const char **left_out);

/* The URL under which the service finds the gate: host and port replaced, TLS turned off in the
 * driver's own spelling and without the parameters that only make sense towards the real server
 * (certificates, channel binding, target_session_attrs); everything else as it was written.
 * Holds the password. In the arena. */
const char *url_to_gate(const struct url *u, struct arena *arena, const char *host, int port);

/* For people: the same URL, but for passwords and other secrets, which become `***`. In the
 * arena. */
const char *url_display(const struct url *u, struct arena *arena);

/* Where the hosts are, for messages: "db.internal:5432", "[::1]:6000,db2:5432",
 * "/cloudsql/name/.s.PGSQL.5432". Missing parts are libpq's: port 5432, "localhost". */
const char *url_address(const struct url *u, struct arena *arena);

/* Percent-encodes all but letters, digits and "-._~". In the arena. */
const char *url_encode(struct arena *arena, const char *text);

#endif
