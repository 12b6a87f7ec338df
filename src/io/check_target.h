/*
 * check_target - a check's target, taken apart. Private to check*.c.
 */
#ifndef STANDPIPE_IO_CHECK_TARGET_H
#define STANDPIPE_IO_CHECK_TARGET_H

#include <stdbool.h>

#include "base/error.h"

enum check_kind {
	CHECK_RESOLVE,
	CHECK_TCP,
	CHECK_HTTP,
	CHECK_EXEC,
	CHECK_REDIS,
	CHECK_POSTGRES,
	CHECK_WEBSOCKET,
};

#define CHECK_TARGET_MAX 2048
#define CHECK_NAME_MAX   (ERROR_ORIGIN_MAX + 32)

struct check_target {
	enum check_kind kind;
	char name[CHECK_NAME_MAX]; /* for messages: no user, password or query */
	char origin[ERROR_ORIGIN_MAX]; /* host:port; the program of an exec */
	/* Owned; NULL where the kind has none. */
	char *text; /* the host, the command, or libpq's URI */
	char *url; /* for libcurl: http or https, whatever the kind */
	char *user;
	char *password;
	char *path; /* with the query */
	int status; /* that http must answer; 0: any 2xx or 3xx */
	int database; /* of redis */
};

/* Takes `target` apart. 0, or -1 with what is allowed in `error`; release it after either. */
int check_target_parse(struct check_target *t, const char *target, struct error *error);
/* The target of a command alone; an empty one is the shell's to judge. */
void check_target_command(struct check_target *t, const char *command);
void check_target_release(struct check_target *t);

#endif
