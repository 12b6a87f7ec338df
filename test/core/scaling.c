#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/scaling.h"

#define MS NS_PER_MS
#define S  NS_PER_S

struct rig {
	struct scaling scaling;
	struct quantiles connects, handshakes;
	struct scaling_sight sight;
};

static struct rig *fresh(void)
{
	static struct rig r;
	r = (struct rig){0};
	scaling_init(&r.scaling);
	r.sight = (struct scaling_sight){.connects = &r.connects,
		.handshakes = &r.handshakes,
		.connections = 30,
		.bit_s = 1e6,
		.loaded = true,
		.hold_ns = 30 * S};
	return &r;
}

static void connect_in(struct rig *r, int64_t connect_ms, instant now)
{
	quantiles_add(&r->connects, connect_ms * MS, now);
	quantiles_add(&r->handshakes, connect_ms / 2 * MS, now);
	scaling_look(&r->scaling, &r->sight, now);
}

/* Eight quick ones, then two slow ones at 9 and 10 s: the event has begun. */
static struct rig *begun(void)
{
	struct rig *r = fresh();
	for (int i = 0; i < 8; i++)
		connect_in(r, 20, i * S);
	connect_in(r, 4000, 9 * S);
	assert_false(scaling_goes_on(&r->scaling));
	connect_in(r, 4000, 10 * S);
	assert_true(scaling_goes_on(&r->scaling));
	return r;
}

static void an_event_tells_begin_end_and_gain(void **state)
{
	struct rig *r = begun();
	connect_in(r, 6000, 15 * S);
	r->sight.connections = 60; /* it carries twice as many now */
	r->sight.bit_s = 3e6;
	for (int i = 0; i < 4; i++)
		connect_in(r, 30, (20 + i) * S);
	scaling_tick(&r->scaling, &r->sight, 45 * S - 1);
	assert_true(scaling_goes_on(&r->scaling)); /* 30 s after the last sign, at 15 s */
	scaling_tick(&r->scaling, &r->sight, 45 * S);
	assert_false(scaling_goes_on(&r->scaling));
	const struct scaling_event *e = scaling_event_at(&r->scaling, 0);
	assert_int_equal(r->scaling.begun, 1);
	assert_int_equal(r->scaling.ended, 1);
	assert_int_equal(e->began_at, 10 * S);
	assert_int_equal(e->ended_at, 22 * S); /* when the median was quick again */
	assert_int_equal(e->before.connections, 30);
	assert_int_equal(e->before.connect_ns, 20 * MS);
	assert_int_equal(e->before.tcp_ns, 10 * MS);
	assert_int_equal(e->during.connect_ns, 4000 * MS);
	assert_int_equal(e->after.connections, 60);
	assert_int_equal(e->after.connect_ns, 30 * MS);
	assert_int_equal(e->after.tcp_ns, 15 * MS);
	assert_true(e->before.bit_s == 1e6 && e->after.bit_s == 3e6);
}

static void quick_and_slow_again_is_one_event(void **state)
{
	struct rig *r = begun();
	for (int i = 0; i < 4; i++)
		connect_in(r, 20, (11 + i) * S);
	for (int i = 0; i < 4; i++)
		connect_in(r, 5000, (20 + i) * S);
	for (int i = 0; i < 4; i++)
		connect_in(r, 20, (30 + i) * S);
	scaling_tick(&r->scaling, &r->sight, 100 * S);
	assert_int_equal(r->scaling.begun, 1);
	assert_int_equal(scaling_event_at(&r->scaling, 0)->ended_at, 32 * S);
}

static void a_path_that_stays_slow_gains_nothing(void **state)
{
	struct rig *r = begun();
	for (int i = 0; i < 40; i++)
		connect_in(r, 4000, (11 + i) * S);
	scaling_tick(&r->scaling, &r->sight, 200 * S);
	const struct scaling_event *e = scaling_event_at(&r->scaling, 0);
	assert_true(e->ended_at >= 40 * S);
	assert_int_equal(e->after.connect_ns, e->during.connect_ns);
	assert_int_equal(e->after.connections, e->before.connections);
}

static void the_last_four_are_kept(void **state)
{
	struct rig *r = fresh();
	assert_null(scaling_event_at(&r->scaling, 0));
	instant now = 0;
	for (int event = 0; event < 6; event++) {
		for (int i = 0; i < QUANTILES_SAMPLES; i++)
			connect_in(r, 20, now += S);
		for (int i = 0; i < 2; i++)
			connect_in(r, 4000, now += S);
		scaling_tick(&r->scaling, &r->sight, now += 100 * S);
	}
	assert_int_equal(r->scaling.begun, 6);
	assert_null(scaling_event_at(&r->scaling, 4));
	for (int age = 0; age < 3; age++)
		assert_true(scaling_event_at(&r->scaling, age)->began_at >
			    scaling_event_at(&r->scaling, age + 1)->ended_at);
}

static void without_load_a_step_is_none(void **state)
{
	struct rig *r = fresh();
	r->sight.loaded = false;
	for (int i = 0; i < 12; i++)
		connect_in(r, i < 8 ? 20 : 4000, i * S);
	assert_int_equal(r->scaling.begun, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_event_tells_begin_end_and_gain),
		cmocka_unit_test(quick_and_slow_again_is_one_event),
		cmocka_unit_test(a_path_that_stays_slow_gains_nothing),
		cmocka_unit_test(the_last_four_are_kept),
		cmocka_unit_test(without_load_a_step_is_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
