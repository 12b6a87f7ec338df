#include "lab/postgres.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <libpq-fe.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/random.h"
#include "lab/ports.h"

#define PROGRAMS        "/usr/lib/postgresql/*/bin/postgres" /* Debian's place */
#define ADMIN           "postgres"
#define SOCKET_PATH_MAX 107 /* the kernel's, without the zero */
#define OPEN_FDS        16

/* Debian keeps every major version in a directory of its own: the highest one. */
static int find_programs(struct postgres *p, struct error *error)
{
	glob_t found;
	int best = -1;

	if (glob(PROGRAMS, 0, NULL, &found) == 0) {
		for (size_t i = 0; i < found.gl_pathc; i++) {
			int major = atoi(found.gl_pathv[i] + strlen("/usr/lib/postgresql/"));
			if (major <= best)
				continue;
			best = major;
			snprintf(p->bin, sizeof p->bin, "/usr/lib/postgresql/%d/bin", major);
			snprintf(p->version, sizeof p->version, "%d", major);
		}
		globfree(&found);
	}
	if (best < 0)
		return error_set(error, "postgres", 0,
			"no PostgreSQL in " PROGRAMS ": install Debian's package postgresql");
	return 0;
}

static void draw_password(struct postgres *p, uint64_t seed)
{
	static const char letters[] = "abcdefghijkmnpqrstuvwxyz23456789";
	struct random random;
	int urandom = open("/dev/urandom", O_RDONLY | O_CLOEXEC);

	if (urandom >= 0 && read(urandom, &seed, sizeof seed) < 0)
		seed ^= (uint64_t)getpid();
	if (urandom >= 0)
		close(urandom);
	random_init(&random, seed);
	for (size_t i = 0; i < sizeof p->password - 1; i++)
		p->password[i] = letters[random_below(&random, sizeof letters - 1)];
}

int postgres_init(struct postgres *p, const char *temp, uint64_t seed, struct error *error)
{
	struct random random;

	*p = (struct postgres){.log = -1};
	if (find_programs(p, error) < 0)
		return -1;
	if (geteuid() == 0 && !process_user_find(&p->user, "postgres") &&
		!process_user_find(&p->user, "nobody"))
		return error_set(error, "postgres", 0,
			"it does not run as root, and there is no user `postgres` or `nobody`");
	draw_password(p, seed);
	random_init(&random, seed ^ (uint64_t)getpid());
	if (ports_pick(&random, &p->port, 1, error) < 0)
		return -1;
	if (strlen(temp) + strlen("/standpipe-lab-XXXXXX/.s.PGSQL.65535") > SOCKET_PATH_MAX)
		return error_set(error, "postgres", 0,
			"TMPDIR is too long for a Unix socket's path; set a shorter one: %s", temp);
	snprintf(p->directory, sizeof p->directory, "%s/standpipe-lab-XXXXXX", temp);
	if (!mkdtemp(p->directory)) {
		int code = errno;
		error_set(error, "postgres", code, "%s: %s", p->directory, strerror(code));
		p->directory[0] = '\0';
		return -1;
	}
	if (p->user.change && chown(p->directory, p->user.uid, p->user.gid) < 0)
		return error_set(error, "postgres", errno, "%s: %s", p->directory, strerror(errno));
	return 0;
}

