#include "gate/pool_login.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "base/buffer.h"
#include "wire/startup.h"

bool pool_login_takes(struct bytes settings)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789_.";
	const char *name, *value;
	while (wire_pair_next(&settings, &name, &value))
		if (!*name || name[strspn(name, letters)])
			return false;
	return true;
}

/* As PostgreSQL takes its options apart (pg_split_opts): at blanks that have no backslash. */
static void append_word(struct buffer *out, const char *text)
{
	for (; *text; text++) {
		if (strchr(" \t\n\r\v\f\\", *text))
			buffer_append_u8(out, '\\');
		buffer_append_u8(out, (uint8_t)*text);
	}
}

/* Those of the URL first: the later one wins. Ends with a zero. */
static void append_options(struct buffer *out, const char *first, struct bytes settings)
{
	const char *name, *value;
	buffer_append(out, first, strlen(first));
	while (wire_pair_next(&settings, &name, &value)) {
		buffer_append(out, " -c ", 4);
		append_word(out, name);
		buffer_append_u8(out, '=');
		append_word(out, value);
	}
	buffer_append_u8(out, 0);
}

static void append_pair(struct buffer *out, const char *keyword, const char *value)
{
	buffer_append(out, keyword, strlen(keyword));
	buffer_append(out, "='", 2);
	for (; *value; value++) {
		if (*value == '\'' || *value == '\\')
			buffer_append_u8(out, '\\');
		buffer_append_u8(out, (uint8_t)*value);
	}
	buffer_append(out, "' ", 2);
}

/* What the login says of it instead of the URL; NULL: nothing. */
static const char *other_value(const struct pool_login *with, const char *keyword)
{
	if (strcmp(keyword, "dbname") == 0)
		return with->database;
	if (strcmp(keyword, "user") == 0)
		return with->user;
	/* An empty one is not looked up anywhere else, in a variable meant for another user,
	 * say. */
	if (strcmp(keyword, "password") == 0 && with->user)
		return with->password;
	return NULL;
}

char *pool_login_compose(const char *conninfo, const struct pool_login *with)
{
	PQconninfoOption *list = PQconninfoParse(conninfo, NULL);
	struct buffer text = BUFFER_INIT, options = BUFFER_INIT;
	if (!list)
		return NULL;
	for (const PQconninfoOption *o = list; o->keyword; o++) {
		const char *other = other_value(with, o->keyword);
		if (strcmp(o->keyword, "options") == 0 && with->settings.len > 0) {
			append_options(&options, o->val ? o->val : "", with->settings);
			const char *all = (const char *)buffer_bytes(&options).at;
			assert(all); /* a zero at least */
			append_pair(&text, o->keyword, all);
		} else if (other || o->val) {
			append_pair(&text, o->keyword, other ? other : o->val);
		}
	}
	buffer_append_u8(&text, 0);
	const char *whole = (const char *)buffer_bytes(&text).at;
	char *made = whole ? strdup(whole) : NULL;
	if (!made)
		abort();
	explicit_bzero(text.memory, text.size);
	buffer_release(&text);
	buffer_release(&options);
	PQconninfoFree(list);
	return made;
}

bool pool_login_is_for(const char *conninfo, const char *database, const char *user)
{
	PQconninfoOption *list = PQconninfoParse(conninfo, NULL);
	const char *its_user = NULL, *its_database = NULL;
	for (const PQconninfoOption *o = list; o && o->keyword; o++) {
		if (strcmp(o->keyword, "user") == 0)
			its_user = o->val;
		else if (strcmp(o->keyword, "dbname") == 0)
			its_database = o->val;
	}
	bool same = its_user && (!user || strcmp(its_user, user) == 0) &&
		    strcmp(its_database ? its_database : its_user, database) == 0;
	PQconninfoFree(list);
	return same;
}

void pool_login_free(char *text)
{
	if (!text)
		return;
	explicit_bzero(text, strlen(text));
	free(text);
}
