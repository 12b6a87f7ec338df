/* `standpipe check --json`. */
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "app/check.h"
#include "base/instant.h"

#include "base/json.h"

/* Jansson gives NULL when there is no memory, or for what is not UTF-8. */
static json_t *text(const char *value)
{
	json_t *json = json_stringn(value, __builtin_strlen(value));
	return json ? json : json_string("(not UTF-8)");
}

#define AT(type) (*(const type *)(const void *)place)

static json_t *texts(const struct settings *s, const struct setting_texts *list)
{
	json_t *array = json_array();
	for (int i = 0; i < list->count; i++)
		json_array_append_new(array, text(setting_hide(s->arena, list->list[i])));
	return array;
}

/* Numbers as numbers: durations in s, sizes in bytes, rates in bit/s. */
static json_t *value_of(const struct settings *s, int row)
{
	const char *place = (const char *)s->target + s->rows[row].offset;
	switch (s->rows[row].type) {
	case SETTING_BOOL:
		return json_boolean(AT(bool));
	case SETTING_INT:
		return json_integer(AT(int));
	case SETTING_REAL:
	case SETTING_RATE:
		return json_real(AT(double));
	case SETTING_DURATION:
		return json_real(s_from_ns(AT(int64_t)));
	case SETTING_SIZE:
		return json_integer(AT(int64_t));
	case SETTING_TEXTS:
		return texts(s, &AT(struct setting_texts));
	case SETTING_TEXT:
	case SETTING_CHOICE:
	case SETTING_NODE:
		break;
	}
	return text(settings_show(s, row));
}

static const char *source_name(enum setting_source source)
{
	static const char *const names[] = {
		"unset", "default", "environment", "file", "variable", "derived"};
	return names[source];
}

static json_t *settings_json(const struct settings *s)
{
	json_t *object = json_object();
	for (int i = 0; i < s->count; i++) {
		if (s->rows[i].type == SETTING_NODE)
			continue; /* told entry by entry */
		json_t *one = json_object();
		json_put(one, "value", value_of(s, i));
		json_put(one, "source", json_string(source_name(s->origins[i].source)));
		json_put(one, "origin", text(s->origins[i].text));
		json_put(object, s->rows[i].key, one);
	}
	return object;
}

/* {NAME: {key: ...}} of `databases` or `users`. */
static json_t *entries_json(const struct config *c, const char *what)
{
	size_t len = strlen(what);
	json_t *object = json_object();
	for (int i = 0; i < c->entries_count; i++) {
		const char *prefix = c->entries[i].prefix;
		if (strncmp(prefix, what, len) != 0 || prefix[len] != '.')
			continue;
		const char *name = prefix + len + 1;
		json_put(object,
			arena_format(c->entries[i].arena, "%.*s", (int)strlen(name) - 1, name),
			settings_json(&c->entries[i]));
	}
	return object;
}

static json_t *capacity_json(const struct plan *plan)
{
	const struct budget *b = &plan->budget;
	json_t *object = json_object(), *pools = json_array();
	json_put(object, "usable", json_integer(b->usable));
	json_put(object, "by_database", json_integer(b->by_database));
	json_put(object, "by_path", json_integer(b->by_path));
	json_put(object, "fleet", json_integer(b->fleet));
	json_put(object, "instances", json_integer(b->settings.instances));
	json_put(object, "share", json_integer(b->share));
	json_put(object, "needed", json_integer(b->needed));
	json_put(object, "wanted", json_integer(plan->wanted));
	json_put(object, "fits", json_boolean(b->fits));
	for (int i = 0; i < PLAN_ROWS; i++) {
		const struct plan_row *row = &plan->rows[i];
		json_t *one = json_object();
		json_put(one, "instances", json_integer(row->instances));
		json_put(one, "fits", json_boolean(row->fits));
		json_put(one, "connections", json_integer(row->connections));
		json_put(one, "size", json_integer(row->size));
		json_put(one, "overflow", json_integer(row->overflow));
		json_put(one, "configured_pool_fits", json_boolean(row->wanted_fits));
		json_array_append_new(pools, one);
	}
	json_put(object, "pools", pools);
	json_put(object, "sentence", json_string(plan->sentence));
	return object;
}

static void print(json_t *root)
{
	if (json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(12)) == 0)
		putchar('\n');
	json_decref(root);
}

void check_print_json(const struct config *c, const struct plan *plan)
{
	json_t *root = json_object(), *notes = json_array();
	json_put(root, "valid", json_true());
	json_put(root, "environment", json_string(environment_name(c->environment)));
	json_put(root, "file", c->file ? text(c->file) : json_null());
	json_put(root, "database", text(c->gate.database));
	json_put(root, "address", text(c->address));
	json_put(root, "settings", settings_json(&c->settings));
	json_put(root, "databases", entries_json(c, "databases"));
	json_put(root, "users", entries_json(c, "users"));
	json_put(root, "capacity", capacity_json(plan));
	for (int i = 0; i < c->notes_count; i++)
		json_array_append_new(notes, text(c->notes[i]));
	json_put(root, "notes", notes);
	print(root);
}

void check_print_error_json(const struct error *error)
{
	json_t *root = json_object(), *cause = json_object();
	json_put(cause, "origin", text(error->origin));
	json_put(cause, "text", text(error->text));
	json_put(root, "valid", json_false());
	json_put(root, "error", cause);
	print(root);
}
