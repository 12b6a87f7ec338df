#include "conf/setting.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "conf/nearest.h"
#include "conf/value.h"

#define VALUE_SHOWN_MAX 60 /* characters of a bad value in a message */

void settings_init(struct settings *s, const struct setting *rows, int count, void *target,
	struct arena *arena)
{
	assert(count <= SETTING_ROWS_MAX);
	*s = (struct settings){
		.rows = rows, .count = count, .target = target, .arena = arena, .prefix = ""};
	s->origins = arena_alloc(arena, sizeof(*s->origins) * (size_t)(count ? count : 1));
	for (int i = 0; i < count; i++)
		s->origins[i] = (struct setting_origin){SETTING_UNSET, ""};
}

int settings_find(const struct settings *s, const char *key)
{
	for (int i = 0; i < s->count; i++) {
		if (!strcmp(s->rows[i].key, key))
			return i;
	}
	return -1;
}

const struct setting_origin *settings_origin(const struct settings *s, const char *key)
{
	int row = settings_find(s, key);
	assert(row >= 0);
	return &s->origins[row];
}

int settings_error(
	const struct settings *s, const char *key, struct error *error, const char *format, ...)
{
	char text[ERROR_TEXT_MAX];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	error_set(error, "config", 0, "%s%s: %s", s->prefix, key, text);
	const struct setting_origin *origin = settings_origin(s, key);
	if (origin->source == SETTING_FILE || origin->source == SETTING_VARIABLE)
		error_origin(error, origin->text);
	return -1;
}

/* One value into its place. */

static bool within(const struct setting *row, double value)
{
	return (row->min == 0 && row->max == 0) || (value >= row->min && value <= row->max);
}

static bool take_choice(const struct setting *row, const char *value, int *choice)
{
	for (const struct setting_choice *c = row->choices; c->name; c++) {
		if (!strcmp(c->name, value)) {
			*choice = c->value;
			return true;
		}
	}
	return false;
}

static bool take_text(struct settings *s, const struct setting *row, const char *value, char *place)
{
	size_t len = strlen(value);
	if (len == 0 ? !row->empty : !within(row, (double)len))
		return false;
	const char *text = arena_text(s->arena, value, len);
	memcpy(place, &text, sizeof(text));
	return true;
}

/* "a, b": each text without the blanks around it; empty ones don't count. */
static bool take_texts(
	struct settings *s, const struct setting *row, const char *value, char *place)
{
	size_t most = 2;
	for (const char *at = value; *at; at++)
		most += *at == ',';
	struct setting_texts texts = {arena_alloc(s->arena, most * sizeof(*texts.list)), 0};
	for (const char *at = value; *at;) {
		size_t len = strcspn(at, ","), blanks = strspn(at, " \t");
		const char *next = at + len + (at[len] == ',');
		if (blanks < len) {
			at += blanks;
			len -= blanks;
			while (at[len - 1] == ' ' || at[len - 1] == '\t')
				len--;
			texts.list[texts.count++] = arena_text(s->arena, at, len);
		}
		at = next;
	}
	if (!within(row, texts.count))
		return false;
	memcpy(place, &texts, sizeof(texts));
	return true;
}

/* A number of type `type` that `ok` says was well-formed: into its place if it is within bounds. */
#define TAKE(type, parse, unit)                                                      \
	{                                                                            \
		type number;                                                         \
		if (!parse(value, &number) || !within(row, (double)number / (unit))) \
			return false;                                                \
		memcpy(place, &number, sizeof(number));                              \
		return true;                                                         \
	}

static bool take(struct settings *s, const struct setting *row, const char *value)
{
	char *place = (char *)s->target + row->offset;
	switch (row->type) {
	case SETTING_BOOL: {
		bool on;
		if (!value_bool(value, &on))
			return false;
		memcpy(place, &on, sizeof(on));
		return true;
	}
	case SETTING_INT:
		TAKE(int, value_int, 1)
	case SETTING_REAL:
		TAKE(double, value_real, 1)
	case SETTING_DURATION:
		TAKE(int64_t, value_duration, 1e9)
	case SETTING_SIZE:
		TAKE(int64_t, value_size, 1)
	case SETTING_RATE:
		TAKE(double, value_rate, 1)
	case SETTING_CHOICE: {
		int choice;
		if (!take_choice(row, value, &choice))
			return false;
		memcpy(place, &choice, sizeof(choice));
		return true;
	}
	case SETTING_TEXT:
		return take_text(s, row, value, place);
	case SETTING_TEXTS:
		return take_texts(s, row, value, place);
	case SETTING_NODE:
		break;
	}
	assert(!"a node is not made from a text");
	return false;
}

