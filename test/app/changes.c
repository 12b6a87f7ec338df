#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "app/changes.h"

static const char *const environment[] = {"A=1", "AB=2", "C=", "B", NULL};

static void expect(const struct changes *changes, const char *const *wanted)
{
	const char **got = changes_over(changes, environment);
	size_t i = 0;
	for (; wanted[i]; i++)
		assert_string_equal(got[i], wanted[i]);
	assert_null(got[i]);
	free(got);
}

static void without_a_change_it_is_the_environment(void **state)
{
	(void)state;
	struct changes changes = CHANGES_INIT;
	expect(&changes, environment);
	assert_null(changes_get(&changes, "A"));
	changes_put(&changes, "A", NULL);
	expect(&changes, environment);
	changes_release(&changes);
}

static void a_change_takes_the_place_of_its_variable_alone(void **state)
{
	(void)state;
	struct changes changes = CHANGES_INIT;
	changes_put(&changes, "A", "x=y");
	assert_string_equal(changes_get(&changes, "A"), "x=y");
	assert_null(changes_get(&changes, "AB"));
	expect(&changes, (const char *const[]){"AB=2", "C=", "B", "A=x=y", NULL});
	changes_put(&changes, "NEW", "");
	changes_put(&changes, "A", "3");
	expect(&changes, (const char *const[]){"AB=2", "C=", "B", "A=3", "NEW=", NULL});
	changes_put(&changes, "A", NULL);
	changes_put(&changes, "NEW", NULL);
	expect(&changes, environment);
	changes_release(&changes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_change_it_is_the_environment),
		cmocka_unit_test(a_change_takes_the_place_of_its_variable_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
