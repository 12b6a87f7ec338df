/*
 * launch - the command line and the environment of one instance.
 *
 * The environment is the lab's own without what would steer an application or Standpipe
 * (DATABASE_URL, PORT, ENVIRONMENT, REDIS_URL, DB_*, PG*, STANDPIPE_*, ...), then the arm's
 * variables, then DATABASE_URL and PORT.
 */
#ifndef STANDPIPE_LAB_LAUNCH_H
#define STANDPIPE_LAB_LAUNCH_H

#include <stdint.h>

#include "conf/arena.h"
#include "scenario/scenario.h"

struct launch {
	const char *program; /* Standpipe's own path */
	const char *database_host; /* as the instance sees it */
	uint16_t database_port;
	const char *user, *password, *database;
	uint16_t port; /* the instance's own */
	uint16_t admin_port, gate_port; /* Standpipe's */
	double time_scale;
};

/* Both in `arena`, NULL-ended. */
const char **launch_command(struct arena *arena, const struct scenario *s,
	const struct scenario_arm *arm, const struct launch *launch);
const char **launch_environment(struct arena *arena, const struct scenario_arm *arm,
	const struct launch *launch, const char *const *own);

#endif
