#include "gate/traces_sql.h"

#include <string.h>

#include "wire/startup.h"

/* A value that is longer is not told, and pins. */
#define VALUE_MAX "8192"

static void add(struct buffer *out, const char *sql)
{
	buffer_append(out, sql, strlen(sql));
}

/* As the server's own encoding has it, since that is what a literal of ours is in. */
#define HEX(text)                                                                           \
	"pg_catalog.encode(CASE WHEN pg_catalog.octet_length(" text ")" TRACES_LE VALUE_MAX \
	" THEN pg_catalog.convert_to(" text ",pg_catalog.getdatabaseencoding()) END,'hex')"

#define ROW(name, value) "SELECT 's'," HEX(name) "," HEX(value)

void traces_sql_settings(struct bytes customs, struct buffer *out)
{
	add(out, ROW("name", "setting"));
	add(out, " FROM pg_catalog.pg_settings WHERE source" TRACES_EQ "'session'");
	/* What that does not show: */
	add(out, " UNION ALL SELECT 's','726f6c65'," HEX("r"));
	add(out, " FROM pg_catalog.current_setting('role') r WHERE r" TRACES_NE "'none'");
	add(out, " UNION ALL " ROW("'session_authorization'", "session_user::pg_catalog.text"));
	add(out, " FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) a");
	add(out, " JOIN pg_catalog.pg_roles r ON r.oid" TRACES_EQ "a.usesysid");
	add(out, " WHERE r.rolname" TRACES_NE "session_user");
	if (customs.len == 0)
		return;
	add(out, " UNION ALL " ROW("n", "v") " FROM (SELECT n,pg_catalog.current_setting(n,true) "
					     "FROM (VALUES ");
	for (const char *join = "("; customs.len > 0; join = ",(") {
		size_t len = strlen((const char *)customs.at) + 1;
		add(out, join);
		profile_literal(out, (const char *)customs.at);
		add(out, ")");
		customs.at += len;
		customs.len -= len;
	}
	add(out, ") c(n)) c(n,v) WHERE v IS NOT NULL");
}

void traces_sql_restore(const struct profile *origin, bool local, struct buffer *out)
{
	struct bytes pairs = buffer_bytes(&origin->pairs);
	const char *name, *value, *join = "(";
	add(out, "SELECT pg_catalog.set_config(n,v,");
	add(out, local ? "true" : "false");
	add(out, ") FROM (VALUES ");
	for (; wire_pair_next(&pairs, &name, &value); join = ",(") {
		add(out, join);
		profile_literal(out, name);
		add(out, ",");
		profile_literal(out, value);
		add(out, ")");
	}
	add(out, ") o(n,v) LEFT JOIN pg_catalog.pg_settings s ON pg_catalog.lower(s.name)" TRACES_EQ
		 "pg_catalog.lower(n) CROSS JOIN LATERAL "
		 "coalesce(pg_catalog.current_setting(n,true),'') present WHERE "
		 "CASE WHEN s.name IS NULL THEN present" TRACES_EQ "'' OR present" TRACES_EQ
		 "'none' "
		 "ELSE s.source" TRACES_NE "'session' END");
}
