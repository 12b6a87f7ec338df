#include "lab/reference.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECTIONS_SPARE 10 /* on top of what the pools may hold */
#define CONNECTIONS_MAX   5000

/* The service's own defaults, where the scenario says nothing. */
#define POOL_SIZE     20
#define POOL_OVERFLOW 30

/* The variables that say what the application does are the same; times may differ. */
static bool same_settings(const struct scenario_arm *a, const struct scenario_arm *b)
{
	const struct scenario_arm *arms[2] = {a, b};

	for (int side = 0; side < 2; side++) {
		const struct scenario_arm *one = arms[side], *other = arms[!side];
		for (int i = 0; i < one->env_count; i++) {
			char name[128];
			const char *text = one->env[i].text;
			if (one->env[i].value_ns >= 0)
				continue;
			snprintf(name, sizeof name, "%.*s", (int)strcspn(text, "="), text);
			const char *mine = scenario_arm_get(one, name);
			const char *its = scenario_arm_get(other, name);
			if (!mine || !its || strcmp(mine, its) != 0)
				return false;
		}
	}
	return true;
}

bool reference_fits(const struct scenario_arm *candidate, const struct scenario_arm *arm)
{
	if (candidate->path != ARM_PATH_NONE || candidate->standpipe)
		return false;
	return arm->reference[0] != '\0' ? strcmp(candidate->name, arm->reference) == 0
					 : same_settings(candidate, arm);
}

void reference_make(const struct scenario *s, const struct scenario_arm *arm,
	struct scenario_arm *reference, char *name, size_t size_of_name)
{
	const char *size = scenario_arm_get(arm, "DB_POOL_SIZE");
	const char *overflow = scenario_arm_get(arm, "DB_MAX_OVERFLOW");
	int each = (size ? atoi(size) : POOL_SIZE) + (overflow ? atoi(overflow) : POOL_OVERFLOW);
	int64_t fit = (int64_t)s->instances * each + s->database.superuser_reserved +
		      CONNECTIONS_SPARE;

	snprintf(name, size_of_name, "%s-reference", arm->name);
	*reference = *arm;
	reference->name = name;
	reference->path = ARM_PATH_NONE;
	reference->standpipe = false;
	reference->reference = "";
	reference->max_connections = fit < CONNECTIONS_MAX ? (int)fit : CONNECTIONS_MAX;
	if (reference->max_connections < s->database.max_connections)
		reference->max_connections = s->database.max_connections;
}
