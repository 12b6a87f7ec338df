#include "core/dbms.h"

#include <assert.h>

static const char *const names[DBMS_STATE_COUNT] = {
	[DBMS_UNKNOWN] = "unknown",
	[DBMS_UP] = "up",
	[DBMS_RECOVERY] = "recovery",
	[DBMS_STARTING] = "starting",
	[DBMS_SHUTTING_DOWN] = "shutting_down",
	[DBMS_FULL] = "full",
	[DBMS_UNREACHABLE] = "unreachable",
};

const char *dbms_state_name(enum dbms_state state)
{
	assert(state < DBMS_STATE_COUNT);
	return names[state];
}

static void become(struct dbms *d, enum dbms_state state, instant now)
{
	if (state == d->state)
		return;
	d->state = state;
	d->changed_at = now;
}

static enum dbms_state up(const struct dbms *d)
{
	return d->in_recovery ? DBMS_RECOVERY : DBMS_UP;
}

void dbms_init(struct dbms *d, instant now)
{
	*d = (struct dbms){.changed_at = now};
}

void dbms_attempt(struct dbms *d, enum outcome outcome, bool serving, instant now)
{
	switch (outcome) {
	case OUTCOME_OK:
	case OUTCOME_AUTH: /* it answers, if with a no */
	case OUTCOME_DATABASE:
	case OUTCOME_SETTINGS:
		become(d, up(d), now);
		break;
	case OUTCOME_FULL:
		become(d, DBMS_FULL, now);
		break;
	case OUTCOME_STARTING:
		become(d, DBMS_STARTING, now);
		break;
	case OUTCOME_SHUTDOWN:
		become(d, DBMS_SHUTTING_DOWN, now);
		break;
	case OUTCOME_TIMEOUT:
	case OUTCOME_REFUSED:
	case OUTCOME_UNREACHABLE:
	case OUTCOME_RESET:
	case OUTCOME_DNS:
		/* Where sessions work it is the way to a new one that does not. */
		if (!serving)
			become(d, DBMS_UNREACHABLE, now);
		break;
	case OUTCOME_TLS:
	case OUTCOME_TOKEN:
	case OUTCOME_PROTOCOL:
	case OUTCOME_COUNT:
		break; /* says nothing of it */
	}
}

void dbms_lost(struct dbms *d, enum outcome outcome, bool serving, instant now)
{
	if (outcome == OUTCOME_SHUTDOWN && !serving)
		become(d, DBMS_SHUTTING_DOWN, now);
}

void dbms_told(struct dbms *d, bool in_recovery, instant now)
{
	d->in_recovery = in_recovery;
	become(d, up(d), now);
}
