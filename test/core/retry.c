#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/retry.h"

static const struct retry_settings development = {
	.retries = 3, .base_ns = NS_PER_S, .cap_ns = 10 * NS_PER_S, .factor = 2.0};
static const struct retry_settings production = {
	.retries = 5, .base_ns = 2 * NS_PER_S, .cap_ns = 30 * NS_PER_S, .factor = 2.0};

static void the_first_try_is_at_once(void **state)
{
	struct retry r;
	retry_init(&r, &production);
	assert_true(retry_admits(&r, 0));
	assert_true(retry_admits(&r, INT64_MIN + 1));
	assert_false(retry_is_exhausted(&r));
}

static void bounds_double_from_the_base_up_to_the_cap(void **state)
{
	const int dev_s[] = {1, 2, 4, 8, 10, 10};
	const int prod_s[] = {2, 4, 8, 16, 30, 30};
	for (int i = 0; i < 6; i++) {
		assert_int_equal(retry_bound(&development, i + 1), dev_s[i] * NS_PER_S);
		assert_int_equal(retry_bound(&production, i + 1), prod_s[i] * NS_PER_S);
	}
}

static void any_number_of_failures_ends_at_the_cap(void **state)
{
	const struct retry_settings gentle = {.base_ns = 1, .cap_ns = NS_PER_S, .factor = 1.5};
	assert_int_equal(retry_bound(&production, 1000), 30 * NS_PER_S);
	assert_int_equal(retry_bound(&production, INT32_MAX), 30 * NS_PER_S);
	assert_int_equal(retry_bound(&gentle, INT32_MAX), NS_PER_S);
	assert_int_equal(retry_bound(&gentle, 3), 2); /* 1 x 1.5^2 = 2.25 */
}

static void a_factor_of_one_keeps_the_delay_and_a_base_of_zero_is_none(void **state)
{
	struct retry_settings settings = production;
	settings.factor = 1.0;
	assert_int_equal(retry_bound(&settings, 100), 2 * NS_PER_S);
	settings = production;
	settings.base_ns = 0;
	assert_int_equal(retry_bound(&settings, 1), 0);
	assert_int_equal(retry_bound(&settings, 5000), 0);
}

static void a_base_over_the_cap_is_cut(void **state)
{
	const struct retry_settings settings = {
		.base_ns = 50 * NS_PER_S, .cap_ns = 30 * NS_PER_S, .factor = 2.0};
	assert_int_equal(retry_bound(&settings, 1), 30 * NS_PER_S);
}

/* Full jitter: uniform from nothing to the bound, so that a fleet spreads out. */
static void delays_fill_the_whole_span_evenly(void **state)
{
	struct random random;
	random_init(&random, 11);
	for (int failures = 1; failures <= 6; failures++) {
		int64_t bound_ns = retry_bound(&production, failures);
		double sum = 0.0;
		int tenths[10] = {0};
		for (int i = 0; i < 10000; i++) {
			struct retry r;
			retry_init(&r, &production);
			r.failures = failures - 1;
			retry_failed(&r, 100, &random);
			int64_t delay_ns = r.next_at - 100;
			assert_in_range(delay_ns, 0, bound_ns);
			assert_int_equal(r.failures, failures);
			sum += (double)delay_ns / (double)bound_ns;
			int tenth = (int)(10 * delay_ns / bound_ns);
			tenths[tenth < 10 ? tenth : 9]++;
		}
		assert_true(sum / 10000 > 0.48 && sum / 10000 < 0.52);
		for (int i = 0; i < 10; i++)
			assert_in_range(tenths[i], 850, 1150);
	}
}

static void the_next_try_waits_for_its_delay_and_no_longer(void **state)
{
	struct random random;
	struct retry r;
	random_init(&random, 3);
	retry_init(&r, &production);
	retry_failed(&r, 10 * NS_PER_S, &random);
	assert_true(r.next_at > 10 * NS_PER_S);
	assert_false(retry_admits(&r, r.next_at - 1));
	assert_true(retry_admits(&r, r.next_at));
}

static void a_success_starts_over(void **state)
{
	struct random random;
	struct retry r;
	random_init(&random, 3);
	retry_init(&r, &production);
	for (int i = 0; i < 8; i++)
		retry_failed(&r, 0, &random);
	retry_succeeded(&r);
	assert_int_equal(r.failures, 0);
	assert_true(retry_admits(&r, 0));
	assert_false(retry_is_exhausted(&r));
	retry_failed(&r, 0, &random);
	assert_in_range(r.next_at, 0, 2 * NS_PER_S);
}

static void three_retries_follow_the_first_try_in_development_and_five_in_production(void **state)
{
	const struct retry_settings *const settings[] = {&development, &production};
	for (int i = 0; i < 2; i++) {
		struct random random;
		struct retry r;
		random_init(&random, 3);
		retry_init(&r, settings[i]);
		for (int n = 0; n < settings[i]->retries; n++) {
			retry_failed(&r, 0, &random);
			assert_false(retry_is_exhausted(&r));
		}
		retry_failed(&r, 0, &random);
		assert_true(retry_is_exhausted(&r));
		assert_int_equal(r.failures, i == 0 ? 4 : 6);
	}
}

/* ---- the budget ---- */

