/*
 * progress - one line on stderr that tells how a storm gets on: rewritten in place on a terminal,
 * else a line now and then.
 */
#ifndef STANDPIPE_LAB_PROGRESS_H
#define STANDPIPE_LAB_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "lab/storm.h"

struct progress {
	bool terminal;
	bool shown; /* an unfinished line stands on the terminal */
	uint64_t next_ns;
	const char *title; /* borrowed; NULL: nothing is under way */
};

void progress_init(struct progress *p);
void progress_begin(struct progress *p, const char *title);
/* Shows it if it is time to. */
void progress_show(struct progress *p, struct storm *storm, const struct scenario *s);
void progress_end(struct progress *p);

#endif
