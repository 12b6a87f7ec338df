/*
 * hint - what most likely lies behind a failed phase, in one line for whoever has to mend it.
 *
 * A table from what was measured (phase, outcome, stage, SQLSTATE) to what it meant in the field.
 */
#ifndef STANDPIPE_GATE_HINT_H
#define STANDPIPE_GATE_HINT_H

#include <stdbool.h>

#include "core/outcome.h"
#include "core/startup.h"

struct hint_question {
	enum phase phase;
	bool timed_out; /* the phase did */
	bool table_setup; /* the database answered; its schema check or migration was going on */
	bool attempted; /* at least one connect was, and the next two are of the telling one */
	enum outcome outcome; /* of it; OUTCOME_TIMEOUT for one that still hangs */
	enum stage stage;
	const char *sqlstate; /* or "" */
	bool command_ended;
	int command_code; /* then: as the shell has it */
};

/* Static text, never NULL. */
const char *hint_for_connect(enum outcome outcome, enum stage stage, const char *sqlstate);
const char *hint_for(const struct hint_question *question);

#endif
