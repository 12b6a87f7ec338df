#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scenario/capacity.h"

#define S NS_PER_S

/* The incident's connector, with an exact scaling delay. */
static struct capacity_settings incident(void)
{
	return (struct capacity_settings){
		.instances_min = 2,
		.instances_max = 10,
		.flows = 25,
		.connect_rate = 8,
		.connect_burst = 8,
		.scale_at = 0.7,
		.scale_step = 1,
		.scale_delay_min_ns = 10 * S,
		.scale_delay_max_ns = 10 * S,
		.seed = 1,
	};
}

static int begin_all(struct capacity *c, instant now)
{
	int begun = 0;

	while (capacity_begin(c, now) >= 0)
		begun++;
	return begun;
}

static void a_burst_then_the_rate(void **state)
{
	struct capacity_settings s = incident();
	struct capacity c;

	(void)state;
	capacity_init(&c, &s, 0);
	assert_int_equal(capacity_permits(&c, 0), 16);
	assert_int_equal(begin_all(&c, 0), 16);
	assert_int_equal(capacity_permits(&c, 0), 0);
	/* Eight a second on each of two: the next ones after an eighth of a second. */
	assert_int_equal(capacity_next(&c), S / 8);
	assert_int_equal(capacity_permits(&c, S / 8 - 1000), 0);
	assert_int_equal(capacity_permits(&c, S / 8), 2);
	assert_int_equal(capacity_permits(&c, S), 16);
	/* A rest saves up no more than the burst. */
	assert_int_equal(capacity_permits(&c, 5 * S), 16);
}

static void flows_at_once_are_limited(void **state)
{
	struct capacity_settings s = incident();
	struct capacity c;
	int begun = 0;

	(void)state;
	s.connect_rate = 0;
	capacity_init(&c, &s, 0);
	begun = begin_all(&c, 0);
	assert_int_equal(begun, 50);
	assert_int_equal(capacity_begin(&c, 9 * S), -1);
	capacity_end(&c, 1, 9 * S);
	assert_int_equal(capacity_permits(&c, 9 * S), 1);
	assert_int_equal(capacity_begin(&c, 9 * S), 1);
}

static void flows_go_to_the_least_loaded(void **state)
{
	struct capacity_settings s = incident();
	struct capacity c;

	(void)state;
	capacity_init(&c, &s, 0);
	assert_int_equal(capacity_begin(&c, 0), 0);
	assert_int_equal(capacity_begin(&c, 0), 1);
	assert_int_equal(capacity_begin(&c, 0), 0);
	capacity_end(&c, 1, 0);
	assert_int_equal(capacity_begin(&c, 0), 1);
}

static void a_step_takes_its_delay_and_carries_new_flows_only(void **state)
{
	struct capacity_settings s = incident();
	struct capacity c;

	(void)state;
	s.connect_rate = 0;
	capacity_init(&c, &s, 0);
	for (int i = 0; i < 34; i++)
		capacity_begin(&c, 0);
	assert_int_equal(c.scale_at, INSTANT_NEVER);
	capacity_begin(&c, 0); /* 35 of 50: seven tenths */
	assert_int_equal(c.scale_at, 10 * S);
	begin_all(&c, 0);
	assert_int_equal(capacity_permits(&c, 10 * S - 1), 0);
	assert_int_equal(capacity_next(&c), 10 * S);
	assert_int_equal(capacity_permits(&c, 10 * S), 25);
	assert_int_equal(c.count, 3);
	/* The old flows stay where they began; the new instance is empty. */
	assert_int_equal(c.instances[0].flows, 25);
	assert_int_equal(c.instances[1].flows, 25);
	assert_int_equal(c.instances[2].flows, 0);
	assert_int_equal(capacity_begin(&c, 10 * S), 2);
	/* 51 of 75 is not seven tenths: no further step is under way. */
	assert_int_equal(c.scale_at, INSTANT_NEVER);
}

static void it_never_scales_in(void **state)
{
	struct capacity_settings s = incident();
	struct capacity c;

	(void)state;
	s.connect_rate = 0;
	capacity_init(&c, &s, 0);
	begin_all(&c, 0);
	capacity_advance(&c, 10 * S);
	for (int i = 0; i < 25; i++) {
		capacity_end(&c, 0, 11 * S);
		capacity_end(&c, 1, 11 * S);
	}
	assert_int_equal(c.flows, 0);
	capacity_advance(&c, 100000 * S);
	assert_int_equal(c.count, 3);
	assert_int_equal(capacity_permits(&c, 100000 * S), 75);
}

