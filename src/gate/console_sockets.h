/*
 * console_sockets - the state of a client or a server in PgBouncer's words; and the lists of what
 * there is to show (for console_show.c).
 */
#ifndef STANDPIPE_GATE_CONSOLE_SOCKETS_H
#define STANDPIPE_GATE_CONSOLE_SOCKETS_H

#include "gate/console_inside.h"
#include "gate/server.h"

enum socket_state {
	SOCKET_ACTIVE,
	SOCKET_IDLE,
	SOCKET_WAITING, /* client: for a server */
	SOCKET_LOGIN, /* not let in yet, on either side */
	SOCKET_USED, /* server: idle for so long that it is checked before its next use */
	SOCKET_TESTED, /* server: busy for the gate itself */
	SOCKET_BEING_CANCELED, /* server: not free before a cancel request has arrived */
	SOCKET_STATE_COUNT
};

enum socket_state socket_of_client(const struct client *c);
enum socket_state socket_of_server(const struct server *s);

/* How long it has waited for a server; 0: it does not. */
int64_t socket_wait_ns(const struct client *c);

extern const struct console_show console_pools[];
extern const int console_pools_count;
extern const struct console_show console_sockets[];
extern const int console_sockets_count;
extern const struct console_show console_lists[];
extern const int console_lists_count;
extern const struct console_show console_own[];
extern const int console_own_count;

#endif
