/*
 * startup - the first packet of a connection, which has no type byte.
 */
#ifndef STANDPIPE_WIRE_STARTUP_H
#define STANDPIPE_WIRE_STARTUP_H

#include "base/bytes.h"
#include "wire/frame.h"

/* PostgreSQL's MAX_STARTUP_PACKET_LENGTH. */
#define STARTUP_PACKET_MAX 10000

enum wire_startup_kind {
	WIRE_STARTUP_SSL, /* answer one byte: 'S' or 'N'; then comes another first packet */
	WIRE_STARTUP_GSSENC, /* the same, 'G' or 'N' */
	WIRE_STARTUP_CANCEL, /* pid, key; no answer, then close */
	WIRE_STARTUP_SESSION, /* version, parameters */
};

struct wire_startup {
	enum wire_startup_kind kind;
	uint32_t len; /* of the packet */
	uint32_t pid, key; /* of a cancel request */
	uint16_t major, minor; /* of a session */
	struct bytes parameters; /* name\0value\0...: read with wire_pair_next; borrowed */
};

/* Parses the packet at the start of `in`, checking that every parameter is terminated. */
enum wire_result wire_startup_parse(struct bytes in, struct wire_startup *startup);

/* The next pair, or 0 after the last. `pairs` moves on. The texts are borrowed. */
int wire_pair_next(struct bytes *pairs, const char **name, const char **value);

#endif
