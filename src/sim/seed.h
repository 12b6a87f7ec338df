/*
 * seed - numbers that look unrelated from numbers that are not.
 */
#ifndef STANDPIPE_SIM_SEED_H
#define STANDPIPE_SIM_SEED_H

#include <stdint.h>

/* Every bit of the result depends on every bit of the number (SplitMix64's finish; Steele, Lea and
 * Flood, "Fast Splittable Pseudorandom Number Generators", 2014). */
uint64_t seed_mixed(uint64_t number);

#endif
