/*
 * The parameters of a startup packet, as they come after its version: what they set becomes SQL
 * that holds nothing of theirs outside its literals.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "gate/profile.h"
#include "target.h"
#include "wire/startup.h"

/* Moves past `text`, or fails. */
static const char *expect(const char *at, const char *text)
{
	size_t len = strlen(text);
	assert(strncmp(at, text, len) == 0);
	return at + len;
}

/* Moves past one E'...' as PostgreSQL reads it, or fails; it is to mean `text`. */
static const char *expect_literal(const char *at, const char *text)
{
	at = expect(at, "E'");
	for (; *text; text++) {
		if ((unsigned char)*text >= 0x80) {
			char escaped[5];
			snprintf(escaped, sizeof(escaped), "\\x%02x", (unsigned char)*text);
			at = expect(at, escaped);
			continue;
		}
		if (*at == '\\' || *at == '\'') {
			assert(at[1] == *at);
			at++;
		}
		assert(*at == *text);
		at++;
	}
	return expect(at, "'");
}

static const char *expect_setting(const char *at, const char *name, const char *value)
{
	at = expect_literal(expect(at, "pg_catalog.set_config("), name);
	at = expect_literal(expect(at, ","), value);
	return expect(at, ",false)");
}

static const char *const identities[] = {"session_authorization", "role"};

static int is_identity(const char *name)
{
	return strcasecmp(name, identities[0]) == 0 || strcasecmp(name, identities[1]) == 0;
}

static void check_sql(const struct profile *profile)
{
	struct buffer sql = BUFFER_INIT;
	profile_sql(profile, &sql);
	buffer_append_u8(&sql, 0);
	const char *at = (const char *)buffer_bytes(&sql).at;
	at = expect(at, "SET SESSION AUTHORIZATION DEFAULT;RESET ROLE;RESET ALL");
	struct bytes pairs = buffer_bytes(&profile->pairs);
	const char *name, *value, *join = ";SELECT ";
	while (wire_pair_next(&pairs, &name, &value)) {
		assert(profile_value(profile, name));
		if (is_identity(name))
			continue;
		at = expect_setting(expect(at, join), name, value);
		join = ",";
	}
	/* Who the session acts for comes last. */
	for (size_t i = 0; i < sizeof(identities) / sizeof(identities[0]); i++) {
		value = profile_value(profile, identities[i]);
		if (!value)
			continue;
		at = expect_setting(expect(at, join), identities[i], value);
		join = ",";
	}
	assert(*at == 0);
	buffer_release(&sql);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A whole packet, so that its parameters are terminated as the gate's are. */
	uint8_t *packet = malloc(size + 9);
	assert(packet);
	bytes_put_u32(packet, (uint32_t)size + 9);
	bytes_put_u32(packet + 4, 3u << 16);
	if (size > 0)
		memcpy(packet + 8, data, size);
	packet[size + 8] = 0;

	struct wire_startup startup;
	if (wire_startup_parse((struct bytes){packet, size + 9}, &startup) == WIRE_OK) {
		struct profiles all;
		struct error error;
		profiles_init(&all);
		error_init(&error);
		struct profile *profile = profile_from_startup(&all, startup.parameters, &error);
		assert(profile || error_is_set(&error));
		if (profile) {
			check_sql(profile);
			struct profile *more = profile_with(
				&all, profile, "TimeZone", "it's \\ UTC");
			assert(strcmp(profile_value(more, "timezone"), "it's \\ UTC") == 0);
			check_sql(more);
			profile_drop(&all, more);
			profile_drop(&all, profile);
		}
		profiles_release(&all);
	}
	free(packet);
	return 0;
}
