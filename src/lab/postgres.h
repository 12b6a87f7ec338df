/*
 * postgres - a private PostgreSQL for one lab: Debian's newest, in a directory of its own that
 * nobody else may enter, on a Unix socket there and on a port of 127.0.0.1.
 *
 * It runs as an ordinary user: when the lab runs as root, as `postgres`, else `nobody`. For speed
 * it forgoes safety against a crash of the machine (fsync, synchronous_commit, full_page_writes
 * off), which changes nothing in how connections are made. Over TCP the application's user logs in
 * with SCRAM and a password that is drawn for the run.
 */
#ifndef STANDPIPE_LAB_POSTGRES_H
#define STANDPIPE_LAB_POSTGRES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "lab/process.h"

#define POSTGRES_PATH_MAX 256
#define POSTGRES_USER     "app"
#define POSTGRES_DATABASE "app"

struct postgres {
	char bin[POSTGRES_PATH_MAX]; /* where the programs are */
	char version[16]; /* "15" */
	char directory[POSTGRES_PATH_MAX]; /* all that is ours; "" before postgres_init */
	char password[33]; /* of POSTGRES_USER */
	struct process_user user;
	uint16_t port;
	pid_t pid; /* 0: it does not run */
	int exit_status; /* of the last run, as wait() has it */
	int log; /* its stderr, read end of the file; -1: none */
	int64_t refused; /* 53300 in the log so far */
	char carry[512]; /* the log's last line, unfinished */
	int carry_len;
};

/* Finds the programs and the user; makes the directory. Call postgres_release even after -1. */
int postgres_init(struct postgres *p, const char *temp, uint64_t seed, struct error *error);

/* Starts `initdb`, as process `*pid`; its output is in the directory. */
int postgres_initdb(struct postgres *p, pid_t *pid, struct error *error);

/* Starts the server. It takes connections when postgres_accepts says so. */
int postgres_start(
	struct postgres *p, int max_connections, int superuser_reserved, struct error *error);
bool postgres_accepts(const struct postgres *p);

/* Role, database and `setup` as the application's user; each `setup` text may hold several
 * statements. Blocks for a moment. */
int postgres_setup(struct postgres *p, const char *const *setup, int count, struct error *error);

/* Every session is cut and it ends: fast, or (`at_once`) without a checkpoint. */
void postgres_stop(struct postgres *p, bool at_once);

/* The process ended, as waitpid said. */
void postgres_ended(struct postgres *p, int status);

/* libpq's parameters for the superuser over the Unix socket. */
void postgres_admin(const struct postgres *p, char *conninfo, int size);

/* Reads what is new in the log; logins refused for want of a slot (SQLSTATE 53300) since the
 * last postgres_forget. */
int64_t postgres_refused(struct postgres *p);
void postgres_forget(struct postgres *p);

/* The log's end, for a message. */
void postgres_last_words(const struct postgres *p, const char *file, char *text, int size);

/* Kills what runs and removes the directory. */
void postgres_release(struct postgres *p);

#endif
