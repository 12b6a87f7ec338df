/*
 * pools - the pools of server connections: one for each database and user that clients ask for.
 *
 * A pool is a group of the engine's (core/pool.h) with what the gate knows of it: how it logs in,
 * what its sessions report, what was done in it. All pools share the engine's budget, breaker and
 * path. The first, for the URL's own database and user, is always there; others are made when a
 * client asks for them, or when servers are to be kept warm, and go some time after the last client
 * and server of theirs.
 *
 * In session mode PostgreSQL's RESET is to go back to what the client's startup packet said, and
 * that it does only if the server was born with it. So there a pool has a birth for each set of
 * settings that clients begin with: a pool of its own, whose servers log in with those. Births
 * count against the limit of the pool that they are of.
 */
#ifndef STANDPIPE_GATE_POOLS_H
#define STANDPIPE_GATE_POOLS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/instant.h"
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
	struct gate_pool *parent; /* of a birth: the pool that it is of; else NULL */
	struct buffer birth; /* of a birth: name, zero, value, zero, ...; else empty */
	char *database; /* as clients name it */
	char *user; /* whom it logs in as; all clients' name for themselves, unless it is shared */
	char *host; /* for messages: "db.internal:5432" */
	char *bound_by; /* the key that says servers_max: "databases.app.pool_size"; NULL: none */
	bool orphaned; /* the settings do not speak of it any more: nobody may enter */
	enum pool_mode mode; /* of those who enter from now on */
	int servers_max; /* 0: as many as the budget allows */
	int servers_kept;
	char *conninfo; /* to log in with; secret */
	unsigned turn; /* of its hosts, the one to begin with (io/places.h) ... */
	instant turned_until; /* ... until then; later the first again */
	struct profiles
		profiles; /* of its sessions: what they report depends on all of the above */
	struct pool_stats stats;
	struct pool_history history;
	int clients; /* in it, whether they wait or not */
	int servers; /* connecting or connected */
	int births;
	instant used_at; /* last known to be used */
	struct error error; /* of its last login that failed or server that was lost */
};

/* All who come as one user, whatever pool they are in. */
struct pool_user {
	struct pool_user *next;
	int clients;
	char name[];
};

struct pools {
	struct gate_pool **by_group; /* NULL: no such group */
	int size; /* of the table */
	int top; /* all above are NULL */
	struct pool_user *users; /* those who are there */
};

/* Why a client may not enter, in PostgreSQL's terms. */
struct pools_refusal {
	const char *sqlstate; /* a literal */
	char message[ERROR_TEXT_MAX];
	char hint[ERROR_TEXT_MAX]; /* empty: none */
};

/* 0, or -1 without memory. */
int pools_init(struct hub *h);
/* With the engine there: the first pool, and those that are to be kept warm. */
void pools_begin(struct hub *h);
void pools_release(struct hub *h);

/* The hub has other settings: what is taken from those before is taken from these. */
void pools_configure(struct hub *h);

/* The pool for a client that asks for this database as this user, once it has proved to be that
 * user; NULL with the reason why there is none. Borrowed until the next call or the next turn of
 * the loop, unless a client enters it: it lives as long as it has clients. */
struct gate_pool *pools_find(
	struct hub *h, const char *database, const char *user, struct pools_refusal *why);

/* The client, who is `user`, is the pool's (or a birth's of it) from now on, with the settings of
 * its startup packet (the pairs after the version). 0, or -1 with the reason why not. */
int pools_enter(struct client *c, struct gate_pool *pool, const char *user, struct bytes parameters,
	struct pools_refusal *why);
/* The pool of the database's URL's user, as pools_find; NULL: it is not served, or there is no room for
 * a pool. */
struct gate_pool *pools_of_url(struct hub *h, const char *database);
/* As pools_enter, for a question of the gate's own. */
void pools_enter_to_ask(struct client *c, struct gate_pool *pool);
/* The end of that; nothing for one that never entered. */
void pools_leave(struct client *c);

/* What is configured of the database, "*" if nothing else fits; NULL: it is not served. */
const struct gate_database *pools_database(const struct hub *h, const char *name);

/* Is it a database that there is, or could be, a pool of? */
bool pools_know(const struct hub *h, const char *database);

/* What the console holds up has changed: the engine is told of each pool. */
void pools_hold(struct hub *h);

/* The one that is always there. */
struct gate_pool *pools_own(const struct hub *h);
/* The pool of a group that is in use. */
struct gate_pool *pools_at(const struct hub *h, int group);

/* Now and then: those that nobody has used for some time go. */
void pools_sweep(struct hub *h, instant now);

/* "transaction", "session", "statement" */
const char *pool_mode_name(enum pool_mode mode);

#endif