static struct retry with_budget(double budget)
{
	struct retry_settings settings = production;
	settings.budget = budget;
	struct retry r;
	retry_init(&r, &settings);
	return r;
}

static void a_fresh_one_has_as_many_as_its_retries(void **state)
{
	struct retry r = with_budget(0.2);
	struct random random, same;
	random_init(&random, 5);
	same = random;
	for (int i = 1; i <= 5; i++) {
		retry_begins(&r);
		retry_failed(&r, 0, &random);
		assert_int_equal(r.next_at, random_span(&same, retry_bound(&production, i)));
	}
	assert_int_equal(r.broke, 0);
	retry_begins(&r);
	retry_failed(&r, 0, &random);
	assert_int_equal(r.broke, 1);
}

static void without_a_token_a_try_waits_for_the_cap_and_not_longer(void **state)
{
	struct retry r = with_budget(0.2);
	struct random random;
	random_init(&random, 5);
	for (int i = 0; i < 5; i++)
		retry_failed(&r, 0, &random);
	for (int i = 0; i < 1000; i++) {
		retry_begins(&r);
		retry_failed(&r, 0, &random);
		assert_in_range(r.next_at, 15 * NS_PER_S, 30 * NS_PER_S);
	}
}

/* Each try is followed by a success, and that by a loss. */
static int retries_at_base(struct retry *r, int times)
{
	struct random random;
	int quick = 0;
	random_init(&random, 5);
	for (int i = 0; i < times; i++) {
		retry_begins(r);
		retry_succeeded(r);
		retry_failed(r, 0, &random);
		quick += r->next_at <= 2 * NS_PER_S;
		retry_begins(r); /* the retry itself earns nothing */
		retry_succeeded(r);
	}
	return quick;
}

static void in_the_long_run_retries_are_a_share_of_what_is_tried(void **state)
{
	struct retry r = with_budget(0.2);
	assert_in_range(retries_at_base(&r, 1000), 200, 206);
	r = with_budget(0.0);
	assert_int_equal(retries_at_base(&r, 1000), 1000);
}

static void what_goes_well_fills_it_again_up_to_the_retries(void **state)
{
	struct retry r = with_budget(0.2);
	struct random random;
	random_init(&random, 5);
	for (int i = 0; i < 5; i++)
		retry_failed(&r, 0, &random);
	assert_true(r.tokens == 0.0);
	retry_succeeded(&r);
	for (int i = 0; i < 1000; i++)
		retry_begins(&r);
	assert_true(r.tokens == 5.0);
	struct retry_settings fewer = r.settings;
	fewer.retries = 2;
	retry_configure(&r, &fewer, 0);
	assert_true(r.tokens == 2.0);
}

static void time_that_goes_well_fills_it_again(void **state)
{
	struct retry r = with_budget(0.2);
	struct random random;
	random_init(&random, 5);
	for (int i = 0; i < 5; i++)
		retry_failed(&r, 0, &random);
	assert_true(retry_tokens(&r, 60 * NS_PER_S) == 0.0); /* it is not well yet */
	retry_succeeded(&r);
	assert_true(retry_tokens(&r, 15 * NS_PER_S) == 1.0);
	assert_true(retry_tokens(&r, 60 * NS_PER_S) == 4.0);
	assert_true(retry_tokens(&r, INSTANT_NEVER) == 5.0);

	/* The next outage is retried as the first was. */
	retry_failed(&r, 60 * NS_PER_S, &random);
	assert_true(r.tokens == 3.0);
	assert_in_range(r.next_at, 60 * NS_PER_S, 62 * NS_PER_S);
	assert_int_equal(r.broke, 0);
}

static void news_ends_the_pause_but_forgets_nothing(void **state)
{
	struct retry r = with_budget(0.2);
	struct random random;
	random_init(&random, 5);
	for (int i = 0; i < 5; i++)
		retry_failed(&r, 0, &random);
	assert_false(retry_admits(&r, 1));
	retry_waive(&r, 1);
	assert_true(retry_admits(&r, 1));
	assert_int_equal(r.failures, 5);
	retry_waive(&r, 7); /* it lengthens none */
	assert_true(retry_admits(&r, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_try_is_at_once),
		cmocka_unit_test(bounds_double_from_the_base_up_to_the_cap),
		cmocka_unit_test(any_number_of_failures_ends_at_the_cap),
		cmocka_unit_test(a_factor_of_one_keeps_the_delay_and_a_base_of_zero_is_none),
		cmocka_unit_test(a_base_over_the_cap_is_cut),
		cmocka_unit_test(delays_fill_the_whole_span_evenly),
		cmocka_unit_test(the_next_try_waits_for_its_delay_and_no_longer),
		cmocka_unit_test(a_success_starts_over),
		cmocka_unit_test(
			three_retries_follow_the_first_try_in_development_and_five_in_production),
		cmocka_unit_test(a_fresh_one_has_as_many_as_its_retries),
		cmocka_unit_test(without_a_token_a_try_waits_for_the_cap_and_not_longer),
		cmocka_unit_test(in_the_long_run_retries_are_a_share_of_what_is_tried),
		cmocka_unit_test(what_goes_well_fills_it_again_up_to_the_retries),
		cmocka_unit_test(time_that_goes_well_fills_it_again),
		cmocka_unit_test(news_ends_the_pause_but_forgets_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
