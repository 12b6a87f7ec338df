/*
 * history - how the last 64 of something went, a bit for each: the newest is the lowest, and set
 * means that it failed (as Varnish keeps its probes').
 */
#ifndef STANDPIPE_CORE_HISTORY_H
#define STANDPIPE_CORE_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#define HISTORY_MAX 64

/* All zero is empty. */
struct history {
	uint64_t failed;
	int count; /* of the bits that mean something: 0 .. HISTORY_MAX */
};

void history_add(struct history *h, bool failed);

/* How many of the last `last` failed. */
int history_failures(const struct history *h, int last);

/* Oldest first, '.' for well and `mark` for failed, terminated: HISTORY_MAX + 1 bytes at most. */
void history_text(const struct history *h, char mark, char text[HISTORY_MAX + 1]);

#endif
