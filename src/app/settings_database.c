/* Where the database is: a URL, a file that holds one, or the PG* variables. */
#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libpq-fe.h>

#include "app/settings.h"

#define KEY "database.url"

/* The text of a secret's file, with the blanks and line ends around it; NULL with the error. */
static const char *read_secret(struct config *c, const struct settings *s, const char *key,
	const char *path, struct error *error)
{
	char text[URL_MAX + 2];
	FILE *file = fopen(path, "re");
	size_t len = file ? fread(text, 1, sizeof(text) - 1, file) : 0;
	int problem = !file || ferror(file) ? errno : 0;
	if (file)
		fclose(file);
	text[len] = 0;
	const char *copy = NULL;
	if (problem)
		settings_error(s, key, error, "the file %.128s can't be read: %s", path,
			strerror(problem));
	else
		copy = arena_text(&c->arena, text, strlen(text));
	explicit_bzero(text, sizeof(text));
	return copy;
}

const char *config_secret(struct config *c, const struct settings *s, const char *key,
	const char *text, struct error *error)
{
	if (strncmp(text, "file:", 5) != 0)
		return text;
	const char *path = text + 5;
	if (!strncmp(path, "///", 3)) /* file:///path, too */
		path += 2;
	return read_secret(c, s, key, path, error);
}

int config_url(struct config *c, const struct settings *s, const char *key, const char *text,
	struct url *url, struct error *error)
{
	struct error cause;
	text = config_secret(c, s, key, text, error);
	if (!text)
		return -1;
	error_init(&cause);
	if (url_parse(url, &c->arena, text, &cause) < 0)
		return settings_error(s, key, error, "%s", cause.text);
	return 0;
}

/* What the URL leaves open, libpq takes from these variables. */
static int add_variables(struct config *c, struct url *url, struct error *error)
{
	const char *host = config_variable(c, "PGHOST"), *port = config_variable(c, "PGPORT");
	const char *password = config_variable(c, "PGPASSWORD");
	if (url->hosts_count == 0 && (host || port)) {
		struct url place;
		struct error cause;
		error_init(&cause);
		const char *text = arena_format(&c->arena, "postgresql:///?host=%s&port=%s",
			url_encode(&c->arena, host ? host : ""),
			url_encode(&c->arena, port ? port : ""));
		if (url_parse(&place, &c->arena, text, &cause) < 0)
			return settings_error(
				&c->settings, KEY, error, "PGHOST and PGPORT: %s", cause.text);
		memcpy(url->hosts, place.hosts, sizeof(url->hosts));
		url->hosts_count = place.hosts_count;
	}
	if (!url->hostaddr && !c->has_url)
		url->hostaddr = config_variable(c, "PGHOSTADDR");
	if (!url->user.text)
		url->user.text = config_variable(c, "PGUSER");
	if (!url->database.text)
		url->database.text = config_variable(c, "PGDATABASE");
	if (!url->password.text)
		url->password.text = password;
	return 0;
}

/* libpq's own defaults: the system's user, and a database of the same name. */
static int add_names(struct config *c, struct url *url, struct error *error)
{
	if (!url->user.text) {
		const struct passwd *entry = getpwuid(geteuid());
		if (!entry)
			return settings_error(&c->settings, KEY, error,
				"names no user, and the system's user %ld has no name: write "
				"postgresql://user@..., or set PGUSER",
				(long)geteuid());
		url->user.text = arena_text(&c->arena, entry->pw_name, strlen(entry->pw_name));
	}
	if (!url->database.text)
		url->database.text = url->user.text;
	return 0;
}

/* What libpq looks at only when it connects: its documented words, and whole numbers where there are
 * none. */
