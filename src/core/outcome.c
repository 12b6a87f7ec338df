#include "core/outcome.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

static const char *const stage_names[STAGE_COUNT] = {
	[STAGE_DNS] = "dns",
	[STAGE_TCP] = "tcp",
	[STAGE_TLS] = "tls",
	[STAGE_AUTH] = "auth",
	[STAGE_READY] = "ready",
};

/* What each outcome is called and what it counts as: neither, for what says nothing of the path
 * or the server's capacity and may still pass. */
static const struct {
	const char *name;
	bool permanent;
	bool capacity;
} traits[OUTCOME_COUNT] = {
	[OUTCOME_OK] = {"ok"},
	[OUTCOME_TIMEOUT] = {"timeout", .capacity = true},
	[OUTCOME_REFUSED] = {"refused", .capacity = true},
	[OUTCOME_UNREACHABLE] = {"unreachable", .capacity = true},
	[OUTCOME_RESET] = {"reset", .capacity = true},
	[OUTCOME_DNS] = {"dns", .capacity = true},
	[OUTCOME_TLS] = {"tls", .permanent = true},
	[OUTCOME_FULL] = {"full", .capacity = true},
	[OUTCOME_STARTING] = {"starting", .capacity = true},
	[OUTCOME_SHUTDOWN] = {"shutdown", .capacity = true},
	[OUTCOME_AUTH] = {"auth", .permanent = true},
	[OUTCOME_DATABASE] = {"database", .permanent = true},
	[OUTCOME_SETTINGS] = {"settings", .permanent = true},
	[OUTCOME_TOKEN] = {"token"},
	[OUTCOME_PROTOCOL] = {"protocol"},
};

/* By the state itself, or by its class: its first two characters. */
static const struct {
	const char *prefix;
	enum outcome outcome;
} sqlstates[] = {
	{"53300", OUTCOME_FULL}, /* too_many_connections */
	{"57P01", OUTCOME_SHUTDOWN}, /* admin_shutdown */
	{"57P02", OUTCOME_SHUTDOWN}, /* crash_shutdown */
	{"57P03", OUTCOME_STARTING}, /* cannot_connect_now */
	{"28", OUTCOME_AUTH}, /* invalid authorization specification */
	{"3D000", OUTCOME_DATABASE}, /* invalid_catalog_name */
	{"55000", OUTCOME_DATABASE}, /* it is "not currently accepting connections" */
	{"22", OUTCOME_SETTINGS}, /* data exceptions: a value that a parameter does not take */
	{"42", OUTCOME_SETTINGS}, /* no such parameter, or not this user's to set */
	{"55P02", OUTCOME_SETTINGS}, /* cant_change_runtime_param */
	{"58P01", OUTCOME_SETTINGS}, /* undefined_file: a library to be preloaded */
};

const char *stage_name(enum stage s)
{
	assert(s < STAGE_COUNT);
	return stage_names[s];
}

const char *outcome_name(enum outcome o)
{
	assert(o < OUTCOME_COUNT);
	return traits[o].name;
}

bool outcome_from_name(const char *name, enum outcome *o)
{
	for (*o = OUTCOME_OK; *o < OUTCOME_COUNT; (*o)++)
		if (strcmp(traits[*o].name, name) == 0)
			return true;
	return false;
}

enum outcome outcome_from_sqlstate(const char *sqlstate)
{
	if (!sqlstate || strlen(sqlstate) != 5)
		return OUTCOME_PROTOCOL;
	for (size_t i = 0; i < sizeof(sqlstates) / sizeof(sqlstates[0]); i++)
		if (strncmp(sqlstate, sqlstates[i].prefix, strlen(sqlstates[i].prefix)) == 0)
			return sqlstates[i].outcome;
	return OUTCOME_PROTOCOL;
}

bool outcome_is_permanent(enum outcome o)
{
	assert(o < OUTCOME_COUNT);
	return traits[o].permanent;
}

bool outcome_is_capacity(enum outcome o)
{
	assert(o < OUTCOME_COUNT);
	return traits[o].capacity;
}
