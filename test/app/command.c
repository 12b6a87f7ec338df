#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "loaded.h"

static const char *in(const char *const *environment, const char *name)
{
	return environment_get(environment, name);
}

static int count_of(const char *const *environment, const char *prefix)
{
	int count = 0;
	for (; *environment; environment++)
		count += !strncmp(*environment, prefix, strlen(prefix));
	return count;
}

static void the_command_finds_the_gate_where_it_looks_for_the_database(void **state)
{
	const char *const variables[] = {"DATABASE_URL=postgresql+asyncpg://other@db/orders",
		"PGHOST=db", "PGHOSTADDR=10.0.0.1", "PGSSLROOTCERT=/ca.pem", "PORT=8080",
		"HOME=/home/shop", "LISTEN_FDS=1", "LISTEN_PID=1", "NOTIFY_SOCKET=/run/notify",
		"STANDPIPE_CONTROL_FD=5",
		"STANDPIPE_DATABASE_URL=postgresql+asyncpg://shop@db/orders", NULL};
	const char *const extra[] = {"NOTIFY_SOCKET=/tmp/ours", NULL};
	struct loaded l;
	loaded_init(&l, CONFIG_RUN, NULL, variables);
	assert_int_equal(l.result, 0);
	struct config_command command = {"127.0.0.1", 6543, 8081, extra};
	const char *const *e = config_command_environment(&l.config, &command);
	assert_string_equal(
		in(e, "DATABASE_URL"), "postgresql+asyncpg://shop@127.0.0.1:6543/orders");
	assert_string_equal(in(e, "PGHOST"), "127.0.0.1");
	assert_string_equal(in(e, "PGPORT"), "6543");
	assert_string_equal(in(e, "PGUSER"), "shop");
	assert_string_equal(in(e, "PGDATABASE"), "orders");
	assert_string_equal(in(e, "PGSSLMODE"), "disable");
	assert_string_equal(in(e, "PORT"), "8081");
	assert_string_equal(in(e, "HOME"), "/home/shop");
	assert_string_equal(in(e, "NOTIFY_SOCKET"), "/tmp/ours");
	const char *const gone[] = {"PGHOSTADDR", "PGSSLROOTCERT", "LISTEN_FDS", "LISTEN_PID",
		"STANDPIPE_CONTROL_FD", "STANDPIPE_DATABASE_URL"};
	for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++)
		assert_null(in(e, gone[i]));
	assert_int_equal(count_of(e, "PGHOST="), 1);
	assert_int_equal(count_of(e, "PORT="), 1);
	loaded_release(&l);
}

static void password_and_parameters_are_kept(void **state)
{
	const char *const variables[] = {"DATABASE_URL=postgresql+asyncpg://shop:hu%40sh@db/"
					 "orders?ssl=require&application_name=w",
		"PORT=8080", NULL};
	struct loaded l;
	loaded_init(&l, CONFIG_RUN, NULL, variables);
	struct config_command command = {.gate_host = "127.0.0.1", .gate_port = 6543};
	const char *const *e = config_command_environment(&l.config, &command);
	assert_string_equal(in(e, "DATABASE_URL"),
		"postgresql+asyncpg://shop:hu%40sh@127.0.0.1:6543/orders?ssl=disable&"
		"application_name=w");
	assert_string_equal(in(e, "PORT"), "8080");
	loaded_release(&l);
}

static void a_url_from_the_file_reaches_the_command_too(void **state)
{
	const char *const variables[] = {"HOME=/", NULL};
	struct loaded l;
	loaded_init(&l, CONFIG_RUN, "database: {url: \"postgres://u:p@h/d\"}\n", variables);
	assert_int_equal(l.result, 0);
	struct config_command command = {.gate_host = "127.0.0.1", .gate_port = 1};
	const char *const *e = config_command_environment(&l.config, &command);
	assert_string_equal(in(e, "DATABASE_URL"), "postgres://u:p@127.0.0.1:1/d");
	loaded_release(&l);
}

static void without_a_url_there_is_none_for_the_command(void **state)
{
	const char *const variables[] = {"PGHOST=db", "PGUSER=u", NULL};
	struct loaded l;
	loaded_init(&l, CONFIG_RUN, NULL, variables);
	assert_int_equal(l.result, 0);
	struct config_command command = {.gate_host = "127.0.0.1", .gate_port = 1};
	const char *const *e = config_command_environment(&l.config, &command);
	assert_null(in(e, "DATABASE_URL"));
	assert_string_equal(in(e, "PGHOST"), "127.0.0.1");
	loaded_release(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_command_finds_the_gate_where_it_looks_for_the_database),
		cmocka_unit_test(password_and_parameters_are_kept),
		cmocka_unit_test(a_url_from_the_file_reaches_the_command_too),
		cmocka_unit_test(without_a_url_there_is_none_for_the_command),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
