/*
 * pool - which client has which server connection: admission, a first-come queue, assignment.
 *
 * Servers and clients are small integers (ids) that the caller gives out; the records live in
 * arrays that the caller owns (*borrowed* for the pool's life), so the pool allocates nothing and
 * every verb is O(1), but for the few that say otherwise.
 *
 *   server:  NONE -> CONNECTING -> IDLE <-> BUSY -> NONE        (CONNECTING, IDLE -> NONE too)
 *   client:  NONE -> WAITING -> HOLDING -> NONE
 */
#ifndef STANDPIPE_CORE_POOL_H
#define STANDPIPE_CORE_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/instant.h"

#define POOL_NOBODY (-1)

enum pool_server_state { SERVER_NONE, SERVER_CONNECTING, SERVER_IDLE, SERVER_BUSY };
enum pool_client_state { CLIENT_NONE, CLIENT_WAITING, CLIENT_HOLDING };

struct pool_server {
	enum pool_server_state state;
	int client; /* holding it, or POOL_NOBODY */
	int next, previous; /* in the idle list */
	instant since; /* in this state */
	instant retire_at; /* to be closed when idle after this */
};

struct pool_client {
	enum pool_client_state state;
	int server; /* held, or POOL_NOBODY */
	int next, previous; /* in the queue */
	instant since; /* waiting, or holding */
	instant asked_at; /* when its wait began, kept while it holds */
	bool patient; /* no time limit on its wait */
};

struct pool {
	struct pool_server *servers; /* borrowed, servers_max of them */
	struct pool_client *clients; /* borrowed, clients_max of them */
	int servers_max, clients_max;
	int idle_first; /* most recently used first: the rest may age and be closed */
	int idle_last;
	int queue_first, queue_last;
	int waiting, holding;
	int connecting, idle, busy;
};

void pool_init(struct pool *p, struct pool_server *servers, int servers_max,
	struct pool_client *clients, int clients_max);

/* An unused server id, now CONNECTING, or POOL_NOBODY. O(servers_max). */
int pool_server_begin(struct pool *p, instant now);
/* CONNECTING -> IDLE. */
void pool_server_ready(struct pool *p, int server, instant now, instant retire_at);
/* Any state -> NONE. The client that held it holds nothing afterwards and is returned, or
 * POOL_NOBODY. */
int pool_server_gone(struct pool *p, int server);
/* BUSY -> IDLE; its client -> NONE. */
void pool_server_released(struct pool *p, int server, instant now);

/* NONE -> WAITING, at the end of the queue. */
void pool_client_waits(struct pool *p, int client, bool patient, instant now);
/* NONE -> WAITING, as one who waited since `asked_at`: before all who came later, which is at the
 * front but for others who returned. O(those before it). */
void pool_client_returns(struct pool *p, int client, bool patient, instant asked_at);
/* WAITING -> NONE. */
void pool_client_leaves(struct pool *p, int client);

/* The first in the queue gets the server idle for the shortest time: WAITING -> HOLDING, IDLE ->
 * BUSY. False if there is nobody or nothing. */
bool pool_assign(struct pool *p, int *server, int *client, instant now);

/* Servers that are not NONE. */
static inline int pool_servers(const struct pool *p)
{
	return p->connecting + p->idle + p->busy;
}

#endif
