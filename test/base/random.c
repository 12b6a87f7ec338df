#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"

#define DRAWS 100000

static void the_same_seed_gives_the_same_sequence(void **state)
{
	struct random a, b;
	random_init(&a, 42);
	random_init(&b, 42);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(random_u32(&a), random_u32(&b));
}

/* A simulator's seed must replay on every machine and after every change of this file. */
static void the_sequence_is_fixed_for_ever(void **state)
{
	struct random r;
	random_init(&r, 42);
	const uint32_t expected[] = {
		0x93f57280, 0xd3c33e9a, 0x5964b318, 0x2cbfe09d, 0xa5854708, 0xe33c8b8a};
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		assert_int_equal(random_u32(&r), expected[i]);
}

static void neighbouring_seeds_give_unrelated_sequences(void **state)
{
	int same = 0;
	for (uint64_t seed = 0; seed < 1000; seed++) {
		struct random a, b;
		random_init(&a, seed);
		random_init(&b, seed + 1);
		same += random_u32(&a) == random_u32(&b);
	}
	assert_true(same <= 1);
}

static void below_a_bound_every_value_is_equally_likely(void **state)
{
	struct random r;
	int seen[6] = {0};
	random_init(&r, 1);
	for (int i = 0; i < DRAWS; i++)
		seen[random_below(&r, 6)]++;
	/* Five standard deviations of a binomial with p = 1/6: about 590. */
	for (int i = 0; i < 6; i++)
		assert_in_range(seen[i], DRAWS / 6 - 600, DRAWS / 6 + 600);
	assert_int_equal(random_below(&r, 1), 0);
}

static void a_unit_is_at_least_zero_and_below_one(void **state)
{
	struct random r;
	double sum = 0.0, least = 1.0, most = 0.0;
	random_init(&r, 2);
	for (int i = 0; i < DRAWS; i++) {
		double unit = random_unit(&r);
		assert_true(unit >= 0.0 && unit < 1.0);
		sum += unit;
		least = unit < least ? unit : least;
		most = unit > most ? unit : most;
	}
	assert_true(sum / DRAWS > 0.495 && sum / DRAWS < 0.505);
	assert_true(least < 0.001 && most > 0.999);
}

static void a_span_reaches_both_its_ends_and_no_further(void **state)
{
	struct random r;
	bool zero = false, limit = false;
	random_init(&r, 3);
	for (int i = 0; i < 1000; i++) {
		int64_t span_ns = random_span(&r, 3);
		assert_in_range(span_ns, 0, 3);
		zero = zero || span_ns == 0;
		limit = limit || span_ns == 3;
	}
	assert_true(zero && limit);
}

static void there_is_no_span_below_nothing(void **state)
{
	struct random r;
	random_init(&r, 4);
	assert_int_equal(random_span(&r, 0), 0);
	assert_int_equal(random_span(&r, -5), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_seed_gives_the_same_sequence),
		cmocka_unit_test(the_sequence_is_fixed_for_ever),
		cmocka_unit_test(neighbouring_seeds_give_unrelated_sequences),
		cmocka_unit_test(below_a_bound_every_value_is_equally_likely),
		cmocka_unit_test(a_unit_is_at_least_zero_and_below_one),
		cmocka_unit_test(a_span_reaches_both_its_ends_and_no_further),
		cmocka_unit_test(there_is_no_span_below_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
