#include "app/live.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/settings.h"
#include "conf/nearest.h"

#define URL_KEY "database.url"

/* Its environment is its own, too. */
static void free_config(struct config *c)
{
	const char *const *environment = c->variables;
	config_release(c);
	free(c);
	free((void *)(uintptr_t)environment);
}

static struct config *load(struct live *l, struct error *error)
{
	struct config_options options = l->options;
	struct config *c = calloc(1, sizeof(*c));
	if (!c)
		abort();
	options.environment = changes_over(&l->changes, l->options.environment);
	if (config_load(c, &options, error) == 0) {
		if (l->complete)
			l->complete(c);
		return c;
	}
	free_config(c);
	return NULL;
}

int live_init(struct live *l, const struct config_options *options,
	void (*complete)(struct config *config), struct error *error)
{
	*l = (struct live){.options = *options, .complete = complete};
	l->config = load(l, error);
	if (!l->config)
		return -1;
	config_secrets(l->config, &l->secrets);
	log_init(&l->log, STDERR_FILENO, l->config->log_format, l->config->log_level, &l->secrets);
	return 0;
}

void live_release(struct live *l)
{
	if (!l->config)
		return;
	log_release(&l->log, 100);
	secrets_release(&l->secrets);
	free_config(l->config);
	changes_release(&l->changes);
}

/* ---- another one ---- */

/* What does not fit is left out: it is for the log. */
static void add_key(char *list, size_t size, const char *key)
{
	size_t len = strlen(list);
	snprintf(list + len, size - len, "%s%s", len > 0 ? ", " : "", key);
}

static bool same(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

/* Clients name them, and what a session's settings are depends on them. */
static bool is_elsewhere(const struct config *c, const struct config *old)
{
	return !same(c->gate.user, old->gate.user) || !same(c->gate.database, old->gate.database);
}

static const char *copy(struct config *c, const char *text)
{
	return arena_text(&c->arena, text, strlen(text));
}

static void keep_database(struct config *c, const struct config *old, int row)
{
	settings_keep(&c->settings, &old->settings, row);
	c->gate.conninfo = copy(c, old->gate.conninfo);
	c->gate.user = copy(c, old->gate.user);
	c->gate.database = copy(c, old->gate.database);
	c->gate.host = c->address = copy(c, old->gate.host);
	config_pools_keep_own(c);
}

/* Puts what is in force in place of what takes a restart, and tells the two kinds of keys. */
static void adopt(struct config *c, const struct config *old, struct gate_reload *result)
{
	for (int row = 0; row < c->settings.count; row++) {
		const struct setting *r = &c->settings.rows[row];
		bool is_url = same(r->key, URL_KEY);
		/* The URL itself may be in a file, and parts of it in variables. */
		bool differs = is_url ? !same(c->gate.conninfo, old->gate.conninfo)
				      : !settings_same(&c->settings, &old->settings, row);
		if (!differs)
			continue;
		if (is_url && is_elsewhere(c, old)) {
			add_key(result->kept, sizeof(result->kept),
				URL_KEY " (another user or database)");
			keep_database(c, old, row);
		} else if (r->restart) {
			add_key(result->kept, sizeof(result->kept), r->key);
			settings_keep(&c->settings, &old->settings, row);
		} else {
			add_key(result->changed, sizeof(result->changed), r->key);
		}
	}
	config_fill_gate(c);
}

/* The variable by which a key is set. -1 with the reason why it can't be changed. */
static int find_variable(
	const struct config *c, const char *key, char name[SETTING_KEY_MAX], struct error *error)
{
	struct nearest nearest;
	nearest_init(&nearest, key);
	for (int row = 0; row < c->settings.count; row++) {
		const struct setting *r = &c->settings.rows[row];
		nearest_try(&nearest, r->key);
		if (!same(r->key, key))
			continue;
		snprintf(name, SETTING_KEY_MAX, "%.*s", (int)strcspn(r->variables, " "),
			r->variables);
		if (!r->restart && !r->secret)
			return 0;
		error_set(error, "config", 0, "%s can't be set while it runs: it %s", key,
			r->secret ? "is a secret" : "takes a restart");
		error_sqlstate(error, "55P02"); /* cant_change_runtime_param */
		return -1;
	}
	error_set(error, "config", 0, "there is no key \"%.60s\"%s%s%s", key,
		nearest.best ? "; did you mean " : "", nearest.best ? nearest.best : "",
		nearest.best ? "?" : "");
	error_sqlstate(error, "42704"); /* undefined_object */
	return -1;
}

static struct config *load_changed(
	struct live *l, const struct gate_change *change, struct error *error)
{
	char name[SETTING_KEY_MAX];
	if (!change)
		return load(l, error);
	if (find_variable(l->config, change->key, name, error) != 0)
		return NULL;
	const char *before = changes_get(&l->changes, name);
	char *kept = before ? strdup(before) : NULL;
	changes_put(&l->changes, name, *change->value ? change->value : NULL);
	struct config *c = load(l, error);
	if (!c)
		changes_put(&l->changes, name, kept);
	free(kept);
	return c;
}

int live_reload(void *context, const struct gate_change *change, struct gate_reload *result,
	struct error *error)
{
	struct live *l = context;
	struct config *old = l->config;
	error_init(error);
	struct config *c = load_changed(l, change, error);
	if (!c)
		return -1;
	*result = (struct gate_reload){0};
	adopt(c, old, result);
	/* Servers that logged in with the old password may still complain of it. */
	secrets_release(&l->secrets);
	config_secrets(c, &l->secrets);
	config_secrets(old, &l->secrets);
	l->log.level = c->log_level;
	l->config = c;
	result->settings = &c->gate;
	for (int i = 0; i < c->notes_count; i++)
		log_info(&l->log, c->notes[i]);
	return 0;
}

void live_forget(void *context, const struct gate_settings *settings)
{
	(void)context;
	free_config((struct config *)((char *)settings - offsetof(struct config, gate)));
}
