/* The rules of one queue: when it is too long, who is served first then, who is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/backlog.h"

#define S       NS_PER_S
#define MS      NS_PER_MS
#define ALLOWED (20 * S) /* so nobody minds 2 s */

static const struct backlog_settings adaptive = {BACKLOG_ADAPTIVE, 5 * MS, true};
static const struct backlog_settings fifo = {BACKLOG_FIFO, 5 * MS, true};

/* One that serves ten a second, as is known. */
static struct backlog at_ten(void)
{
	struct backlog q = {0};
	backlog_begins(&q, 0);
	for (int i = 1; i <= 100; i++)
		backlog_released(&q, i * 100 * MS);
	return q;
}

/* Serves for a second, from `now` on, while the oldest has always waited for `oldest_ns`. */
static instant serve(
	struct backlog *q, const struct backlog_settings *s, instant now, int64_t oldest_ns)
{
	for (int i = 0; i < 10; i++) {
		now += 100 * MS;
		backlog_released(q, now);
		backlog_served(q, s, oldest_ns, ALLOWED, now);
	}
	return now;
}

static struct backlog overloaded(const struct backlog_settings *s, instant *now)
{
	struct backlog q = at_ten();
	*now = serve(&q, s, 10 * S, 3 * S);
	assert_true(q.standing);
	assert_int_equal(backlog_arrives(&q, s, 201, ALLOWED), BACKLOG_WAITS);
	assert_true(q.overloaded);
	return q;
}

static void the_wait_is_told_from_what_was_served(void **state)
{
	struct backlog q = {0};
	assert_int_equal(backlog_expected_ns(&q, 1000), 0); /* nobody knows */
	q = at_ten();
	assert_int_equal(backlog_expected_ns(&q, 1), 100 * MS);
	assert_int_equal(backlog_expected_ns(&q, 50), 5 * S);
}

static void whoever_can_be_served_in_time_waits(void **state)
{
	struct backlog q = at_ten();
	assert_int_equal(backlog_arrives(&q, &fifo, 200, ALLOWED), BACKLOG_WAITS);
	assert_int_equal(backlog_arrives(&q, &fifo, 201, ALLOWED), BACKLOG_IN_VAIN);
	assert_int_equal(backlog_arrives(&q, &adaptive, 201, ALLOWED), BACKLOG_IN_VAIN);
	assert_false(q.overloaded); /* a burst, and no queue that stands */
}

static void nobody_is_refused_for_what_is_not_known(void **state)
{
	struct backlog q = {0};
	backlog_begins(&q, 0);
	assert_int_equal(backlog_arrives(&q, &adaptive, 10000, ALLOWED), BACKLOG_WAITS);
}

static void refusing_can_be_switched_off(void **state)
{
	struct backlog q = at_ten();
	struct backlog_settings s = fifo;
	s.rejects = false;
	assert_int_equal(backlog_arrives(&q, &s, 100000, ALLOWED), BACKLOG_WAITS);
}

static void a_queue_stands_if_even_the_shortest_wait_is_over_the_target(void **state)
{
	struct backlog q = at_ten();
	instant now = serve(&q, &adaptive, 10 * S, 2 * S + 1);
	assert_true(q.standing);
	now = serve(&q, &adaptive, now, 2 * S);
	assert_false(q.standing);
	/* One who came through in time is enough. */
	for (int i = 0; i < 100; i++) {
		now += 10 * MS;
		backlog_served(&q, &adaptive, i % 5 ? 10 * S : S, ALLOWED, now);
	}
	assert_false(q.standing);
	/* Where waits are short, so is the target. */
	backlog_begins(&q, now);
	for (int i = 0; i < 100; i++)
		backlog_served(&q, &adaptive, 6 * MS, 20 * MS, now += 10 * MS);
	assert_true(q.standing);
}

static void a_long_queue_that_is_served_in_time_is_first_come_first_served(void **state)
{
	struct backlog q = at_ten();
	serve(&q, &adaptive, 10 * S, 19 * S);
	assert_true(q.standing);
	assert_int_equal(backlog_arrives(&q, &adaptive, 190, ALLOWED), BACKLOG_WAITS);
	assert_false(q.overloaded);
	assert_false(backlog_takes_newest(&q, false));
}

