#include "conf/tree.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

/*
 * libyaml's events are read one by one and not its documents, so that the limits hold while the
 * file is being read and an alias is refused at the line where it stands.
 */
struct reader {
	yaml_parser_t parser;
	struct arena *arena;
	const char *file;
	const char *text; /* borrowed */
	struct error *error;
	int nodes;
};

__attribute__((format(printf, 4, 5))) static int error_at(
	const char *file, int line, struct error *error, const char *format, ...)
{
	char origin[ERROR_ORIGIN_MAX], text[ERROR_TEXT_MAX];
	snprintf(origin, sizeof(origin), "%s:%d", file, line);
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	error_set(error, "config", 0, "%s", text);
	error_origin(error, origin);
	return -1;
}

static int line_of(yaml_mark_t mark)
{
	return (int)mark.line + 1;
}

static int reader_next(struct reader *r, yaml_event_t *event)
{
	if (yaml_parser_parse(&r->parser, event))
		return 0;
	const yaml_parser_t *p = &r->parser;
	if (p->error == YAML_MEMORY_ERROR)
		abort();
	const char *problem = p->problem ? p->problem : "unreadable";
	if (p->error == YAML_READER_ERROR) { /* it reads ahead, so its mark is not the place */
		int line = 1;
		for (size_t i = 0; i < p->problem_offset; i++)
			line += r->text[i] == '\n';
		return error_at(r->file, line, r->error,
			"not YAML: %s at byte %zu (files are UTF-8)", problem, p->problem_offset);
	}
	return error_at(r->file, line_of(p->problem_mark), r->error, "not YAML: %s%s%s, column %zu",
		problem, p->context ? " " : "", p->context ? p->context : "",
		p->problem_mark.column + 1);
}

