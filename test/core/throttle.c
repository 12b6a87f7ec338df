/* What a database that refuses relies on: it is asked less; and who asks: it is asked still. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/throttle.h"

#define S NS_PER_S

static struct throttle with(double k)
{
	struct throttle t;
	throttle_init(&t, &(struct throttle_settings){.k = k, .pause_ns = 2 * S}, 0);
	return t;
}

static void tell(struct throttle *t, int accepted, int refused)
{
	for (int i = 0; i < accepted; i++)
		throttle_told(t, true, 0);
	for (int i = 0; i < refused; i++)
		throttle_told(t, false, 0);
}

static bool nearly(double a, double b)
{
	return a - b < 1e-9 && b - a < 1e-9;
}

static void the_chance_is_that_of_the_formula(void **state)
{
	struct throttle t = with(2.0);
	assert_true(throttle_chance(&t, 0) == 0.0);
	tell(&t, 0, 1);
	assert_true(nearly(throttle_chance(&t, 0), 0.5));
	tell(&t, 0, 3);
	assert_true(nearly(throttle_chance(&t, 0), 0.8));
	t = with(2.0);
	tell(&t, 2, 2); /* as many are refused as accepted */
	assert_true(throttle_chance(&t, 0) == 0.0);
	tell(&t, 0, 3); /* (7 - 4) / 8 */
	assert_true(nearly(throttle_chance(&t, 0), 0.375));
	tell(&t, 0, 1000);
	assert_true(throttle_chance(&t, 0) == THROTTLE_MOST);
}

static void a_peer_that_accepts_is_never_held_back_from(void **state)
{
	struct throttle t = with(2.0);
	struct random random, same;
	random_init(&random, 1);
	same = random;
	for (int i = 0; i < 1000; i++) {
		assert_true(throttle_admit(&t, 30 * S, i, &random));
		throttle_told(&t, true, i);
		throttle_told(&t, i % 4 > 0, i); /* now and then */
	}
	assert_int_equal(t.held_count, 0);
	assert_true(random.state == same.state); /* nothing was drawn */
}

static void one_that_refuses_is_asked_a_tenth_as_often_and_not_less(void **state)
{
	struct throttle t = with(2.0);
	struct random random;
	random_init(&random, 7);
	int asked = 0, draws = 0;
	for (instant now = 0; now < 3600 * S; draws++) {
		if (throttle_admit(&t, 3600 * S, now, &random)) {
			asked++;
			throttle_told(&t, false, now);
			now += S;
		} else {
			assert_in_range(throttle_until(&t) - now, S, 2 * S);
			assert_false(throttle_admit(&t, 3600 * S, throttle_until(&t) - 1, &random));
			now = throttle_until(&t);
		}
	}
	assert_in_range(asked, draws / 14, draws / 8);
}

static void nobody_is_held_back_for_longer_than_allowed(void **state)
{
	struct throttle t = with(2.0);
	struct random random;
	tell(&t, 0, 10000);
	random_init(&random, 3);
	instant asked_at = 0;
	for (instant now = 0; now < 600 * S;) {
		if (throttle_admit(&t, 5 * S, now, &random)) {
			assert_true(now - asked_at <= 5 * S);
			throttle_told(&t, false, now);
			asked_at = now;
		} else {
			now = throttle_until(&t);
		}
	}
}

static void what_was_refused_is_forgotten_in_two_minutes(void **state)
{
	struct throttle t = with(2.0);
	tell(&t, 0, 100);
	assert_true(throttle_chance(&t, 59 * S) > 0.8);
	throttle_told(&t, false, 61 * S);
	assert_true(throttle_chance(&t, 119 * S) > 0.8);
	throttle_told(&t, false, 125 * S);
	assert_true(nearly(throttle_chance(&t, 130 * S), 2.0 / 3.0));
	assert_true(throttle_chance(&t, 400 * S) == 0.0);
}

static void one_that_is_back_is_asked_as_ever(void **state)
{
	struct throttle t = with(2.0);
	tell(&t, 0, 100);
	throttle_told(&t, true, S);
	assert_true(throttle_chance(&t, S) == 0.0);
	throttle_told(&t, false, S);
	assert_true(throttle_chance(&t, S) == 0.0);
	throttle_told(&t, false, S);
	assert_true(throttle_chance(&t, S) > 0.2);
}

static void it_can_be_switched_off(void **state)
{
	struct throttle t = with(0.0);
	struct random random;
	random_init(&random, 3);
	tell(&t, 0, 10000);
	assert_true(throttle_chance(&t, 0) == 0.0);
	assert_true(throttle_admit(&t, S, 0, &random));
	t = with(2.0);
	tell(&t, 0, 10000);
	while (throttle_admit(&t, 3600 * S, 0, &random))
		;
	assert_true(throttle_until(&t) > 0);
	throttle_configure(&t, &(struct throttle_settings){0});
	assert_true(throttle_admit(&t, 3600 * S, 0, &random));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_chance_is_that_of_the_formula),
		cmocka_unit_test(a_peer_that_accepts_is_never_held_back_from),
		cmocka_unit_test(one_that_refuses_is_asked_a_tenth_as_often_and_not_less),
		cmocka_unit_test(nobody_is_held_back_for_longer_than_allowed),
		cmocka_unit_test(what_was_refused_is_forgotten_in_two_minutes),
		cmocka_unit_test(one_that_is_back_is_asked_as_ever),
		cmocka_unit_test(it_can_be_switched_off),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
