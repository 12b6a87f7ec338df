/*
 * refusal - why a login failed, by what libpq says of it.
 *
 * libpq tells no SQLSTATE of a failed login; its message has it when its verbosity is verbose. One
 * message may tell of several tries: one for each address of each host, one with TLS and one
 * without.
 */
#ifndef STANDPIPE_IO_REFUSAL_H
#define STANDPIPE_IO_REFUSAL_H

#include <stddef.h>

#include "core/outcome.h"

/* The class of a failed login by libpq's message, and the SQLSTATE that goes with it (empty when
 * there is none). Of several tries the one counts that promises most: as long as one of them may
 * succeed later, the whole may. */
enum outcome upstream_classify(const char *message, char sqlstate[6]);

/* What it says, in one line cut to `size` bytes: of several tries each with its host. */
void upstream_describe(const char *message, char *text, size_t size);

/* What the server added to the error that upstream_classify goes by: its DETAIL and its HINT, each cut
 * to `size` bytes, which may have several lines. Empty: it said none. */
void upstream_explain(const char *message, char *detail, char *hint, size_t size);

#endif
