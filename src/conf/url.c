#include "conf/url.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SCHEME_MAX 32
#define EXAMPLE    "like postgresql://user:password@host:5432/database"

/* A stretch of the URL. */
struct slice {
	const char *at;
	size_t len;
};

struct parser {
	struct url *url;
	struct arena *arena;
	struct error *error;
	bool is_toolkit; /* has a driver suffix: SQLAlchemy's rules */
	/* Parameters that stand for hosts; they replace those of the authority. */
	struct url_host hosts[URL_HOSTS_MAX];
	int hosts_count;
	const char *ports; /* decoded value of `port`, or NULL */
};

static int bad(struct parser *p, const char *problem)
{
	return error_set(p->error, "config", 0, "%s", problem);
}

static int bad_parameter(struct parser *p, const char *name, const char *problem)
{
	return error_set(p->error, "config", 0, "parameter %.40s: %s", name, problem);
}

/* Cuts `s` at the first byte of `ends`: returns what is before, `s` is what is after. `*met` is
 * the byte, 0 if there is none. */
static struct slice cut(struct slice *s, const char *ends, char *met)
{
	struct slice before = {s->at, 0};
	while (before.len < s->len && !strchr(ends, s->at[before.len]))
		before.len++;
	*met = before.len < s->len ? s->at[before.len] : 0;
	size_t taken = before.len + (*met != 0);
	s->at += taken;
	s->len -= taken;
	return before;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The decoded text of a slice, or NULL with the error. */
static const char *decode(struct parser *p, struct slice s, bool plus_is_blank)
{
	char *text = arena_alloc(p->arena, s.len + 1);
	size_t len = 0;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.at[i];
		if (c == '+' && plus_is_blank) {
			c = ' ';
		} else if (c == '%') {
			int high = i + 2 < s.len ? hex(s.at[i + 1]) : -1;
			int low = high >= 0 ? hex(s.at[i + 2]) : -1;
			if (low >= 0) {
				c = (char)(high * 16 + low);
				i += 2;
			} else if (!p->is_toolkit) {
				bad(p, "a % must be followed by two hexadecimal digits; the sign "
				       "itself is written %25");
				return NULL;
			}
		}
		if ((unsigned char)c < ' ' || c == 0x7f) {
			bad(p, "control characters are not allowed");
			return NULL;
		}
		text[len++] = c;
	}
	return text;
}

/* An empty part counts as missing. */
static int take_part(struct parser *p, struct slice s, struct url_part *part)
{
	*part = (struct url_part){NULL, NULL};
	if (s.len == 0)
		return 0;
	part->raw = arena_text(p->arena, s.at, s.len);
	part->text = decode(p, s, false);
	return part->text ? 0 : -1;
}

static void part_from_text(struct parser *p, const char *text, struct url_part *part)
{
	part->raw = *text ? url_encode(p->arena, text) : NULL;
	part->text = *text ? text : NULL;
}

/* Digits only; empty is 0: missing. False if it is not a port. */
static bool read_port(struct slice s, int *port)
{
	*port = 0;
	if (s.len > 5)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (!isdigit((unsigned char)s.at[i]))
			return false;
		*port = *port * 10 + (s.at[i] - '0');
	}
	return s.len == 0 || (*port >= 1 && *port <= 65535);
}

static int take_port(struct parser *p, struct slice s, int *port)
{
	if (read_port(s, port))
		return 0;
	return bad(p, "the port must be a number from 1 to 65535 (a : or / in a password is "
		      "written %3A or %2F)");
}

/* scheme[+driver]:// */
static int take_scheme(struct parser *p, struct slice *rest)
{
	const char *end = memmem(rest->at, rest->len, "://", 3);
	if (!end)
		return bad(p, "not a URL: write it " EXAMPLE);
	struct slice name = {rest->at, (size_t)(end - rest->at)};
	bool is_word = name.len > 0 && name.len <= SCHEME_MAX;
	for (size_t i = 0; i < name.len && is_word; i++)
		is_word = isalnum((unsigned char)name.at[i]) || strchr("+-._", name.at[i]);
	if (!is_word)
		return bad(p, "not a URL: write it " EXAMPLE);
	const char *text = arena_text(p->arena, name.at, name.len);
	char met;
	struct slice driver = name, scheme = cut(&driver, "+", &met);
	p->url->scheme = arena_text(p->arena, scheme.at, scheme.len);
	p->url->driver = arena_text(p->arena, driver.at, driver.len);
	p->is_toolkit = driver.len > 0;
	rest->at += name.len + 3;
	rest->len -= name.len + 3;
	if (strcmp(p->url->scheme, "postgresql") != 0 && strcmp(p->url->scheme, "postgres") != 0)
		return error_set(p->error, "config", 0,
			"scheme \"%s\" is not PostgreSQL's: write it " EXAMPLE, text);
	return 0;
}