static void one_that_is_too_long_and_stands_is_served_from_its_end(void **state)
{
	instant now;
	struct backlog q = overloaded(&adaptive, &now);
	for (int i = 0; i < 10; i++)
		assert_true(backlog_takes_newest(&q, false));
	assert_int_equal(backlog_arrives(&q, &adaptive, 5000, ALLOWED), BACKLOG_WAITS);
	assert_int_equal(q.overloads, 1);
}

static void in_fifo_order_it_never_is(void **state)
{
	struct backlog q = at_ten();
	serve(&q, &fifo, 10 * S, 3 * S);
	assert_int_equal(backlog_arrives(&q, &fifo, 201, ALLOWED), BACKLOG_IN_VAIN);
	assert_false(backlog_takes_newest(&q, false));
	assert_false(backlog_oldest_in_vain(&q, &fifo, 1000, 19 * S, ALLOWED));
}

static void the_patient_oldest_has_its_turns(void **state)
{
	instant now;
	struct backlog q = overloaded(&adaptive, &now);
	int oldest = 0;
	for (int i = 0; i < 100; i++)
		oldest += !backlog_takes_newest(&q, true);
	assert_int_equal(oldest, 100 / BACKLOG_PATIENT_EVERY);
}

static void the_oldest_is_told_when_it_cant_be_served_even_if_nobody_else_comes(void **state)
{
	instant now;
	struct backlog q = overloaded(&adaptive, &now);
	/* 100 wait: 10 s. It has waited for 10, and may for 10 more. */
	assert_false(backlog_oldest_in_vain(&q, &adaptive, 100, 10 * S, ALLOWED));
	assert_true(backlog_oldest_in_vain(&q, &adaptive, 101, 10 * S, ALLOWED));
	/* Nobody is told before twice the target. */
	assert_false(backlog_oldest_in_vain(&q, &adaptive, 10000, 4 * S, ALLOWED));
	assert_true(backlog_oldest_in_vain(&q, &adaptive, 10000, 4 * S + 1, ALLOWED));
}

static void it_ends_when_the_queue_stands_no_more_or_was_empty(void **state)
{
	instant now;
	struct backlog q = overloaded(&adaptive, &now);
	now = serve(&q, &adaptive, now, 3 * S);
	assert_true(q.overloaded);
	serve(&q, &adaptive, now, S);
	assert_false(q.overloaded);
	q = overloaded(&adaptive, &now);
	backlog_begins(&q, now);
	assert_false(q.overloaded);
	assert_false(q.standing);
}

static void a_pause_says_nothing_of_the_rate(void **state)
{
	struct backlog q = at_ten();
	backlog_resumes(&q, 1000 * S);
	for (int i = 1; i <= 20; i++)
		backlog_released(&q, 1000 * S + i * 100 * MS);
	assert_int_equal(backlog_expected_ns(&q, 10), S);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_wait_is_told_from_what_was_served),
		cmocka_unit_test(whoever_can_be_served_in_time_waits),
		cmocka_unit_test(nobody_is_refused_for_what_is_not_known),
		cmocka_unit_test(refusing_can_be_switched_off),
		cmocka_unit_test(a_queue_stands_if_even_the_shortest_wait_is_over_the_target),
		cmocka_unit_test(a_long_queue_that_is_served_in_time_is_first_come_first_served),
		cmocka_unit_test(one_that_is_too_long_and_stands_is_served_from_its_end),
		cmocka_unit_test(in_fifo_order_it_never_is),
		cmocka_unit_test(the_patient_oldest_has_its_turns),
		cmocka_unit_test(
			the_oldest_is_told_when_it_cant_be_served_even_if_nobody_else_comes),
		cmocka_unit_test(it_ends_when_the_queue_stands_no_more_or_was_empty),
		cmocka_unit_test(a_pause_says_nothing_of_the_rate),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
