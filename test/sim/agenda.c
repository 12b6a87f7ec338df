#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"
#include "sim/agenda.h"

#define MANY 5000

static void put(struct agenda *q, instant at, int subject)
{
	agenda_put(q, (struct occurrence){.at = at, .subject = subject});
}

static void what_comes_first_is_taken_first(void **state)
{
	struct agenda q = {0};
	struct occurrence o;

	put(&q, 30, 3);
	put(&q, 10, 1);
	put(&q, NS_PER_S, 4);
	put(&q, 20, 2);
	for (int i = 1; i <= 4; i++) {
		assert_true(agenda_take(&q, INSTANT_NEVER, &o));
		assert_int_equal(o.subject, i);
	}
	assert_false(agenda_take(&q, INSTANT_NEVER, &o));
	agenda_release(&q);
}

static void at_the_same_time_the_first_that_was_put_there_is_first(void **state)
{
	struct agenda q = {0};
	struct occurrence o;

	for (int i = 0; i < 100; i++)
		put(&q, i % 2 ? 7 * NS_PER_S : 5 * NS_PER_S, i);
	for (int i = 0; i < 100; i++) {
		assert_true(agenda_take(&q, INSTANT_NEVER, &o));
		assert_int_equal(o.subject, i < 50 ? 2 * i : 2 * (i - 50) + 1);
		/* One that is put there for now comes after those that already wait for now. */
		if (i == 10)
			put(&q, o.at, 98 + 2);
		if (i == 49) {
			assert_true(agenda_take(&q, INSTANT_NEVER, &o));
			assert_int_equal(o.subject, 100);
		}
	}
	agenda_release(&q);
}

static void what_is_later_is_left_there(void **state)
{
	struct agenda q = {0};
	struct occurrence o;

	put(&q, 50, 2);
	assert_false(agenda_take(&q, 49, &o));
	/* And something may still come before it. */
	put(&q, 49, 1);
	for (int i = 1; i <= 2; i++) {
		assert_true(agenda_take(&q, 50, &o));
		assert_int_equal(o.subject, i);
	}
	assert_false(agenda_take(&q, INSTANT_NEVER, &o));
	agenda_release(&q);
}

static void never_does_not_come(void **state)
{
	struct agenda q = {0};
	struct occurrence o;

	put(&q, INSTANT_NEVER, 1);
	assert_false(agenda_take(&q, INSTANT_NEVER, &o));
	agenda_release(&q);
}

/* Put and taken in any order, against the plain definition. */
static void time_never_goes_back_and_nothing_is_lost(void **state)
{
	static bool taken[MANY];
	struct random random;
	struct agenda q = {0};
	struct occurrence o = {0};
	int put_so_far = 0, taken_so_far = 0;
	instant now = 0;

	random_init(&random, 7);
	while (taken_so_far < MANY) {
		if (put_so_far < MANY && random_below(&random, 2)) {
			int64_t ahead_ns = (int64_t)1 << random_below(&random, 40);
			put(&q, now + random_span(&random, ahead_ns) / 3, put_so_far++);
		} else if (agenda_take(&q, INSTANT_NEVER, &o)) {
			assert_true(o.at >= now);
			assert_false(taken[o.subject]);
			now = o.at;
			taken[o.subject] = true;
			taken_so_far++;
		} else {
			assert_int_equal(taken_so_far, put_so_far);
		}
	}
	agenda_release(&q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_comes_first_is_taken_first),
		cmocka_unit_test(at_the_same_time_the_first_that_was_put_there_is_first),
		cmocka_unit_test(what_is_later_is_left_there),
		cmocka_unit_test(never_does_not_come),
		cmocka_unit_test(time_never_goes_back_and_nothing_is_lost),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
