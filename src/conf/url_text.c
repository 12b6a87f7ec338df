/* What becomes of a database URL: libpq's, the gate's, and the one for people. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/buffer.h"
#include "conf/url.h"

#define PORT_DEFAULT 5432

static bool is_one_of(const char *word, const char *const *words)
{
	for (; *words; words++) {
		if (!strcmp(word, *words))
			return true;
	}
	return false;
}

static void put(struct buffer *b, const char *text)
{
	buffer_append(b, text, strlen(text));
}

static void put_port(struct buffer *b, int port)
{
	char text[16];
	snprintf(text, sizeof(text), ":%d", port);
	put(b, text);
}

/* The buffer's contents as a text in the arena; the buffer is released. */
static const char *finish(struct buffer *b, struct arena *arena)
{
	const char *text = "";
	if (buffer_len(b) > 0) {
		struct bytes bytes = buffer_bytes(b);
		text = arena_text(arena, (const char *)bytes.at, bytes.len);
		explicit_bzero(b->memory, b->size);
	}
	buffer_release(b);
	return text;
}

static void put_encoded(struct buffer *b, const char *text)
{
	static const char digits[] = "0123456789ABCDEF";
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				    "0123456789-._~";
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		if (strchr(plain, c)) {
			buffer_append_u8(b, c);
		} else {
			char code[] = {'%', digits[c >> 4], digits[c & 15]};
			buffer_append(b, code, sizeof(code));
		}
	}
}

const char *url_encode(struct arena *arena, const char *text)
{
	struct buffer b = BUFFER_INIT;
	put_encoded(&b, text);
	return finish(&b, arena);
}

static void put_scheme(struct buffer *b, const struct url *u)
{
	put(b, u->scheme);
	if (*u->driver) {
		put(b, "+");
		put(b, u->driver);
	}
	put(b, "://");
}

static void put_host(struct buffer *b, const char *name)
{
	bool is_v6 = *name != '/' && strchr(name, ':');
	if (is_v6)
		put(b, "[");
	for (; *name; name++) {
		char one[] = {*name, 0};
		if (is_v6 && *name == ':')
			put(b, ":");
		else
			put_encoded(b, one);
	}
	if (is_v6)
		put(b, "]");
}

static void put_hosts(struct buffer *b, const struct url *u)
{
	for (int i = 0; i < u->hosts_count; i++) {
		if (i > 0)
			put(b, ",");
		put_host(b, u->hosts[i].name);
		if (u->hosts[i].port)
			put_port(b, u->hosts[i].port);
	}
}

/* "?" before the first parameter, "&" before the others. */
static void put_separator(struct buffer *b, bool *is_first)
{
	put(b, *is_first ? "?" : "&");
	*is_first = false;
}

static void put_parameter(struct buffer *b, bool *is_first, const char *name, const char *value)
{
	put_separator(b, is_first);
	put_encoded(b, name);
	put(b, "=");
	put_encoded(b, value);
}

/* The sslmode that a driver's `ssl` means; url_parse let only known ones pass. */
static const char *sslmode_of(const char *ssl)
{
	static const char *const pairs[][2] = {{"true", "require"}, {"1", "require"},
		{"on", "require"}, {"yes", "require"}, {"no-verify", "require"},
		{"require", "require"}, {"allow", "allow"}, {"prefer", "prefer"},
		{"verify-ca", "verify-ca"}, {"verify_ca", "verify-ca"},
		{"verify-full", "verify-full"}, {"verify_full", "verify-full"}};
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		if (!strcasecmp(ssl, pairs[i][0]))
			return pairs[i][1];
	}
	return "disable";
}

/* libpq's parameters (up to 17; an older libpq says so itself when it meets a newer one), without
 * those that url_parse takes as parts. */
static bool is_libpq(const char *name)
{
	static const char *const names[] = {"application_name", "channel_binding",
		"client_encoding", "connect_timeout", "fallback_application_name", "gssdelegation",
		"gssencmode", "gsslib", "keepalives", "keepalives_count", "keepalives_idle",
		"keepalives_interval", "krbsrvname", "load_balance_hosts", "options", "passfile",
		"require_auth", "requirepeer", "requiressl", "service", "ssl_max_protocol_version",
		"ssl_min_protocol_version", "sslcert", "sslcertmode", "sslcompression", "sslcrl",
		"sslcrldir", "sslkey", "sslmode", "sslnegotiation", "sslpassword", "sslrootcert",
		"sslsni", "target_session_attrs", "tcp_user_timeout", NULL};
	return is_one_of(name, names);
}

const char *url_conninfo(const struct url *u, struct arena *arena, const char **left_out)
{
	struct buffer b = BUFFER_INIT, left = BUFFER_INIT;
	bool is_first = true;
	put(&b, "postgresql://");
	if (u->user.text)
		put_encoded(&b, u->user.text);
	if (u->password.text) {
		put(&b, ":");
		put_encoded(&b, u->password.text);
	}
	if (u->user.text || u->password.text)
		put(&b, "@");
	put_hosts(&b, u);
	put(&b, "/");
	if (u->database.text)
		put_encoded(&b, u->database.text);
	if (u->hostaddr)
		put_parameter(&b, &is_first, "hostaddr", u->hostaddr);
	for (int i = 0; i < u->parameters_count; i++) {
		const char *name = u->parameters[i].name.text;
		const char *value = u->parameters[i].value.text;
		if (!strcmp(name, "ssl")) {
			put_parameter(&b, &is_first, "sslmode", sslmode_of(value));
		} else if (is_libpq(name)) {
			put_parameter(&b, &is_first, name, value);
		} else {
			put(&left, buffer_len(&left) ? ", " : "");
			put(&left, name);
		}
	}
	*left_out = finish(&left, arena);
	return finish(&b, arena);
}

