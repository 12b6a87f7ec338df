#include "gate/profile.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "wire/frame.h"
#include "wire/message.h"
#include "wire/startup.h"
#include "wire/switches.h"

void profiles_init(struct profiles *all)
{
	*all = (struct profiles){0};
	all->base = calloc(1, sizeof(*all->base));
	if (!all->base)
		abort();
	all->base->refs = 1;
	all->first = all->base;
}

static void profile_free(struct profile *p)
{
	buffer_release(&p->welcome);
	buffer_release(&p->pairs);
	free(p);
}

void profiles_release(struct profiles *all)
{
	struct profile *next;
	for (struct profile *p = all->first; p; p = next) {
		next = p->next;
		profile_free(p);
	}
	*all = (struct profiles){0};
}

struct profile *profile_hold(struct profile *p)
{
	p->refs++;
	return p;
}

void profile_drop(struct profiles *all, struct profile *p)
{
	assert(p->refs > 0);
	if (--p->refs > 0)
		return;
	struct profile **at = &all->first;
	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	if (p->part)
		profile_drop(all, p->part); /* which has none itself */
	profile_free(p);
}

/* Does the meaning of a text depend on it, as it is parsed? Constants are read then, too. */
static bool is_about_reading(const char *name)
{
	static const char *const names[] = {"search_path", "role", "session_authorization",
		"client_encoding", "DateStyle", "IntervalStyle", "TimeZone", "lc_monetary",
		"timezone_abbreviations", "standard_conforming_strings", "backslash_quote",
		"transform_null_equals", "array_nulls", "xmloption", "default_text_search_config",
		"operator_precedence_warning"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcasecmp(name, names[i]) == 0)
			return true;
	return false;
}

static struct profile *intern(struct profiles *all, struct buffer *pairs);

static void set_reading(struct profiles *all, struct profile *p)
{
	struct buffer part = BUFFER_INIT;
	struct bytes left = buffer_bytes(&p->pairs);
	const char *name, *value;
	while (wire_pair_next(&left, &name, &value)) {
		if (!is_about_reading(name))
			continue;
		buffer_append_text(&part, name);
		buffer_append_text(&part, value);
	}
	if (buffer_len(&part) == buffer_len(&p->pairs)) {
		p->reading = ++all->last_reading;
		buffer_release(&part);
	} else if (buffer_len(&part) > 0) {
		p->part = intern(all, &part);
		p->reading = p->part->reading;
	}
}

/* A profile of these pairs, found or made; takes `pairs`. There are few: a list will do. */
static struct profile *intern(struct profiles *all, struct buffer *pairs)
{
	struct bytes wanted = buffer_bytes(pairs);
	for (struct profile *p = all->first; p; p = p->next) {
		struct bytes there = buffer_bytes(&p->pairs);
		if (there.len == wanted.len &&
			(wanted.len == 0 || memcmp(there.at, wanted.at, wanted.len) == 0)) {
			buffer_release(pairs);
			return profile_hold(p);
		}
	}
	struct profile *p = calloc(1, sizeof(*p));
	if (!p)
		abort();
	p->refs = 1;
	p->pairs = *pairs;
	*pairs = BUFFER_INIT;
	p->next = all->first;
	all->first = p;
	set_reading(all, p);
	return p;
}

/* `from` with one pair put in at its place, as a new buffer. Names are case-insensitive. */
static struct buffer with_pair(const struct buffer *from, const char *name, const char *value)
{
	struct buffer to = BUFFER_INIT;
	struct bytes left = buffer_bytes(from);
	const char *there, *its_value;
	bool put = false;
	while (wire_pair_next(&left, &there, &its_value)) {
		int order = strcasecmp(there, name);
		if (order >= 0 && !put) {
			buffer_append_text(&to, name);
			buffer_append_text(&to, value);
			put = true;
		}
		if (order != 0) {
			buffer_append_text(&to, there);
			buffer_append_text(&to, its_value);
		}
	}
	if (!put) {
		buffer_append_text(&to, name);
		buffer_append_text(&to, value);
	}
	return to;
}

struct profile *profile_with(
	struct profiles *all, const struct profile *base, const char *name, const char *value)
{
	struct buffer pairs = with_pair(&base->pairs, name, value);
	return intern(all, &pairs);
}

const char *profile_value(const struct profile *p, const char *name)
{
	struct bytes left = buffer_bytes(&p->pairs);
	const char *there, *value;
	while (wire_pair_next(&left, &there, &value))
		if (strcasecmp(there, name) == 0)
			return value;
	return NULL;
}

const char *profile_reported(const struct profile *p, const char *name)
{
	struct bytes left = buffer_bytes(&p->welcome);
	const char *given = profile_value(p, name), *there, *value;
	struct frame frame;
	while (given && frame_parse(left, &frame) == WIRE_OK && frame.len <= left.len) {
		if (frame.type == MSG_PARAMETER_STATUS &&
			message_parse_parameter(frame_body(left, &frame), &there, &value) == 0 &&
			strcasecmp(there, name) == 0)
			return value;
		left.at += frame.len;
		left.len -= frame.len;
	}
	return given;
}

/* ---- the startup packet ---- */

/* Is it about the connection, not a setting? */
static bool is_not_a_setting(const char *name)
{
	return strcmp(name, "user") == 0 || strcmp(name, "database") == 0 ||
	       strcmp(name, "replication") == 0 || strcmp(name, "options") == 0 ||
	       strncmp(name, "_pq_.", 5) == 0;
}

struct collecting {
	struct buffer pairs;
	int count;
	bool too_large;
};

