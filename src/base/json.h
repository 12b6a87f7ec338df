/*
 * json - what every writer of JSON needs beside Jansson: no memory is the end.
 */
#ifndef STANDPIPE_BASE_JSON_H
#define STANDPIPE_BASE_JSON_H

#include <jansson.h>
#include <stdlib.h>

#include "base/instant.h"

/* Takes `value`, which must not be NULL, nor hold a text that is no UTF-8. */
static inline void json_put(json_t *object, const char *key, json_t *value)
{
	if (json_object_set_new(object, key, value) != 0)
		abort();
}

static inline json_t *json_seconds(int64_t span_ns)
{
	return json_real(s_from_ns(span_ns));
}

#endif
