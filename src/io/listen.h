/*
 * listen - listening sockets: made here, or inherited as systemd hands them over
 * (sd_listen_fds(3)): LISTEN_FDS of them from descriptor 3 on, for the process LISTEN_PID, named by
 * LISTEN_FDNAMES.
 *
 * Every socket given back is non-blocking and closes on exec; it is the caller's to close.
 */
#ifndef STANDPIPE_IO_LISTEN_H
#define STANDPIPE_IO_LISTEN_H

#include <stdbool.h>

#include "base/error.h"

#define LISTEN_BACKLOG   512
#define LISTEN_HOST_MAX  256
#define LISTEN_HOSTS_MAX 8 /* of one list; and of the sockets for it */
#define LISTEN_PATH_MAX  512 /* longer than any that the kernel takes, so that it says no */

/* The names that PID 1 and the gate agree on. */
#define LISTEN_GATE   "gate" /* PostgreSQL's protocol over TCP */
#define LISTEN_UNIX   "unix" /* and over a Unix socket */
#define LISTEN_ADMIN  "admin" /* the admin HTTP server */
#define LISTEN_DOOR   "door" /* the service's own port */
#define LISTEN_NOTIFY "notify" /* datagrams: what the command tells by sd_notify */

/* Listens on `host`:`port`. `host`: a name or an address, with or without [] around IPv6; empty or
 * "*": every address, IPv6 too where there is any. `port` 0: any free one (see listen_port).
 * The descriptor, or -1 with `error`. May block to resolve a name. */
int listen_tcp(const char *host, int port, struct error *error);

/* The next of a list of hosts with commas in between, without the blanks around it; false at its
 * end. An empty list has one, which is empty. A host that is too long is cut. */
bool listen_next_host(const char **list, char host[LISTEN_HOST_MAX]);

/* Listens on each of `hosts`, such a list, all at the same port; port 0: one that is free at all of
 * them. Of a name that is at every address that it has here, as PostgreSQL does; LISTEN_HOSTS_MAX sockets
 * at most. Where the list has several, "::" and the like take IPv6 alone, so that 0.0.0.0 can stand beside it. `shared`:
 * as listen_tcp_shared. How many of `fds` there are; -1 with `error`: none is open. */
int listen_tcp_hosts(
	const char *hosts, int port, bool shared, int fds[LISTEN_HOSTS_MAX], struct error *error);

/* Is it this machine's own, which nobody else reaches? Of one host. */
bool listen_is_loopback(const char *host);

/* Under which host this machine itself reaches what listens on `hosts`, a list: the loopback
 * address where one of them is that or every address, else the first. Without [] around IPv6. */
void listen_reached(const char *hosts, char reached[LISTEN_HOST_MAX]);

/* As listen_tcp, but bound only: it takes no connects until listen() is called. Others of the same
 * user may be bound to the same port in this way, and the kernel spreads connects among them
 * (SO_REUSEPORT). */
int listen_tcp_shared(const char *host, int port, struct error *error);

/* Listens on the Unix socket `path`, which every user may connect to. A socket that is there
 * already is replaced if nobody answers on it; anything else that is there is left alone: an error.
 * The path is at most 107 bytes. */
int listen_unix(const char *path, struct error *error);

/* As listen_unix, on the name that PostgreSQL's clients look for in a directory: `path` becomes
 * DIRECTORY/.s.PGSQL.PORT, to be unlinked at the end. */
int listen_postgres_unix(
	const char *directory, int port, char path[LISTEN_PATH_MAX], struct error *error);

/* The inherited descriptor with this name, or -1. A LISTEN_PID that is not ours means none. */
int listen_inherited(const char *name);
/* All that have this name, as systemd gives it to each of a unit's sockets: how many, `most` at
 * most. */
int listen_inherited_all(const char *name, int *fds, int most);

/* The path that a Unix socket is bound to; empty if it is none. */
void listen_path(int fd, char path[LISTEN_PATH_MAX]);

/* The TCP port that `fd` is bound to; 0 if it is not bound to any. */
int listen_port(int fd);

#endif