static void collect(struct collecting *c, const char *name, const char *value)
{
	if (++c->count > PROFILE_PAIRS_MAX ||
		buffer_len(&c->pairs) + strlen(name) + strlen(value) > PROFILE_BYTES_MAX) {
		c->too_large = true;
		return;
	}
	struct buffer pairs = with_pair(&c->pairs, name, value);
	buffer_release(&c->pairs);
	c->pairs = pairs;
}

static int collect_options(struct collecting *c, const char *options, struct error *error)
{
	struct wire_switches switches;
	const char *name, *value;
	int result;
	wire_switches_init(&switches, options);
	while ((result = wire_switch_next(&switches, &name, &value)) > 0)
		collect(c, name, value);
	return result == 0
		       ? 0
		       : error_set(error, "startup", 0,
				 "the startup packet's options hold a command-line argument that "
				 "is not valid for a server process");
}

int profile_parse_startup(struct bytes parameters, struct buffer *pairs, struct error *error)
{
	struct collecting c = {0};
	const char *name, *value, *options = "";
	struct bytes left = parameters;
	while (wire_pair_next(&left, &name, &value))
		if (strcmp(name, "options") == 0)
			options = value;
	/* Wherever they stand: what else the packet sets goes before them. */
	int result = collect_options(&c, options, error);
	while (wire_pair_next(&parameters, &name, &value))
		if (!is_not_a_setting(name))
			collect(&c, name, value);
	if (result == 0 && c.too_large)
		result = error_set(error, "startup", 0,
			"the startup packet sets more than %d parameters or %d bytes",
			PROFILE_PAIRS_MAX, PROFILE_BYTES_MAX);
	if (result != 0)
		buffer_release(&c.pairs);
	*pairs = c.pairs;
	return result;
}

struct profile *profile_from_startup(
	struct profiles *all, struct bytes parameters, struct error *error)
{
	struct buffer pairs;
	return profile_parse_startup(parameters, &pairs, error) == 0 ? intern(all, &pairs) : NULL;
}

bool profile_take_pair(struct buffer *pairs, const char *name, struct buffer *to)
{
	struct bytes left = buffer_bytes(pairs);
	struct buffer rest = BUFFER_INIT;
	const char *there, *value;
	bool taken = false;
	while (wire_pair_next(&left, &there, &value)) {
		bool is_it = strcasecmp(there, name) == 0;
		taken = taken || is_it;
		buffer_append_text(is_it ? to : &rest, there);
		buffer_append_text(is_it ? to : &rest, value);
	}
	buffer_release(pairs);
	*pairs = rest;
	return taken;
}

struct profile *profile_from_pairs(struct profiles *all, struct bytes pairs)
{
	struct collecting c = {0};
	const char *name, *value;
	while (wire_pair_next(&pairs, &name, &value))
		collect(&c, name, value);
	if (c.too_large) {
		buffer_release(&c.pairs);
		return NULL;
	}
	return intern(all, &c.pairs);
}

bool profile_is_settable(const char *name)
{
	static const char *const names[] = {"application_name", "client_encoding", "DateStyle",
		"default_transaction_read_only", "IntervalStyle", "scram_iterations", "search_path",
		"standard_conforming_strings", "TimeZone"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcasecmp(name, names[i]) == 0)
			return true;
	return false;
}

/* ---- SQL ---- */

/* As E'...': right whatever standard_conforming_strings is. What is not ASCII is written as \xNN,
 * so that the session's present client_encoding, which is somebody else's, has no say in it: the
 * very bytes are the value, as PostgreSQL takes them from a startup packet. */
void profile_literal(struct buffer *out, const char *text)
{
	static const char digits[] = "0123456789abcdef";
	buffer_append(out, "E'", 2);
	for (; *text; text++) {
		uint8_t byte = (uint8_t)*text;
		if (byte >= 0x80) {
			char escaped[4] = {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
			buffer_append(out, escaped, sizeof(escaped));
			continue;
		}
		if (byte == '\'' || byte == '\\')
			buffer_append_u8(out, byte);
		buffer_append_u8(out, byte);
	}
	buffer_append_u8(out, '\'');
}

/* What the rest may give a notice of. */
#define VERBOSITY "client_min_messages"

static void append_sql(struct buffer *out, const char *sql)
{
	buffer_append(out, sql, strlen(sql));
}

/* Who the session acts for decides what it may set: that comes last, the role at the very end. */
static bool is_identity(const char *name)
{
	return strcasecmp(name, "role") == 0 || strcasecmp(name, "session_authorization") == 0;
}

static void append_setting(struct buffer *out, const char *name, const char *value, bool first)
{
	append_sql(out, first ? ";SELECT " : ",");
	append_sql(out, "pg_catalog.set_config(");
	profile_literal(out, name);
	append_sql(out, ",");
	profile_literal(out, value);
	append_sql(out, ",false)");
}

void profile_sql(const struct profile *p, struct buffer *out)
{
	static const char *const identities[] = {"session_authorization", "role"};
	struct bytes left = buffer_bytes(&p->pairs);
	const char *name, *value;
	bool first = true;
	append_sql(out, "SET SESSION AUTHORIZATION DEFAULT;RESET ROLE;RESET ALL");
	value = profile_value(p, VERBOSITY);
	if (value) {
		append_setting(out, VERBOSITY, value, first);
		first = false;
	}
	while (wire_pair_next(&left, &name, &value)) {
		if (is_identity(name) || strcasecmp(name, VERBOSITY) == 0)
			continue;
		append_setting(out, name, value, first);
		first = false;
	}
	for (size_t i = 0; i < sizeof(identities) / sizeof(identities[0]); i++) {
		value = profile_value(p, identities[i]);
		if (!value)
			continue;
		append_setting(out, identities[i], value, first);
		first = false;
	}
}
