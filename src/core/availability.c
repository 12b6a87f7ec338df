#include "core/availability.h"

#include <assert.h>

static const char *const names[AVAILABILITY_COUNT] = {
	[AVAILABILITY_FULL] = "full",
	[AVAILABILITY_DEGRADED] = "degraded",
	[AVAILABILITY_MINIMAL] = "minimal",
	[AVAILABILITY_UNAVAILABLE] = "unavailable",
};

static enum availability worse(enum availability a, enum availability b)
{
	return a > b ? a : b;
}

/* What is left when `phase` failed and could be done without. */
static enum availability without(enum phase phase, const struct availability_facts *facts)
{
	switch (phase) {
	case PHASE_DATABASE:
		/* It is tried on and on: once there, nothing is missing any more. */
		return facts->database_up ? AVAILABILITY_FULL : AVAILABILITY_MINIMAL;
	case PHASE_SERVICES:
		return AVAILABILITY_MINIMAL;
	case PHASE_INIT:
	case PHASE_DEPENDENCIES:
	case PHASE_CACHE:
	case PHASE_WEBSOCKET:
	case PHASE_FINALIZE:
	case PHASE_COUNT:
		break;
	}
	return AVAILABILITY_DEGRADED;
}

enum availability availability_of(
	const struct startup *startup, const struct availability_facts *facts)
{
	if (!startup_is_complete(startup))
		return AVAILABILITY_UNAVAILABLE;
	enum availability worst = AVAILABILITY_FULL;
	for (enum phase phase = 0; phase < PHASE_COUNT; phase++)
		if (startup->phases[phase].status == PHASE_FAILED)
			worst = worse(worst, without(phase, facts));
	if (!facts->command_up)
		worst = worse(worst, AVAILABILITY_MINIMAL);
	if (!facts->database_up || !facts->breaker_closed)
		worst = worse(worst, AVAILABILITY_DEGRADED);
	return worst;
}

const char *availability_name(enum availability a)
{
	assert(a < AVAILABILITY_COUNT);
	return names[a];
}
