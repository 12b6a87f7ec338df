/*
 * changes - what the console's SET lays over the environment: variables with other values, until
 * the process ends.
 */
#ifndef STANDPIPE_APP_CHANGES_H
#define STANDPIPE_APP_CHANGES_H

struct changes {
	struct change *first; /* owned */
};

#define CHANGES_INIT ((struct changes){0})

/* The value that a variable has here, borrowed until the next change of it; NULL: none. */
const char *changes_get(const struct changes *all, const char *name);

/* Both are copied. NULL: none any more. */
void changes_put(struct changes *all, const char *name, const char *value);

/* The environment, NAME=value texts and NULL-ended, with the changes in the place of what they
 * change. One block, to be freed; those texts that are not changed are borrowed. */
const char **changes_over(const struct changes *all, const char *const *environment);

void changes_release(struct changes *all);

#endif
