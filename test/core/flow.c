#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/flow.h"

#define MS NS_PER_MS
#define S  NS_PER_S

static struct flow_sample trip(int64_t rtt_ms)
{
	return (struct flow_sample){.rtt_ns = rtt_ms * MS, .min_rtt_ns = rtt_ms * MS};
}

static void tell(struct flow *f, struct flow_sample sample, instant now)
{
	flow_sample(f, &sample, now);
}

static void of_nothing_nothing_is_told(void **state)
{
	struct flow f = {0};
	assert_true(flow_inflation(&f, 0) == 1.0);
	assert_true(flow_retransmit_rate(&f, 0) == 0.0);
	assert_int_equal(flow_deadline(&f), INSTANT_NEVER);
}

static void round_trips_are_smoothed_and_their_floor_is_kept(void **state)
{
	struct flow f = {0};
	tell(&f, trip(40), 0);
	assert_int_equal(f.rtt_ns, 40 * MS);
	tell(&f, (struct flow_sample){.rtt_ns = 120 * MS, .min_rtt_ns = 30 * MS}, 1);
	assert_int_equal(f.rtt_ns, 50 * MS); /* an eighth of the way */
	assert_int_equal(minmax_value(&f.floor), 30 * MS);
	tell(&f, trip(200), FLOW_MEMORY_NS + 2);
	assert_int_equal(minmax_value(&f.floor), 200 * MS); /* the floor is of lately, too */
}

static void a_swelling_is_one_beyond_a_machines_noise(void **state)
{
	struct flow f = {0};
	tell(&f, (struct flow_sample){.rtt_ns = 45 * MS, .min_rtt_ns = MS / 10}, 0);
	assert_true(flow_inflation(&f, 0) == 1.0);
	struct flow g = {0};
	tell(&g, (struct flow_sample){.rtt_ns = 90 * MS, .min_rtt_ns = 30 * MS}, 0);
	assert_true(flow_inflation(&g, 0) == 3.0);
	assert_true(flow_inflation(&g, FLOW_FRESH_NS - 1) == 3.0);
	assert_true(flow_inflation(&g, FLOW_FRESH_NS) == 1.0); /* no news any more */
}

static void a_queue_that_drains_is_no_swelling(void **state)
{
	struct flow f = {0};
	for (int i = 0; i < 30; i++)
		tell(&f,
			(struct flow_sample){
				.rtt_ns = (i % 5 ? 500 : 30) * MS, .min_rtt_ns = 30 * MS},
			i * S);
	assert_true(flow_inflation(&f, 30 * S) == 1.0);
	for (int i = 30; i < 60; i++)
		tell(&f, (struct flow_sample){.rtt_ns = 300 * MS, .min_rtt_ns = 30 * MS}, i * S);
	assert_true(flow_inflation(&f, 60 * S) == 10.0);
}

static void after_a_silence_the_round_trip_is_begun_anew(void **state)
{
	struct flow f = {0};
	tell(&f, trip(800), 0);
	tell(&f, trip(10), 100 * S);
	assert_int_equal(f.rtt_ns, 10 * MS);
}

static void the_rate_is_of_what_was_sent_lately(void **state)
{
	struct flow f = {0};
	tell(&f, (struct flow_sample){.segments = 49, .retransmits = 10}, 0);
	assert_true(flow_retransmit_rate(&f, 0) == 0.0); /* too few to tell */
	tell(&f, (struct flow_sample){.segments = 51, .retransmits = 0}, 1);
	assert_true(flow_retransmit_rate(&f, 1) == 0.1);
	/* 10 s later half of it counts: 5 of 50 and 0 of 50. */
	tell(&f, (struct flow_sample){.segments = 50}, 10 * S);
	assert_true(flow_retransmit_rate(&f, 10 * S) == 0.05);
	assert_true(flow_retransmit_rate(&f, 10 * S + FLOW_FRESH_NS) == 0.0);
	tell(&f, (struct flow_sample){.segments = 50}, 100000 * S);
	assert_true(flow_retransmit_rate(&f, 100000 * S) < 0.001);
	assert_int_equal(f.segments_total, 200);
	assert_int_equal(f.retransmits_total, 10);
}

static void delivery_is_the_best_of_lately(void **state)
{
	struct flow f = {0};
	tell(&f, (struct flow_sample){.delivery_bit_s = 5e9}, 0);
	tell(&f, (struct flow_sample){.delivery_bit_s = 1e6}, S);
	assert_int_equal(minmax_value(&f.delivery), 5000000000);
	tell(&f, (struct flow_sample){.delivery_bit_s = 1e6}, 100 * S);
	assert_int_equal(minmax_value(&f.delivery), 1000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_nothing_nothing_is_told),
		cmocka_unit_test(round_trips_are_smoothed_and_their_floor_is_kept),
		cmocka_unit_test(a_swelling_is_one_beyond_a_machines_noise),
		cmocka_unit_test(a_queue_that_drains_is_no_swelling),
		cmocka_unit_test(after_a_silence_the_round_trip_is_begun_anew),
		cmocka_unit_test(the_rate_is_of_what_was_sent_lately),
		cmocka_unit_test(delivery_is_the_best_of_lately),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
