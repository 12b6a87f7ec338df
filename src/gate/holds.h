/*
 * holds - which databases the console has paused, disabled, or all of them suspended.
 *
 * It is about databases by name, whether they have pools or not: one that is made later is held,
 * too. None of it outlives the process.
 */
#ifndef STANDPIPE_GATE_HOLDS_H
#define STANDPIPE_GATE_HOLDS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/pool.h"

struct hub;

/* A database that something is noted of. */
struct hold {
	struct hold *next;
	bool paused; /* by its name */
	bool disabled;
	char database[];
};

struct holds {
	bool paused; /* all are */
	bool suspended;
	uint64_t suspended_by; /* the console session's serial: it ends with it */
	struct hold *first;
};

void holds_release(struct holds *holds);

/* What the pools of the database are to do. */
enum pool_hold holds_of(const struct holds *holds, const char *database);
bool holds_is_paused(const struct holds *holds, const char *database);
bool holds_is_disabled(const struct holds *holds, const char *database);

/* The note about it, made if there is none. */
struct hold *holds_note(struct holds *holds, const char *database);

#endif
