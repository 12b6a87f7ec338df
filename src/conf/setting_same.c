/* Two settings of the same table: what differs, and what one takes over from the other. */
#include <assert.h>
#include <string.h>

#include "conf/setting.h"

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static bool same_texts(const struct setting_texts *a, const struct setting_texts *b)
{
	bool same = a->count == b->count;
	for (int i = 0; same && i < a->count; i++)
		same = same_text(a->list[i], b->list[i]);
	return same;
}

static bool same_node(const struct tree_node *a, const struct tree_node *b)
{
	if (!a || !b)
		return a == b;
	if (a->kind != b->kind || a->count != b->count || !same_text(a->key, b->key) ||
		!same_text(a->text, b->text))
		return false;
	const struct tree_node *other = b->first;
	tree_each (entry, a) {
		if (!same_node(entry, other))
			return false;
		other = other->next;
	}
	return true;
}

/* Of the value in its struct; 0: it is not to be compared as bytes. */
static size_t size_of(enum setting_type type)
{
	switch (type) {
	case SETTING_BOOL:
		return sizeof(bool);
	case SETTING_INT:
	case SETTING_CHOICE:
		return sizeof(int);
	case SETTING_REAL:
	case SETTING_RATE:
		return sizeof(double);
	case SETTING_DURATION:
	case SETTING_SIZE:
		return sizeof(int64_t);
	case SETTING_TEXT:
	case SETTING_TEXTS:
	case SETTING_NODE:
		break;
	}
	return 0;
}

bool settings_same(const struct settings *a, const struct settings *b, int row)
{
	const struct setting *r = &a->rows[row];
	const char *in_a = (const char *)a->target + r->offset;
	const char *in_b = (const char *)b->target + r->offset;
	const char *text_a, *text_b;
	const struct tree_node *node_a, *node_b;
	struct setting_texts texts_a, texts_b;
	switch (r->type) {
	case SETTING_TEXT:
		memcpy(&text_a, in_a, sizeof(text_a));
		memcpy(&text_b, in_b, sizeof(text_b));
		return same_text(text_a, text_b);
	case SETTING_TEXTS:
		memcpy(&texts_a, in_a, sizeof(texts_a));
		memcpy(&texts_b, in_b, sizeof(texts_b));
		return same_texts(&texts_a, &texts_b);
	case SETTING_NODE:
		memcpy(&node_a, in_a, sizeof(node_a));
		memcpy(&node_b, in_b, sizeof(node_b));
		return same_node(node_a, node_b);
	case SETTING_BOOL:
	case SETTING_INT:
	case SETTING_REAL:
	case SETTING_DURATION:
	case SETTING_SIZE:
	case SETTING_RATE:
	case SETTING_CHOICE:
		break;
	}
	return memcmp(in_a, in_b, size_of(r->type)) == 0;
}

void settings_keep(struct settings *s, const struct settings *from, int row)
{
	const struct setting *r = &s->rows[row];
	char *place = (char *)s->target + r->offset;
	const char *there = (const char *)from->target + r->offset;
	assert(s->rows == from->rows && r->type != SETTING_NODE);
	if (r->type == SETTING_TEXT) {
		const char *text;
		memcpy(&text, there, sizeof(text));
		text = text ? arena_text(s->arena, text, strlen(text)) : NULL;
		memcpy(place, &text, sizeof(text));
	} else if (r->type == SETTING_TEXTS) {
		struct setting_texts texts;
		memcpy(&texts, there, sizeof(texts));
		const char **list = arena_alloc(
			s->arena, ((size_t)texts.count + 1) * sizeof(*list));
		for (int i = 0; i < texts.count; i++)
			list[i] = arena_text(s->arena, texts.list[i], strlen(texts.list[i]));
		texts.list = list;
		memcpy(place, &texts, sizeof(texts));
	} else {
		memcpy(place, there, size_of(r->type));
	}
	const char *origin = from->origins[row].text;
	s->origins[row].source = from->origins[row].source;
	s->origins[row].text = arena_text(s->arena, origin, strlen(origin));
}
