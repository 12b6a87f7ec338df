#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/instant.h"
#include "base/random.h"
#include "bug.h"
#include "core/connects.h"

#define MS NS_PER_MS

static struct connects with(enum connects_rule rule, int window_max)
{
	const struct connects_settings settings = {.window_max = window_max, .rule = rule};
	struct connects c;
	connects_init(&c, &settings);
	return c;
}

/* A connect whose handshake took `times` the least, which is 15 ms, and 5 ms of noise. */
static struct connects_sample swollen(double times)
{
	struct connects_sample sample = {0};
	for (enum stage stage = STAGE_TCP; stage <= STAGE_AUTH; stage++)
		sample.stage_ns[stage] = sample.least_ns[stage] = 15 * MS;
	sample.stage_ns[STAGE_TCP] = (int64_t)(times * 20 * (double)MS);
	return sample;
}

/* As many as it lets through. */
static int admit_all(struct connects *c)
{
	int count = 0;
	while (connects_admit(c))
		count++;
	return count;
}

static void succeed_after(struct connects *c, int count, double times)
{
	struct connects_sample sample = swollen(times);
	for (int i = 0; i < count; i++)
		connects_succeeded(c, &sample);
}

static void succeed(struct connects *c, int count)
{
	succeed_after(c, count, 0.75);
}

/* Uses the window up, again and again, as long as all goes well. */
static void use(struct connects *c, int rounds, double times)
{
	for (int i = 0; i < rounds; i++)
		succeed_after(c, admit_all(c), times);
}

static const enum connects_rule learning[] = {CONNECTS_AIMD, CONNECTS_VEGAS, CONNECTS_GRADIENT};
#define LEARNING 3

static void every_rule_that_learns_begins_with_one_attempt(void **state)
{
	for (int i = 0; i < LEARNING; i++) {
		struct connects c = with(learning[i], 16);
		assert_int_equal(admit_all(&c), 1);
		connects_abandoned(&c);
		assert_int_equal(admit_all(&c), 1);
	}
}

static void a_fixed_window_is_what_it_is_whatever_happens(void **state)
{
	struct connects c = with(CONNECTS_FIXED, 7);
	assert_int_equal(admit_all(&c), 7);
	connects_lost(&c, true, 0, 1);
	connects_dropped(&c, 2, 3);
	succeed_after(&c, 6, 100.0);
	assert_int_equal(admit_all(&c), 7);
}

static void it_doubles_with_each_windows_worth_of_successes(void **state)
{
	for (int rule = 0; rule < 2; rule++) {
		struct connects c = with(learning[rule], 16);
		const int windows[] = {1, 2, 4, 8, 16, 16};
		for (int i = 0; i < 6; i++) {
			assert_int_equal(admit_all(&c), windows[i]);
			succeed(&c, windows[i]);
		}
		assert_true(c.window == 16.0);
	}
}

static void a_loss_halves_it_and_growth_is_slow_from_there(void **state)
{
	struct connects c = with(CONNECTS_AIMD, 64);
	use(&c, 4, 0.75);
	assert_int_equal(admit_all(&c), 16);
	succeed(&c, 8);
	assert_true(c.window == 24.0);
	connects_lost(&c, false, 10, 20);
	assert_true(c.window == 12.0);
	assert_true(c.threshold == 12.0);
	succeed(&c, 7);
	/* A whole window of successes adds about one. */
	double before = c.window;
	succeed(&c, admit_all(&c));
	assert_true(c.window > before + 0.8 && c.window < before + 1.0);
}

static void those_of_one_round_tell_of_one_trouble(void **state)
{
	struct connects c = with(CONNECTS_AIMD, 64);
	use(&c, 3, 0.75);
	assert_int_equal(admit_all(&c), 8);
	for (int i = 0; i < 4; i++)
		connects_lost(&c, false, 100 + i, 200 + i);
	assert_true(c.window == 4.0);
	assert_int_equal(c.cuts, 1);
	connects_lost(&c, false, 200, 300); /* as it gave way: who knows */
	assert_true(c.window == 4.0);
	connects_lost(&c, false, 201, 300);
	assert_true(c.window == 2.0);
	assert_int_equal(c.cuts, 2);
}