/* A file in the directory, to append to; readable for us alone. */
static int open_output(const struct postgres *p, const char *name)
{
	char path[POSTGRES_PATH_MAX + 32];

	snprintf(path, sizeof path, "%s/%s", p->directory, name);
	return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int start(struct postgres *p, const char *const *argv, const char *output, int death_signal,
	pid_t *pid, struct error *error)
{
	int fd = open_output(p, output);
	const struct process_spec spec = {
		.argv = argv,
		.environment = (const char *const *)environ,
		.directory = p->directory,
		.user = &p->user,
		.output = fd,
		.death_signal = death_signal,
	};
	int result = process_start(&spec, pid, error);

	if (fd >= 0)
		close(fd);
	return result;
}

int postgres_initdb(struct postgres *p, pid_t *pid, struct error *error)
{
	char program[POSTGRES_PATH_MAX + 32];
	const char *const argv[] = {program, "-D", "data", "-U", ADMIN, "--no-sync", "-E", "UTF8",
		"--locale=C.UTF-8", "--auth-local=trust", "--auth-host=scram-sha-256", NULL};

	snprintf(program, sizeof program, "%s/initdb", p->bin);
	return start(p, argv, "initdb.log", SIGKILL, pid, error);
}

int postgres_start(
	struct postgres *p, int max_connections, int superuser_reserved, struct error *error)
{
	char program[POSTGRES_PATH_MAX + 32], port[32], sockets[POSTGRES_PATH_MAX + 64];
	char most[64], reserved[64], path[POSTGRES_PATH_MAX + 32];
	const char *const argv[] = {program, "-D", "data", "-p", port, "-c", sockets, "-c", most,
		"-c", reserved, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c",
		"synchronous_commit=off", "-c", "full_page_writes=off", "-c", "autovacuum=off",
		"-c", "max_wal_senders=0", "-c", "wal_level=minimal", "-c",
		"log_line_prefix=%m [%p] %e ", "-c", "logging_collector=off", "-c",
		"log_destination=stderr", NULL};

	snprintf(program, sizeof program, "%s/postgres", p->bin);
	snprintf(port, sizeof port, "%d", p->port);
	snprintf(sockets, sizeof sockets, "unix_socket_directories=%s", p->directory);
	snprintf(most, sizeof most, "max_connections=%d", max_connections);
	snprintf(
		reserved, sizeof reserved, "superuser_reserved_connections=%d", superuser_reserved);
	/* SIGQUIT: it ends at once, but takes its shared memory along. */
	if (start(p, argv, "postgres.log", SIGQUIT, &p->pid, error) < 0) {
		p->pid = 0;
		return error_wrap(error, "PostgreSQL");
	}
	if (p->log < 0) {
		snprintf(path, sizeof path, "%s/postgres.log", p->directory);
		p->log = open(path, O_RDONLY | O_CLOEXEC);
	}
	return 0;
}

void postgres_admin(const struct postgres *p, char *conninfo, int size)
{
	snprintf(conninfo, (size_t)size,
		"host=%s port=%d user=" ADMIN " dbname=postgres connect_timeout=5 "
		"application_name=standpipe-lab sslmode=disable gssencmode=disable",
		p->directory, p->port);
}

bool postgres_accepts(const struct postgres *p)
{
	char conninfo[POSTGRES_PATH_MAX + 256];

	postgres_admin(p, conninfo, sizeof conninfo);
	return p->pid > 0 && PQping(conninfo) == PQPING_OK;
}

static int execute(PGconn *connection, const char *sql, struct error *error)
{
	PGresult *result = PQexec(connection, sql);
	ExecStatusType status = PQresultStatus(result);

	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
		error_set(error, "setup", 0, "%s", PQresultErrorMessage(result));
	PQclear(result);
	return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ? 0 : -1;
}

static PGconn *connect_as(
	const struct postgres *p, const char *user, const char *database, struct error *error)
{
	char port[16];

	snprintf(port, sizeof port, "%d", p->port);
	const char *const names[] = {"host", "port", "user", "dbname", "connect_timeout", NULL};
	const char *const values[] = {p->directory, port, user, database, "10", NULL};
	PGconn *connection = PQconnectdbParams(names, values, 0);
	if (PQstatus(connection) == CONNECTION_OK)
		return connection;
	error_set(error, "setup", 0, "%s", PQerrorMessage(connection));
	PQfinish(connection);
	return NULL;
}

int postgres_setup(struct postgres *p, const char *const *setup, int count, struct error *error)
{
	char role[160];
	PGconn *connection = connect_as(p, ADMIN, "postgres", error);
	int result;

	if (!connection)
		return -1;
	snprintf(role, sizeof role, "create role " POSTGRES_USER " login password '%s'",
		p->password);
	result = execute(connection, role, error);
	if (result == 0)
		result = execute(connection,
			"create database " POSTGRES_DATABASE " owner " POSTGRES_USER, error);
	PQfinish(connection);
	if (result < 0 || !(connection = connect_as(p, POSTGRES_USER, POSTGRES_DATABASE, error)))
		return -1;
	for (int i = 0; i < count && result == 0; i++)
		result = execute(connection, setup[i], error);
	PQfinish(connection);
	return result < 0 ? error_wrap(error, "database.setup") : 0;
}

void postgres_stop(struct postgres *p, bool at_once)
{
	if (p->pid > 0)
		kill(p->pid, at_once ? SIGQUIT : SIGINT);
}

void postgres_ended(struct postgres *p, int status)
{
	p->pid = 0;
	p->exit_status = status;
}

/* `carry` holds one whole line. The prefix ends in the SQLSTATE: "... [4711] 53300 FATAL:". */
static void count_line(struct postgres *p)
{
	p->carry[p->carry_len] = '\0';
	if (strstr(p->carry, "] 53300 "))
		p->refused++;
	p->carry_len = 0;
}

int64_t postgres_refused(struct postgres *p)
{
	char text[16384];
	ssize_t n;

	while (p->log >= 0 && (n = read(p->log, text, sizeof text)) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			if (text[i] == '\n')
				count_line(p);
			else if (p->carry_len < (int)sizeof p->carry - 1)
				p->carry[p->carry_len++] = text[i];
		}
	}
	return p->refused;
}

void postgres_forget(struct postgres *p)
{
	postgres_refused(p);
	p->refused = 0;
}

void postgres_last_words(const struct postgres *p, const char *file, char *text, int size)
{
	char path[POSTGRES_PATH_MAX + 64], line[512];

	snprintf(path, sizeof path, "%s/%s", p->directory, file);
	snprintf(text, (size_t)size, "(nothing in its log)");
	FILE *log = fopen(path, "re");
	if (!log)
		return;
	while (fgets(line, sizeof line, log)) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] != '\0')
			snprintf(text, (size_t)size, "%s", line);
	}
	fclose(log);
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
	(void)info, (void)kind, (void)where;
	remove(path);
	return 0;
}

void postgres_release(struct postgres *p)
{
	if (p->pid > 0) {
		postgres_stop(p, true);
		/* It answers SIGQUIT within moments; if not, nothing is worth waiting for. */
		for (int i = 0; i < 500 && waitpid(p->pid, NULL, WNOHANG) == 0; i++)
			usleep(10000);
		kill(-p->pid, SIGKILL);
		p->pid = 0;
	}
	if (p->log >= 0)
		close(p->log);
	p->log = -1;
	if (p->directory[0] != '\0')
		nftw(p->directory, remove_one, OPEN_FDS, FTW_DEPTH | FTW_PHYS);
	p->directory[0] = '\0';
}
