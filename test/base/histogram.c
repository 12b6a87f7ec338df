#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/histogram.h"
#include "base/instant.h"

static void an_empty_one_has_nothing_to_say(void **state)
{
	struct histogram h = {0};
	assert_int_equal(histogram_quantile(&h, 0.5), 0);
	assert_int_equal(h.count, 0);
}

static void count_sum_and_maximum_are_exact(void **state)
{
	struct histogram h = {0};
	histogram_add(&h, 3 * NS_PER_MS);
	histogram_add(&h, 5 * NS_PER_MS);
	histogram_add(&h, -7);
	assert_int_equal(h.count, 3);
	assert_int_equal(h.sum_ns, 8 * NS_PER_MS);
	assert_int_equal(h.max_ns, 5 * NS_PER_MS);
}

static void edges_grow_by_quarters_of_a_power_of_two(void **state)
{
	assert_int_equal(histogram_edge(0), 1024);
	assert_int_equal(histogram_edge(1), 1280);
	assert_int_equal(histogram_edge(2), 1536);
	assert_int_equal(histogram_edge(3), 1792);
	assert_int_equal(histogram_edge(4), 2048);
	assert_int_equal(histogram_edge(5), 2560);
	assert_int_equal(histogram_edge(HISTOGRAM_BUCKETS - 1), INT64_C(1) << 42);
	for (int i = 1; i < HISTOGRAM_BUCKETS; i++) {
		assert_true(histogram_edge(i) > histogram_edge(i - 1));
		assert_true(4 * histogram_edge(i) <= 5 * histogram_edge(i - 1));
	}
}

/* Every span lies in the bucket whose edges hold it: below the upper one, not below the lower. */
static void every_span_is_counted_between_its_edges(void **state)
{
	for (int i = 1; i < HISTOGRAM_BUCKETS; i++) {
		struct histogram h = {0};
		histogram_add(&h, histogram_edge(i - 1));
		histogram_add(&h, histogram_edge(i) - 1);
		assert_int_equal(h.buckets[i], 2);
	}
}

static void quantiles_are_right_to_within_a_quarter(void **state)
{
	struct histogram h = {0};
	for (int64_t ms = 1; ms <= 1000; ms++)
		histogram_add(&h, ms * NS_PER_MS);
	const double quantiles[] = {0.01, 0.25, 0.5, 0.9, 0.95, 0.99};
	for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++) {
		double exact = quantiles[i] * 1000.0 * (double)NS_PER_MS;
		double told = (double)histogram_quantile(&h, quantiles[i]);
		assert_true(told >= exact && told <= exact * 1.26);
	}
	assert_int_equal(histogram_quantile(&h, 1.0), 1000 * NS_PER_MS);
}

static void a_quantile_never_exceeds_the_largest_span(void **state)
{
	struct histogram h = {0};
	histogram_add(&h, 1100);
	assert_int_equal(histogram_quantile(&h, 0.5), 1100);
}

static void what_is_longer_than_the_last_edge_is_counted_last(void **state)
{
	struct histogram h = {0};
	histogram_add(&h, INT64_C(1) << 50);
	assert_int_equal(h.buckets[HISTOGRAM_BUCKETS - 1], 1);
	assert_int_equal(h.max_ns, INT64_C(1) << 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_one_has_nothing_to_say),
		cmocka_unit_test(count_sum_and_maximum_are_exact),
		cmocka_unit_test(edges_grow_by_quarters_of_a_power_of_two),
		cmocka_unit_test(every_span_is_counted_between_its_edges),
		cmocka_unit_test(quantiles_are_right_to_within_a_quarter),
		cmocka_unit_test(a_quantile_never_exceeds_the_largest_span),
		cmocka_unit_test(what_is_longer_than_the_last_edge_is_counted_last),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
