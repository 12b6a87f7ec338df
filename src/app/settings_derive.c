/* Values that follow from others or from the machine, and contradictions between values. */
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/settings.h"
#include "base/instant.h"
#include "conf/value.h"
#include "gate/target.h"
#include "io/check.h"
#include "io/listen.h"

#define TERMINATION_LOG "/dev/termination-log" /* where Kubernetes mounts it */
#define NAME_SIZE       128
#define BREAKER_GROWTH  4 /* in all, from the first time that it is open */

static void derive(struct config *c, const char *key, const char *value, const char *origin)
{
	struct error error;
	int row = settings_find(&c->settings, key);
	assert(row >= 0);
	int result = settings_set(&c->settings, row, value, SETTING_DERIVED, origin, &error);
	assert(result == 0);
}

static bool is_unset(const struct config *c, const char *key)
{
	return settings_origin(&c->settings, key)->source == SETTING_UNSET;
}

/* The host's name tells instances apart, but on Cloud Run, where it is "localhost" for all. */
static void derive_instance(struct config *c)
{
	char name[NAME_SIZE] = "";
	const char *revision = config_variable(c, "K_REVISION");
	if (gethostname(name, sizeof(name) - 1) < 0)
		name[0] = 0;
	bool says_nothing = !*name || !strcmp(name, "localhost");
	if (says_nothing && revision && strlen(revision) < NAME_SIZE)
		derive(c, "instance", revision, "K_REVISION");
	else
		derive(c, "instance", *name ? name : "unknown", "host name");
}

static void derive_timeout_max(struct config *c)
{
	char text[48];
	value_show_duration(BREAKER_GROWTH * c->gate.engine.breaker.open_ns, text, sizeof(text));
	derive(c, "breaker.timeout_max", text, "breaker.timeout");
}

void config_derive(struct config *c)
{
	if (is_unset(c, "instance"))
		derive_instance(c);
	if (is_unset(c, "termination_log")) {
		bool present = access(TERMINATION_LOG, W_OK) == 0;
		derive(c, "termination_log", present ? TERMINATION_LOG : "", "this host");
	}
	if (is_unset(c, "timeouts.cache")) {
		char text[48];
		value_show_duration(c->gate.engine.deadlines.base_ns[DEADLINE_HEALTH_CHECK], text,
			sizeof(text));
		derive(c, "timeouts.cache", text, "timeouts.health_check");
	}
	if (is_unset(c, "breaker.timeout_max"))
		derive_timeout_max(c);
	if (is_unset(c, "tls.mode"))
		derive(c, "tls.mode", *c->gate.auth.tls.cert ? "allow" : "off", "tls.cert");
	if (is_unset(c, "door.mode")) {
		bool relays = c->mode == CONFIG_RUN && c->gate.door_port > 0;
		derive(c, "door.mode", relays ? "relay" : "off", "door.port");
	}
	if (is_unset(c, "startup.ready")) {
		/* A relay that opened before the command listens would only show errors. */
		bool relays = c->gate.door_mode == DOOR_RELAY && c->gate.door_port > 0;
		derive(c, "startup.ready", relays ? "tcp://127.0.0.1:$PORT" : "", "door.mode");
	}
}

const char *config_written(const struct config *c, const char *key, const char *other)
{
	enum setting_source source = settings_origin(&c->settings, key)->source;
	return source == SETTING_FILE || source == SETTING_VARIABLE ? key : other;
}

static int check_pool(const struct config *c, struct error *error)
{
	const struct settings *s = &c->settings;
	const struct budget_settings *budget = &c->gate.engine.budget;
	int most = budget->pool_size + budget->pool_overflow;
	if (most == 0)
		return settings_error(s, config_written(c, "pool.size", "pool.overflow"), error,
			"pool.size + pool.overflow is 0, so there is no connection to give: make "
			"one of them 1 or more");
	if (c->gate.engine.servers_kept > most)
		return settings_error(s, config_written(c, "pool.keep", "pool.size"), error,
			"pool.keep (%d) is more than pool.size + pool.overflow (%d): lower it, or "
			"raise those",
			c->gate.engine.servers_kept, most);
	return 0;
}

