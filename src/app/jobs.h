/*
 * jobs - work shared among processes: each takes its part, and what it finds is left in memory that
 * all of them share.
 */
#ifndef STANDPIPE_APP_JOBS_H
#define STANDPIPE_APP_JOBS_H

#include <stddef.h>

#include "base/error.h"

#define JOBS_MAX 256

/* Zeroed memory that all jobs see; NULL with `error`. */
void *jobs_memory(size_t size, struct error *error);
void jobs_memory_free(void *memory, size_t size);

/* Calls `work` for each job, 0 to count - 1, each in a process of its own but 0, which is this
 * one's; returns when all have ended, however they did. 0, or -1 with `error`: one could not be
 * started. */
int jobs_run(int count, void (*work)(void *context, int job), void *context, struct error *error);

#endif
