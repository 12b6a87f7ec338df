/*
 * workers - `serve` with several gates side by side: binds what they listen on, and keeps them at
 * work (init/foreman.h).
 */
#ifndef STANDPIPE_APP_WORKERS_H
#define STANDPIPE_APP_WORKERS_H

#include "app/live.h"
#include "app/successor.h"

/* Are there to be several, and is this the process that keeps them? */
bool workers_wanted(const struct config *config);

/* Runs until all are gone; gives the exit code. */
int workers_run(struct live *live, const struct successor *program);

#endif
