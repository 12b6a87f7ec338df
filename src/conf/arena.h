/*
 * arena - memory that is given out piece by piece and given back all at once.
 *
 * A configuration and a scenario are read once and kept: their texts and nodes live in an arena.
 * Running out of memory aborts, as everywhere; the limits of tree.h keep it small.
 */
#ifndef STANDPIPE_CONF_ARENA_H
#define STANDPIPE_CONF_ARENA_H

#include <stddef.h>

struct arena_block;

struct arena {
	struct arena_block *blocks; /* owned */
};

#define ARENA_INIT ((struct arena){0})

/* `size` zeroed bytes, aligned for anything, valid until arena_release. */
void *arena_alloc(struct arena *a, size_t size);

/* A copy of `len` bytes and a terminating zero. */
char *arena_text(struct arena *a, const char *text, size_t len);

/* As sprintf; the text may be of any length. */
__attribute__((format(printf, 2, 3))) char *arena_format(struct arena *a, const char *format, ...);

/* Gives all of it back; the arena is as after ARENA_INIT. Secrets that were put into it are
 * overwritten. */
void arena_release(struct arena *a);

#endif
