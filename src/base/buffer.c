#include "base/buffer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER_MIN 256
#define BUFFER_MAX (UINT32_C(1) << 30)

uint8_t *buffer_reserve(struct buffer *b, size_t len)
{
	size_t held = buffer_len(b);
	assert(len <= BUFFER_MAX && held + len <= BUFFER_MAX);
	assert(held == 0 || b->memory);
	if (b->size - b->end >= len && b->memory)
		return b->memory + b->end;
	/* Moving to the front first is cheaper than growing, when it makes the room. */
	if (b->start > 0 && held > 0)
		memmove(b->memory, b->memory + b->start, held);
	b->start = 0;
	b->end = (uint32_t)held;
	if (b->size - b->end < len || !b->memory) {
		size_t size = b->size ? b->size : BUFFER_MIN;
		while (size < held + len)
			size *= 2;
		uint8_t *memory = realloc(b->memory, size);
		if (!memory)
			abort();
		b->memory = memory;
		b->size = (uint32_t)size;
	}
	return b->memory + b->end;
}

void buffer_grow(struct buffer *b, size_t len)
{
	assert(b->size - b->end >= len);
	b->end += (uint32_t)len;
}

void buffer_append(struct buffer *b, const void *at, size_t len)
{
	if (len == 0)
		return;
	memcpy(buffer_reserve(b, len), at, len);
	b->end += (uint32_t)len;
}

void buffer_append_u8(struct buffer *b, uint8_t value)
{
	buffer_append(b, &value, 1);
}

void buffer_append_u16(struct buffer *b, uint16_t value)
{
	bytes_put_u16(buffer_reserve(b, 2), value);
	b->end += 2;
}

void buffer_append_u32(struct buffer *b, uint32_t value)
{
	bytes_put_u32(buffer_reserve(b, 4), value);
	b->end += 4;
}

void buffer_append_text(struct buffer *b, const char *text)
{
	buffer_append(b, text, strlen(text) + 1);
}

void buffer_take(struct buffer *b, size_t len)
{
	assert(len <= buffer_len(b));
	b->start += (uint32_t)len;
	if (b->start == b->end)
		b->start = b->end = 0;
}

void buffer_trim(struct buffer *b)
{
	if (b->start == b->end)
		buffer_release(b);
}

void buffer_release(struct buffer *b)
{
	free(b->memory);
	*b = BUFFER_INIT;
}