static int check_spans(const struct config *c, struct error *error)
{
	const struct settings *s = &c->settings;
	const struct engine_settings *e = &c->gate.engine;
	int64_t phase_ns = e->deadlines.base_ns[DEADLINE_INITIALIZATION];
	if (e->deadlines.cap_ns > 0 && e->deadlines.cap_ns < phase_ns)
		return settings_error(s,
			config_written(c, "timeouts.cap", "timeouts.initialization"), error,
			"timeouts.cap (%.10gs) is less than timeouts.initialization (%.10gs): "
			"raise "
			"the cap to what the platform's startup probe allows, or lower the other",
			s_from_ns(e->deadlines.cap_ns), s_from_ns(phase_ns));
	if (e->retry.cap_ns < e->retry.base_ns)
		return settings_error(s, config_written(c, "retry.cap", "retry.base"), error,
			"retry.cap (%.10gs) is less than retry.base (%.10gs): raise it, or lower "
			"the "
			"base",
			s_from_ns(e->retry.cap_ns), s_from_ns(e->retry.base_ns));
	return config_breaker_rules(c, error);
}

static int check_shutdown(const struct config *c, struct error *error)
{
	const struct gate_settings *g = &c->gate;
	if (g->grace_ns <= g->drain_ns)
		return 0;
	return settings_error(&c->settings, config_written(c, "shutdown.grace", "shutdown.drain"),
		error,
		"shutdown.grace (%.10gs) is more than shutdown.drain (%.10gs), which ends all: "
		"lower it, or raise the other",
		s_from_ns(g->grace_ns), s_from_ns(g->drain_ns));
}

static int check_workers(const struct config *c, struct error *error)
{
	const struct gate_settings *g = &c->gate;
	if (g->workers > 1 && c->mode == CONFIG_RUN)
		return settings_error(&c->settings, "workers", error,
			"`standpipe run` has one gate, for one service: leave it at 1, or put "
			"`standpipe serve` beside");
	if (g->workers > 1 && g->admin_port > 0 && g->admin_port + g->workers - 1 > 65535)
		return settings_error(&c->settings, "workers", error,
			"each has its own pages, from admin.port (%d) on: lower that",
			g->admin_port);
	return 0;
}

static int check_same_port(const struct config *c, const char *a, int port_a, const char *b,
	int port_b, struct error *error)
{
	if (port_a == 0 || port_a != port_b)
		return 0;
	return settings_error(&c->settings, config_written(c, a, b), error,
		"%s and %s are both %d: give each a port of its own", a, b, port_a);
}

static int check_ports(const struct config *c, struct error *error)
{
	const struct settings *s = &c->settings;
	const struct gate_settings *g = &c->gate;
	const char *mode = g->door_mode == DOOR_RELAY ? "relay" : "inherit";
	if (g->door_mode != DOOR_OFF && g->door_port == 0)
		return settings_error(s, "door.mode", error,
			"%s needs the service's port: set PORT or door.port, or use door.mode: off",
			mode);
	if (g->door_mode == DOOR_INHERIT && c->mode == CONFIG_SERVE)
		return settings_error(s, "door.mode", error,
			"inherit needs a command, which only `standpipe run` has: use relay or "
			"off");
	if (g->door_mode == DOOR_RELAY && c->mode == CONFIG_SERVE && g->command_port == 0)
		return settings_error(s, "door.mode", error,
			"relay needs to know where the service listens: set door.command_port");
	int door = g->door_mode == DOOR_OFF ? 0 : g->door_port;
	if (check_same_port(c, "door.port", door, "admin.port", g->admin_port, error) < 0 ||
		check_same_port(
			c, "listen.port", g->listen_port, "admin.port", g->admin_port, error) < 0 ||
		check_same_port(c, "door.port", door, "listen.port", g->listen_port, error) < 0)
		return -1;
	if (g->door_mode != DOOR_RELAY)
		return 0;
	return check_same_port(c, "door.command_port", g->command_port, "door.port", door, error);
}

