#include "io/check_target.h"

#include <assert.h>
#include <curl/curl.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALLOWED                                                                            \
	"use resolve:HOST, tcp://HOST:PORT, http[s]://..., exec:COMMAND, redis[s]://..., " \
	"postgresql://... or ws[s]://..."

struct scheme {
	const char *name;
	enum check_kind kind;
	const char *carrier; /* what libcurl connects with */
	const char *port; /* the default; NULL: there is none */
};

static const struct scheme schemes[] = {
	{"tcp", CHECK_TCP, "http", NULL},
	{"http", CHECK_HTTP, "http", "80"},
	{"https", CHECK_HTTP, "https", "443"},
	{"redis", CHECK_REDIS, "http", "6379"},
	{"rediss", CHECK_REDIS, "https", "6379"},
	{"ws", CHECK_WEBSOCKET, "http", "80"},
	{"wss", CHECK_WEBSOCKET, "https", "443"},
};

static char *copy(const char *text)
{
	char *made = strdup(text);
	assert(made);
	return made;
}

void check_target_release(struct check_target *t)
{
	free(t->text);
	free(t->url);
	free(t->user);
	free(t->password);
	free(t->path);
	*t = (struct check_target){0};
}

/* The value of a URL's part, allocated; NULL if it has none. */
static char *part(CURLU *url, CURLUPart what, unsigned flags)
{
	char *value = NULL, *made = NULL;
	if (curl_url_get(url, what, &value, flags) == CURLUE_OK && value)
		made = copy(value);
	curl_free(value);
	return made;
}

static int refuse(struct check_target *t, struct error *error, const char *why)
{
	error_set(error, "config", 0, "%s: %s", t->name, why);
	return -1;
}

/* "http+204" -> "http" and 204. Cuts the scheme; 0, or -1. */
static int take_status(struct check_target *t, char *scheme, struct error *error)
{
	char *plus = strchr(scheme, '+');
	if (!plus)
		return 0;
	char *end;
	long status = strtol(plus + 1, &end, 10);
	*plus = '\0';
	if (strncmp(scheme, "http", 4) != 0 || *end || end != plus + 4 || status < 100 ||
		status > 599)
		return refuse(t, error,
			"what follows the + must be a status from 100 to 599, as in "
			"http+204://...");
	t->status = (int)status;
	return 0;
}

static int redis_path(struct check_target *t, struct error *error)
{
	if (t->user && *t->user && !t->password)
		return refuse(t, error, "a password alone is written redis://:PASSWORD@HOST");
	const char *digits = t->path ? t->path + strspn(t->path, "/") : "";
	size_t len = strspn(digits, "0123456789");
	if (len > 6 || (digits[len] != '\0' && digits[len] != '?'))
		return refuse(
			t, error, "the path must be a database's number, as in redis://HOST/0");
	t->database = atoi(digits);
	return 0;
}

/* Fills in what the parts of `url` say, and rewrites it for libcurl. */
static int take_parts(struct check_target *t, CURLU *url, const struct scheme *scheme, bool tls,
	struct error *error)
{
	char *host = part(url, CURLUPART_HOST, 0);
	char *port = part(url, CURLUPART_PORT, 0);
	char *path = part(url, CURLUPART_PATH, 0);
	t->user = part(url, CURLUPART_USER, CURLU_URLDECODE);
	t->password = part(url, CURLUPART_PASSWORD, CURLU_URLDECODE);
	int result = 0;
	if (!host || !*host)
		result = refuse(t, error, "the host is missing");
	else if (!port && !scheme->port)
		result = refuse(t, error, "the port is missing, as in tcp://HOST:PORT");
	else if (scheme->kind == CHECK_WEBSOCKET && t->user)
		result = refuse(t, error, "a user in the URL is not supported for WebSockets");
	if (result == 0) {
		const char *used = port ? port : scheme->port;
		snprintf(t->origin, sizeof(t->origin), "%s:%s", host, used);
		bool root = !path || strcmp(path, "/") == 0 || scheme->kind == CHECK_TCP;
		snprintf(t->name, sizeof(t->name), "%s://%s%s", scheme->name, t->origin,
			root ? "" : path);
		curl_url_set(url, CURLUPART_FRAGMENT, NULL, 0);
		curl_url_set(url, CURLUPART_SCHEME, tls ? "https" : "http", 0);
		curl_url_set(url, CURLUPART_PORT, used, 0);
		if (scheme->kind != CHECK_HTTP) {
			curl_url_set(url, CURLUPART_USER, NULL, 0);
			curl_url_set(url, CURLUPART_PASSWORD, NULL, 0);
		}
		t->url = part(url, CURLUPART_URL, 0);
		char *query = part(url, CURLUPART_QUERY, 0);
		if (asprintf(&t->path, "%s%s%s", path ? path : "/", query ? "?" : "",
			    query ? query : "") < 0)
			abort();
		free(query);
		if (!t->url)
			result = refuse(t, error, "not a valid URL");
	}
	free(host);
	free(port);
	free(path);
	return result;
}

