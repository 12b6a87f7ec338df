/*
 * context - why a phase failed: one JSON object with all that was known when it did.
 *
 * The same object goes to the log, to a file, to Kubernetes' termination log and to /status:
 *
 *   message hint time phase stage exit_code elapsed_s timeout{} sqlstate error{} attempts{}
 *   path{} breaker{} budget{} lease{} database command{} phases[] instance environment version
 */
#ifndef STANDPIPE_GATE_CONTEXT_H
#define STANDPIPE_GATE_CONTEXT_H

#include <stddef.h>

#include "base/error.h"
#include "gate/view.h"

/* A context's length at most: it fits into a line of the log. */
#define CONTEXT_MAX 12288

/* Kubernetes reads no more of /dev/termination-log. */
#define CONTEXT_TERMINATION_MAX 4096

/* The context of `phase`, which failed or is failing. `exit_code` negative: the process goes on.
 * Compact JSON without a newline, at most CONTEXT_MAX long (trimmed if it must be), malloc'ed, the
 * caller's; no secrets. */
char *context_text(const struct gate_view *view, enum phase phase, int exit_code);

/* A shorter form of a context of at most `max` bytes, still JSON with the same names: details are
 * left out from the least telling to the most. `max` is at least 2048. Malloc'ed. */
char *context_trim(const char *text, size_t max);

#define CONTEXT_HINT_SIZE 512
/* The hint in a context, for people who read the log on a terminal; "" if there is none. */
void context_hint(const char *text, char out[CONTEXT_HINT_SIZE]);

/* Puts the context into the file as a whole or not at all: a reader never sees half of it. */
int context_write_file(const char *path, const char *text, struct error *error);

/* Trims, and writes in place: the termination log is a mount of its own and can't be renamed to. */
int context_write_termination_log(const char *path, const char *text, struct error *error);

#endif
