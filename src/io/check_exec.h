/*
 * check_exec - a shell command in a process group of its own, and the last line that it said.
 * Private to check*.c.
 */
#ifndef STANDPIPE_IO_CHECK_EXEC_H
#define STANDPIPE_IO_CHECK_EXEC_H

#include <uv.h>

#include "base/error.h"
#include "io/check_target.h"

struct check_exec;

/* `error`: NULL when it exited 0. The exec is gone afterwards. */
typedef void check_exec_ended(void *context, const struct error *error);

/* Borrows `target` until the end. NULL with `error` if it can't be started; else `ended` is called
 * once, from the loop. `environment` NULL: ours. */
struct check_exec *check_exec_start(uv_loop_t *loop, const struct check_target *target,
	const char *const *environment, check_exec_ended *ended, void *context,
	struct error *error);

/* SIGKILL for the group; `ended` still comes. */
void check_exec_kill(struct check_exec *e);

/* Always -1. */
int check_exec_describe_timeout(const struct check_exec *e, struct error *error);

#endif
