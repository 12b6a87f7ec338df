#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/syn.h"

#define MS NS_PER_MS

static void a_handshake_under_a_second_lost_nothing(void **state)
{
	assert_int_equal(syn_losses(0, 0), 0);
	assert_int_equal(syn_losses(20 * MS, 20 * MS), 0);
	assert_int_equal(syn_losses(999 * MS, 20 * MS), 0);
}

static void just_over_a_retransmission_tells_how_many(void **state)
{
	static const struct {
		int at_ms, lost;
	} cases[] = {
		{1000, 1}, {1020, 1}, {1199, 1}, /* both */
		{2020, 2}, {4020, 4}, {5020, 5}, {11020, 7}, /* linear first */
		{3020, 2}, {7020, 3}, {15020, 4}, {31020, 5}, /* doubling; 3 and 7 by either */
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(syn_losses(cases[i].at_ms * MS, 20 * MS), cases[i].lost);
}

static void in_between_it_was_slow(void **state)
{
	static const int between_ms[] = {1200, 1500, 2500, 3900, 6000, 9000, 14999, 20000, 60000};
	for (size_t i = 0; i < sizeof(between_ms) / sizeof(between_ms[0]); i++)
		assert_int_equal(syn_losses(between_ms[i] * MS, 20 * MS), 0);
}

static void the_slack_follows_what_a_handshake_takes_else(void **state)
{
	assert_int_equal(syn_losses(1390 * MS, 100 * MS), 1);
	assert_int_equal(syn_losses(1410 * MS, 100 * MS), 0);
	/* Where a handshake is slow its time alone tells nothing. */
	assert_int_equal(syn_losses(1000 * MS, 126 * MS), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_handshake_under_a_second_lost_nothing),
		cmocka_unit_test(just_over_a_retransmission_tells_how_many),
		cmocka_unit_test(in_between_it_was_slow),
		cmocka_unit_test(the_slack_follows_what_a_handshake_takes_else),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
