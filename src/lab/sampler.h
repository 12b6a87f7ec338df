/*
 * sampler - how many client connections the database has, asked every SAMPLER_EVERY_MS straight
 * over its Unix socket as superuser, past path and limits.
 *
 * Counted are backends of kind `client backend` without the sampler's own. One that is still
 * logging in is not in the server's view yet.
 */
#ifndef STANDPIPE_LAB_SAMPLER_H
#define STANDPIPE_LAB_SAMPLER_H

#include <stdint.h>
#include <uv.h>

#include "lab/postgres.h"

#define SAMPLER_EVERY_MS 100

struct sampler;

/* `postgres` is borrowed until sampler_free. While the database is down it tries again. */
struct sampler *sampler_new(uv_loop_t *loop, const struct postgres *postgres);

/* At the last sample, and the most since sampler_new; samples taken. */
int sampler_now(const struct sampler *s);
int sampler_peak(const struct sampler *s);
int64_t sampler_count(const struct sampler *s);

/* NULL is allowed. Its memory goes when the loop has closed its handles. */
void sampler_free(struct sampler *s);

#endif
