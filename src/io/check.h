/*
 * check - is something outside there? One question, asked once, answered by a callback.
 *
 * Kinds are told by the target's scheme:
 *   resolve:HOST              the name resolves
 *   tcp://HOST:PORT           a connection is accepted
 *   http://... https://...    answers 2xx or 3xx (http+STATUS://... exactly that status); redirects
 *                             are not followed, proxies not used
 *   exec:COMMAND              `sh -c COMMAND` exits 0; it runs in a process group of its own
 *   redis://... rediss://...  PING is answered by PONG (AUTH and SELECT as the URL says)
 *   postgresql://...          a login and `select 1`
 *   ws://... wss://...        a WebSocket handshake: 101 and the right Sec-WebSocket-Accept
 *
 * Certificates are verified, by SSL_CERT_FILE and SSL_CERT_DIR where these are set (postgresql: as
 * its sslmode says). Errors name the target without user, password and query.
 *
 * Nothing here blocks the loop. What can only block has a thread of its own and not one of libuv's
 * pool: a few checks of hosts that do not answer would hold all of that, and logins need it.
 */
#ifndef STANDPIPE_IO_CHECK_H
#define STANDPIPE_IO_CHECK_H

#include <stdint.h>
#include <uv.h>

#include "base/error.h"

struct check;

/* `error` is NULL when all is well, and borrowed for the call. The check is freed afterwards. */
typedef void check_done(void *context, const struct error *error);

/* Is `target` well-formed? 0, or -1 with what is allowed in `error`. */
int check_validate(const char *target, struct error *error);

/* Begins the check; `done` is called once, from the loop and never from inside this call, within
 * `timeout_ns` and a little. `target` is copied. `target` must be valid. */
struct check *check_start(
	uv_loop_t *loop, const char *target, int64_t timeout_ns, check_done *done, void *context);

/* The same for `sh -c command`, in `environment` (NULL: ours; else NULL-ended, copied). The error's
 * text ends in the last line of the command's output. */
struct check *check_command(uv_loop_t *loop, const char *command, const char *const *environment,
	int64_t timeout_ns, check_done *done, void *context);

/* `done` will not be called any more. What is under way ends by itself in the background (an
 * exec's process group is killed); the loop stays alive until then. Not after `done`. */
void check_cancel(struct check *check);

#endif
