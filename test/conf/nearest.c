#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "conf/nearest.h"

static const char *nearest_of(const char *word)
{
	static const char *const known[] = {
		"pool", "path", "budget", "timeouts", "connection_limit"};
	struct nearest n;
	nearest_init(&n, word);
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		nearest_try(&n, known[i]);
	return n.best;
}

static void slips_of_the_hand_find_the_word(void **state)
{
	assert_string_equal(nearest_of("pol"), "pool");
	assert_string_equal(nearest_of("pooll"), "pool");
	assert_string_equal(nearest_of("opol"), "pool");
	assert_string_equal(nearest_of("timeout"), "timeouts");
	assert_string_equal(nearest_of("bugdet"), "budget");
	assert_string_equal(nearest_of("connexion_limit"), "connection_limit");
}

static void what_is_like_nothing_finds_nothing(void **state)
{
	assert_null(nearest_of("x"));
	assert_null(nearest_of("observability"));
	assert_null(nearest_of(""));
}

static void two_swapped_letters_are_one_step(void **state)
{
	struct nearest n;
	nearest_init(&n, "budegt");
	nearest_try(&n, "budget");
	assert_int_equal(n.distance, 1);
}

static void words_of_any_length_are_safe(void **state)
{
	char word[1000];
	memset(word, 'a', sizeof(word) - 1);
	word[sizeof(word) - 1] = 0;
	assert_null(nearest_of(word));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slips_of_the_hand_find_the_word),
		cmocka_unit_test(what_is_like_nothing_finds_nothing),
		cmocka_unit_test(two_swapped_letters_are_one_step),
		cmocka_unit_test(words_of_any_length_are_safe),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