static int check_required(const struct config *c, struct error *error)
{
	for (int i = 0; i < c->required.count; i++) {
		const char *name = c->required.list[i];
		bool is_name = !isdigit((unsigned char)*name) && *name;
		for (const char *at = name; *at && is_name; at++)
			is_name = isalnum((unsigned char)*at) || *at == '_';
		if (!is_name)
			return settings_error(&c->settings, "startup.required", error,
				"\"%.40s\" is not the name of a variable: letters, digits and _",
				name);
	}
	return 0;
}

static int check_target(
	const struct config *c, const char *key, const char *target, struct error *error)
{
	struct error cause;
	char expanded[TARGET_MAX];
	error_init(&cause);
	if (target_expand(&c->gate, target, expanded, &cause) == 0 &&
		check_validate(expanded, &cause) == 0)
		return 0;
	return settings_error(&c->settings, key, error, "%s", cause.text);
}

static int check_targets(const struct config *c, struct error *error)
{
	const struct gate_settings *g = &c->gate;
	for (int i = 0; i < c->dependencies.count; i++) {
		if (check_target(c, "startup.dependencies", c->dependencies.list[i], error) < 0)
			return -1;
	}
	if (*g->ready && strcmp(g->ready, "notify") != 0 &&
		check_target(c, "startup.ready", g->ready, error) < 0)
		return -1;
	if (*g->cache && strncmp(g->cache, "redis://", 8) != 0 &&
		strncmp(g->cache, "rediss://", 9) != 0)
		return settings_error(&c->settings, "startup.cache", error,
			"must be a URL that begins with redis:// or rediss://");
	if (*g->cache && check_target(c, "startup.cache", g->cache, error) < 0)
		return -1;
	if (*g->websocket && strncmp(g->websocket, "ws://", 5) != 0 &&
		strncmp(g->websocket, "wss://", 6) != 0)
		return settings_error(&c->settings, "startup.websocket", error,
			"must be a URL that begins with ws:// or wss://");
	return *g->websocket ? check_target(c, "startup.websocket", g->websocket, error) : 0;
}

static int check_file(
	const struct config *c, const char *key, const char *file, struct error *error)
{
	if (access(file, R_OK) == 0)
		return 0;
	return settings_error(&c->settings, key, error, "the file %.128s can't be read: %s", file,
		strerror(errno));
}

static int check_tls(const struct config *c, struct error *error)
{
	const struct auth_settings *a = &c->gate.auth;
	static const char *const keys[] = {"tls.cert", "tls.key", "tls.client_ca", "tls.crl"};
	const char *const files[] = {a->tls.cert, a->tls.key, a->tls.client_ca, a->tls.crl};
	if (*a->tls.crl && !*a->tls.client_ca)
		return settings_error(&c->settings, "tls.crl", error,
			"is about clients' certificates: set tls.client_ca, who signs them");
	if (a->tls_mode == TLS_OFF)
		return 0;
	if (!*a->tls.cert)
		return settings_error(&c->settings, "tls.mode", error,
			"%s needs a certificate: set tls.cert and tls.key, or use off",
			a->tls_mode == TLS_ALLOW ? "allow" : "require");
	for (int i = 0; i < 4; i++) {
		if (*files[i] && check_file(c, keys[i], files[i], error) < 0)
			return -1;
	}
	return 0;
}

/* Is a host that is listened on reached from this machine alone? */
/* Hosts of which one is every address need no others, nor has one room twice at a port. */
static int check_listen(const struct config *c, struct error *error)
{
	const char *list = c->gate.listen_host;
	char hosts[LISTEN_HOSTS_MAX + 1][LISTEN_HOST_MAX];
	int count = 0;
	while (count <= LISTEN_HOSTS_MAX && listen_next_host(&list, hosts[count]))
		count++;
	if (count > LISTEN_HOSTS_MAX)
		return settings_error(&c->settings, "listen.host", error,
			"names more than %d hosts: \"*\" stands for every address",
			LISTEN_HOSTS_MAX);
	for (int i = 0; i < count && count > 1; i++) {
		if (!*hosts[i] || strcmp(hosts[i], "*") == 0)
			return settings_error(&c->settings, "listen.host", error,
				*hosts[i] ? "\"*\" is every address: leave the others out"
					  : "a host between two commas is empty");
		for (int j = 0; j < i; j++)
			if (strcmp(hosts[i], hosts[j]) == 0)
				return settings_error(&c->settings, "listen.host", error,
					"names %s twice", hosts[i]);
	}
	return 0;
}