static void came_from(struct settings *s, int row, enum setting_source source, const char *origin)
{
	s->origins[row] = (struct setting_origin){
		source, arena_text(s->arena, origin, strlen(origin))};
}

int settings_set(struct settings *s, int row, const char *value, enum setting_source source,
	const char *origin, struct error *error)
{
	const struct setting *setting = &s->rows[row];
	if (take(s, setting, value)) {
		came_from(s, row, source, origin);
		return 0;
	}
	char allowed[ERROR_TEXT_MAX];
	setting_allowed(setting, allowed, sizeof(allowed));
	const char *shown = setting->secret ? "(hidden)" : setting_hide(s->arena, value);
	error_set(error, "config", 0, "%s%s: \"%.*s\"%s: must be %s", s->prefix, setting->key,
		VALUE_SHOWN_MAX, shown, strlen(shown) > VALUE_SHOWN_MAX ? "..." : "", allowed);
	error_origin(error, origin);
	return -1;
}

/* Defaults. */

void settings_defaults(struct settings *s)
{
	for (int i = 0; i < s->count; i++) {
		if (!s->rows[i].preset)
			continue;
		bool taken = take(s, &s->rows[i], s->rows[i].preset);
		assert(taken);
		s->origins[i] = (struct setting_origin){SETTING_DEFAULT, "default"};
	}
}

/* A mapping. */

/* The rest of a row's key after `path` and its dot, or NULL if it is not below it. */
static const char *below(const char *key, const char *path)
{
	size_t len = strlen(path);
	if (len == 0)
		return key;
	return !strncmp(key, path, len) && key[len] == '.' ? key + len + 1 : NULL;
}

/* The first part of a dotted key. */
static void first_part(const char *key, char *part)
{
	snprintf(part, SETTING_KEY_MAX, "%.*s", (int)strcspn(key, "."), key);
}

/* All that is known below `path`, once each, as "a, b, c". */
static void list_known(const struct settings *s, const char *path, char *list, size_t size)
{
	char last[SETTING_KEY_MAX] = "", part[SETTING_KEY_MAX];
	size_t used = 0;
	list[0] = 0;
	for (int i = 0; i < s->count && used < size; i++) {
		const char *rest = below(s->rows[i].key, path);
		if (!rest)
			continue;
		first_part(rest, part);
		if (!strcmp(part, last))
			continue;
		used += (size_t)snprintf(list + used, size - used, "%s%s", used ? ", " : "", part);
		memcpy(last, part, sizeof(last));
	}
}

/* The full key that someone who wrote `word` below `path` may have meant, or NULL. */
static const char *meant(const struct settings *s, const char *path, const char *word)
{
	const char *key = NULL;
	char part[SETTING_KEY_MAX];
	struct nearest nearest;
	nearest_init(&nearest, word);
	for (int i = 0; i < s->count; i++) {
		const char *rest = below(s->rows[i].key, path);
		if (!rest)
			continue;
		first_part(rest, part);
		size_t before = nearest.distance;
		nearest_try(&nearest, part);
		if (nearest.distance < before)
			key = arena_format(s->arena, "%s%s%s", path, *path ? "." : "", part);
	}
	if (key)
		return key;
	for (int i = 0; i < s->count; i++) { /* right, but in the wrong section */
		assert(s->rows[i].key);
		const char *dot = strrchr(s->rows[i].key, '.');
		if (!strcmp(s->rows[i].key, word) || (dot && !strcmp(dot + 1, word)))
			return s->rows[i].key;
	}
	return NULL;
}

static int unknown(const struct settings *s, const char *path, const struct tree_node *entry,
	struct error *error)
{
	char list[ERROR_TEXT_MAX / 2];
	struct tree_node at = *entry;
	at.line = entry->key_line;
	const char *key = meant(s, path, entry->key);
	if (key)
		return tree_error(&at, error, "unknown key \"%s%s%s%.60s\": did you mean \"%s%s\"?",
			s->prefix, path, *path ? "." : "", entry->key, s->prefix, key);
	list_known(s, path, list, sizeof(list));
	return tree_error(&at, error, "unknown key \"%s%s%s%.60s\": known here are %s", s->prefix,
		path, *path ? "." : "", entry->key, list);
}

static int take_list(struct settings *s, int row, const struct tree_node *list, struct error *error)
{
	const struct setting *setting = &s->rows[row];
	struct setting_texts texts = {
		arena_alloc(s->arena, ((size_t)list->count + 1) * sizeof(*texts.list)), 0};
	char what[SETTING_KEY_MAX + 40];
	snprintf(what, sizeof(what), "%s%s: each entry", s->prefix, setting->key);
	tree_each (entry, list) {
		if (tree_expect(entry, TREE_TEXT, what, error) < 0)
			return -1;
		texts.list[texts.count++] = entry->text;
	}
	if (!within(setting, texts.count)) {
		char allowed[ERROR_TEXT_MAX];
		setting_allowed(setting, allowed, sizeof(allowed));
		return tree_error(list, error, "%s%s: %d entries: must be %s", s->prefix,
			setting->key, texts.count, allowed);
	}
	memcpy((char *)s->target + setting->offset, &texts, sizeof(texts));
	return 0;
}

