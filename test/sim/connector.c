#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scene.h"
#include "sim/world.h"

#define S NS_PER_S

static const struct capacity_settings narrow = {
	.instances_min = 1,
	.instances_max = 3,
	.flows = 6,
	.connect_rate = 2,
	.connect_burst = 2,
	.scale_at = 0.7,
	.scale_step = 1,
	.scale_delay_min_ns = 10 * S,
	.scale_delay_max_ns = 10 * S,
};

/* Whoever asks all the time is admitted at the moment that the bound is made of, not before. */
static void it_admits_as_the_bound_reckons(void **state)
{
	for (int wanted = 1; wanted <= 18; wanted++) {
		struct connector c;
		instant now = 0;
		connector_init(&c, &narrow, NS_PER_MS);
		while (c.flows < wanted)
			if (connector_syn(&c, now) < 0)
				now = capacity_next(&c.capacity);
		assert_int_equal(now, capacity_earliest(&narrow, wanted));
	}
}

/* Instances whose kernels send again after 1, 3, 7 s are later than that, never earlier. */
static void instances_are_never_up_before_the_bound(void **state)
{
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct scene s;
		scene_init(&s, seed % 2);
		scene_set(&s, "DB_POOL_WARM=1");
		s.scenario.path = narrow;
		s.scenario.instances = 12;
		s.scenario.duration_ns = 100 * S;
		s.scenario.service.start_min_ns = s.scenario.service.start_max_ns = 0;
		s.settings.engine.budget.instances = 12;
		scene_play(&s, seed);
		assert_int_equal(scene_value(&s, METRIC_READY), 12);
		assert_true(scene_value(&s, METRIC_MAKESPAN_S) >=
			    s_from_ns(capacity_earliest(&narrow, 12)));
		assert_int_equal(s.result.connector.completed, 12);
		scene_end(&s);
	}
}

static void a_slow_path_takes_so_many_times_as_long(void **state)
{
	struct connector c;

	connector_init(&c, &narrow, NS_PER_MS);
	assert_int_equal(connector_trips_ns(&c, 3), 3 * NS_PER_MS);
	c.slow = 10;
	assert_int_equal(connector_trips_ns(&c, 3), 30 * NS_PER_MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_admits_as_the_bound_reckons),
		cmocka_unit_test(instances_are_never_up_before_the_bound),
		cmocka_unit_test(a_slow_path_takes_so_many_times_as_long),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
