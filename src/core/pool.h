/*
 * pool - which client has which server connection: admission, first-come queues, assignment.
 *
 * Not every server is good for every client: each belongs to a group (a database and a user, say),
 * as each client that waits does, and is given to clients of its group only. A group has a queue
 * and a list of idle servers; groups may form a family, which is what a limit is for.
 *
 * Servers, clients and groups are small integers (ids) that the caller gives out; the records live
 * in arrays that the caller owns (*borrowed* for the pool's life), so the pool allocates nothing
 * and every verb is O(1), but for the few that say otherwise.
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
	int group;
	int client; /* holding it, or POOL_NOBODY */
	int next, previous; /* in its group's idle list */
	int older, newer; /* in the list of all that are idle */
	instant since; /* in this state */
	instant retire_at; /* to be closed when idle after this, if another can be had */
	bool outdated; /* ... or even if not */
};

struct pool_client {
	enum pool_client_state state;
	int group; /* that it waits or holds in */
	int server; /* held, or POOL_NOBODY */
	int next, previous; /* in its group's queue */
	instant since; /* waiting, or holding */
	instant asked_at; /* when its wait began, kept while it holds */
	bool patient; /* no time limit on its wait */
};

/* Is a group being held up, so that whoever waits in it goes on waiting? */
enum pool_hold {
	HOLD_NONE,
	HOLD_ASSIGN, /* it opens no server and gives none out */
	HOLD_CLOSE, /* and closes those that are idle */
};

struct pool_group_settings {
	/* The group whose servers_max bounds its servers together with its own: itself, or one that
	 * stays open for as long. */
	int family;
	int servers_max; /* of a family's head: of all of them; 0: no bound */
	int servers_kept; /* warm, even if nobody waits */
	enum pool_hold hold;
};

struct pool_group {
	struct pool_group_settings settings;
	bool open;
	int idle_first; /* most recently used first: the rest may age and be closed */
	int idle_last;
	int queue_first, queue_last;
	int next, previous; /* in the list of groups in which somebody waits */
	int waiting, holding;
	int connecting, idle, busy;
	int family_servers; /* of a head: not NONE in all groups of its family */
};

/* Where all live. Zeroed memory that the caller owns. */
struct pool_memory {
	struct pool_server *servers;
	int servers_max;
	struct pool_client *clients;
	int clients_max;
	struct pool_group *groups;
	int groups_max;
};

struct pool {
	struct pool_server *servers; /* borrowed, servers_max of them */
	struct pool_client *clients; /* borrowed, clients_max of them */
	struct pool_group *groups; /* borrowed, groups_max of them */
	int servers_max, clients_max, groups_max;
	int groups_top; /* none at or above it is open */
	int newest,
		oldest; /* of all idle servers: the one idle for the shortest, the longest time */
	int waiting_first, waiting_last; /* groups in which somebody waits */
	/* Of all groups: */
	int waiting, holding;
	int connecting, idle, busy;
	int lacking; /* servers that groups have less than they are to keep */
};

void pool_init(struct pool *p, const struct pool_memory *memory);

/* Opens it, or changes its settings but for the family. */
void pool_group_set(struct pool *p, int group, const struct pool_group_settings *settings);
/* No server and no client is in it. */
void pool_group_close(struct pool *p, int group);
bool pool_group_is_empty(const struct pool *p, int group);

/* An unused server id, now CONNECTING, or POOL_NOBODY. O(servers_max). */
int pool_server_begin(struct pool *p, int group, instant now);
/* CONNECTING -> IDLE. */
void pool_server_ready(struct pool *p, int server, instant now, instant retire_at);
/* Any state -> NONE. The client that held it holds nothing afterwards and is returned, or
 * POOL_NOBODY. */
int pool_server_gone(struct pool *p, int server);
/* BUSY -> IDLE; its client -> NONE. */
void pool_server_released(struct pool *p, int server, instant now);

/* NONE -> WAITING, at the end of the group's queue. */
void pool_client_waits(struct pool *p, int client, int group, bool patient, instant now);
/* NONE -> WAITING in the group that it was in, as one who waited since `asked_at`: before all who
 * came later, which is at the front but for others who returned. O(those before it). */
void pool_client_returns(struct pool *p, int client, bool patient, instant asked_at);
/* WAITING -> NONE. */
void pool_client_leaves(struct pool *p, int client);

/* The first in the group's queue gets its server idle for the shortest time: WAITING -> HOLDING,
 * IDLE -> BUSY. False if there is nobody or nothing. */
bool pool_assign(struct pool *p, int group, int *server, int *client, instant now);
/* The same for the last in the queue. */
bool pool_assign_newest(struct pool *p, int group, int *server, int *client, instant now);

/* Servers that are not NONE. */
static inline int pool_servers(const struct pool *p)
{
	return p->connecting + p->idle + p->busy;
}

static inline int pool_group_servers(const struct pool_group *g)
{
	return g->connecting + g->idle + g->busy;
}

/* May the group's family have one more, for all that its own limit says? */
static inline bool pool_group_has_room(const struct pool *p, int group)
{
	const struct pool_group *head = &p->groups[p->groups[group].settings.family];
	return head->settings.servers_max == 0 || head->family_servers < head->settings.servers_max;
}

#endif
