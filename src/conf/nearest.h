/*
 * nearest - "did you mean": the known word with the least distance to what was written.
 */
#ifndef STANDPIPE_CONF_NEAREST_H
#define STANDPIPE_CONF_NEAREST_H

#include <stddef.h>

struct nearest {
	const char *word; /* what was written; borrowed */
	const char *best; /* borrowed; NULL: nothing near */
	size_t distance;
};

void nearest_init(struct nearest *n, const char *word);

/* Looks at one known word: a letter changed, left out, added or two swapped count one each
 * (Damerau's distance). Only what is less than about half different counts as near. */
void nearest_try(struct nearest *n, const char *known);

#endif
