/*
 * startup - the seven phases, in order, each with a deadline, a status, a duration and an error
 * of its own.
 *
 *   pending -> in_progress -> completed | failed
 *   pending -> skipped            (nothing to do, or a critical phase before it failed)
 *
 * A critical phase that fails ends the startup: what comes after it is skipped, never attempted.
 * A degradable one that fails lets the next begin. Startup is over when the last phase is, or a
 * critical one failed.
 */
#ifndef STANDPIPE_CORE_STARTUP_H
#define STANDPIPE_CORE_STARTUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/instant.h"

enum phase {
	PHASE_INIT,
	PHASE_DEPENDENCIES,
	PHASE_DATABASE,
	PHASE_CACHE,
	PHASE_SERVICES,
	PHASE_WEBSOCKET,
	PHASE_FINALIZE,
	PHASE_COUNT
};

enum phase_status {
	PHASE_PENDING,
	PHASE_IN_PROGRESS,
	PHASE_COMPLETED,
	PHASE_FAILED,
	PHASE_SKIPPED,
	PHASE_STATUS_COUNT
};

struct startup_settings {
	bool critical[PHASE_COUNT];
	bool wanted[PHASE_COUNT]; /* false: skipped, there is nothing to do */
	int64_t timeout_ns[PHASE_COUNT]; /* the base; PHASE_DATABASE's comes from core/deadline */
};

struct phase_record {
	enum phase_status status;
	instant began_at; /* -1: not begun */
	instant step_began_at; /* began_at, or the last startup_restart_timeout */
	instant ended_at; /* -1: not ended */
	int64_t timeout_ns; /* the one in force, 0 before it begins; counts from step_began_at */
	bool timed_out; /* set by whoever ends the phase for being late */
};

struct startup {
	struct startup_settings settings;
	struct phase_record phases[PHASE_COUNT];
	enum phase current; /* PHASE_COUNT when over */
	bool begun;
	bool failed; /* a critical phase did */
	instant began_at, ended_at;
};

void startup_init(struct startup *s, const struct startup_settings *settings);

/* Begins; the first wanted phase is in progress afterwards. */
void startup_begin(struct startup *s, instant now);

/* The phase in progress ended as `completed` or not. The next wanted one begins, unless a critical
 * one failed. Asserts that `phase` is the one in progress. */
void startup_phase_ended(struct startup *s, enum phase phase, bool completed, instant now);

/* The deadline of the phase in progress is `timeout_ns` after it, or its present step, began. */
void startup_set_timeout(struct startup *s, int64_t timeout_ns);
/* The deadline of the phase in progress is `timeout_ns` after `now` (a new step of the phase). */
void startup_restart_timeout(struct startup *s, int64_t timeout_ns, instant now);

/* When the phase in progress is out of time; INSTANT_NEVER if over or not begun. */
instant startup_deadline(const struct startup *s);

bool startup_is_over(const struct startup *s);
/* All went well enough to serve: over, and no critical phase failed. */
bool startup_is_complete(const struct startup *s);
/* The critical phase that failed, or PHASE_COUNT. */
enum phase startup_failed_phase(const struct startup *s);

const char *phase_name(enum phase phase);
const char *phase_status_name(enum phase_status status);

#endif
