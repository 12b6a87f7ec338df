/* The environments' tables: the defaults that differ between them. */
#include <assert.h>

#include "app/settings.h"

struct preset {
	const char *key;
	const char *values[ENVIRONMENT_COUNT]; /* development, test, staging, production */
};

/* clang-format off */
static const struct preset presets[] = {
	{"timeouts.initialization", {"30s",  "20s",  "75s",     "90s"}},
	{"timeouts.table_setup",    {"15s",  "10s",  "25s",     "45s"}},
	{"timeouts.connection",     {"20s",  "15s",  "35s",     "60s"}},
	{"timeouts.pool",           {"30s",  "20s",  "90s",     "90s"}},
	{"timeouts.health_check",   {"10s",  "5s",   "20s",     "30s"}},
	{"pool.size",               {"5",    "5",    "10",      "10"}},
	{"pool.overflow",           {"10",   "10",   "15",      "15"}},
	{"database.agents",         {"0",    "0",    "5",       "5"}},
	{"budget.buffer",           {"0",    "0",    "5",       "5"}},
	{"path.monitoring",         {"off",  "off",  "on",      "on"}},
	{"path.capacity_aware",     {"off",  "off",  "on",      "on"}},
	{"path.threshold",          {"1.0",  "1.0",  "0.7",     "0.7"}},
	{"path.connections",        {"1000", "1000", "50",      "50"}},
	{"path.baseline",           {"0",    "0",    "2Gbit/s", "2Gbit/s"}},
	{"path.scaling_delay",      {"0",    "0",    "30s",     "30s"}},
	{"path.scaling_buffer",     {"0",    "0",    "20s",     "20s"}},
	{"retry.retries",           {"3",    "3",    "5",       "5"}},
	{"retry.base",              {"1s",   "1s",   "2s",      "2s"}},
	{"retry.cap",               {"10s",  "10s",  "30s",     "30s"}},
	{"retry.factor",            {"2",    "2",    "2",       "2"}},
};
/* clang-format on */

#define SERVE_PORT "6432" /* PgBouncer's, which is what people expect of a pooler */

static void apply(struct config *c, const char *key, const char *value, const char *origin)
{
	struct error error;
	int row = settings_find(&c->settings, key);
	assert(row >= 0);
	int result = settings_set(&c->settings, row, value, SETTING_PRESET, origin, &error);
	assert(result == 0);
}

void config_presets(struct config *c)
{
	const char *origin = environment_name(c->environment);
	for (size_t i = 0; i < sizeof(presets) / sizeof(presets[0]); i++)
		apply(c, presets[i].key, presets[i].values[c->environment], origin);
	if (c->mode == CONFIG_SERVE)
		apply(c, "listen.port", SERVE_PORT, "serve");
}

const char *environment_name(enum environment environment)
{
	static const char *const names[] = {"development", "test", "staging", "production"};
	return names[environment];
}
