/*
 * fetch - one HTTP GET on 127.0.0.1, on the caller's loop, for probes and status pages.
 */
#ifndef STANDPIPE_LAB_FETCH_H
#define STANDPIPE_LAB_FETCH_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define FETCH_ANSWER_MAX 65536 /* what is longer is cut */

/* `status` is HTTP's, or 0 when there was no answer; `body` is text, borrowed for the call. */
typedef void fetch_done(void *context, int status, const char *body);

struct fetch;

/* `done` is called once, from the loop, within `timeout_ms`. */
struct fetch *fetch_start(uv_loop_t *loop, uint16_t port, const char *path, int timeout_ms,
	fetch_done *done, void *context);

/* `done` will not be called any more. Not after `done` was called. */
void fetch_cancel(struct fetch *f);

#endif
