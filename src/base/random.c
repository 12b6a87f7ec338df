#include "base/random.h"

#include <assert.h>

#define PCG_MULTIPLIER UINT64_C(6364136223846793005)

void random_init(struct random *r, uint64_t seed)
{
	r->state = 0;
	r->increment = (seed << 1) | 1;
	random_u32(r);
	r->state += seed * PCG_MULTIPLIER;
	random_u32(r);
}

uint32_t random_u32(struct random *r)
{
	uint64_t old = r->state;
	r->state = old * PCG_MULTIPLIER + r->increment;
	uint32_t mixed = (uint32_t)(((old >> 18) ^ old) >> 27);
	uint32_t turn = (uint32_t)(old >> 59);
	return (mixed >> turn) | (mixed << ((32 - turn) & 31));
}

uint32_t random_below(struct random *r, uint32_t bound)
{
	assert(bound > 0);
	/* Values under 2^32 mod bound would favour the small remainders: draw again. */
	uint32_t unfair = (uint32_t)(-bound) % bound;
	for (;;) {
		uint32_t drawn = random_u32(r);
		if (drawn >= unfair)
			return drawn % bound;
	}
}

double random_unit(struct random *r)
{
	uint64_t high = random_u32(r) >> 5;
	uint64_t low = random_u32(r) >> 6;
	return (double)((high << 26) | low) * 0x1p-53;
}

int64_t random_span(struct random *r, int64_t limit_ns)
{
	if (limit_ns <= 0)
		return 0;
	return (int64_t)(random_unit(r) * ((double)limit_ns + 1.0));
}
