/*
 * database - the server at the end of the path: backends up to max_connections, and a few cores
 * that logins and transactions share, first come, first served.
 *
 * As PostgreSQL does it: a backend begins with the startup packet and holds its place from then on;
 * without a place it says 53300 at once. Whether only places for superusers are left is found out
 * after authentication, so that costs a login's work. A backend whose client has gone finishes what
 * it works on first.
 */
#ifndef STANDPIPE_SIM_DATABASE_H
#define STANDPIPE_SIM_DATABASE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/instant.h"

struct world;

enum database_state {
	DATABASE_UP,
	DATABASE_STARTING, /* it answers, and says 57P03 */
	DATABASE_DOWN, /* connects are refused */
};

struct database {
	enum database_state state;
	int max_connections, superuser_reserved;
	int64_t login_ns;
	int cores, busy; /* of them */
	int first, last; /* connections whose work waits for a core; -1: none */
	int backends, sessions; /* places taken; of these logged in */
	int sessions_peak;
	int64_t refused; /* 53300 */
	bool vanished; /* while DOWN: nothing answers, rather than refuses */
	double cold_factor; /* its work takes so many times as long, */
	instant cold_until; /* until then */
};

/* The startup packet of a connection arrived. */
void database_startup(struct world *w, int conn);

/* So much work for a connection that has a backend; then conn_worked. */
void database_work(struct world *w, int conn, int64_t work_ns);

/* A core has finished the work of a connection. */
void database_worked(struct world *w, int conn);

/* A connection's backend ends. */
void database_leave(struct world *w, int conn);

/* Every session is cut and connects are refused, or it starts again. */
void database_stop(struct world *w);
/* The same, and its host is gone: nobody is refused, for nothing answers. */
void database_vanish(struct world *w);
/* Another takes its place, and its work takes `factor` times as long for so long. */
void database_chill(struct world *w, double factor, int64_t for_ns);
void database_start(struct world *w);
/* Its recovery is over. */
void database_ready(struct world *w, int unused);

#endif
