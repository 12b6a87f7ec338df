/*
 * notify - systemd's readiness protocol (sd_notify(3)), both sides: datagrams of NAME=value lines
 * to the Unix socket that NOTIFY_SOCKET names.
 */
#ifndef STANDPIPE_IO_NOTIFY_H
#define STANDPIPE_IO_NOTIFY_H

#include <stdbool.h>
#include <uv.h>

#include "base/error.h"

#define NOTIFY_MESSAGE_MAX 4096
#define NOTIFY_STATUS_MAX  256

/* What one datagram said. */
struct notify_message {
	bool ready; /* READY=1 */
	bool stopping; /* STOPPING=1 */
	bool reloading; /* RELOADING=1; READY=1 follows when done */
	char status
		[NOTIFY_STATUS_MAX]; /* STATUS=...; empty: none; cut, control characters blanked */
};

/* `message` is borrowed for the call. Called for datagrams that say any of the above; it may call
 * notify_free. */
typedef void notify_heard(void *context, const struct notify_message *message);

struct notify;

/* Binds a socket to `name`: a path of at most 107 bytes, which is replaced if it is a socket, or
 * "@..." in the abstract namespace. Non-blocking and closed on exec. The descriptor, or -1 with
 * `error`. The name goes to the service as NOTIFY_SOCKET. */
int notify_bind(const char *name, struct error *error);

/* Listens on `fd`, which it takes (and closes in notify_free; the path stays where it is). */
struct notify *notify_new(uv_loop_t *loop, int fd, notify_heard *heard, void *context);
void notify_free(struct notify *n);

/* Reads one datagram's text; false if it says nothing that we know. `text` need not end in zero. */
bool notify_parse(struct notify_message *message, const char *text, size_t len);

/* What a service says when it begins to read its configuration anew; READY=1 follows. */
void notify_reloading(char *text, size_t size);

/* Tells our own service manager, "READY=1" for instance; without NOTIFY_SOCKET it does nothing.
 * 0, or -1 with `error`. Never blocks. */
int notify_send(const char *text, struct error *error);

#endif
