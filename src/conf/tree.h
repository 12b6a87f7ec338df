/*
 * tree - a YAML file, read within limits, every node of which knows its line.
 *
 * Texts stay texts: what a value means is decided by the setting that takes it (conf/setting.h),
 * so `mode: off` and `version: 1.10` arrive as they were written.
 *
 * Refused, each with file, line and the mend: bytes that are not YAML (the parser's own message),
 * a key that is there twice, a key that is not a text, aliases (`*name`, which can make a small
 * file large), more than one document, and what exceeds the limits below. An empty file is an
 * empty mapping.
 */
#ifndef STANDPIPE_CONF_TREE_H
#define STANDPIPE_CONF_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "conf/arena.h"

#define TREE_FILE_MAX  ((size_t)1024 * 1024) /* bytes */
#define TREE_DEPTH_MAX 16 /* mappings and lists inside each other */
#define TREE_NODES_MAX 20000

enum tree_kind {
	TREE_NOTHING, /* a key without value, or null, or ~ */
	TREE_TEXT,
	TREE_MAPPING,
	TREE_LIST,
};

struct tree_node {
	enum tree_kind kind;
	int line, column; /* from 1 */
	const char *file; /* as given to tree_load */
	const char *key; /* inside a mapping; else NULL */
	int key_line; /* of the key, which may be above the value */
	const char *text; /* TREE_TEXT: without quotes; else NULL */
	int count; /* of entries of a mapping or list */
	struct tree_node *first; /* entry of a mapping or list, in the file's order */
	struct tree_node *next; /* entry of the same mapping or list */
};

/* All nodes and texts live in `arena`, which the caller owns.
 * The root mapping, or NULL with the reason in `error`, whose origin is "file:line". */
const struct tree_node *tree_load(struct arena *arena, const char *file, struct error *error);

/* The same from memory; `file` is the name for messages. `text` is not needed afterwards. */
const struct tree_node *tree_parse(
	struct arena *arena, const char *file, const char *text, size_t len, struct error *error);

/* for (each entry of a mapping or list) */
/* NOLINTBEGIN(bugprone-macro-parentheses): `entry` is declared here, and takes none */
#define tree_each(entry, node) \
	for (const struct tree_node *entry = (node)->first; entry; entry = entry->next)
/* NOLINTEND(bugprone-macro-parentheses) */

/* The value of `key` in a mapping, or NULL. */
const struct tree_node *tree_get(const struct tree_node *mapping, const char *key);

/* "a text", "a mapping", "a list", "nothing" */
const char *tree_kind_name(enum tree_kind kind);

/* Sets the error at the node's place. Always returns -1. */
__attribute__((format(printf, 3, 4))) int tree_error(
	const struct tree_node *node, struct error *error, const char *format, ...);

/* 0 if the node is of that kind, else -1 and an error that starts with `what`. An empty value
 * passes for an empty mapping or list. */
int tree_expect(
	const struct tree_node *node, enum tree_kind kind, const char *what, struct error *error);

#endif