/* Where user and password end (at their '@'), or NULL if there are none. A '@' in the password of
 * the plain form is taken as part of it: the last one before the host counts. */
static const char *find_userinfo_end(const struct parser *p, struct slice rest)
{
	size_t authority = 0;
	while (authority < rest.len && !strchr("/?", rest.at[authority]))
		authority++;
	const char *end = memrchr(rest.at, '@', authority);
	if (end || !p->is_toolkit)
		return end;
	/* user:a/b@host, unless what looks like a password is a port. */
	struct slice port = {rest.at, authority};
	char met;
	int number;
	cut(&port, ":", &met);
	if (met != ':' || rest.at[0] == '[' || read_port(port, &number))
		return NULL;
	return memchr(rest.at, '@', rest.len);
}

static int take_userinfo(struct parser *p, struct slice *rest)
{
	const char *end = find_userinfo_end(p, *rest);
	if (!end)
		return 0;
	struct slice password = {rest->at, (size_t)(end - rest->at)};
	char met;
	struct slice user = cut(&password, ":", &met);
	rest->len -= (size_t)(end + 1 - rest->at);
	rest->at = end + 1;
	if (take_part(p, user, &p->url->user) < 0)
		return -1;
	return take_part(p, password, &p->url->password);
}

/* name, name:port, [v6], [v6]:port */
static int take_host(struct parser *p, struct slice s, struct url_host *host)
{
	char met = 0;
	struct slice name, port;
	if (s.len > 0 && s.at[0] == '[') {
		port = (struct slice){s.at + 1, s.len - 1};
		name = cut(&port, "]", &met);
		if (met != ']' || name.len == 0)
			return bad(p, "an IPv6 address is written [address] or [address]:port");
		if (port.len > 0 && port.at[0] != ':')
			return bad(p, "after an IPv6 address in brackets comes only :port");
		if (port.len > 0)
			port = (struct slice){port.at + 1, port.len - 1};
	} else {
		port = s;
		name = cut(&port, ":", &met);
	}
	host->name = decode(p, name, false);
	if (!host->name)
		return -1;
	return take_port(p, port, &host->port);
}

static int take_hosts(struct parser *p, struct slice s)
{
	struct url *u = p->url;
	if (s.len == 0)
		return 0;
	for (char met = ','; met == ',';) {
		if (u->hosts_count == URL_HOSTS_MAX)
			return bad(p, "more than 16 hosts");
		struct slice host = cut(&s, ",", &met);
		if (take_host(p, host, &u->hosts[u->hosts_count++]) < 0)
			return -1;
	}
	return 0;
}

/* An entry of the parameter `host`: a directory, an address, a name, or SQLAlchemy's name:port. */
static int take_host_parameter(struct parser *p, const char *text, size_t len)
{
	if (p->hosts_count == URL_HOSTS_MAX)
		return bad(p, "more than 16 hosts");
	struct url_host *host = &p->hosts[p->hosts_count++];
	const char *colon = memchr(text, ':', len);
	bool has_port = colon && *text != '/' && memrchr(text, ':', len) == colon;
	if (*text == '[' || has_port)
		return take_host(p, (struct slice){text, len}, host);
	*host = (struct url_host){arena_text(p->arena, text, len), 0};
	return 0;
}

/* pg8000's: the socket itself, whose name says the port. */
static int take_socket_parameter(struct parser *p, const char *text)
{
	if (p->hosts_count == URL_HOSTS_MAX)
		return bad(p, "more than 16 hosts");
	struct url_host *host = &p->hosts[p->hosts_count++];
	static const char file[] = "/.s.PGSQL.";
	const char *end = strstr(text, file);
	size_t len = end && end > text ? (size_t)(end - text) : strlen(text);
	*host = (struct url_host){arena_text(p->arena, text, len), 0};
	if (!end)
		return 0;
	const char *port = end + strlen(file);
	return take_port(p, (struct slice){port, strlen(port)}, &host->port);
}

static int take_ssl(struct parser *p, const char *value)
{
	static const char *const known[] = {"true", "false", "1", "0", "on", "off", "yes", "no",
		"disable", "allow", "prefer", "require", "verify-ca", "verify-full", "verify_ca",
		"verify_full", "no-verify"};
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (!strcasecmp(value, known[i]))
			return 0;
	}
	return bad_parameter(p, "ssl",
		"must be disable, allow, prefer, require, verify-ca, verify-full, true or false");
}

