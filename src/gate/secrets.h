/*
 * secrets - what must never be shown, and the one way by which text gets shown.
 *
 * Everything that goes to the log, to /status, to the error context passes secrets_clean: known
 * secrets become "***" and what is not UTF-8 becomes U+FFFD, so that it can be put into JSON.
 */
#ifndef STANDPIPE_GATE_SECRETS_H
#define STANDPIPE_GATE_SECRETS_H

#include <stddef.h>

/* Shorter ones are not searched for: they are found in every other word and protect nothing. */
#define SECRETS_LEN_MIN 4

struct secret {
	char *text; /* owned, wiped when released */
	size_t len;
	int uses; /* so often it was added, and not forgotten */
};

struct secrets {
	int count, size;
	struct secret *list;
};

#define SECRETS_INIT ((struct secrets){0})

/* Hides `text` and what it says percent-decoded, each however it is percent-encoded where it turns
 * up. Copies. NULL, too short or known ones are let pass. */
void secrets_add(struct secrets *s, const char *text);

/* Takes one secrets_add of the same text back: for those that are over, like tokens. */
void secrets_forget(struct secrets *s, const char *text);

/* Hides the password in a URL: of the user part, or the argument `password`. */
void secrets_add_url(struct secrets *s, const char *url);

/* Writes `text`, made fit to be shown, to `out` of `size` bytes (1 or more), cut at a character's
 * end and ended by a zero. Gives the length written. `s` may be NULL: nothing to hide. */
size_t secrets_clean(const struct secrets *s, const char *text, char *out, size_t size);

void secrets_release(struct secrets *s);

#endif