/* Only make sense towards the real server. */
static bool is_for_server(const char *name)
{
	static const char *const names[] = {"channel_binding", "direct_tls", "gssdelegation",
		"gssencmode", "gsslib", "krbsrvname", "load_balance_hosts", "require_auth",
		"requirepeer", "requiressl", "service", "ssl_max_protocol_version",
		"ssl_min_protocol_version", "sslcert", "sslcertmode", "sslcompression", "sslcrl",
		"sslcrldir", "sslkey", "sslnegotiation", "sslpassword", "sslrootcert", "sslsni",
		"target_session_attrs", NULL};
	return is_one_of(name, names);
}

/* "No TLS" in the spelling that was used for it: sslmode=disable; ssl=disable, or ssl=false for
 * drivers that take it as a yes or no. */
static const char *tls_off(const struct url *u, const struct url_parameter *parameter)
{
	static const char *const switches[] = {"true", "false", "on", "off", "yes", "no", "1", "0"};
	if (!strcmp(parameter->name.text, "sslmode") || !strcmp(u->driver, "asyncpg"))
		return "disable";
	for (size_t i = 0; i < sizeof(switches) / sizeof(switches[0]); i++) {
		if (!strcasecmp(parameter->value.text, switches[i]))
			return "false";
	}
	return "disable";
}

/* As it was written, unless that holds what some reader of URLs could take for an end. */
static void put_userinfo(struct buffer *b, const struct url_part *part)
{
	if (strpbrk(part->raw, "@/?#[] "))
		put_encoded(b, part->text);
	else
		put(b, part->raw);
}

const char *url_to_gate(const struct url *u, struct arena *arena, const char *host, int port)
{
	struct buffer b = BUFFER_INIT;
	bool is_first = true;
	put_scheme(&b, u);
	if (u->user.raw)
		put_userinfo(&b, &u->user);
	if (u->password.raw) {
		put(&b, ":");
		put_userinfo(&b, &u->password);
	}
	if (u->user.raw || u->password.raw)
		put(&b, "@");
	put_host(&b, host);
	put_port(&b, port);
	put(&b, "/");
	put(&b, u->database.raw ? u->database.raw : "");
	for (int i = 0; i < u->parameters_count; i++) {
		const struct url_parameter *parameter = &u->parameters[i];
		const char *name = parameter->name.text;
		if (is_for_server(name))
			continue;
		put_separator(&b, &is_first);
		put(&b, parameter->name.raw);
		put(&b, "=");
		if (!strcmp(name, "ssl") || !strcmp(name, "sslmode"))
			put(&b, tls_off(u, parameter));
		else
			put(&b, parameter->value.raw);
	}
	return finish(&b, arena);
}

static bool is_secret(const char *name)
{
	return strcasestr(name, "pass") || strcasestr(name, "secret") || strcasestr(name, "token");
}

const char *url_display(const struct url *u, struct arena *arena)
{
	struct buffer b = BUFFER_INIT;
	bool is_first = true;
	put_scheme(&b, u);
	if (u->user.raw)
		put(&b, u->user.raw);
	if (u->password.raw)
		put(&b, ":***");
	if (u->user.raw || u->password.raw)
		put(&b, "@");
	put_hosts(&b, u);
	put(&b, "/");
	put(&b, u->database.raw ? u->database.raw : "");
	if (u->hostaddr)
		put_parameter(&b, &is_first, "hostaddr", u->hostaddr);
	for (int i = 0; i < u->parameters_count; i++) {
		const struct url_parameter *parameter = &u->parameters[i];
		put_separator(&b, &is_first);
		put(&b, parameter->name.raw);
		put(&b, "=");
		put(&b, is_secret(parameter->name.text) ? "***" : parameter->value.raw);
	}
	return finish(&b, arena);
}

const char *url_address(const struct url *u, struct arena *arena)
{
	struct buffer b = BUFFER_INIT;
	for (int i = 0; i < u->hosts_count || i == 0; i++) {
		struct url_host host = {"", 0};
		if (i < u->hosts_count)
			host = u->hosts[i];
		if (i > 0)
			put(&b, ",");
		if (!*host.name)
			host.name = u->hostaddr ? u->hostaddr : "localhost";
		bool is_v6 = *host.name != '/' && strchr(host.name, ':');
		put(&b, is_v6 ? "[" : "");
		put(&b, host.name);
		put(&b, is_v6 ? "]" : *host.name == '/' ? "/.s.PGSQL" : "");
		char port[16];
		snprintf(port, sizeof(port), "%c%d", *host.name == '/' ? '.' : ':',
			host.port ? host.port : PORT_DEFAULT);
		put(&b, port);
	}
	return finish(&b, arena);
}