/* A parameter that stands for a part of the URL is taken as that part: 1; others: 0; or -1. */
static int take_special(struct parser *p, const char *name, const char *value)
{
	struct url *u = p->url;
	if (!strcmp(name, "host")) {
		while (*value) {
			size_t len = strcspn(value, ",");
			if (len > 0 && take_host_parameter(p, value, len) < 0)
				return -1;
			value += len + (value[len] == ',');
		}
	} else if (!strcmp(name, "unix_sock")) {
		if (take_socket_parameter(p, value) < 0)
			return -1;
	} else if (!strcmp(name, "port")) {
		p->ports = value;
	} else if (!strcmp(name, "hostaddr")) {
		u->hostaddr = *value ? value : NULL;
	} else if (!strcmp(name, "user")) {
		part_from_text(p, value, &u->user);
	} else if (!strcmp(name, "password")) {
		part_from_text(p, value, &u->password);
	} else if (!strcmp(name, "dbname") || !strcmp(name, "database")) {
		part_from_text(p, value, &u->database);
	} else {
		return 0;
	}
	return 1;
}

static int take_parameter(struct parser *p, struct slice s)
{
	struct url *u = p->url;
	char met;
	struct slice value = s, name = cut(&value, "=", &met);
	if (name.len == 0 || !met) {
		if (p->is_toolkit)
			return 0; /* which passes over it, too */
		return bad(p, "a parameter after the ? is not written name=value");
	}
	struct url_parameter parameter = {
		.name.raw = arena_text(p->arena, name.at, name.len),
		.name.text = decode(p, name, p->is_toolkit),
		.value.raw = arena_text(p->arena, value.at, value.len),
	};
	if (!parameter.name.text)
		return -1;
	parameter.value.text = decode(p, value, p->is_toolkit);
	if (!parameter.value.text)
		return -1;
	int special = take_special(p, parameter.name.text, parameter.value.text);
	if (special != 0)
		return special < 0 ? -1 : 0;
	if (!strcmp(parameter.name.text, "ssl") && take_ssl(p, parameter.value.text) < 0)
		return -1;
	if (u->parameters_count == URL_PARAMETERS_MAX)
		return bad(p, "more than 64 parameters");
	u->parameters[u->parameters_count++] = parameter;
	return 0;
}

/* The parameter `port`: one for all hosts, or one for each. */
static int apply_ports(struct parser *p)
{
	struct url *u = p->url;
	const char *at = p->ports;
	if (!at || !*at)
		return 0;
	int ports[URL_HOSTS_MAX], count = 0;
	for (char met = ','; met == ',';) {
		size_t len = strcspn(at, ",");
		if (count == URL_HOSTS_MAX)
			return bad_parameter(p, "port", "more than 16");
		if (take_port(p, (struct slice){at, len}, &ports[count++]) < 0)
			return -1;
		met = at[len];
		at += len + (met == ',');
	}
	if (u->hosts_count == 0)
		u->hosts[u->hosts_count++] = (struct url_host){"", 0};
	if (count != 1 && count != u->hosts_count)
		return bad_parameter(p, "port", "must be one, or as many as there are hosts");
	for (int i = 0; i < u->hosts_count; i++)
		u->hosts[i].port = ports[count == 1 ? 0 : i];
	return 0;
}

static int take_query(struct parser *p, struct slice s)
{
	while (s.len > 0) {
		char met;
		struct slice parameter = cut(&s, "&", &met);
		if (parameter.len > 0 && take_parameter(p, parameter) < 0)
			return -1;
	}
	if (p->hosts_count > 0) {
		memcpy(p->url->hosts, p->hosts, sizeof(p->hosts));
		p->url->hosts_count = p->hosts_count;
	}
	return apply_ports(p);
}

int url_parse(struct url *u, struct arena *arena, const char *text, struct error *error)
{
	*u = (struct url){.scheme = "", .driver = ""};
	struct parser p = {.url = u, .arena = arena, .error = error};
	while (isspace((unsigned char)*text))
		text++;
	struct slice rest = {text, strlen(text)};
	while (rest.len > 0 && isspace((unsigned char)text[rest.len - 1]))
		rest.len--;
	if (rest.len == 0)
		return bad(&p, "is empty: write it " EXAMPLE);
	if (rest.len > URL_MAX)
		return bad(&p, "longer than 8192 bytes");
	for (size_t i = 0; i < rest.len; i++) {
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return bad(&p, "control characters are not allowed");
	}

	if (take_scheme(&p, &rest) < 0 || take_userinfo(&p, &rest) < 0)
		return -1;
	char met;
	struct slice hosts = cut(&rest, "/?", &met), database = {NULL, 0};
	if (take_hosts(&p, hosts) < 0)
		return -1;
	if (met == '/')
		database = cut(&rest, "?", &met);
	if (take_part(&p, database, &u->database) < 0)
		return -1;
	if (p.is_toolkit)
		u->database.text = u->database.raw;
	return take_query(&p, rest);
}
