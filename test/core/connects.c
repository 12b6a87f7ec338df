#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/instant.h"
#include "bug.h"
#include "core/connects.h"

#define LEAST_NS (10 * NS_PER_MS)

static struct connects with_max(int window_max)
{
	const struct connects_settings settings = {.window_max = window_max};
	struct connects c;
	connects_init(&c, &settings);
	return c;
}

/* As many as it lets through. */
static int admit_all(struct connects *c)
{
	int count = 0;
	while (connects_admit(c))
		count++;
	return count;
}

static void succeed(struct connects *c, int count)
{
	for (int i = 0; i < count; i++)
		connects_succeeded(c, LEAST_NS, LEAST_NS);
}

static void it_begins_with_one_attempt(void **state)
{
	struct connects c = with_max(16);
	assert_int_equal(admit_all(&c), 1);
	connects_abandoned(&c);
	assert_int_equal(admit_all(&c), 1);
}

static void it_doubles_with_each_windows_worth_of_successes(void **state)
{
	struct connects c = with_max(16);
	const int windows[] = {1, 2, 4, 8, 16, 16};
	for (int i = 0; i < 6; i++) {
		assert_int_equal(admit_all(&c), windows[i]);
		succeed(&c, windows[i]);
	}
	assert_true(c.window == 16.0);
}

static void a_loss_halves_it_and_growth_is_slow_from_there(void **state)
{
	struct connects c = with_max(64);
	for (int window = 1; window < 16; window *= 2)
		succeed(&c, admit_all(&c));
	assert_int_equal(admit_all(&c), 16);
	succeed(&c, 15);
	assert_true(c.window == 31.0);
	connects_lost(&c);
	assert_true(c.window == 15.5);
	assert_true(c.threshold == 15.5);
	/* A whole window of successes adds about one. */
	assert_int_equal(admit_all(&c), 15);
	succeed(&c, 15);
	assert_true(c.window > 16.4 && c.window < 16.5);
}

static void it_never_falls_below_one(void **state)
{
	struct connects c = with_max(16);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(admit_all(&c), 1);
		connects_lost(&c);
	}
	assert_true(c.window == 1.0);
	/* And it comes back: 1, 2, 2.5, 2.9, 3.2 ... */
	assert_int_equal(admit_all(&c), 1);
	succeed(&c, 1);
	assert_int_equal(admit_all(&c), 2);
	succeed(&c, 2);
	assert_true(c.window == 2.0 + 1.0 / 2.0 + 1.0 / 2.5);
}

static void it_never_exceeds_its_maximum(void **state)
{
	struct connects c = with_max(3);
	for (int i = 0; i < 100; i++)
		succeed(&c, admit_all(&c));
	assert_int_equal(admit_all(&c), 3);
	assert_true(c.window == 3.0);
}

static void swelling_times_hold_it_where_it_is(void **state)
{
	struct connects c = with_max(16);
	assert_int_equal(admit_all(&c), 1);
	connects_succeeded(&c, 4 * LEAST_NS + 1, LEAST_NS);
	assert_true(c.window == 1.0);
	assert_int_equal(admit_all(&c), 1);
	connects_succeeded(&c, 4 * LEAST_NS, LEAST_NS);
	assert_true(c.window == 2.0);
	assert_int_equal(admit_all(&c), 2);
	connects_succeeded(&c, 100 * LEAST_NS, 0); /* nothing known to compare it with */
	assert_true(c.window == 3.0);
}

static void what_tells_nothing_of_the_path_leaves_it_alone(void **state)
{
	struct connects c = with_max(16);
	succeed(&c, admit_all(&c));
	assert_int_equal(admit_all(&c), 2);
	connects_abandoned(&c);
	connects_abandoned(&c);
	assert_true(c.window == 2.0);
	assert_int_equal(c.under_way, 0);
}

static void an_end_without_an_attempt_is_a_bug(void **state)
{
	struct connects c = with_max(16);
	assert_true(IS_BUG(connects_succeeded(&c, 1, 1)));
	assert_true(IS_BUG(connects_lost(&c)));
	assert_true(IS_BUG(connects_abandoned(&c)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_begins_with_one_attempt),
		cmocka_unit_test(it_doubles_with_each_windows_worth_of_successes),
		cmocka_unit_test(a_loss_halves_it_and_growth_is_slow_from_there),
		cmocka_unit_test(it_never_falls_below_one),
		cmocka_unit_test(it_never_exceeds_its_maximum),
		cmocka_unit_test(swelling_times_hold_it_where_it_is),
		cmocka_unit_test(what_tells_nothing_of_the_path_leaves_it_alone),
		cmocka_unit_test(an_end_without_an_attempt_is_a_bug),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
