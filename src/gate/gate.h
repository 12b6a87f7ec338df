/*
 * gate - the daemon: pooler, phases, admin HTTP server and front door around one engine, on one
 * loop.
 */
#ifndef STANDPIPE_GATE_GATE_H
#define STANDPIPE_GATE_GATE_H

#include <stdint.h>

#include "base/error.h"
#include "gate/log.h"
#include "gate/secrets.h"
#include "gate/settings.h"

/* What a configuration read anew comes to; keys with commas in between, as far as they fit. */
struct gate_reload {
	const struct gate_settings *settings; /* in force from now on */
	char changed[1024]; /* what is another value now */
	char kept[1024]; /* what was changed, but takes a restart */
};

/* A key that is to have another value than what is written for it, until the process ends; empty:
 * that again. */
struct gate_change {
	const char *key, *value;
};

/* Where settings come from. */
struct gate_source {
	/* Reads them anew, with that change; NULL: none. The result's live until they are
	 * forgotten. -1 with `error`, which has the place as its origin: they are wrong, or can't be
	 * changed so, and nothing has changed. */
	int (*reload)(void *context, const struct gate_change *change, struct gate_reload *result,
		struct error *error);
	/* Nothing works with these any more. */
	void (*forget)(void *context, const struct gate_settings *settings);
	void *context;
};

/* What another gate is started with to take this one's place. */
#define GATE_LISTENERS_MAX 12
struct gate_start {
	int listeners[GATE_LISTENERS_MAX];
	const char *names[GATE_LISTENERS_MAX]; /* LISTEN_GATE and so on */
	int listeners_count;
	int predecessor_fd; /* gate_options.predecessor_fd, for it */
};

struct gate_options {
	const struct gate_settings *settings; /* to begin with; after a reload they are forgotten */
	struct gate_source source;
	struct log *log;
	struct secrets *secrets; /* what is to be hidden; tokens are added */
	uint64_t seed; /* of the engine's jitter */
	int control_fd; /* to PID 1; -1: there is none (`serve`) */
	int predecessor_fd; /* without PID 1: to the gate whose place this one takes; -1: none */
	/* Starts this program anew: its process id, or -1 with `error`. NULL: that can't be. */
	int (*start)(void *context, const struct gate_start *start, struct error *error);
	void *start_context;
};

/* Runs until it is told to end, and gives the exit code. Everything is borrowed. -1 with `error`
 * if it could not begin (a port that is taken). */
int gate_run(const struct gate_options *options, struct error *error);

#endif
