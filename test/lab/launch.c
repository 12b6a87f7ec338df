#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/instant.h"
#include "lab/launch.h"

static const struct launch launch = {
	.program = "/bin/standpipe",
	.database_host = "127.0.1.7",
	.database_port = 6543,
	.user = "app",
	.password = "pass",
	.database = "shop",
	.port = 8001,
	.admin_port = 8002,
	.gate_port = 8003,
	.time_scale = 0.1,
};

static const struct scenario_arm arm = {
	.name = "a",
	.env = {{"DB_POOL_SIZE=5", -1}, {"DB_POOL_SIZE=7", -1},
		{"DB_INITIALIZATION_TIMEOUT", 20 * NS_PER_S}},
	.env_count = 3,
};

/* The value of `name`; NULL: not there. It must not be there twice. */
static const char *get(const char **environment, const char *name)
{
	const char *found = NULL;
	size_t len = strlen(name);

	for (; *environment; environment++) {
		if (strncmp(*environment, name, len) != 0 || (*environment)[len] != '=')
			continue;
		assert_null(found);
		found = *environment + len + 1;
	}
	return found;
}

static void nothing_of_ours_steers_an_instance(void **state)
{
	const char *const own[] = {"PATH=/bin", "DATABASE_URL=postgresql://production/",
		"DB_MAX_OVERFLOW=99", "STANDPIPE_LOG_LEVEL=debug", "PGHOST=production",
		"ENVIRONMENT=staging", "PORTAL=stays", "PORT=1", NULL};
	struct arena arena = ARENA_INIT;
	const char **environment = launch_environment(&arena, &arm, &launch, own);

	(void)state;
	assert_string_equal(get(environment, "PATH"), "/bin");
	assert_string_equal(get(environment, "PORTAL"), "stays");
	assert_null(get(environment, "DB_MAX_OVERFLOW"));
	assert_null(get(environment, "STANDPIPE_LOG_LEVEL"));
	assert_null(get(environment, "PGHOST"));
	assert_null(get(environment, "ENVIRONMENT"));
	assert_null(get(environment, "STANDPIPE_ADMIN_PORT"));
	assert_string_equal(get(environment, "DATABASE_URL"),
		"postgresql+asyncpg://app:pass@127.0.1.7:6543/shop");
	assert_string_equal(get(environment, "PORT"), "8001");
	arena_release(&arena);
}

static void the_arms_variables_are_set_and_times_scaled(void **state)
{
	const char *const own[] = {NULL};
	struct arena arena = ARENA_INIT;
	const char **environment = launch_environment(&arena, &arm, &launch, own);

	(void)state;
	assert_string_equal(get(environment, "DB_POOL_SIZE"), "7");
	assert_string_equal(get(environment, "DB_INITIALIZATION_TIMEOUT"), "2");
	arena_release(&arena);
}

static void standpipe_goes_before_the_command_and_has_ports_of_its_own(void **state)
{
	const char *command[] = {"serve", "--fast", NULL};
	const char *const own[] = {NULL};
	const struct scenario s = {.command = {.list = command, .count = 2}};
	struct scenario_arm with = arm;
	struct arena arena = ARENA_INIT;

	(void)state;
	const char **argv = launch_command(&arena, &s, &arm, &launch);
	assert_string_equal(argv[0], "serve");
	assert_string_equal(argv[1], "--fast");
	assert_null(argv[2]);
	with.standpipe = true;
	argv = launch_command(&arena, &s, &with, &launch);
	assert_string_equal(argv[0], "/bin/standpipe");
	assert_string_equal(argv[1], "run");
	assert_string_equal(argv[2], "--");
	assert_string_equal(argv[3], "serve");
	assert_null(argv[5]);
	const char **environment = launch_environment(&arena, &with, &launch, own);
	assert_string_equal(get(environment, "STANDPIPE_ADMIN_PORT"), "8002");
	assert_string_equal(get(environment, "STANDPIPE_LISTEN_PORT"), "8003");
	assert_string_equal(get(environment, "PORT"), "8001");
	arena_release(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_of_ours_steers_an_instance),
		cmocka_unit_test(the_arms_variables_are_set_and_times_scaled),
		cmocka_unit_test(standpipe_goes_before_the_command_and_has_ports_of_its_own),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
