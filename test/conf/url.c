#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "conf/url.h"

static struct arena arena;
static struct error error;
static struct url u;

static int fresh(void **state)
{
	arena_release(&arena);
	error_init(&error);
	return 0;
}

static void parse(const char *text)
{
	if (url_parse(&u, &arena, text, &error) < 0)
		fail_msg("%s: %s", text, error.text);
}

static void refused(const char *text, const char *part)
{
	assert_int_equal(url_parse(&u, &arena, text, &error), -1);
	if (!strstr(error.text, part))
		fail_msg("%s: \"%s\" is not in \"%s\"", text, part, error.text);
}

/* What becomes of a URL on both sides. */
static void becomes(const char *text, const char *conninfo, const char *to_gate)
{
	const char *left_out;
	parse(text);
	assert_string_equal(url_conninfo(&u, &arena, &left_out), conninfo);
	assert_string_equal(left_out, "");
	assert_string_equal(url_to_gate(&u, &arena, "127.0.0.1", 6432), to_gate);
}

static void the_usual_url_is_understood(void **state)
{
	parse("postgresql+asyncpg://shop:s%40crt@db.internal:5433/orders?application_name=web");
	assert_string_equal(u.scheme, "postgresql");
	assert_string_equal(u.driver, "asyncpg");
	assert_string_equal(u.user.text, "shop");
	assert_string_equal(u.password.text, "s@crt");
	assert_string_equal(u.password.raw, "s%40crt");
	assert_int_equal(u.hosts_count, 1);
	assert_string_equal(u.hosts[0].name, "db.internal");
	assert_int_equal(u.hosts[0].port, 5433);
	assert_string_equal(u.database.text, "orders");
	assert_int_equal(u.parameters_count, 1);
	assert_string_equal(u.parameters[0].name.text, "application_name");
}

static void scheme_driver_user_password_database_and_parameters_are_kept(void **state)
{
	becomes("postgresql+asyncpg://shop:s%40crt@db:5433/orders?application_name=web",
		"postgresql://shop:s%40crt@db:5433/orders?application_name=web",
		"postgresql+asyncpg://shop:s%40crt@127.0.0.1:6432/orders?application_name=web");
	becomes("postgres://u:p@h/d", "postgresql://u:p@h/d", "postgres://u:p@127.0.0.1:6432/d");
	becomes("postgresql+psycopg2://u@h/d", "postgresql://u@h/d",
		"postgresql+psycopg2://u@127.0.0.1:6432/d");
	becomes("postgresql+psycopg://u@h/d?options=-c%20x%3D1&application_name=a+b",
		"postgresql://u@h/d?options=-c%20x%3D1&application_name=a%20b",
		"postgresql+psycopg://u@127.0.0.1:6432/d?options=-c%20x%3D1&application_name=a+b");
}

static void missing_parts_stay_missing(void **state)
{
	becomes("postgresql://", "postgresql:///", "postgresql://127.0.0.1:6432/");
	becomes("postgresql:///d", "postgresql:///d", "postgresql://127.0.0.1:6432/d");
	becomes("postgresql://h", "postgresql://h/", "postgresql://127.0.0.1:6432/");
	becomes("postgresql://u@", "postgresql://u@/", "postgresql://u@127.0.0.1:6432/");
	becomes("postgresql://:p@h:/d", "postgresql://:p@h/d", "postgresql://:p@127.0.0.1:6432/d");
	becomes("  postgresql://h/d\n", "postgresql://h/d", "postgresql://127.0.0.1:6432/d");
}

static void ipv6_and_several_hosts(void **state)
{
	becomes("postgresql://u@[::1]:6000/d", "postgresql://u@[::1]:6000/d",
		"postgresql://u@127.0.0.1:6432/d");
	assert_string_equal(u.hosts[0].name, "::1");
	becomes("postgresql://h1:1,h2,[fe80::1%25eth0]:3/d?target_session_attrs=read-write",
		"postgresql://h1:1,h2,[fe80::1%25eth0]:3/d?target_session_attrs=read-write",
		"postgresql://127.0.0.1:6432/d");
	assert_int_equal(u.hosts_count, 3);
	assert_string_equal(u.hosts[2].name, "fe80::1%eth0");
	assert_string_equal(url_address(&u, &arena), "h1:1,h2:5432,[fe80::1%eth0]:3");
	parse("postgresql://u@h/d");
	assert_string_equal(url_to_gate(&u, &arena, "::1", 1), "postgresql://u@[::1]:1/d");
}

