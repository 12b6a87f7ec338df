#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"
#include "core/hysteresis.h"

static const struct hysteresis_bounds bounds = {.enter = 0.7, .leave = 0.6, .settle_ns = 5};

static void on_at_once_over_the_upper_bound(void **state)
{
	struct hysteresis h = {0};
	assert_false(hysteresis_update(&h, 0.7, &bounds, 0));
	assert_true(hysteresis_update(&h, 0.71, &bounds, 0));
}

static void off_after_a_while_under_the_lower_bound(void **state)
{
	struct hysteresis h = {0};
	hysteresis_update(&h, 0.8, &bounds, 0);
	assert_int_equal(hysteresis_deadline(&h, 5), INSTANT_NEVER);
	assert_true(hysteresis_update(&h, 0.61, &bounds, 100));
	assert_true(hysteresis_update(&h, 0.6, &bounds, 101));
	assert_int_equal(hysteresis_deadline(&h, 5), 106);
	assert_true(hysteresis_update(&h, 0.0, &bounds, 105));
	assert_false(hysteresis_update(&h, 0.6, &bounds, 106));
	assert_int_equal(hysteresis_deadline(&h, 5), INSTANT_NEVER);
	assert_false(hysteresis_update(&h, 0.7, &bounds, 107));
}

static void a_break_begins_it_anew(void **state)
{
	struct hysteresis h = {0};
	hysteresis_update(&h, 0.8, &bounds, 0);
	hysteresis_update(&h, 0.1, &bounds, 1);
	assert_true(hysteresis_update(&h, 0.65, &bounds, 5));
	assert_true(hysteresis_update(&h, 0.1, &bounds, 6));
	assert_true(hysteresis_update(&h, 0.1, &bounds, 10));
	assert_false(hysteresis_update(&h, 0.1, &bounds, 11));
}

/* Wherever its middle lies: noise of a tenth around it changes the answer once at most, and of any
 * size no more often than once in the time to settle. */
static void noise_does_not_make_it_flap(void **state)
{
	for (uint64_t seed = 1; seed <= 300; seed++) {
		struct random random;
		random_init(&random, seed);
		double middle = 0.5 + 0.4 * random_unit(&random);
		bool wild = seed % 3 == 0;
		double spread = wild ? 1.0 : 0.05;
		struct hysteresis h = {0};
		int changes = 0;
		const int turns = 10000, settle = 20;
		const struct hysteresis_bounds b = {0.7, 0.6, settle};
		for (int i = 0; i < turns; i++) {
			bool was = h.on;
			double noise = spread * (2.0 * random_unit(&random) - 1.0);
			changes += hysteresis_update(&h, middle + noise, &b, i) != was;
		}
		int most = wild ? 2 * turns / settle : 1;
		if (changes > most)
			fail_msg("seed %d: %d changes", (int)seed, changes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(on_at_once_over_the_upper_bound),
		cmocka_unit_test(off_after_a_while_under_the_lower_bound),
		cmocka_unit_test(a_break_begins_it_anew),
		cmocka_unit_test(noise_does_not_make_it_flap),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
