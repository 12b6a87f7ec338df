/*
 * frame - PostgreSQL's messages as frames: a type byte and a length that counts itself.
 *
 * The bodies are looked at only where wire/message.h says so. Sources: the documentation's chapter
 * "Frontend/Backend Protocol", version 3.0.
 */
#ifndef STANDPIPE_WIRE_FRAME_H
#define STANDPIPE_WIRE_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

#define FRAME_HEADER 5

/* PostgreSQL's own limit of a message (MaxAllocSize: 1 GiB - 1). */
#define FRAME_MAX UINT32_C(0x3fffffff)

enum wire_result {
	WIRE_OK,
	WIRE_PARTIAL, /* more bytes are needed to tell */
	WIRE_BAD, /* no more bytes can mend this */
};

struct frame {
	uint8_t type;
	uint32_t len; /* of the whole frame, type byte included: FRAME_HEADER or more */
};

/* Reads the header at the start of `in`. */
enum wire_result frame_parse(struct bytes in, struct frame *frame);

/* Its body, which must be all there. */
static inline struct bytes frame_body(struct bytes in, const struct frame *frame)
{
	return (struct bytes){in.at + FRAME_HEADER, frame->len - FRAME_HEADER};
}

#endif