static void unix_sockets_in_all_spellings(void **state)
{
	const char *conninfo = "postgresql://u:p@%2Fcloudsql%2Fa%3Ab%3Ac/d";
	becomes("postgresql://u:p@%2Fcloudsql%2Fa%3Ab%3Ac/d", conninfo,
		"postgresql://u:p@127.0.0.1:6432/d");
	assert_string_equal(url_address(&u, &arena), "/cloudsql/a:b:c/.s.PGSQL.5432");
	becomes("postgresql+psycopg2://u:p@/d?host=/cloudsql/a:b:c", conninfo,
		"postgresql+psycopg2://u:p@127.0.0.1:6432/d");
	becomes("postgresql+pg8000://u:p@/d?unix_sock=/cloudsql/a:b:c/.s.PGSQL.5432",
		"postgresql://u:p@%2Fcloudsql%2Fa%3Ab%3Ac:5432/d",
		"postgresql+pg8000://u:p@127.0.0.1:6432/d");
}

static void parameters_that_stand_for_parts(void **state)
{
	becomes("postgresql:///?host=h1,h2&port=1,2&user=u&password=p%26q&dbname=d",
		"postgresql://u:p%26q@h1:1,h2:2/d", "postgresql://u:p%26q@127.0.0.1:6432/d");
	becomes("postgresql+asyncpg://u@/d?host=h1:1&host=h2:2", "postgresql://u@h1:1,h2:2/d",
		"postgresql+asyncpg://u@127.0.0.1:6432/d");
	becomes("postgresql://h1,h2/d?port=7", "postgresql://h1:7,h2:7/d",
		"postgresql://127.0.0.1:6432/d");
	becomes("postgresql://h/d?hostaddr=10.0.0.1", "postgresql://h/d?hostaddr=10.0.0.1",
		"postgresql://127.0.0.1:6432/d");
}