static const struct {
	const char *keyword, *words;
} valued[] = {
	{"sslmode", "disable, allow, prefer, require, verify-ca, verify-full"},
	{"gssencmode", "disable, prefer, require"},
	{"channel_binding", "disable, prefer, require"},
	{"target_session_attrs", "any, read-write, read-only, primary, standby, prefer-standby"},
	{"load_balance_hosts", "disable, random"},
	{"sslnegotiation", "postgres, direct"},
	{"sslcertmode", "disable, allow, require"},
	{"ssl_min_protocol_version", "TLSv1, TLSv1.1, TLSv1.2, TLSv1.3"},
	{"ssl_max_protocol_version", "TLSv1, TLSv1.1, TLSv1.2, TLSv1.3"},
	{"connect_timeout", NULL},
	{"keepalives", NULL},
	{"keepalives_idle", NULL},
	{"keepalives_interval", NULL},
	{"keepalives_count", NULL},
	{"tcp_user_timeout", NULL},
};

static bool is_word_of(const char *words, const char *value)
{
	size_t len = strlen(value);
	for (const char *at = words; (at = strstr(at, value)); at += len)
		if ((at == words || at[-1] == ' ') && (!at[len] || at[len] == ','))
			return len > 0;
	return false;
}

static bool is_whole_number(const char *value)
{
	char *end;
	errno = 0;
	long number = strtol(value, &end, 10);
	return end != value && !end[strspn(end, " \t\n")] && errno == 0 && number >= INT_MIN &&
	       number <= INT_MAX;
}

static int check_value(
	const struct settings *s, const char *key, const PQconninfoOption *o, struct error *error)
{
	const char *variable = o->val || !o->envvar ? NULL : getenv(o->envvar);
	const char *value = o->val ? o->val : variable;
	for (size_t i = 0; i < sizeof(valued) / sizeof(valued[0]); i++) {
		const char *words = valued[i].words;
		/* Most of the empty ones are the default to libpq. */
		if (strcmp(o->keyword, valued[i].keyword) != 0 || !value || !*value)
			continue;
		if (words ? is_word_of(words, value) : is_whole_number(value))
			return 0;
		return settings_error(s, key, error, "%s%s is \"%.40s\": %s%s",
			variable ? "the variable " : "its parameter ",
			variable ? o->envvar : o->keyword, value,
			words ? "libpq knows " : "libpq wants a whole number", words ? words : "");
	}
	return 0;
}

int config_check_conninfo(
	const struct settings *s, const char *key, const char *conninfo, struct error *error)
{
	char *problem = NULL;
	PQconninfoOption *options = PQconninfoParse(conninfo, &problem);
	int result = 0;
	if (!options) {
		/* A text that repeats the URL would repeat the password. */
		bool tells = problem && !strstr(problem, "://") && !strchr(problem, '@');
		result = settings_error(s, key, error, "libpq does not take it%s%s",
			tells ? ": " : "", tells ? strtok(problem, "\n") : "");
	}
	for (const PQconninfoOption *o = options; o && o->keyword && result == 0; o++)
		result = check_value(s, key, o, error);
	PQconninfoFree(options);
	PQfreemem(problem);
	return result;
}

int config_database(struct config *c, struct error *error)
{
	if (*c->database_url) {
		if (config_url(c, &c->settings, KEY, c->database_url, &c->url, error) < 0)
			return -1;
		c->has_url = true;
	} else if (!config_variable(c, "PGHOST") && !config_variable(c, "PGHOSTADDR")) {
		return settings_error(&c->settings, KEY, error,
			"there is no database: set DATABASE_URL "
			"(postgresql://user:password@host:5432/database), or PGHOST");
	} else {
		c->url = (struct url){.scheme = "postgresql", .driver = ""};
	}

	struct url url = c->url;
	if (add_variables(c, &url, error) < 0 || add_names(c, &url, error) < 0)
		return -1;
	const char *left_out;
	c->gate.conninfo = url_conninfo(&url, &c->arena, &left_out);
	c->gate.user = c->gate.auth.user = url.user.text;
	c->gate.auth.password = url.password.text;
	c->gate.database = url.database.text;
	c->gate.host = c->address = url_address(&url, &c->arena);
	if (*left_out)
		config_note(c,
			KEY ": libpq does not know %s; the command's own driver still gets it",
			left_out);
	c->login = url;
	return config_check_conninfo(&c->settings, KEY, c->gate.conninfo, error);
}
