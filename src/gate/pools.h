/*
 * pools - the pools of server connections: one for each database and user that clients ask for.
 *
 * A pool is a group of the engine's (core/pool.h) with what the gate knows of it: how it logs in,
 * what its sessions report, what was done in it. All pools share the engine's budget, breaker and
 * path. The first, for the URL's own database and user, is always there; others are made when a
 * client asks for them and go some time after the last client and server of theirs.
 */
#ifndef STANDPIPE_GATE_POOLS_H
#define STANDPIPE_GATE_POOLS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "gate/pool_stats.h"
#include "gate/profile.h"
#include "gate/settings.h"

struct client;
struct hub;

/* Groups beyond those in use, so that one that is not can linger a while. */
#define POOLS_SPARE 256

/* The engine's group of the pool that is always there. */
#define POOLS_OWN 0

struct gate_pool {
	int group; /* the engine's id of it, and its place in the table */
	const char *database, *user; /* as clients name them; owned, but for the first pool's */
	const char *conninfo; /* to log in with; secret */
	const char *host; /* for messages: "db.internal:5432" */
	unsigned turn; /* of its hosts, the one to begin with (io/places.h) ... */
	instant turned_until; /* ... until then; later the first again */
	struct profiles
		profiles; /* of its sessions: what they report depends on all of the above */
	struct pool_stats stats;
	struct pool_history history;
	int clients; /* in it, whether they wait or not */
	int servers; /* connecting or connected */
	struct error error; /* of its last login that failed or server that was lost */
};

struct pools {
	struct gate_pool **by_group; /* NULL: no such group */
	int size; /* of the table */
	int top; /* all above are NULL */
};

/* Why a client may not enter, in PostgreSQL's terms. */
struct pools_refusal {
	const char *sqlstate; /* a literal */
	char message[ERROR_TEXT_MAX];
	char hint[ERROR_TEXT_MAX]; /* empty: none */
};

/* 0, or -1 without memory. The first pool is there then. */
int pools_init(struct hub *h);
void pools_release(struct hub *h);

/* The hub has other settings: what is taken from those before is taken from these. */
void pools_configure(struct hub *h);

/* The pool for a client that asks for this database as this user, once it has proved to be that
 * user; NULL with the reason why there is none. Borrowed; lives as long as it has clients. */
struct gate_pool *pools_find(
	struct hub *h, const char *database, const char *user, struct pools_refusal *why);

/* The client is the pool's from now on, with the settings of its startup packet (the pairs after
 * the version). 0, or -1 with the reason why not. */
int pools_enter(struct client *c, struct gate_pool *pool, struct bytes parameters,
	struct pools_refusal *why);
/* The same for a question of the gate's own, in the pool that is always there. */
void pools_enter_own(struct client *c);
/* The end of that; nothing for one that never entered. */
void pools_leave(struct client *c);

/* Is it a database that there is, or could be, a pool of? */
bool pools_know(const struct hub *h, const char *database);

/* What the console holds up has changed: the engine is told of each pool. */
void pools_hold(struct hub *h);

/* The one that is always there. */
struct gate_pool *pools_own(const struct hub *h);
/* The pool of a group that is in use. */
struct gate_pool *pools_at(const struct hub *h, int group);

#endif
