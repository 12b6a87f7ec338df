/*
 * setting - a table of settings, applied to a struct from texts: defaults, a YAML mapping,
 * environment variables. Every value remembers where it came from.
 *
 *	static const struct setting rows[] = {
 *		{.key = "pool.size", .type = SETTING_INT, .offset = offsetof(struct config, size),
 *		 .min = 1, .max = 1000, .preset = "5", .variables = "DB_POOL_SIZE",
 *		 .help = "server connections held for good"},
 *		...
 *	};
 *	settings_init(&s, rows, count, &config, &arena);
 *	settings_defaults(&s);
 *	if (settings_tree(&s, root, &error) < 0 || settings_environment(&s, environ, &error) < 0)
 *		...
 *
 * A key with dots lies in nested mappings: "pool.size" is `pool: {size: 5}`. Lists of mappings (a
 * scenario's arms) are SETTING_NODE rows, which hand the node over; the caller walks it with
 * tree_each and applies another table to each entry.
 *
 * Errors have as origin "file:line" or the variable's name, and say the key, the value (unless it
 * is secret), and what is allowed.
 */
#ifndef STANDPIPE_CONF_SETTING_H
#define STANDPIPE_CONF_SETTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "conf/arena.h"
#include "conf/tree.h"

#define SETTING_KEY_MAX  96
#define SETTING_ROWS_MAX 256

enum setting_type {
	SETTING_BOOL, /* bool: true false yes no on off 1 0 */
	SETTING_INT, /* int */
	SETTING_REAL, /* double */
	SETTING_DURATION, /* int64_t, ns: "75", "1.5 s", "250ms"; units ns us ms s m h, none: s */
	SETTING_SIZE, /* int64_t, bytes: "64KiB", "1 MB"; units B kB MB GB KiB MiB GiB, none: B */
	SETTING_RATE, /* double, bit/s: "2Gbit/s", "100 Mbit"; units bit kbit Mbit Gbit */
	SETTING_TEXT, /* const char *, in the arena */
	SETTING_CHOICE, /* an enum, or int: one of `choices` */
	SETTING_TEXTS, /* struct setting_texts: a list, or one text; in a variable: with commas */
	SETTING_NODE, /* const struct tree_node *: mapping, list or text, for the caller to walk */
};

struct setting_choice {
	const char *name; /* NULL ends the list */
	int value;
};

struct setting_texts {
	const char **list; /* in the arena; NULL after the last */
	int count;
};

struct setting {
	const char *key; /* "pool.size" */
	enum setting_type type;
	size_t offset; /* into the struct */
	/* Bounds, both included, in s, bytes, bit/s or as they are; of TEXT the length, of TEXTS
	 * the count. min == max == 0: no bounds (for TEXTS: none). */
	double min, max;
	const struct setting_choice *choices;
	/* The default, as it would be written; NULL: what the struct holds stays. */
	const char *preset;
	/* Names with blanks between, the first that is set wins; NULL: none. */
	const char *variables;
	const char *help; /* one line */
	/* Of a TEXT: what an empty one means ("no check"); NULL: it is refused. */
	const char *empty;
	bool secret; /* never shown */
	bool required; /* settings_complete refuses a table without it */
	bool restart; /* another value is for the next start: what runs keeps the one it has */
};

enum setting_source {
	SETTING_UNSET,
	SETTING_DEFAULT,
	SETTING_PRESET, /* of a set of defaults that has a name, like "production" */
	SETTING_FILE,
	SETTING_VARIABLE,
	SETTING_DERIVED, /* from another setting */
};

struct setting_origin {
	enum setting_source source;
	const char *text; /* "default", "production", "standpipe.yaml:12", "DB_POOL_SIZE" */
};

struct settings {
	const struct setting *rows; /* borrowed */
	int count;
	void *target; /* borrowed */
	struct arena *arena; /* borrowed: texts and origins live there */
	struct setting_origin *origins; /* by row */
	const char *prefix; /* put before keys in messages, like "faults[2]."; "" to begin with */
};

/* Nothing is set yet, and the target is not touched. At most SETTING_ROWS_MAX rows. */
void settings_init(struct settings *s, const struct setting *rows, int count, void *target,
	struct arena *arena);

/* Applies every row's preset. A preset that is not allowed is a bug: asserted. */
void settings_defaults(struct settings *s);

/* Applies a mapping, all keys of which must be known. 0 or -1. */
int settings_tree(struct settings *s, const struct tree_node *mapping, struct error *error);

/* Applies the variables that the rows name from NAME=value texts, NULL-ended. A variable that is
 * set but empty counts as not set. 0 or -1. */
int settings_environment(struct settings *s, const char *const *environment, struct error *error);

/* Applies one value as if it stood at `origin`, which is copied. 0 or -1. */
int settings_set(struct settings *s, int row, const char *value, enum setting_source source,
	const char *origin, struct error *error);

/* Are all required rows set? 0, or -1 with the error at `mapping`'s place. */
int settings_complete(
	const struct settings *s, const struct tree_node *mapping, struct error *error);

/* Do two that have the same table hold the same value? */
bool settings_same(const struct settings *a, const struct settings *b, int row);

/* Takes over the value of `from`, which has the same table, and its origin; copied. Not for a
 * SETTING_NODE. */
void settings_keep(struct settings *s, const struct settings *from, int row);

/* The row of `key`, or -1. */
int settings_find(const struct settings *s, const char *key);

/* Where the value of `key`, which must exist, came from. */
const struct setting_origin *settings_origin(const struct settings *s, const char *key);

/* A contradiction: sets the error at the place where the value of `key`, which must exist, was
 * written (a default has no place), with the key in front of the text. Always returns -1. */
__attribute__((format(printf, 4, 5))) int settings_error(
	const struct settings *s, const char *key, struct error *error, const char *format, ...);

/* The value as a person would write it ("75s", "2Gbit/s", "on"), with the passwords of URLs hidden;
 * a secret that is not a URL is "(hidden)". In the arena. */
const char *settings_show(const struct settings *s, int row);

/* What a row allows, for messages and the manual: "a duration from 1s to 1h". */
void setting_allowed(const struct setting *row, char *text, size_t size);

/* A copy of the text in which the password of every URL (scheme://user:password@, and password= of
 * its parameters) is `***`. */
const char *setting_hide(struct arena *arena, const char *text);

/* The value of NAME in NAME=value texts, NULL-ended; NULL if it is not there. */
const char *environment_get(const char *const *environment, const char *name);

#endif