static void after_silence_it_is_one_and_comes_back_to_half_of_what_it_was(void **state)
{
	for (int i = 0; i < LEARNING; i++) {
		struct connects c = with(learning[i], 64);
		use(&c, 100, 0.75);
		assert_true(c.window > 16.0);
		double before = c.window;
		admit_all(&c);
		connects_lost(&c, true, 10, 20);
		assert_true(c.window == 1.0);
		assert_true(c.threshold == before / 2.0);
		/* Also that of the same round, if it was only refused before. */
		c.window = 8.0;
		connects_lost(&c, false, 10, 30);
		assert_true(c.window == 8.0);
		connects_lost(&c, true, 10, 40);
		assert_true(c.window == 1.0);
	}
	struct connects c = with(CONNECTS_AIMD, 64);
	use(&c, 4, 0.75);
	admit_all(&c);
	connects_lost(&c, true, 10, 20);
	while (c.under_way > 0)
		connects_abandoned(&c);
	use(&c, 3, 0.75);
	assert_true(c.window == 8.0); /* 1, 2, 4: doubled */
	use(&c, 1, 0.75);
	assert_true(c.window < 9.0);
}

static void a_dropped_handshake_halves_it_and_goes_on(void **state)
{
	for (int i = 0; i < LEARNING; i++) {
		struct connects c = with(learning[i], 16);
		use(&c, 100, 0.75);
		double before = c.window;
		int under_way = admit_all(&c);
		connects_dropped(&c, 10, 20);
		connects_dropped(&c, 10, 21); /* another, of the same moment */
		assert_true(c.window == before / 2.0);
		assert_int_equal(c.under_way, under_way);
		connects_dropped(&c, 22, 40); /* dialled afresh since then */
		assert_true(c.window == before / 4.0);
	}
}

static void it_never_falls_below_one(void **state)
{
	for (int i = 0; i < LEARNING; i++) {
		struct connects c = with(learning[i], 16);
		for (int round = 0; round < 20; round++) {
			assert_int_equal(admit_all(&c), 1);
			connects_lost(&c, round % 2, 10 * round, 10 * round + 5);
		}
		assert_true(c.window == 1.0);
		use(&c, 400, 0.75);
		assert_true(c.window > 8.0);
		use(&c, 10, 1000.0);
		assert_true(c.window >= 1.0);
	}
}

static void it_never_exceeds_its_maximum(void **state)
{
	for (int i = 0; i < LEARNING; i++) {
		struct connects c = with(learning[i], 3);
		use(&c, 100, 0.75);
		assert_int_equal(admit_all(&c), 3);
		assert_true(c.window <= 3.0);
	}
}

static void one_that_is_not_used_does_not_grow(void **state)
{
	struct connects c = with(CONNECTS_AIMD, 64);
	use(&c, 3, 0.75);
	assert_true(c.window == 8.0);
	for (int i = 0; i < 100; i++) {
		for (int j = 0; j < 3; j++)
			connects_admit(&c);
		succeed(&c, 3);
	}
	assert_true(c.window == 8.0);
}

static void aimd_is_held_by_swelling_times(void **state)
{
	struct connects c = with(CONNECTS_AIMD, 16);
	use(&c, 1, 4.01);
	assert_true(c.window == 1.0);
	use(&c, 1, 4.0);
	assert_true(c.window == 2.0);
}

/* A path that serves `capacity` at once: more than that wait in a queue, and all take longer. */
static double settles_at(enum connects_rule rule, double capacity)
{
	struct connects c = with(rule, 100);
	for (int round = 0; round < 300; round++) {
		int under_way = admit_all(&c);
		double times = under_way / capacity;
		succeed_after(&c, under_way, times < 1.0 ? 1.0 : times);
	}
	return c.window;
}

static void vegas_leaves_an_attempt_or_two_in_the_queue(void **state)
{
	assert_in_range((int)settles_at(CONNECTS_VEGAS, 10.0), 10, 13);
	assert_in_range((int)settles_at(CONNECTS_VEGAS, 30.0), 30, 33);
}

static void the_gradient_settles_a_little_above_what_is_carried(void **state)
{
	/* Where g L + sqrt(L) = L: half as much again, and the headroom. */
	assert_in_range((int)settles_at(CONNECTS_GRADIENT, 10.0), 15, 26);
	assert_in_range((int)settles_at(CONNECTS_GRADIENT, 30.0), 45, 62);
}

/* Two of them on one path, one far ahead: it drops a handshake of both when they are too many. */
static void strangers_come_to_equal_shares(void **state)
{
	struct connects a = with(CONNECTS_AIMD, 64), b = with(CONNECTS_AIMD, 64);
	use(&a, 6, 0.75);
	instant now = 0;
	for (int round = 0; round < 400; round++) {
		now += 10;
		int under_way_a = admit_all(&a), under_way_b = admit_all(&b);
		succeed(&a, under_way_a - 1);
		succeed(&b, under_way_b - 1);
		if (under_way_a + under_way_b > 40) {
			connects_lost(&a, false, now, now + 1);
			connects_lost(&b, false, now, now + 1);
		} else {
			succeed(&a, 1);
			succeed(&b, 1);
		}
	}
	double ratio = a.window / b.window;
	assert_true(ratio > 0.8 && ratio < 1.25);
	assert_in_range((int)(a.window + b.window), 18, 44);
}