static bool is_nothing(const yaml_event_t *event)
{
	if (event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return false;
	const char *text = (const char *)event->data.scalar.value;
	return !*text || !strcmp(text, "~") || !strcmp(text, "null") || !strcmp(text, "Null") ||
	       !strcmp(text, "NULL");
}

static int reader_entries(
	struct reader *r, struct tree_node *parent, yaml_event_type_t end, int depth);

/* The node that begins with `event`, with all that is inside it. */
static struct tree_node *reader_node(struct reader *r, const yaml_event_t *event, int depth)
{
	int line = line_of(event->start_mark);
	int allowed = 0;
	if (++r->nodes > TREE_NODES_MAX)
		allowed = error_at(
			r->file, line, r->error, "too large: more than %d values", TREE_NODES_MAX);
	else if (depth > TREE_DEPTH_MAX)
		allowed = error_at(r->file, line, r->error,
			"nested too deeply: more than %d levels", TREE_DEPTH_MAX);
	else if (event->type == YAML_ALIAS_EVENT)
		allowed = error_at(r->file, line, r->error,
			"aliases (*name) are not read: write the value out");
	if (allowed < 0)
		return NULL;

	struct tree_node *node = arena_alloc(r->arena, sizeof(*node));
	node->line = line;
	node->column = (int)event->start_mark.column + 1;
	node->file = r->file;
	if (event->type == YAML_SCALAR_EVENT) {
		const char *text = (const char *)event->data.scalar.value;
		size_t len = event->data.scalar.length;
		if (memchr(text, 0, len)) {
			error_at(r->file, line, r->error, "a zero byte (\\0) can't be in a text");
			return NULL;
		}
		node->kind = is_nothing(event) ? TREE_NOTHING : TREE_TEXT;
		if (node->kind == TREE_TEXT)
			node->text = arena_text(r->arena, text, len);
		return node;
	}
	bool mapping = event->type == YAML_MAPPING_START_EVENT;
	node->kind = mapping ? TREE_MAPPING : TREE_LIST;
	if (reader_entries(
		    r, node, mapping ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT, depth) < 0)
		return NULL;
	return node;
}

/* A copy of a key that is not there yet, or NULL with the error. */
static const char *reader_key(
	struct reader *r, const struct tree_node *mapping, const yaml_event_t *event)
{
	int line = line_of(event->start_mark);
	if (event->type != YAML_SCALAR_EVENT) {
		error_at(r->file, line, r->error, "a key must be a text");
		return NULL;
	}
	const char *text = (const char *)event->data.scalar.value;
	if (strlen(text) != event->data.scalar.length || !*text) {
		error_at(r->file, line, r->error, "a key must be a text, and not empty");
		return NULL;
	}
	tree_each (other, mapping) {
		if (strcmp(other->key, text) != 0)
			continue;
		{
			error_at(r->file, line, r->error,
				"%.80s: is there twice (first in line %d)", text, other->key_line);
			return NULL;
		}
	}
	return arena_text(r->arena, text, strlen(text));
}

/* One entry of a mapping or list, which begins with `event`. */
static struct tree_node *reader_entry(
	struct reader *r, const struct tree_node *parent, const yaml_event_t *event, int depth)
{
	if (parent->kind == TREE_LIST)
		return reader_node(r, event, depth);
	const char *key = reader_key(r, parent, event);
	if (!key)
		return NULL;
	yaml_event_t value;
	if (reader_next(r, &value) < 0)
		return NULL;
	struct tree_node *node = reader_node(r, &value, depth);
	yaml_event_delete(&value);
	if (node) {
		node->key = key;
		node->key_line = line_of(event->start_mark);
	}
	return node;
}

static int reader_entries(
	struct reader *r, struct tree_node *parent, yaml_event_type_t end, int depth)
{
	struct tree_node **last = &parent->first;
	for (;;) {
		yaml_event_t event;
		if (reader_next(r, &event) < 0)
			return -1;
		if (event.type == end) {
			yaml_event_delete(&event);
			return 0;
		}
		struct tree_node *node = reader_entry(r, parent, &event, depth + 1);
		yaml_event_delete(&event);
		if (!node)
			return -1;
		*last = node;
		last = &node->next;
		parent->count++;
	}
}

/* Passes over an event that must come next, or returns it when it is another. */
static int reader_expect(struct reader *r, yaml_event_type_t type, bool *met)
{
	yaml_event_t event;
	if (reader_next(r, &event) < 0)
		return -1;
	*met = event.type == type;
	int line = line_of(event.start_mark);
	bool second = event.type == YAML_DOCUMENT_START_EVENT && !*met;
	yaml_event_delete(&event);
	if (second)
		return error_at(r->file, line, r->error, "more than one document (---): keep one");
	return 0;
}

static const struct tree_node *reader_document(struct reader *r)
{
	bool met;
	if (reader_expect(r, YAML_STREAM_START_EVENT, &met) < 0 ||
		reader_expect(r, YAML_DOCUMENT_START_EVENT, &met) < 0)
		return NULL;
	struct tree_node *root;
	if (met) {
		yaml_event_t event;
		if (reader_next(r, &event) < 0)
			return NULL;
		root = reader_node(r, &event, 0);
		yaml_event_delete(&event);
		if (!root || reader_expect(r, YAML_DOCUMENT_END_EVENT, &met) < 0 ||
			reader_expect(r, YAML_STREAM_END_EVENT, &met) < 0 ||
			tree_expect(root, TREE_MAPPING, "the file", r->error) < 0)
			return NULL;
	} else {
		root = arena_alloc(r->arena, sizeof(*root));
		root->line = root->column = 1;
		root->file = r->file;
	}
	root->kind = TREE_MAPPING; /* nothing at all is one without entries */
	return root;
}

const struct tree_node *tree_parse(
	struct arena *arena, const char *file, const char *text, size_t len, struct error *error)
{
	struct reader r = {.arena = arena, .text = text, .error = error};
	if (!yaml_parser_initialize(&r.parser))
		abort();
	r.file = arena_text(arena, file, strlen(file));
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
	const struct tree_node *root = reader_document(&r);
	yaml_parser_delete(&r.parser);
	return root;
}

const struct tree_node *tree_load(struct arena *arena, const char *file, struct error *error)
{
	FILE *stream = fopen(file, "re");
	if (!stream) {
		error_set(error, "config", errno, "can't be opened: %s", strerror(errno));
		error_origin(error, file);
		return NULL;
	}
	char *text = malloc(TREE_FILE_MAX + 1);
	if (!text)
		abort();
	size_t len = fread(text, 1, TREE_FILE_MAX + 1, stream);
	int failed = ferror(stream) ? errno : 0;
	fclose(stream);
	const struct tree_node *root = NULL;
	if (failed || len > TREE_FILE_MAX) {
		error_set(error, "config", failed, "can't be read: %s",
			failed ? strerror(failed) : "larger than 1 MiB");
		error_origin(error, file);
	} else {
		root = tree_parse(arena, file, text, len, error);
	}
	explicit_bzero(text, len);
	free(text);
	return root;
}

const struct tree_node *tree_get(const struct tree_node *mapping, const char *key)
{
	tree_each (entry, mapping) {
		if (entry->key && !strcmp(entry->key, key))
			return entry;
	}
	return NULL;
}

const char *tree_kind_name(enum tree_kind kind)
{
	switch (kind) {
	case TREE_NOTHING:
		return "nothing";
	case TREE_TEXT:
		return "a text";
	case TREE_MAPPING:
		return "a mapping";
	case TREE_LIST:
		return "a list";
	}
	return "?";
}

int tree_error(const struct tree_node *node, struct error *error, const char *format, ...)
{
	char text[ERROR_TEXT_MAX];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return error_at(node->file, node->line, error, "%s", text);
}

int tree_expect(
	const struct tree_node *node, enum tree_kind kind, const char *what, struct error *error)
{
	if (node->kind == kind || (node->kind == TREE_NOTHING && kind != TREE_TEXT))
		return 0;
	const char *shape = kind == TREE_MAPPING ? " (key: value lines)"
			    : kind == TREE_LIST  ? " (lines that begin with \"- \")"
						 : "";
	return tree_error(node, error, "%s: must be %s%s, not %s", what, tree_kind_name(kind),
		shape, tree_kind_name(node->kind));
}
