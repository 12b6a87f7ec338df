/*
 * random - seeded pseudo-random numbers; the same seed gives the same sequence everywhere.
 *
 * The generator is PCG-XSH-RR 64/32 (O'Neill, "PCG: A Family of Simple Fast Space-Efficient
 * Statistically Good Algorithms", 2014). Not for secrets.
 */
#ifndef STANDPIPE_BASE_RANDOM_H
#define STANDPIPE_BASE_RANDOM_H

#include <stdint.h>

struct random {
	uint64_t state;
	uint64_t increment; /* odd; selects the stream */
};

void random_init(struct random *r, uint64_t seed);

/* 32 uniform bits. */
uint32_t random_u32(struct random *r);

/* Uniform in [0, bound), without modulo bias; `bound` > 0. */
uint32_t random_below(struct random *r, uint32_t bound);

/* Uniform in [0, 1), a multiple of 2^-53. */
double random_unit(struct random *r);

/* Uniform span in [0, limit_ns]; zero when `limit_ns` <= 0. */
int64_t random_span(struct random *r, int64_t limit_ns);

#endif