static int take_node(struct settings *s, int row, const struct tree_node *node, struct error *error)
{
	const struct setting *setting = &s->rows[row];
	const char *origin = arena_format(s->arena, "%s:%d", node->file, node->line);
	if (setting->type == SETTING_NODE) {
		memcpy((char *)s->target + setting->offset, &node, sizeof(node));
		came_from(s, row, SETTING_FILE, origin);
		return 0;
	}
	if (setting->type == SETTING_TEXTS && node->kind != TREE_TEXT) {
		char what[SETTING_KEY_MAX * 2];
		snprintf(what, sizeof(what), "%s%s", s->prefix, setting->key);
		if (tree_expect(node, TREE_LIST, what, error) < 0 ||
			take_list(s, row, node, error) < 0)
			return -1;
		came_from(s, row, SETTING_FILE, origin);
		return 0;
	}
	if (setting->type == SETTING_TEXTS) { /* one text, commas and all */
		struct tree_node alone = *node, list = *node;
		alone.next = NULL;
		list.first = &alone;
		list.count = 1;
		if (take_list(s, row, &list, error) < 0)
			return -1;
		came_from(s, row, SETTING_FILE, origin);
		return 0;
	}
	if (node->kind == TREE_TEXT)
		return settings_set(s, row, node->text, SETTING_FILE, origin, error);
	char allowed[ERROR_TEXT_MAX];
	setting_allowed(setting, allowed, sizeof(allowed));
	return tree_error(node, error, "%s%s: must be %s, not %s", s->prefix, setting->key, allowed,
		tree_kind_name(node->kind));
}

static int take_mapping(
	struct settings *s, const char *path, const struct tree_node *mapping, struct error *error)
{
	char what[SETTING_KEY_MAX * 2];
	snprintf(what, sizeof(what), "%s%s", s->prefix, *path ? path : "the settings");
	if (tree_expect(mapping, TREE_MAPPING, what, error) < 0)
		return -1;
	tree_each (entry, mapping) {
		const char *key = arena_format(
			s->arena, "%s%s%s", path, *path ? "." : "", entry->key);
		int row = strchr(entry->key, '.') ? -1 : settings_find(s, key), result;
		bool section = false;
		for (int i = 0; row < 0 && i < s->count && !section; i++)
			section = !strchr(entry->key, '.') && below(s->rows[i].key, key);
		if (row >= 0)
			result = take_node(s, row, entry, error);
		else if (section)
			result = take_mapping(s, key, entry, error);
		else
			result = unknown(s, path, entry, error);
		if (result < 0)
			return -1;
	}
	return 0;
}

int settings_tree(struct settings *s, const struct tree_node *mapping, struct error *error)
{
	return take_mapping(s, "", mapping, error);
}

int settings_complete(
	const struct settings *s, const struct tree_node *mapping, struct error *error)
{
	for (int i = 0; i < s->count; i++) {
		if (!s->rows[i].required || s->origins[i].source != SETTING_UNSET)
			continue;
		char allowed[ERROR_TEXT_MAX];
		setting_allowed(&s->rows[i], allowed, sizeof(allowed));
		return tree_error(mapping, error, "%s%s: is missing; it must be %s", s->prefix,
			s->rows[i].key, allowed);
	}
	return 0;
}

/* Variables. */

const char *environment_get(const char *const *environment, const char *name)
{
	size_t len = strlen(name);
	for (; *environment; environment++) {
		if (!strncmp(*environment, name, len) && (*environment)[len] == '=')
			return *environment + len + 1;
	}
	return NULL;
}

static int take_variables(
	struct settings *s, int row, const char *const *environment, struct error *error)
{
	char name[SETTING_KEY_MAX];
	const char *at = s->rows[row].variables;
	while (*at) {
		size_t len = strcspn(at, " ");
		snprintf(name, sizeof(name), "%.*s", (int)len, at);
		const char *value = environment_get(environment, name);
		if (value && *value)
			return settings_set(s, row, value, SETTING_VARIABLE, name, error);
		at += len + strspn(at + len, " ");
	}
	return 0;
}

int settings_environment(struct settings *s, const char *const *environment, struct error *error)
{
	for (int i = 0; i < s->count; i++) {
		if (s->rows[i].variables && take_variables(s, i, environment, error) < 0)
			return -1;
	}
	return 0;
}
