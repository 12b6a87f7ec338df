/* Where the next dial begins. Names are those that every machine has. */
#include "io/places.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void check(const char *conninfo, unsigned turn, const char *host, const char *hostaddr,
	const char *port)
{
	struct places p;
	print_message("%s from %u\n", conninfo, turn);
	places_init(&p, conninfo, turn);
	if (host) {
		assert_non_null(p.host);
		assert_string_equal(p.host, host);
		assert_string_equal(p.hostaddr, hostaddr);
		assert_string_equal(p.port, port);
	} else {
		assert_null(p.host);
		assert_null(p.hostaddr);
		assert_null(p.port);
	}
	places_release(&p);
}

static void each_turn_begins_with_the_next(void **state)
{
	(void)state;
	static const char all[] =
		"postgresql://app:x@10.0.0.1:1,10.0.0.2,[::1]:3/app?sslmode=disable";
	check(all, 0, "10.0.0.1,10.0.0.2,::1", "10.0.0.1,10.0.0.2,::1", "1,,3");
	check(all, 1, "10.0.0.2,::1,10.0.0.1", "10.0.0.2,::1,10.0.0.1", ",3,1");
	check(all, 2, "::1,10.0.0.1,10.0.0.2", "::1,10.0.0.1,10.0.0.2", "3,1,");
	check(all, 3, "10.0.0.1,10.0.0.2,::1", "10.0.0.1,10.0.0.2,::1", "1,,3");
	check(all, 4000000000u, "10.0.0.2,::1,10.0.0.1", "10.0.0.2,::1,10.0.0.1", ",3,1");
}

static void one_place_is_left_to_libpq(void **state)
{
	(void)state;
	check("postgresql://10.0.0.1/app", 1, NULL, NULL, NULL);
	check("postgresql:///app?host=/tmp", 1, NULL, NULL, NULL);
	check("postgresql:///app", 1, NULL, NULL, NULL);
	check("dbname=app", 1, NULL, NULL, NULL);
	check("this is = no conninfo at all", 1, NULL, NULL, NULL);
}

static void one_port_is_for_all_hosts(void **state)
{
	(void)state;
	check("host=10.0.0.1,10.0.0.2 port=7", 1, "10.0.0.2,10.0.0.1", "10.0.0.2,10.0.0.1", "7,7");
	check("host=/a,/b port=7,8", 1, "/b,/a", ",", "8,7");
}

static void a_name_is_kept_for_the_certificate_and_its_address_is_given(void **state)
{
	(void)state;
	check("host=a.example,b.example hostaddr=10.0.0.1,10.0.0.2 port=7", 1,
		"b.example,a.example", "10.0.0.2,10.0.0.1", "7,7");
	check("hostaddr=10.0.0.1,10.0.0.2", 1, ",", "10.0.0.2,10.0.0.1", ",");
}

static void a_name_that_does_not_resolve_stays(void **state)
{
	(void)state;
	check("host=no-such-host.invalid,10.0.0.2", 0, "no-such-host.invalid,10.0.0.2", ",10.0.0.2",
		",");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_turn_begins_with_the_next),
		cmocka_unit_test(one_place_is_left_to_libpq),
		cmocka_unit_test(one_port_is_for_all_hosts),
		cmocka_unit_test(a_name_is_kept_for_the_certificate_and_its_address_is_given),
		cmocka_unit_test(a_name_that_does_not_resolve_stays),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