/* Does nobody but this machine reach what is listened on? */
static bool is_all_loopback(const char *hosts)
{
	char host[LISTEN_HOST_MAX];
	while (listen_next_host(&hosts, host))
		if (!listen_is_loopback(host))
			return false;
	return true;
}

static int check_auth(const struct config *c, struct error *error)
{
	const struct auth_settings *a = &c->gate.auth;
	const char *key = a->local == AUTH_CERT ? "auth.local" : "auth.remote";
	if (*a->file && check_file(c, "auth.file", a->file, error) < 0)
		return -1;
	if (*a->query && !strstr(a->query, "$1"))
		return settings_error(&c->settings, "auth.query", error,
			"does not ask for a user: write $1 where the name belongs, without quotes");
	if (a->local != AUTH_CERT && a->remote != AUTH_CERT)
		return 0;
	if (a->tls_mode == TLS_OFF || !*a->tls.client_ca)
		return settings_error(&c->settings, key, error,
			"cert needs to know whose certificates to trust: set tls.cert, tls.key and "
			"tls.client_ca");
	return 0;
}

static bool asks_for_users(const struct config *c)
{
	bool asks = *c->gate.auth.query;
	for (int i = 0; i < c->gate.databases_count; i++)
		asks = asks || *c->gate.databases[i].auth_query;
	return asks;
}

void config_auth_notes(struct config *c)
{
	const struct auth_settings *a = &c->gate.auth;
	const char *hosts = c->gate.listen_host;
	if (is_all_loopback(hosts))
		return;
	if (a->remote == AUTH_TRUST)
		config_note(c,
			"auth.remote is trust: whoever reaches port %d of %s is let in as "
			"anybody",
			c->gate.listen_port, hosts);
	if (a->remote == AUTH_SCRAM && !*a->file && !asks_for_users(c) && !a->password)
		config_note(c, "auth.remote is scram-sha-256, but there is neither auth.file "
			       "nor auth.query nor a password in the URL: nobody can come in from "
			       "other machines");
}

/* The base addresses of the metadata server and of Cloud Monitoring. */
static int check_monitoring(const struct config *c, struct error *error)
{
	static const char *const keys[] = {"monitoring.metadata_url", "monitoring.api_url"};
	const char *const urls[] = {c->gate.cloud.metadata_url, c->gate.cloud.api_url};
	for (int i = 0; i < 2; i++) {
		if (strncmp(urls[i], "http://", 7) != 0 && strncmp(urls[i], "https://", 8) != 0)
			return settings_error(&c->settings, keys[i], error,
				"must begin with http:// or https://");
		if (urls[i][strlen(urls[i]) - 1] == '/')
			return settings_error(&c->settings, keys[i], error,
				"must not end in a slash: it is what comes before /v3 or "
				"/computeMetadata");
	}
	/* It becomes part of a filter's text. */
	if (strpbrk(c->gate.cloud.connector, "\"\\"))
		return settings_error(&c->settings, "monitoring.connector", error,
			"is a connector's name, without quotes");
	return 0;
}

int config_rules(const struct config *c, struct error *error)
{
	if (check_pool(c, error) < 0 || check_spans(c, error) < 0 || check_ports(c, error) < 0 ||
		check_listen(c, error) < 0 || check_shutdown(c, error) < 0 ||
		check_workers(c, error) < 0 || check_required(c, error) < 0 ||
		check_tls(c, error) < 0 || check_auth(c, error) < 0 ||
		check_monitoring(c, error) < 0)
		return -1;
	return check_targets(c, error);
}
