/* Settings as a person reads them: what is allowed, and what is in force. */
#include <stdio.h>
#include <string.h>

#include "conf/setting.h"
#include "conf/value.h"

#define NUMBER_SIZE 48

static bool is_bounded(const struct setting *row)
{
	return row->min != 0 || row->max != 0;
}

static void allowed_choices(const struct setting *row, char *text, size_t size)
{
	size_t used = (size_t)snprintf(text, size, "one of");
	for (const struct setting_choice *c = row->choices; c->name && used < size; c++)
		used += (size_t)snprintf(
			text + used, size - used, "%s %s", c == row->choices ? "" : ",", c->name);
}

static void allowed_texts(const struct setting *row, char *text, size_t size)
{
	if (!is_bounded(row))
		snprintf(text, size, "a list of texts");
	else if (row->min > 0)
		snprintf(text, size, "a list of %.0f to %.0f texts", row->min, row->max);
	else
		snprintf(text, size, "a list of at most %.0f texts", row->max);
}

void setting_allowed(const struct setting *row, char *text, size_t size)
{
	char least[NUMBER_SIZE], most[NUMBER_SIZE];
	const char *what = "";
	value_show_real(row->min, least, sizeof(least));
	value_show_real(row->max, most, sizeof(most));
	switch (row->type) {
	case SETTING_BOOL:
		snprintf(text, size, "true or false");
		return;
	case SETTING_CHOICE:
		allowed_choices(row, text, size);
		return;
	case SETTING_TEXTS:
		allowed_texts(row, text, size);
		return;
	case SETTING_NODE:
		snprintf(text, size, "a mapping or a list");
		return;
	case SETTING_TEXT:
		if (is_bounded(row))
			snprintf(text, size, "a text of at most %s characters%s", most,
				row->empty ? "" : ", not empty");
		else
			snprintf(text, size, "a text%s", row->empty ? "" : ", not empty");
		return;
	case SETTING_INT:
		what = "a whole number";
		break;
	case SETTING_REAL:
		what = "a number";
		break;
	case SETTING_DURATION:
		what = "a duration (like 500ms, 75s or 2m)";
		value_show_duration((int64_t)(row->min * 1e9), least, sizeof(least));
		value_show_duration((int64_t)(row->max * 1e9), most, sizeof(most));
		break;
	case SETTING_SIZE:
		what = "a size (like 64KiB or 1MB)";
		value_show_size((int64_t)row->min, least, sizeof(least));
		value_show_size((int64_t)row->max, most, sizeof(most));
		break;
	case SETTING_RATE:
		what = "a bit rate (like 100Mbit/s)";
		value_show_rate(row->min, least, sizeof(least));
		value_show_rate(row->max, most, sizeof(most));
		break;
	}
	if (is_bounded(row))
		snprintf(text, size, "%s from %s to %s", what, least, most);
	else
		snprintf(text, size, "%s", what);
}

/* Where the URL whose "://" is at `at` ends. */
static const char *url_end(const char *at)
{
	return at + strcspn(at, " \t\n\"'");
}

/* Copies what goes on until `end` but hides the values of parameters with passwords. */
static const char *hide_parameters(
	struct arena *arena, const char *shown, const char *at, const char *end)
{
	static const char mark[] = "password=";
	const char *secret;
	while ((secret = memmem(at, (size_t)(end - at), mark, strlen(mark)))) {
		secret += strlen(mark);
		shown = arena_format(arena, "%s%.*s***", shown, (int)(secret - at), at);
		at = secret + strcspn(secret, "& \t\n\"'");
	}
	return arena_format(arena, "%s%.*s", shown, (int)(end - at), at);
}

const char *setting_hide(struct arena *arena, const char *text)
{
	const char *shown = "", *at;
	while ((at = strstr(text, "://"))) {
		at += 3;
		const char *end = url_end(at), *colon = at + strcspn(at, ":");
		const char *host = memrchr(at, '@', (size_t)(end - at));
		if (host && colon < host) {
			shown = arena_format(arena, "%s%.*s:***", shown, (int)(colon - text), text);
			text = host;
		} else {
			shown = arena_format(arena, "%s%.*s", shown, (int)(at - text), text);
			text = at;
		}
		shown = hide_parameters(arena, shown, text, end);
		text = end;
	}
	return arena_format(arena, "%s%s", shown, text);
}

static const char *show_text(
	const struct settings *s, const struct setting *setting, const char *text)
{
	if (!text || !*text)
		return "";
	if (setting->secret && !strstr(text, "://"))
		return "(hidden)";
	return setting_hide(s->arena, text);
}

static const char *show_texts(
	const struct settings *s, const struct setting *setting, const struct setting_texts *texts)
{
	const char *shown = "";
	for (int i = 0; i < texts->count; i++)
		shown = arena_format(s->arena, "%s%s%s", shown, i ? ", " : "",
			show_text(s, setting, texts->list[i]));
	return shown;
}

static const char *show_choice(const struct setting *row, int choice)
{
	for (const struct setting_choice *c = row->choices; c->name; c++) {
		if (c->value == choice)
			return c->name;
	}
	return "?";
}

/* The names in a mapping, the number of entries in a list. */
static const char *show_node(const struct settings *s, const struct tree_node *node)
{
	const char *shown = "";
	if (!node || node->count == 0)
		return shown;
	if (node->kind != TREE_MAPPING)
		return arena_format(s->arena, "%d entries", node->count);
	tree_each (entry, node)
		shown = arena_format(
			s->arena, "%s%s%s", shown, entry == node->first ? "" : ", ", entry->key);
	return shown;
}

/* The value at a setting's place: targets hold the types that enum setting_type lists. */
#define AT(type) (*(const type *)(const void *)place)

const char *settings_show(const struct settings *s, int row)
{
	const struct setting *setting = &s->rows[row];
	const char *place = (const char *)s->target + setting->offset;
	char text[NUMBER_SIZE] = "";
	switch (setting->type) {
	case SETTING_BOOL:
		return AT(bool) ? "on" : "off";
	case SETTING_INT:
		snprintf(text, sizeof(text), "%d", AT(int));
		break;
	case SETTING_REAL:
		value_show_real(AT(double), text, sizeof(text));
		break;
	case SETTING_DURATION:
		value_show_duration(AT(int64_t), text, sizeof(text));
		break;
	case SETTING_SIZE:
		value_show_size(AT(int64_t), text, sizeof(text));
		break;
	case SETTING_RATE:
		value_show_rate(AT(double), text, sizeof(text));
		break;
	case SETTING_CHOICE:
		return show_choice(setting, AT(int));
	case SETTING_TEXT:
		return show_text(s, setting, AT(char *));
	case SETTING_TEXTS:
		return show_texts(s, setting, &AT(struct setting_texts));
	case SETTING_NODE:
		return show_node(s, AT(struct tree_node *));
	}
	return arena_text(s->arena, text, strlen(text));
}
