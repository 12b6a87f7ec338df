#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "app/check_plan.h"

static const struct budget_settings production = {.max_connections = 100,
	.superuser_reserved = 3,
	.agents = 5,
	.margin = 0.8,
	.buffer = 5,
	.path_limit = 50,
	.path_share = 0.7,
	.instances = 1,
	.pool_size = 10,
	.pool_overflow = 15};

static struct plan plan_of(struct budget_settings settings)
{
	struct plan plan;
	plan_init(&plan, &settings);
	return plan;
}

static void says(const struct plan *plan, const char *part)
{
	if (!strstr(plan->sentence, part))
		fail_msg("\"%s\" is not in \"%s\"", part, plan->sentence);
}

static void production_by_default_is_bound_by_its_path(void **state)
{
	struct plan plan = plan_of(production);
	assert_int_equal(plan.budget.usable, 92);
	assert_int_equal(plan.budget.by_database, 68);
	assert_int_equal(plan.budget.by_path, 35);
	assert_int_equal(plan.budget.fleet, 35);
	assert_int_equal(plan.budget.share, 25);
	assert_true(plan.budget.fits);
	says(&plan, "It fits: 1 instance of 25 connections each needs 25 of the 35");
}

static void each_number_of_instances_has_the_pool_that_fits(void **state)
{
	static const struct plan_row expected[PLAN_ROWS] = {
		{1, 25, 10, 15, true, true},
		{2, 17, 10, 7, true, false},
		{5, 7, 7, 0, true, false},
		{10, 3, 3, 0, true, false},
		{20, 1, 1, 0, true, false},
		{50, 0, 0, 0, false, false},
	};
	struct plan plan = plan_of(production);
	for (int i = 0; i < PLAN_ROWS; i++) {
		assert_int_equal(plan.rows[i].instances, expected[i].instances);
		assert_int_equal(plan.rows[i].connections, expected[i].connections);
		assert_int_equal(plan.rows[i].size, expected[i].size);
		assert_int_equal(plan.rows[i].overflow, expected[i].overflow);
		assert_int_equal(plan.rows[i].fits, expected[i].fits);
		assert_int_equal(plan.rows[i].wanted_fits, expected[i].wanted_fits);
	}
}

static void a_pool_that_just_fits_fits(void **state)
{
	struct budget_settings settings = production;
	settings.pool_size = 20;
	assert_true(plan_of(settings).rows[0].wanted_fits);
	settings.pool_size = 21;
	assert_false(plan_of(settings).rows[0].wanted_fits);
}

static void a_fleet_that_shares_is_told_what_it_would_have_asked_for(void **state)
{
	struct budget_settings settings = production;
	settings.instances = 20;
	struct plan plan = plan_of(settings);
	assert_int_equal(plan.wanted, 500);
	says(&plan, "It fits: 20 instances of 1 connection each need 20 of the 35");
	says(&plan,
		"Each gets 1 of the 25 that its pool asks for; without the gate the fleet would "
		"ask for 500.");
}

static void what_does_not_fit_is_said_loudly_with_the_mend(void **state)
{
	struct budget_settings settings = production;
	settings.instances = 50;
	struct plan plan = plan_of(settings);
	assert_false(plan.budget.fits);
	says(&plan, "IT DOES NOT FIT: 50 instances need at least 50 connections, but the fleet may "
		    "use 35.");
	says(&plan, "The path is the bound");
	says(&plan, "run at most 35 instances");

	settings.max_connections = 30;
	plan = plan_of(settings);
	assert_int_equal(plan.budget.fleet, 12);
	says(&plan, "The database is the bound");
	says(&plan, "run at most 12 instances");
}

static void a_database_that_keeps_everything_to_itself_does_not_fit(void **state)
{
	struct budget_settings settings = production;
	settings.max_connections = 8;
	struct plan plan = plan_of(settings);
	assert_false(plan.budget.fits);
	says(&plan, "keeps all of its 8 connections to itself");

	settings.max_connections = 12; /* usable 4, all of it held back */
	plan = plan_of(settings);
	assert_false(plan.budget.fits);
	says(&plan, "lower what is held back");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(production_by_default_is_bound_by_its_path),
		cmocka_unit_test(each_number_of_instances_has_the_pool_that_fits),
		cmocka_unit_test(a_pool_that_just_fits_fits),
		cmocka_unit_test(a_fleet_that_shares_is_told_what_it_would_have_asked_for),
		cmocka_unit_test(what_does_not_fit_is_said_loudly_with_the_mend),
		cmocka_unit_test(a_database_that_keeps_everything_to_itself_does_not_fit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
