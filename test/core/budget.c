#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/budget.h"

/* The incident's database and connector, with the defaults of staging and production. */
static const struct budget_settings production = {
	.max_connections = 100,
	.superuser_reserved = 3,
	.reserved = 0,
	.agents = 5,
	.margin = 0.8,
	.buffer = 5,
	.path_limit = 50,
	.path_share = 0.7,
	.instances = 20,
	.pool_size = 10,
	.pool_overflow = 15,
};

/* And those of development and test. */
static const struct budget_settings development = {
	.max_connections = 100,
	.superuser_reserved = 3,
	.reserved = 0,
	.agents = 5,
	.margin = 0.8,
	.buffer = 0,
	.path_limit = 1000,
	.path_share = 1.0,
	.instances = 1,
	.pool_size = 5,
	.pool_overflow = 10,
};

static struct budget budget_of(const struct budget_settings *settings)
{
	struct budget b;
	budget_init(&b, settings);
	return b;
}

static void twenty_instances_of_production_get_one_connection_each(void **state)
{
	struct budget b = budget_of(&production);
	assert_int_equal(b.usable, 92);
	assert_int_equal(b.by_database, 68); /* floor(92 x 0.8) - 5 = 73 - 5 */
	assert_int_equal(b.by_path, 35); /* floor(50 x 0.7) */
	assert_int_equal(b.fleet, 35);
	assert_int_equal(b.share, 1);
	assert_int_equal(b.needed, 20);
	assert_true(b.fits);
}

static void development_gets_its_whole_pool(void **state)
{
	struct budget b = budget_of(&development);
	assert_int_equal(b.usable, 92);
	assert_int_equal(b.by_database, 73);
	assert_int_equal(b.by_path, 1000);
	assert_int_equal(b.fleet, 73);
	assert_int_equal(b.share, 15); /* size + overflow */
	assert_int_equal(b.needed, 15);
	assert_true(b.fits);
}

static void the_fleet_is_shared_evenly_and_rounded_down(void **state)
{
	const struct {
		int instances, share, needed;
		bool fits;
	} rows[] = {
		{1, 25, 25, true}, /* the pool's size + overflow is less than the fleet's 35 */
		{2, 17, 34, true},
		{3, 11, 33, true},
		{10, 3, 30, true},
		{17, 2, 34, true},
		{18, 1, 18, true},
		{35, 1, 35, true},
		{36, 1, 36, false}, /* at least one, even where that does not fit */
		{1000, 1, 1000, false},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct budget_settings settings = production;
		settings.instances = rows[i].instances;
		struct budget b = budget_of(&settings);
		assert_int_equal(b.share, rows[i].share);
		assert_int_equal(b.needed, rows[i].needed);
		assert_int_equal(b.fits, rows[i].fits);
	}
}

/* Whole numbers that binary fractions only almost reach must not be cut to the one below. */
static void shares_are_reckoned_as_on_paper(void **state)
{
	for (int count = 0; count <= 1000; count++)
		for (int hundredths = 0; hundredths <= 100; hundredths++) {
			struct budget_settings settings = production;
			settings.path_limit = count;
			settings.path_share = hundredths / 100.0;
			struct budget b = budget_of(&settings);
			assert_int_equal(b.by_path, count * hundredths / 100);
		}
}

static void a_database_too_small_gives_nothing_and_fits_nobody(void **state)
{
	struct budget_settings settings = production;
	settings.max_connections = 8;
	struct budget b = budget_of(&settings);
	assert_int_equal(b.usable, 0);
	assert_int_equal(b.by_database, 0);
	assert_int_equal(b.fleet, 0);
	assert_int_equal(b.share, 1);
	assert_false(b.fits);
	settings.max_connections = 5;
	b = budget_of(&settings);
	assert_int_equal(b.usable, -3);
	assert_int_equal(b.by_database, 0);
	assert_false(b.fits);
	settings.max_connections = 12; /* floor(4 x 0.8) = 3, all of it held back */
	b = budget_of(&settings);
	assert_int_equal(b.by_database, 0);
	assert_false(b.fits);
}

static void what_the_server_says_replaces_what_was_assumed(void **state)
{
	struct budget b = budget_of(&production);
	budget_learn(&b, 25, 3, 2);
	assert_int_equal(b.usable, 15);
	assert_int_equal(b.by_database, 7); /* floor(15 x 0.8) - 5 */
	assert_int_equal(b.fleet, 7);
	assert_int_equal(b.share, 1);
	assert_int_equal(b.needed, 20);
	assert_false(b.fits);
}

static void what_the_server_does_not_say_stays(void **state)
{
	struct budget b = budget_of(&production);
	budget_learn(&b, -1, -1, 10);
	assert_int_equal(b.settings.max_connections, 100);
	assert_int_equal(b.settings.superuser_reserved, 3);
	assert_int_equal(b.usable, 82);
	budget_learn(&b, 200, -1, -1);
	assert_int_equal(b.usable, 182);
	budget_learn(&b, -1, 0, 0);
	assert_int_equal(b.usable, 195);
	budget_learn(&b, 0, -1, -1); /* nothing is an answer too */
	assert_false(b.fits);
}

static void larger_servers_leave_the_path_as_the_limit(void **state)
{
	struct budget b = budget_of(&production);
	budget_learn(&b, 1000, 3, 0);
	assert_int_equal(b.by_database, 788); /* floor(992 x 0.8) - 5 = 793 - 5 */
	assert_int_equal(b.fleet, 35);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(twenty_instances_of_production_get_one_connection_each),
		cmocka_unit_test(development_gets_its_whole_pool),
		cmocka_unit_test(the_fleet_is_shared_evenly_and_rounded_down),
		cmocka_unit_test(shares_are_reckoned_as_on_paper),
		cmocka_unit_test(a_database_too_small_gives_nothing_and_fits_nobody),
		cmocka_unit_test(what_the_server_says_replaces_what_was_assumed),
		cmocka_unit_test(what_the_server_does_not_say_stays),
		cmocka_unit_test(larger_servers_leave_the_path_as_the_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
