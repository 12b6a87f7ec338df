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

struct gate_options {
	const struct gate_settings *settings;
	struct log *log;
	const struct secrets *secrets;
	uint64_t seed; /* of the engine's jitter */
	int control_fd; /* to PID 1; -1: there is none (`serve`) */
};

/* Runs until it is told to end, and gives the exit code. Everything is borrowed. -1 with `error`
 * if it could not begin (a port that is taken). */
int gate_run(const struct gate_options *options, struct error *error);

#endif
