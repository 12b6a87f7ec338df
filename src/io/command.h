/*
 * command - a shell command in a process group of its own, for the first line that it says.
 *
 * It ends by itself or is killed when its time is over; nothing of it waits on the loop.
 */
#ifndef STANDPIPE_IO_COMMAND_H
#define STANDPIPE_IO_COMMAND_H

#include <uv.h>

#include "base/error.h"

/* The longest first line. */
#define COMMAND_LINE_MAX 16384

struct command;

/* The end: its first line without the line's end, borrowed for the call and wiped afterwards; or
 * NULL, and `error` has the reason with what it last said to stderr. The command is gone
 * afterwards. */
typedef void command_ended(void *context, const char *line, const struct error *error);

/* Copies `text`, for sh -c; `environment` is NULL-ended and borrowed for the call. NULL with
 * `error` when nothing could be started; else `ended` is called once, from the loop. */
struct command *command_start(uv_loop_t *loop, const char *text, const char *const *environment,
	int64_t timeout_ns, command_ended *ended, void *context, struct error *error);

/* Kills it; `ended` is not called any more. */
void command_abandon(struct command *c);

#endif
