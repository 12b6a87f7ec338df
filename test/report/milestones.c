/* Which moments of an arm count: in made-up time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "report/milestones.h"

static void who_fits_and_who_is_all(void **state)
{
	struct milestones m;

	(void)state;
	milestones_init(&m, 3, false);
	milestones_up(&m, 2, 4, 10);
	assert_int_equal(m.fit_ns, 0);
	milestones_up(&m, 3, 4, 20);
	milestones_up(&m, 1, 4, 25);
	milestones_up(&m, 4, 4, 30);
	milestones_up(&m, 3, 4, 35);
	milestones_up(&m, 4, 4, 40);
	assert_int_equal(m.fit_ns, 20);
	assert_int_equal(m.all_ns, 30);
	assert_int_equal(m.recovered_ns, 0);
}

static void without_load_all_is_well_when_as_many_are_up_again(void **state)
{
	struct milestones m;

	(void)state;
	milestones_init(&m, 4, false);
	milestones_up(&m, 3, 4, 10); /* one had not come up */
	milestones_fault(&m, 20);
	milestones_up(&m, 3, 4, 25);
	milestones_up(&m, 1, 4, 30);
	milestones_fault_over(&m, 40);
	milestones_up(&m, 2, 4, 45);
	assert_int_equal(m.recovered_ns, 0);
	milestones_up(&m, 3, 4, 50);
	milestones_up(&m, 0, 4, 60);
	assert_int_equal(m.recovered_ns, 50);
}

static void who_never_went_down_is_well_when_the_fault_is_over(void **state)
{
	struct milestones m;

	(void)state;
	milestones_init(&m, 2, false);
	milestones_up(&m, 2, 2, 10);
	milestones_fault(&m, 20);
	milestones_up(&m, 2, 2, 30);
	assert_int_equal(m.recovered_ns, 0);
	milestones_fault_over(&m, 40);
	assert_int_equal(m.recovered_ns, 40);
}

static void with_load_a_whole_second_must_be_served_while_all_are_up(void **state)
{
	struct milestones m;

	(void)state;
	milestones_init(&m, 2, true);
	milestones_up(&m, 2, 2, 10);
	milestones_served(&m, 10, 20);
	milestones_fault(&m, 30);
	milestones_served(&m, 29, 39); /* it came before */
	milestones_served(&m, 35, 45); /* the fault goes on */
	milestones_up(&m, 1, 2, 50);
	milestones_fault_over(&m, 60);
	milestones_served(&m, 61, 71); /* one is down */
	milestones_up(&m, 2, 2, 80);
	assert_int_equal(m.recovered_ns, 0);
	milestones_served(&m, 79, 89); /* one was down when it began */
	assert_int_equal(m.recovered_ns, 0);
	milestones_served(&m, 81, 91);
	assert_int_equal(m.recovered_ns, 91);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_fits_and_who_is_all),
		cmocka_unit_test(without_load_all_is_well_when_as_many_are_up_again),
		cmocka_unit_test(who_never_went_down_is_well_when_the_fault_is_over),
		cmocka_unit_test(with_load_a_whole_second_must_be_served_while_all_are_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
