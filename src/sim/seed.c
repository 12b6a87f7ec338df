#include "sim/seed.h"

#include <errno.h>
#include <stdlib.h>

#include "sim/sim.h"

uint64_t seed_mixed(uint64_t number)
{
	number += UINT64_C(0x9e3779b97f4a7c15);
	number = (number ^ number >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	number = (number ^ number >> 27) * UINT64_C(0x94d049bb133111eb);
	return number ^ number >> 31;
}

uint64_t sim_seed(const char *text)
{
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	uint64_t hash = 0;
	char *end;

	errno = 0;
	unsigned long long number = strtoull(text, &end, hex ? 16 : 10);
	if (*text >= '0' && *text <= '9' && *end == '\0' && errno == 0)
		return number;
	for (; *text; text++)
		hash = seed_mixed(hash ^ (uint8_t)*text);
	return hash;
}

uint64_t sim_run_seed(uint64_t seed, int number)
{
	return number == 0 ? seed : seed_mixed(seed + seed_mixed((uint64_t)number));
}