static void tls_in_each_spelling(void **state)
{
	const struct {
		const char *parameters, *upstream, *gate;
	} cases[] = {
		{"+asyncpg://h/d?ssl=require", "sslmode=require", "ssl=disable"},
		{"+asyncpg://h/d?ssl=true", "sslmode=require", "ssl=disable"},
		{"+asyncpg://h/d?ssl=verify-full", "sslmode=verify-full", "ssl=disable"},
		{"://h/d?ssl=true", "sslmode=require", "ssl=false"},
		{"://h/d?ssl=off", "sslmode=disable", "ssl=false"},
		{"://h/d?ssl=no-verify", "sslmode=require", "ssl=disable"},
		{"+psycopg2://h/d?sslmode=verify-ca&sslrootcert=/ca.pem",
			"sslmode=verify-ca&sslrootcert=%2Fca.pem", "sslmode=disable"},
		{"://h/d?channel_binding=require&sslmode=require",
			"channel_binding=require&sslmode=require", "sslmode=disable"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *left_out;
		parse(arena_format(&arena, "postgresql%s", cases[i].parameters));
		assert_string_equal(
			strchr(url_conninfo(&u, &arena, &left_out), '?') + 1, cases[i].upstream);
		assert_string_equal(
			strchr(url_to_gate(&u, &arena, "g", 1), '?') + 1, cases[i].gate);
	}
}

static void what_libpq_does_not_know_is_left_out_and_said(void **state)
{
	const char *left_out;
	parse("postgresql+asyncpg://h/d?prepared_statement_cache_size=0&connect_timeout=5&"
	      "server_settings=x");
	assert_string_equal(
		url_conninfo(&u, &arena, &left_out), "postgresql://h/d?connect_timeout=5");
	assert_string_equal(left_out, "prepared_statement_cache_size, server_settings");
	assert_string_equal(url_to_gate(&u, &arena, "g", 1),
		"postgresql+asyncpg://g:1/d?prepared_statement_cache_size=0&connect_timeout=5&"
		"server_settings=x");
}

static void passwords_with_signs_in_them(void **state)
{
	/* libpq's rule: up to the last @ before the host. */
	becomes("postgresql://u:p@ss@h/d", "postgresql://u:p%40ss@h/d",
		"postgresql://u:p%40ss@127.0.0.1:6432/d");
	becomes("postgresql://u:p:q@h/d", "postgresql://u:p%3Aq@h/d",
		"postgresql://u:p:q@127.0.0.1:6432/d");
	/* SQLAlchemy's: / and ? may be in it, and a lone % is itself. */
	becomes("postgresql+asyncpg://u:a/b?c%@h/d", "postgresql://u:a%2Fb%3Fc%25@h/d",
		"postgresql+asyncpg://u:a%2Fb%3Fc%25@127.0.0.1:6432/d");
	/* A port is not a password. */
	parse("postgresql+asyncpg://h:5432/d?application_name=a@b");
	assert_null(u.user.text);
	assert_int_equal(u.hosts[0].port, 5432);
}

static void the_display_form_hides_every_secret(void **state)
{
	parse("postgresql+psycopg2://u:hush@h:1/"
	      "d?sslpassword=hush&application_name=x&my_token=hush");
	const char *shown = url_display(&u, &arena);
	assert_string_equal(shown, "postgresql+psycopg2://u:***@h:1/d?sslpassword=***&"
				   "application_name=x&my_token=***");
	parse("postgresql://h/d?password=hush");
	assert_string_equal(url_display(&u, &arena), "postgresql://:***@h/d");
}

static void bad_urls_are_refused_without_giving_the_password_away(void **state)
{
	refused("", "is empty");
	refused("   \n", "is empty");
	refused("db.internal", "not a URL");
	refused("host=db user=u", "not a URL");
	refused("mysql://u:hush@h/d", "scheme \"mysql\" is not PostgreSQL's");
	refused("u:hush@h/d://", "not a URL");
	refused("postgresql://u:hush/x@h/d", "the port must be a number from 1 to 65535");
	refused("postgresql://h:0/d", "the port");
	refused("postgresql://h:65536/d", "the port");
	refused("postgresql://h:99999999999/d", "the port");
	refused("postgresql://h:5432x/d", "the port");
	refused("postgresql://[::1/d", "IPv6");
	refused("postgresql://[]/d", "IPv6");
	refused("postgresql://[::1]5432/d", "after an IPv6 address");
	refused("postgresql://u:hu%zzsh@h/d", "two hexadecimal digits");
	refused("postgresql://u:hush%4@h/d", "two hexadecimal digits");
	refused("postgresql://u:hush%00@h/d", "control characters");
	refused("postgresql+asyncpg://u:hush%0a@h/d", "control characters");
	refused("postgresql://u:hu\nsh@h/d", "control characters");
	refused("postgresql://h/d?hush", "name=value");
	refused("postgresql://h/d?ssl=hush", "parameter ssl: must be disable");
	refused("postgresql://h1,h2/d?port=1,2,3", "as many as there are hosts");
	assert_null(strstr(error.text, "hush"));
}

static void no_bad_url_s_error_holds_the_password(void **state)
{
	const char *const bad[] = {"postgresql://u:hush/x@h/d", "postgresql://u:12?hush@h/d",
		"mysql://u:hush@h", "u:hush@h/d://x", "postgresql://u:hush%zz@h",
		"postgresql://u:hush[@h", "postgresql://u:hush", "postgresql://h/d?password=%zhush",
		"u:hush://h/d"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		error_init(&error);
		if (url_parse(&u, &arena, bad[i], &error) < 0)
			assert_null(strstr(error.text, "hush"));
	}
}

static void there_is_a_limit_to_everything(void **state)
{
	char text[URL_MAX + 100] = "postgresql://";
	memset(text + 13, 'h', URL_MAX);
	text[13 + URL_MAX] = 0;
	refused(text, "longer than 8192");
	strcpy(text, "postgresql://h");
	for (int i = 0; i < URL_HOSTS_MAX; i++)
		strcat(text, ",h");
	refused(text, "more than 16 hosts");
	strcpy(text, "postgresql:///?a=1");
	for (int i = 0; i < URL_PARAMETERS_MAX; i++)
		strcat(text, "&a=1");
	refused(text, "more than 64 parameters");
	strcpy(text, "postgresql:///?host=h");
	for (int i = 0; i < URL_HOSTS_MAX; i++)
		strcat(text, ",h");
	refused(text, "more than 16 hosts");
}

static int release(void **state)
{
	arena_release(&arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_usual_url_is_understood, fresh),
		cmocka_unit_test_setup(
			scheme_driver_user_password_database_and_parameters_are_kept, fresh),
		cmocka_unit_test_setup(missing_parts_stay_missing, fresh),
		cmocka_unit_test_setup(ipv6_and_several_hosts, fresh),
		cmocka_unit_test_setup(unix_sockets_in_all_spellings, fresh),
		cmocka_unit_test_setup(parameters_that_stand_for_parts, fresh),
		cmocka_unit_test_setup(tls_in_each_spelling, fresh),
		cmocka_unit_test_setup(what_libpq_does_not_know_is_left_out_and_said, fresh),
		cmocka_unit_test_setup(passwords_with_signs_in_them, fresh),
		cmocka_unit_test_setup(the_display_form_hides_every_secret, fresh),
		cmocka_unit_test_setup(
			bad_urls_are_refused_without_giving_the_password_away, fresh),
		cmocka_unit_test_setup(no_bad_url_s_error_holds_the_password, fresh),
		cmocka_unit_test_setup(there_is_a_limit_to_everything, fresh),
	};
	return cmocka_run_group_tests(tests, NULL, release);
}
