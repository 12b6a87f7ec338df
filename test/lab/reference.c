#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/instant.h"
#include "lab/reference.h"

static const struct scenario scenario = {
	.instances = 20, .database = {.max_connections = 100, .superuser_reserved = 3}};

static struct scenario_arm arm(enum scenario_path_kind path, const char *size, int64_t timeout_ns)
{
	return (struct scenario_arm){
		.name = "a",
		.path = path,
		.reference = "",
		.env = {{size, -1}, {"DB_INITIALIZATION_TIMEOUT", timeout_ns}},
		.env_count = 2,
	};
}

static void the_same_settings_make_a_reference_whatever_the_times(void **state)
{
	struct scenario_arm direct = arm(ARM_PATH_CONNECTOR, "DB_POOL_SIZE=20", 20 * NS_PER_S);
	struct scenario_arm plain = arm(ARM_PATH_NONE, "DB_POOL_SIZE=20", 75 * NS_PER_S);
	struct scenario_arm smaller = arm(ARM_PATH_NONE, "DB_POOL_SIZE=10", 20 * NS_PER_S);

	(void)state;
	assert_true(reference_fits(&plain, &direct));
	assert_true(reference_fits(&plain, &plain));
	assert_false(reference_fits(&smaller, &direct));
	assert_false(reference_fits(&direct, &direct));
	plain.env_count = 0;
	assert_false(reference_fits(&plain, &direct));
	assert_false(reference_fits(&smaller, &plain));
}

static void a_reference_that_is_named_is_the_one(void **state)
{
	struct scenario_arm direct = arm(ARM_PATH_CONNECTOR, "DB_POOL_SIZE=20", 0);
	struct scenario_arm plain = arm(ARM_PATH_NONE, "DB_POOL_SIZE=10", 0);

	(void)state;
	direct.reference = "plain";
	assert_false(reference_fits(&plain, &direct));
	plain.name = "plain";
	assert_true(reference_fits(&plain, &direct));
	plain.standpipe = true;
	assert_false(reference_fits(&plain, &direct));
}

static void one_that_is_made_has_room_for_all_pools(void **state)
{
	struct scenario_arm direct = arm(ARM_PATH_CONNECTOR, "DB_POOL_SIZE=10", 0), reference;
	char name[80];

	(void)state;
	direct.env[1] = (struct scenario_variable){"DB_MAX_OVERFLOW=15", -1};
	direct.standpipe = true;
	reference_make(&scenario, &direct, &reference, name, sizeof name);
	assert_string_equal(reference.name, "a-reference");
	assert_int_equal(reference.path, ARM_PATH_NONE);
	assert_false(reference.standpipe);
	assert_int_equal(reference.max_connections, 20 * 25 + 3 + 10);
	assert_true(reference_fits(&reference, &direct));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_settings_make_a_reference_whatever_the_times),
		cmocka_unit_test(a_reference_that_is_named_is_the_one),
		cmocka_unit_test(one_that_is_made_has_room_for_all_pools),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
