/*
 * exact - copies of bytes in memory of exactly their size, so that a sanitizer sees every read past
 * the end.
 */
#ifndef STANDPIPE_TEST_EXACT_H
#define STANDPIPE_TEST_EXACT_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

/* Free `at` afterwards. */
static inline struct bytes exact(const void *at, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	if (!copy)
		abort();
	if (len)
		memcpy(copy, at, len);
	/* Nothing at all is past the end of something. */
	return (struct bytes){len ? copy : copy + 1, len};
}

static inline void exact_free(struct bytes b)
{
	free((uint8_t *)(uintptr_t)b.at - (b.len ? 0 : 1));
}

/* Bytes in a literal, which may hold zeros; without its last. */
#define EXACT(literal) exact(literal, sizeof(literal) - 1)

#endif
