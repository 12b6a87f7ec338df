#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"
#include "core/minmax.h"

#define WINDOW (100 * NS_PER_S)

static void the_first_sample_is_the_least(void **state)
{
	struct minmax m = {0};
	assert_int_equal(minmax_value(&m), 0);
	assert_int_equal(minmax_least(&m, 7, WINDOW, 0), 7);
	assert_int_equal(minmax_value(&m), 7);
}

static void a_better_one_takes_its_place_at_once(void **state)
{
	struct minmax m = {0};
	minmax_least(&m, 7, WINDOW, 0);
	assert_int_equal(minmax_least(&m, 5, WINDOW, 1), 5);
	assert_int_equal(minmax_least(&m, 6, WINDOW, 2), 5);
	struct minmax g = {0};
	minmax_greatest(&g, 7, WINDOW, 0);
	assert_int_equal(minmax_greatest(&g, 5, WINDOW, 1), 7);
	assert_int_equal(minmax_greatest(&g, 8, WINDOW, 2), 8);
}

static void the_best_is_forgotten_after_the_window(void **state)
{
	struct minmax m = {0};
	minmax_least(&m, 5, WINDOW, 0);
	for (int s = 10; s <= 100; s += 10)
		assert_int_equal(minmax_least(&m, 9, WINDOW, s * NS_PER_S), 5);
	assert_int_equal(minmax_least(&m, 9, WINDOW, 101 * NS_PER_S), 9);
}

static void the_last_answer_stays_while_there_is_no_news(void **state)
{
	struct minmax m = {0};
	minmax_least(&m, 5, WINDOW, 0);
	assert_int_equal(minmax_value(&m), 5);
	/* And then what is new is all there is. */
	assert_int_equal(minmax_least(&m, 9, WINDOW, 500 * NS_PER_S), 9);
}

/* Never better than the window's best, and no worse than that of its last half. */
static void it_is_near_the_exact_answer_for_any_samples(void **state)
{
	enum { COUNT = 2000 };
	static int64_t values[COUNT];
	for (uint64_t seed = 1; seed <= 50; seed++) {
		struct random random;
		struct minmax m = {0};
		random_init(&random, seed);
		for (int i = 0; i < COUNT; i++) {
			values[i] = 1 + random_span(&random, 1000);
			int64_t least = minmax_least(&m, values[i], WINDOW, i * NS_PER_S);
			int64_t whole = values[i], half = values[i];
			for (int age = 0; age <= 100 && age <= i; age++) {
				int64_t value = values[i - age];
				whole = value < whole ? value : whole;
				if (age <= 25)
					half = value < half ? value : half;
			}
			if (least < whole || least > half)
				fail_msg("seed %d, sample %d: %d, not %d to %d", (int)seed, i,
					(int)least, (int)whole, (int)half);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_sample_is_the_least),
		cmocka_unit_test(a_better_one_takes_its_place_at_once),
		cmocka_unit_test(the_best_is_forgotten_after_the_window),
		cmocka_unit_test(the_last_answer_stays_while_there_is_no_news),
		cmocka_unit_test(it_is_near_the_exact_answer_for_any_samples),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
