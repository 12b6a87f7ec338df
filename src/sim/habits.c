#include "sim/habits.h"

#include <stdlib.h>
#include <string.h>

#include "base/instant.h"
#include "conf/value.h"

/* The service's own defaults. */
#define POOL_SIZE         20
#define POOL_OVERFLOW     30
#define INITIALIZATION_NS (20 * NS_PER_S)
#define POOL_TIMEOUT_NS   (30 * NS_PER_S)

#define CONNECTIONS_SPARE 10 /* on top of what the pools may hold */

static int number(const struct scenario_arm *arm, const char *name, int preset)
{
	const char *text = scenario_arm_get(arm, name);
	long value = text && *text ? strtol(text, NULL, 10) : preset;

	return value < 0 ? 0 : value > HABITS_SLOTS_MAX ? HABITS_SLOTS_MAX : (int)value;
}

int64_t habits_span_ns(const struct scenario_arm *arm, const char *name, int64_t preset_ns)
{
	for (int i = arm->env_count - 1; i >= 0; i--)
		if (arm->env[i].value_ns >= 0 && strcmp(arm->env[i].text, name) == 0)
			return arm->env[i].value_ns;
	const char *text = scenario_arm_get(arm, name);
	int64_t value_ns;
	return text && value_duration(text, &value_ns) ? value_ns : preset_ns;
}

static int tls_trips(const struct scenario_arm *arm)
{
	const char *mode = scenario_arm_get(arm, "PGSSLMODE");

	if (!mode || strcmp(mode, "prefer") == 0 || strcmp(mode, "allow") == 0)
		return 1; /* the server is asked, and has none */
	return strcmp(mode, "disable") == 0 ? 0 : 2;
}

void habits_of(struct habits *h, const struct scenario_arm *arm)
{
	*h = (struct habits){
		.size = number(arm, "DB_POOL_SIZE", POOL_SIZE),
		.overflow = number(arm, "DB_MAX_OVERFLOW", POOL_OVERFLOW),
		.initialization_ns = habits_span_ns(
			arm, "DB_INITIALIZATION_TIMEOUT", INITIALIZATION_NS),
		.pool_timeout_ns = habits_span_ns(arm, "DB_POOL_TIMEOUT", POOL_TIMEOUT_NS),
		.hold_ns = habits_span_ns(arm, "DB_HOLD", 0),
		.tls_trips = tls_trips(arm),
	};
	if (h->size + h->overflow == 0)
		h->size = 1;
	h->warm = number(arm, "DB_POOL_WARM", h->size);
	if (h->warm > h->size + h->overflow)
		h->warm = h->size + h->overflow;
}

void habits_reference(
	const struct scenario *s, const struct scenario_arm *arm, struct scenario_arm *reference)
{
	const struct scenario_arm *named = scenario_arm(s, arm->reference);
	struct habits h;

	if (named) {
		*reference = *named;
		return;
	}
	habits_of(&h, arm);
	*reference = *arm;
	reference->path = ARM_PATH_NONE;
	reference->max_connections = s->instances * (h.size + h.overflow) +
				     s->database.superuser_reserved + CONNECTIONS_SPARE;
}