static void dropped_handshakes_make_it_scale_to_its_maximum(void **state)
{
	struct capacity_settings s = incident();
	struct capacity c;

	(void)state;
	capacity_init(&c, &s, 0);
	capacity_refuse(&c, 0);
	assert_int_equal(c.scale_at, 10 * S);
	capacity_advance(&c, 60 * S); /* nobody asked again: one step is all */
	assert_int_equal(c.count, 3);
	for (int i = 0; i < 50; i++)
		capacity_refuse(&c, (60 + 11 * i) * S);
	assert_int_equal(c.count, 10);
	assert_int_equal(c.scale_at, INSTANT_NEVER);
}

static void the_delay_is_drawn_between_its_bounds(void **state)
{
	struct capacity_settings s = incident();
	instant least = INSTANT_NEVER, most = 0;

	(void)state;
	s.scale_delay_max_ns = 30 * S;
	for (s.seed = 0; s.seed < 200; s.seed++) {
		struct capacity c, again;
		capacity_init(&c, &s, 0);
		capacity_refuse(&c, 0);
		capacity_init(&again, &s, 0);
		capacity_refuse(&again, 0);
		assert_int_equal(c.scale_at, again.scale_at);
		least = instant_min(least, c.scale_at);
		most = c.scale_at > most ? c.scale_at : most;
	}
	assert_in_range(least, 10 * S, 11 * S);
	assert_in_range(most, 29 * S, 30 * S);
}

static void bandwidth_is_shared_on_one_connector_instance(void **state)
{
	struct capacity_settings s = incident();
	struct capacity c;

	(void)state;
	s.bandwidth_bit_s = 8e6; /* a megabyte a second, a tenth of it at once */
	capacity_init(&c, &s, 0);
	assert_int_equal(capacity_bytes(&c, 0, 0), 100000);
	capacity_spend(&c, 0, 100000);
	assert_int_equal(capacity_bytes(&c, 0, 0), 0);
	assert_int_equal(capacity_bytes(&c, 1, 0), 100000);
	assert_int_equal(capacity_bytes_at(&c, 0), 1000);
	assert_int_equal(capacity_bytes(&c, 0, S / 100), 10000);
	capacity_spend(&c, 0, 15000); /* more than there was is owed */
	assert_int_equal(capacity_bytes(&c, 0, S / 100), 0);
	assert_int_equal(capacity_bytes(&c, 0, S / 50), 5000);
	s.bandwidth_bit_s = 0;
	capacity_init(&c, &s, 0);
	assert_int_equal(capacity_bytes(&c, 0, 0), INT64_MAX);
}

static void the_earliest_moment_for_all(void **state)
{
	struct capacity_settings s = incident();

	(void)state;
	assert_int_equal(capacity_earliest(&s, 16), 0);
	/* 16 at once, then two each eighth of a second: the 20th after a quarter. */
	assert_in_range(capacity_earliest(&s, 20), S / 4, S / 4 + 10);
	assert_in_range(capacity_earliest(&s, 50), S * 17 / 8, S * 17 / 8 + 10);
	/* The 35th flow, after 10/8 s, starts a step of 10 s. */
	assert_in_range(capacity_earliest(&s, 51), 0, 11 * S + S / 4 + 10);
	s.scale_delay_max_ns = 1000 * S; /* a bound counts the quickest step */
	assert_in_range(capacity_earliest(&s, 51), 10 * S, 11 * S + S / 4 + 10);
	assert_int_equal(capacity_earliest(&s, 251), INSTANT_NEVER);
	s.scale_delay_min_ns = s.scale_delay_max_ns = 0;
	s.connect_rate = 0;
	assert_int_equal(capacity_earliest(&s, 250), 0);
}

static void time_that_goes_back_counts_as_standing_still(void **state)
{
	struct capacity_settings s = incident();
	struct capacity c;

	(void)state;
	capacity_init(&c, &s, 5 * S);
	begin_all(&c, 5 * S);
	assert_int_equal(capacity_permits(&c, 4 * S), 0);
	assert_int_equal(capacity_permits(&c, 5 * S + S / 8), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_burst_then_the_rate),
		cmocka_unit_test(flows_at_once_are_limited),
		cmocka_unit_test(flows_go_to_the_least_loaded),
		cmocka_unit_test(a_step_takes_its_delay_and_carries_new_flows_only),
		cmocka_unit_test(it_never_scales_in),
		cmocka_unit_test(dropped_handshakes_make_it_scale_to_its_maximum),
		cmocka_unit_test(the_delay_is_drawn_between_its_bounds),
		cmocka_unit_test(bandwidth_is_shared_on_one_connector_instance),
		cmocka_unit_test(the_earliest_moment_for_all),
		cmocka_unit_test(time_that_goes_back_counts_as_standing_still),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
