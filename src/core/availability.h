/*
 * availability - what this instance can give, the worst of what has failed.
 */
#ifndef STANDPIPE_CORE_AVAILABILITY_H
#define STANDPIPE_CORE_AVAILABILITY_H

#include <stdbool.h>

#include "core/startup.h"

/* From best to worst. */
enum availability {
	AVAILABILITY_FULL,
	AVAILABILITY_DEGRADED, /* all but something that can be done without (cache, websocket) */
	AVAILABILITY_MINIMAL, /* health endpoints and an honest page: no database, or no service */
	AVAILABILITY_UNAVAILABLE, /* not started yet, or a critical phase failed */
	AVAILABILITY_COUNT
};

/* What, besides the phases, decides. */
struct availability_facts {
	bool command_up; /* or none was asked for */
	bool database_up; /* at least one server connection, or one not needed */
	bool breaker_closed;
};

/* Before the startup is over: unavailable. A failed critical phase: unavailable. A failed
 * degradable one: database or services minimal, others degraded; but a database that is up after
 * all is no loss any more. Afterwards also: command down minimal, database down or breaker not
 * closed degraded. */
enum availability availability_of(
	const struct startup *startup, const struct availability_facts *facts);

/* "full", "degraded", "minimal", "unavailable" */
const char *availability_name(enum availability a);

#endif
