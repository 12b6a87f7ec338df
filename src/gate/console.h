/*
 * console - the sessions whose database is the gate itself: SHOW, PAUSE, RELOAD and the like, as
 * PgBouncer's console has them, so that its exporters, dashboards and scripts work here, too.
 *
 * Who may: the users that admin.users and admin.stats_users name, once they have proved to be them;
 * and, over the Unix socket, whoever the gate itself runs as, and root.
 */
#ifndef STANDPIPE_GATE_CONSOLE_H
#define STANDPIPE_GATE_CONSOLE_H

#include <stdbool.h>

#include "base/bytes.h"

struct client;
struct hub;

/* Does a client that asks for this database mean the console? Not if a real one has that name. */
bool console_is_meant(const struct hub *h, const char *database);

/* May it enter as this user because of who it is on this machine, without any other proof? */
bool console_knows_peer(const struct client *c, const char *user);

/* The client, which has proved to be the user, is let in or refused. `parameters` are the pairs of
 * its startup packet. */
void console_enter(
	struct client *c, const char *user, const char *database, struct bytes parameters);

/* A session that another worker has with this one's console, for a command that is to be done by all:
 * takes over the socket. */
void console_accept(struct hub *h, int fd);

/* Answers what is in `in`, which is its CLIENT_CONSOLE; returns how much of it was used. */
size_t console_take(struct client *c, struct bytes in);

/* Is it held up by a command that is not over yet, such as PAUSE? (Another worker that asks for something
 * else gives up what it asked for.) */
bool console_waits(const struct client *c);

/* Somebody wants the command that it waits for to end. */
void console_cancel(struct client *c);

/* Its client goes: so does what lasts as long as the session (SUSPEND). */
void console_gone(struct client *c);

/* The session's end: its memory goes. Nothing for a client that has none. */
void console_leave(struct client *c);

/* Answers those whose wait is over. Once a turn of the loop, if hub.consoles_waiting is not 0. */
void console_look(struct hub *h);

#endif
