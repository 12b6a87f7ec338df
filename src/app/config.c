#include "app/config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/settings.h"
#include "base/control.h"
#include "base/instant.h"
#include "conf/nearest.h"

#define PREFIX "STANDPIPE_"

void config_note(struct config *c, const char *format, ...)
{
	char text[ERROR_TEXT_MAX];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (c->notes_count < CONFIG_NOTES_MAX)
		c->notes[c->notes_count++] = arena_text(&c->arena, text, strlen(text));
}

const char *config_variable(const struct config *c, const char *name)
{
	const char *value = environment_get(c->variables, name);
	return value && *value ? value : NULL;
}

/* The file that is to be read, or NULL: none. */
static const char *find_file(const struct config *c, const struct config_options *options)
{
	static const char *const places[] = {"standpipe.yaml", "/etc/standpipe.yaml"};
	const char *file = options->file ? options->file : config_variable(c, "STANDPIPE_CONFIG");
	size_t count = options->only_variables ? 0 : sizeof(places) / sizeof(places[0]);
	for (size_t i = 0; i < count && !file; i++) {
		if (access(places[i], F_OK) == 0)
			file = places[i];
	}
	return file;
}

static int apply_written(struct config *c, const struct tree_node *root, struct error *error)
{
	if (root && settings_tree(&c->settings, root, error) < 0)
		return -1;
	return settings_environment(&c->settings, c->variables, error);
}

/* The URL of the command line, if one was given there. */
static int apply_url(struct config *c, const char *url, struct error *error)
{
	if (!url)
		return 0;
	return settings_set(&c->settings, settings_find(&c->settings, "database.url"), url,
		SETTING_VARIABLE, "the URL given", error);
}

/* Sets the settings, each source over the one before. */
static int apply_all(struct config *c, const char *url, struct error *error)
{
	const struct tree_node *root = NULL;
	if (c->file) {
		root = tree_load(&c->arena, c->file, error);
		if (!root)
			return -1;
	}
	settings_defaults(&c->settings);
	/* What is written is needed once to know the environment, and again over its table. */
	if (apply_written(c, root, error) < 0)
		return -1;
	config_presets(c);
	if (apply_written(c, root, error) < 0 || apply_url(c, url, error) < 0)
		return -1;
	config_derive(c);
	return 0;
}

/* All keys, for the console. */
static const struct gate_shown *show_all(struct config *c)
{
	const struct settings *s = &c->settings;
	struct gate_shown *all = arena_alloc(&c->arena, ((size_t)s->count + 1) * sizeof(*all));
	for (int i = 0; i < s->count; i++)
		all[i] = (struct gate_shown){
			.key = s->rows[i].key,
			.value = settings_show(s, i),
			.preset = s->rows[i].preset,
			.changeable = !s->rows[i].restart,
		};
	all[s->count] = (struct gate_shown){0};
	return all;
}

/* What is done once is the first one's; the others only need to know the database. */
static void fill_worker(struct config *c)
{
	struct gate_settings *g = &c->gate;
	struct engine_settings *e = &g->engine;
	const char *worker = config_variable(c, WORKER_VARIABLE);
	e->budget.siblings = g->workers - 1;
	g->worker = worker ? atoi(worker) : 0;
	if (g->worker == 0)
		return;
	g->door_mode = DOOR_OFF;
	g->schema_check = g->migrate = "";
	for (int phase = 0; phase < PHASE_COUNT; phase++) {
		e->startup.wanted[phase] = phase == PHASE_DATABASE;
		e->startup.critical[phase] = false;
	}
}

