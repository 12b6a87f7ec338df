/*
 * watch - asks the server for its limits now and then (database.watch): max_connections and what is
 * reserved of it, how many backends there are now, whether it is a standby. So the share follows
 * when the server is changed, and the path's utilisation is of what is there.
 *
 * Only on a connection that is open anyway: an idle one is taken, or, where clients have been
 * waiting for one for as long as a whole interval, it waits among them. None is opened for it, and
 * none is kept open: if no client has used the pool since the last time, and no connection is to be
 * kept warm, it does not ask.
 */
#ifndef STANDPIPE_GATE_WATCH_H
#define STANDPIPE_GATE_WATCH_H

#include <stdint.h>

#include "base/random.h"
#include "gate/client.h"

/* SQL for the limits. To who is no superuser the kind of others' backends is not told: those with a
 * user and a database are clients' (or a parallel query's, for a moment). */
#define WATCH_SQL                                                                   \
	"select pg_catalog.current_setting('max_connections'),"                     \
	" pg_catalog.current_setting('superuser_reserved_connections'),"            \
	" coalesce(pg_catalog.current_setting('reserved_connections', true), '0')," \
	" (select count(*) from pg_catalog.pg_stat_activity"                        \
	"  where usesysid is not null and datid is not null"                        \
	"  and coalesce(backend_type, 'client backend') = 'client backend'),"       \
	" pg_catalog.pg_is_in_recovery()"

#define WATCH_COLUMNS 5

/* What its row says; what is NULL or missing is not known. */
struct engine_limits watch_limits(const struct bytes *columns, int count);

struct watch {
	struct hub *hub; /* borrowed */
	struct random random; /* for the jitter: an interval less up to a fifth */
	struct inquiry inquiry;
	struct client *inquirer; /* while it is under way */
	instant due_at;
	int64_t assigned; /* the engine's count when it was last asked */
};

/* Of `hub`, which it is a part of. */
struct watch *watch_new(struct hub *hub, uint64_t seed);
void watch_free(struct watch *w);

/* Once a second: asks if it is time. */
void watch_look(struct watch *w, instant now);

/* At the next occasion: there is news of the server. */
void watch_soon(struct watch *w);

#endif
