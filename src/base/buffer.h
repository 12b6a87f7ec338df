/*
 * buffer - bytes that grow at the end and are taken from the front, up to a maximum.
 *
 * Holds no memory while empty of a reservation: an idle connection owns no buffer
 * (buffer_release gives the memory back; buffer_trim does so when nothing is left inside).
 * Running out of memory aborts: the limits keep that from being an operating state.
 */
#ifndef STANDPIPE_BASE_BUFFER_H
#define STANDPIPE_BASE_BUFFER_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct buffer {
	uint8_t *memory; /* owned */
	uint32_t start; /* first byte not yet taken */
	uint32_t end; /* one past the last byte */
	uint32_t size; /* of memory */
};

#define BUFFER_INIT ((struct buffer){0})

static inline size_t buffer_len(const struct buffer *b)
{
	return b->end - b->start;
}

static inline struct bytes buffer_bytes(const struct buffer *b)
{
	if (!b->memory)
		return (struct bytes){0};
	return (struct bytes){b->memory + b->start, b->end - b->start};
}

/* Room for `len` more bytes at the returned place; commit them with buffer_grow.
 * The sum of contents and `len` must stay under 1 GiB (asserted): callers check their limits. */
uint8_t *buffer_reserve(struct buffer *b, size_t len);
void buffer_grow(struct buffer *b, size_t len);

/* Copies `len` bytes to the end. */
void buffer_append(struct buffer *b, const void *at, size_t len);
void buffer_append_u8(struct buffer *b, uint8_t value);
void buffer_append_u16(struct buffer *b, uint16_t value);
void buffer_append_u32(struct buffer *b, uint32_t value);
/* With its terminating zero. */
void buffer_append_text(struct buffer *b, const char *text);

/* Forgets the first `len` bytes; `len` <= buffer_len. */
void buffer_take(struct buffer *b, size_t len);

/* Gives the memory back if the buffer is empty. */
void buffer_trim(struct buffer *b);

/* Gives the memory back; the buffer is as after BUFFER_INIT. */
void buffer_release(struct buffer *b);

#endif
