/*
 * dbms - what the database's server is at, as it is seen from here: by how attempts end, what is
 * said to the sessions that it has, and what it tells when it is asked.
 */
#ifndef STANDPIPE_CORE_DBMS_H
#define STANDPIPE_CORE_DBMS_H

#include <stdbool.h>

#include "base/instant.h"
#include "core/outcome.h"

enum dbms_state {
	DBMS_UNKNOWN, /* nothing was heard of it yet */
	DBMS_UP,
	DBMS_RECOVERY, /* up, as a standby: pg_is_in_recovery(), it takes no writes */
	DBMS_STARTING, /* it answers, and lets nobody in yet (57P03) */
	DBMS_SHUTTING_DOWN, /* it lets nobody in any more, and ends the sessions that it has */
	DBMS_FULL, /* it has no place for one more (53300) */
	DBMS_UNREACHABLE, /* no answer, and no session that is left */
	DBMS_STATE_COUNT
};

struct dbms {
	enum dbms_state state;
	instant changed_at;
	bool in_recovery; /* as last told */
};

/* "unknown", "up", "recovery", "starting", "shutting_down", "full", "unreachable" */
const char *dbms_state_name(enum dbms_state state);

void dbms_init(struct dbms *d, instant now);

/* An attempt ended. `serving`: there are sessions that work. */
void dbms_attempt(struct dbms *d, enum outcome outcome, bool serving, instant now);

/* A session was lost. `serving`: there are others. One that was ended by itself may have been an
 * administrator's doing: only the last tells of the server. */
void dbms_lost(struct dbms *d, enum outcome outcome, bool serving, instant now);

/* It was asked, and answered. */
void dbms_told(struct dbms *d, bool in_recovery, instant now);

#endif