void config_fill_gate(struct config *c)
{
	struct gate_settings *g = &c->gate;
	struct engine_settings *e = &g->engine;
	e->budget.path_limit = e->path.limit;
	e->budget.path_share = e->path.threshold;
	e->ping_after_ns = c->pre_ping ? c->ping_after_ns : INT64_MAX;
	g->servers_max = e->budget.pool_size + e->budget.pool_overflow;
	g->environment = environment_name(c->environment);
	g->cloud.timeout_ns = e->deadlines.base_ns[DEADLINE_HEALTH_CHECK];

	g->required_count = c->required.count;
	for (int i = 0; i < c->required.count; i++)
		g->required[i] = c->required.list[i];
	g->dependencies_count = c->dependencies.count;
	for (int i = 0; i < c->dependencies.count; i++)
		g->dependencies[i] = c->dependencies.list[i];

	config_breaker_fill(c);
	g->console_admins = c->console_admins.list;
	g->console_readers = c->console_readers.list;
	g->shown = show_all(c);

	e->startup.critical[PHASE_INIT] = true;
	e->startup.timeout_ns[PHASE_DATABASE] = e->deadlines.base_ns[DEADLINE_INITIALIZATION];
	for (int phase = 0; phase < PHASE_COUNT; phase++)
		e->startup.wanted[phase] = true;
	e->startup.wanted[PHASE_CACHE] = *g->cache;
	e->startup.wanted[PHASE_SERVICES] = c->mode == CONFIG_RUN;
	e->startup.wanted[PHASE_WEBSOCKET] = *g->websocket;
	fill_worker(c);
}

/* Kubernetes sets such variables for a Service that is called "standpipe". */
static bool is_service_link(const char *name)
{
	return strstr(name, "_SERVICE_HOST") || strstr(name, "_SERVICE_PORT") ||
	       !strcmp(name, PREFIX "PORT") || !strncmp(name, PREFIX "PORT_", strlen(PREFIX) + 5);
}

/* Is it the own variable (the first) of some key? If not, `nearest` has the one most like it. */
static bool is_known_variable(struct config *c, const char *name, struct nearest *nearest)
{
	if (!strcmp(name, "STANDPIPE_CONFIG") || !strcmp(name, CONTROL_FD_VARIABLE) ||
		!strcmp(name, PREDECESSOR_FD_VARIABLE) || !strcmp(name, WORKER_VARIABLE))
		return true;
	for (int i = 0; i < c->settings.count; i++) {
		const char *own = c->settings.rows[i].variables;
		if (!own)
			continue;
		const char *known = arena_text(&c->arena, own, strcspn(own, " "));
		if (!strcmp(name, known))
			return true;
		nearest_try(nearest, known);
	}
	return false;
}

/* A variable that nobody reads is most likely misspelt; but no error, since others set them. */
static void note_unknown_variables(struct config *c)
{
	for (const char *const *at = c->variables; *at; at++) {
		char name[SETTING_KEY_MAX];
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(*at, "="), *at);
		struct nearest nearest;
		nearest_init(&nearest, name);
		if (strncmp(name, PREFIX, strlen(PREFIX)) != 0 || is_service_link(name) ||
			is_known_variable(c, name, &nearest))
			continue;
		if (nearest.best)
			config_note(
				c, "%s: no such variable; did you mean %s?", name, nearest.best);
		else
			config_note(c, "%s: no such variable", name);
	}
}

static void note_instances(struct config *c)
{
	bool is_real = c->environment == ENVIRONMENT_STAGING ||
		       c->environment == ENVIRONMENT_PRODUCTION;
	if (is_real && settings_origin(&c->settings, "budget.instances")->source == SETTING_DEFAULT)
		config_note(c, "budget.instances is 1 by default: set it to the platform's maximum "
			       "number of instances, so that they share");
}

int config_load(struct config *c, const struct config_options *options, struct error *error)
{
	int count;
	*c = (struct config){.mode = options->mode, .variables = options->environment};
	const struct setting *rows = config_rows(&count);
	settings_init(&c->settings, rows, count, c, &c->arena);
	c->file = find_file(c, options);
	if (apply_all(c, options->url, error) < 0 || config_rules(c, error) < 0 ||
		config_database(c, error) < 0 || config_pools(c, error) < 0)
		return -1;
	config_fill_gate(c);
	note_unknown_variables(c);
	note_instances(c);
	config_auth_notes(c);
	return 0;
}

void config_secrets(const struct config *c, struct secrets *secrets)
{
	secrets_add_url(secrets, c->gate.conninfo);
	secrets_add_url(secrets, c->gate.cache);
	secrets_add_url(secrets, c->gate.ready);
	secrets_add_url(secrets, c->gate.websocket);
	config_pools_secrets(c, secrets);
	for (int i = 0; i < c->gate.dependencies_count; i++)
		secrets_add_url(secrets, c->gate.dependencies[i]);
}

void config_release(struct config *c)
{
	arena_release(&c->arena);
}