static void the_worst_stage_counts_and_the_name_does_not(void **state)
{
	struct connects_sample sample = swollen(0.75);
	assert_true(connects_swell(&sample) == 1.0);
	sample.stage_ns[STAGE_AUTH] = 60 * MS;
	assert_true(connects_swell(&sample) == 3.0);
	sample.stage_ns[STAGE_TLS] = 100 * MS;
	assert_true(connects_swell(&sample) == 5.0);
	sample.least_ns[STAGE_TLS] = 0; /* no TLS before: nothing to compare it with */
	assert_true(connects_swell(&sample) == 3.0);
	sample.stage_ns[STAGE_DNS] = 1000 * sample.least_ns[STAGE_TCP];
	sample.least_ns[STAGE_DNS] = 1;
	assert_true(connects_swell(&sample) == 3.0);
}

static void what_only_the_scheduler_did_is_no_swelling(void **state)
{
	struct connects_sample sample = {0};
	sample.least_ns[STAGE_TCP] = MS / 10;
	sample.stage_ns[STAGE_TCP] = 5 * MS;
	assert_true(connects_swell(&sample) == 1.0);
}

static void what_tells_nothing_of_the_path_leaves_it_alone(void **state)
{
	struct connects c = with(CONNECTS_AIMD, 16);
	use(&c, 1, 0.75);
	assert_int_equal(admit_all(&c), 2);
	connects_abandoned(&c);
	connects_abandoned(&c);
	assert_true(c.window == 2.0);
	assert_int_equal(c.under_way, 0);
}

static void another_rule_goes_on_from_where_the_window_is(void **state)
{
	struct connects c = with(CONNECTS_AIMD, 16);
	use(&c, 3, 0.75);
	connects_configure(&c, &(struct connects_settings){16, CONNECTS_VEGAS});
	assert_true(c.window == 8.0);
	connects_configure(&c, &(struct connects_settings){6, CONNECTS_VEGAS});
	assert_true(c.window == 6.0);
	connects_configure(&c, &(struct connects_settings){12, CONNECTS_FIXED});
	assert_true(c.window == 12.0);
	connects_configure(&c, &(struct connects_settings){12, CONNECTS_AIMD});
	assert_true(c.window == 1.0); /* a fixed one has learned nothing */
}

static void an_end_without_an_attempt_is_a_bug(void **state)
{
	struct connects c = with(CONNECTS_AIMD, 16);
	struct connects_sample sample = swollen(1.0);
	assert_true(IS_BUG(connects_succeeded(&c, &sample)));
	assert_true(IS_BUG(connects_lost(&c, false, 0, 0)));
	assert_true(IS_BUG(connects_abandoned(&c)));
}

static void rules_have_names(void **state)
{
	assert_string_equal(connects_rule_name(CONNECTS_FIXED), "fixed");
	assert_string_equal(connects_rule_name(CONNECTS_AIMD), "aimd");
	assert_string_equal(connects_rule_name(CONNECTS_VEGAS), "vegas");
	assert_string_equal(connects_rule_name(CONNECTS_GRADIENT), "gradient");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_rule_that_learns_begins_with_one_attempt),
		cmocka_unit_test(a_fixed_window_is_what_it_is_whatever_happens),
		cmocka_unit_test(it_doubles_with_each_windows_worth_of_successes),
		cmocka_unit_test(a_loss_halves_it_and_growth_is_slow_from_there),
		cmocka_unit_test(those_of_one_round_tell_of_one_trouble),
		cmocka_unit_test(after_silence_it_is_one_and_comes_back_to_half_of_what_it_was),
		cmocka_unit_test(a_dropped_handshake_halves_it_and_goes_on),
		cmocka_unit_test(it_never_falls_below_one),
		cmocka_unit_test(it_never_exceeds_its_maximum),
		cmocka_unit_test(one_that_is_not_used_does_not_grow),
		cmocka_unit_test(aimd_is_held_by_swelling_times),
		cmocka_unit_test(vegas_leaves_an_attempt_or_two_in_the_queue),
		cmocka_unit_test(the_gradient_settles_a_little_above_what_is_carried),
		cmocka_unit_test(strangers_come_to_equal_shares),
		cmocka_unit_test(the_worst_stage_counts_and_the_name_does_not),
		cmocka_unit_test(what_only_the_scheduler_did_is_no_swelling),
		cmocka_unit_test(what_tells_nothing_of_the_path_leaves_it_alone),
		cmocka_unit_test(another_rule_goes_on_from_where_the_window_is),
		cmocka_unit_test(an_end_without_an_attempt_is_a_bug),
		cmocka_unit_test(rules_have_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