static int parse_url(
	struct check_target *t, const char *target, size_t scheme_len, struct error *error)
{
	char name[32];
	snprintf(name, sizeof(name), "%.*s", (int)scheme_len, target);
	snprintf(t->name, sizeof(t->name), "%s://...", name);
	if (take_status(t, name, error) < 0)
		return -1;
	const struct scheme *scheme = NULL;
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
		if (strcmp(name, schemes[i].name) == 0)
			scheme = &schemes[i];
	if (!scheme)
		return refuse(t, error, "not a kind of check that there is; " ALLOWED);
	t->kind = scheme->kind;

	char text[CHECK_TARGET_MAX + 8];
	snprintf(text, sizeof(text), "%s%s", scheme->carrier, target + scheme_len);
	CURLU *url = curl_url();
	assert(url);
	int result = -1;
	if (curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK)
		result = take_parts(t, url, scheme, strcmp(scheme->carrier, "https") == 0, error);
	else
		refuse(t, error,
			"not a valid URL; special characters, above all in a password, are "
			"written %XX");
	curl_url_cleanup(url);
	if (result == 0 && t->kind == CHECK_REDIS)
		result = redis_path(t, error);
	return result;
}

static const char *option(
	const PQconninfoOption *options, const char *keyword, const char *otherwise)
{
	for (const PQconninfoOption *o = options; o->keyword; o++)
		if (strcmp(o->keyword, keyword) == 0 && o->val && *o->val)
			return o->val;
	return otherwise;
}

/* Also "postgresql+asyncpg://": the driver means nothing to libpq. */
static int parse_postgres(struct check_target *t, const char *rest, struct error *error)
{
	t->kind = CHECK_POSTGRES;
	snprintf(t->name, sizeof(t->name), "postgresql://...");
	if (asprintf(&t->text, "postgresql%s", rest) < 0)
		abort();
	PQconninfoOption *options = PQconninfoParse(t->text, NULL);
	if (!options) /* libpq's own text may quote the password */
		return refuse(t, error,
			"libpq can't read it: postgresql://USER:PASSWORD@HOST:PORT/DATABASE, "
			"special "
			"characters written %XX, and after a ? only libpq's own parameters");
	snprintf(t->origin, sizeof(t->origin), "%s:%s", option(options, "host", "localhost"),
		option(options, "port", "5432"));
	snprintf(t->name, sizeof(t->name), "postgresql://%s/%s", t->origin,
		option(options, "dbname", ""));
	PQconninfoFree(options);
	return 0;
}

/* Only the program's name: arguments and assignments before it may be secrets. */
void check_target_command(struct check_target *t, const char *command)
{
	*t = (struct check_target){.kind = CHECK_EXEC};
	t->text = copy(command);
	const char *word = command + strspn(command, " \t");
	size_t len = strcspn(word, " \t\n;|&");
	while (len > 0 && memchr(word, '=', len)) {
		word += len + strspn(word + len, " \t");
		len = strcspn(word, " \t\n;|&");
	}
	snprintf(t->origin, sizeof(t->origin), "%.*s", (int)(len > 60 ? 60 : len), word);
	snprintf(t->name, sizeof(t->name), "exec:%s%s", t->origin, word[len] ? " ..." : "");
}

static int parse_exec(struct check_target *t, const char *command, struct error *error)
{
	check_target_command(t, command);
	if (command[strspn(command, " \t\n")] == '\0')
		return refuse(t, error, "the command is missing");
	return 0;
}

static int parse_resolve(struct check_target *t, const char *host, struct error *error)
{
	t->kind = CHECK_RESOLVE;
	t->text = copy(host);
	snprintf(t->origin, sizeof(t->origin), "%s", host);
	snprintf(t->name, sizeof(t->name), "resolve:%s", t->origin);
	if (*host == '\0' || strlen(host) > 253 || strpbrk(host, "/@: \t"))
		return refuse(t, error, "this takes a host name alone, as in resolve:db.internal");
	return 0;
}

int check_target_parse(struct check_target *t, const char *target, struct error *error)
{
	*t = (struct check_target){0};
	if (strlen(target) > CHECK_TARGET_MAX)
		return error_set(error, "config", 0, "a check's target has at most %d bytes",
			CHECK_TARGET_MAX);
	if (strncmp(target, "resolve:", 8) == 0)
		return parse_resolve(t, target + 8, error);
	if (strncmp(target, "exec:", 5) == 0)
		return parse_exec(t, target + 5, error);
	const char *colon = strstr(target, "://");
	if (!colon || colon == target || colon - target > 31)
		return error_set(error, "config", 0, "not a check's target: " ALLOWED);
	size_t len = (size_t)(colon - target);
	size_t plain = strcspn(target, "+:");
	if ((plain == 10 && strncmp(target, "postgresql", 10) == 0) ||
		(plain == 8 && strncmp(target, "postgres", 8) == 0))
		return parse_postgres(t, colon, error);
	return parse_url(t, target, len, error);
}
