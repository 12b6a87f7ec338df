/*
 * successor - starts the program anew, with the same arguments, to take the gate's place.
 */
#ifndef STANDPIPE_APP_SUCCESSOR_H
#define STANDPIPE_APP_SUCCESSOR_H

#include "gate/gate.h"

#define SUCCESSOR_PATH_MAX 4096

/* How this program was started. */
struct successor {
	/* Where its file is, as it was called at the start: what has been put there since is what
	 * the successor runs. */
	char path[SUCCESSOR_PATH_MAX];
	char **argv; /* borrowed, NULL-ended, the program's name first */
};

void successor_init(struct successor *s, char **argv);

/* gate_options.start; `context` is the struct successor. */
int successor_start(void *context, const struct gate_start *start, struct error *error);

#endif
