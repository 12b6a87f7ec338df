/*
 * fetch - one HTTP GET on 127.0.0.1, on the caller's loop, for probes and status pages.
 */
#ifndef STANDPIPE_LAB_FETCH_H
#define STANDPIPE_LAB_FETCH_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define FETCH_ANSWER_MAX  65536 /* room for a page */
#define FETCH_STATUS_ONLY 1024 /* room for a status line, and what fits beside it */

/* `status` is HTTP's, or 0 when there was no answer; `body` is text, borrowed for the call. */
typedef void fetch_done(void *context, int status, const char *body);

struct fetch;

/* `done` is called once, from the loop, within `timeout_ms`. Of the answer the first `room` bytes
 * are kept; the rest is read and forgotten. */
struct fetch *fetch_start(uv_loop_t *loop, uint16_t port, const char *path, int timeout_ms,
	size_t room, fetch_done *done, void *context);

/* `done` will not be called any more. Not after `done` was called. */
void fetch_cancel(struct fetch *f);

#endif
