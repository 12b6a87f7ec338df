#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "io/check.h"
#include "io/check_target.h"

static void accepts_every_kind(void **state)
{
	static const char *const good[] = {"resolve:db.internal", "tcp://db:5432",
		"tcp://[::1]:5432", "http://host", "https://user:pw@host:8443/live?x=1",
		"http+204://host/", "https+401://host/x", "exec:pg_isready -h db", "redis://host",
		"redis://:pw@host:6380/3", "rediss://u:p@host/0", "postgresql://u:p@host:5432/db",
		"postgres:///db", "postgresql+asyncpg://u:p@host/db?sslmode=require",
		"ws://host:8000/ws", "wss://host/ws?token=x"};
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct error error;
		if (check_validate(good[i], &error) < 0)
			fail_msg("%s: %s", good[i], error.text);
	}
}

static void refuses_with_the_mend(void **state)
{
	static const struct {
		const char *target, *text;
	} bad[] = {
		{"", "not a check's target: use resolve:HOST, tcp://HOST:PORT"},
		{"localhost:80", "not a check's target: use resolve:HOST"},
		{"gopher://host/", "not a kind of check that there is"},
		{"resolve:", "takes a host name alone"},
		{"resolve:http://x", "takes a host name alone"},
		{"tcp://host", "the port is missing"},
		{"tcp://:80", "not a valid URL"},
		{"http://host:99999/", "not a valid URL"},
		{"http+20://host/", "a status from 100 to 599"},
		{"http+700://host/", "a status from 100 to 599"},
		{"redis+204://host/", "a status from 100 to 599"},
		{"exec:", "the command is missing"},
		{"exec:   ", "the command is missing"},
		{"redis://host/zero", "a database's number"},
		{"redis://secret@host", "redis://:PASSWORD@HOST"},
		{"postgresql://u:p@host/db?pool_size=3", "libpq can't read it"},
		{"ws://u:p@host/", "not supported for WebSockets"},
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct error error = {0};
		assert_int_equal(check_validate(bad[i].target, &error), -1);
		assert_string_equal(error.stage, "config");
		if (!strstr(error.text, bad[i].text))
			fail_msg("%s: %s", bad[i].target, error.text);
		assert_null(strstr(error.text, "secret"));
	}
}

/* Messages name the target, and nothing that is secret. */
static void names_hold_no_secret(void **state)
{
	static const struct {
		const char *target, *name, *origin;
	} rows[] = {
		{"http://u:secret@host/live?token=secret", "http://host:80/live", "host:80"},
		{"https://secret:x@[::1]:8443/", "https://[::1]:8443", "[::1]:8443"},
		{"redis://:secret@host/3", "redis://host:6379/3", "host:6379"},
		{"postgresql+asyncpg://u:secret@host/db?sslpassword=secret",
			"postgresql://host:5432/db", "host:5432"},
		{"exec:PGPASSWORD=secret A=b psql -c secret", "exec:psql ...", "psql"},
		{"exec:true", "exec:true", "true"},
		{"ws://host:8000/ws?key=secret", "ws://host:8000/ws", "host:8000"},
		{"resolve:db.internal", "resolve:db.internal", "db.internal"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct check_target t;
		struct error error;
		assert_int_equal(check_target_parse(&t, rows[i].target, &error), 0);
		assert_string_equal(t.name, rows[i].name);
		assert_string_equal(t.origin, rows[i].origin);
		check_target_release(&t);
	}
}

static void parts_are_decoded(void **state)
{
	struct check_target t;
	struct error error;
	assert_int_equal(check_target_parse(&t, "rediss://us%40er:p%2Fw@host:6380/12", &error), 0);
	assert_int_equal(t.kind, CHECK_REDIS);
	assert_string_equal(t.user, "us@er");
	assert_string_equal(t.password, "p/w");
	assert_int_equal(t.database, 12);
	assert_string_equal(t.url, "https://host:6380/12");
	check_target_release(&t);
	assert_int_equal(check_target_parse(&t, "http+204://host/a?b=c", &error), 0);
	assert_int_equal(t.status, 204);
	assert_string_equal(t.url, "http://host:80/a?b=c");
	check_target_release(&t);
	assert_int_equal(check_target_parse(&t, "wss://host/ws?a=b", &error), 0);
	assert_string_equal(t.path, "/ws?a=b");
	check_target_release(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepts_every_kind),
		cmocka_unit_test(refuses_with_the_mend),
		cmocka_unit_test(names_hold_no_secret),
		cmocka_unit_test(parts_are_decoded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
