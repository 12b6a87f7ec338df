/*
 * stretch - what is passed on as it is: adjacent messages, sent from where they lie in one call.
 */
#ifndef STANDPIPE_GATE_STRETCH_H
#define STANDPIPE_GATE_STRETCH_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

struct stretch {
	const uint8_t *from, *to;
};

static inline size_t stretch_len(const struct stretch *s)
{
	return (size_t)(s->to - s->from);
}

/* The bytes must follow those that are in it. */
static inline void stretch_add(struct stretch *s, const uint8_t *at, size_t len)
{
	if (s->from == s->to)
		s->from = at;
	else
		assert(s->to == at);
	s->to = at + len;
}

/* Puts it behind what is in `out`, so that something else can follow it. */
static inline void stretch_end(struct stretch *s, struct buffer *out)
{
	buffer_append(out, s->from, stretch_len(s));
	s->from = s->to = NULL;
}

#endif
