#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/control.h"

static int pair_setup(void **state)
{
	static int ends[2];
	*state = ends;
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends);
}

static int pair_teardown(void **state)
{
	int *ends = *state;
	close(ends[0]);
	if (ends[1] >= 0)
		close(ends[1]);
	return 0;
}

static void messages_arrive_whole_and_in_order(void **state)
{
	int *ends = *state;
	const struct control_message sent[] = {
		{CONTROL_HELLO, COMMAND_RUNNING},
		{CONTROL_STARTED, 4711},
		{CONTROL_EXITED, 128 + 9},
		{CONTROL_EXIT, -1},
		{CONTROL_STOPPING, 15},
	};
	size_t count = sizeof(sent) / sizeof(sent[0]);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(control_send(ends[0], &sent[i]), 0);
	for (size_t i = 0; i < count; i++) {
		struct control_message got;
		assert_int_equal(control_receive(ends[1], &got, NULL), 1);
		assert_int_equal(got.kind, sent[i].kind);
		assert_int_equal(got.code, sent[i].code);
	}
}

static void receiving_never_blocks(void **state)
{
	int *ends = *state;
	struct control_message got;
	assert_int_equal(control_receive(ends[1], &got, NULL), 0);
}

static void a_descriptor_comes_along(void **state)
{
	int *ends = *state;
	int pipe_ends[2], passed = -2;
	char byte = 0;
	struct control_message got;
	assert_int_equal(pipe(pipe_ends), 0);
	const struct control_message sent = {CONTROL_CANCEL, 0x12345678, 0x9abcdef0};
	assert_int_equal(control_send_fd(ends[0], &sent, pipe_ends[1]), 0);
	assert_int_equal(control_send(ends[0], &sent), 0);
	assert_int_equal(control_send_fd(ends[0], &sent, pipe_ends[1]), 0);
	close(pipe_ends[1]);
	assert_int_equal(control_receive(ends[1], &got, &passed), 1);
	assert_int_equal(got.code, sent.code);
	assert_int_equal(got.key, sent.key);
	assert_int_equal(write(passed, "x", 1), 1);
	close(passed);
	assert_int_equal(control_receive(ends[1], &got, &passed), 1);
	assert_int_equal(passed, -1);
	/* One that nobody asked for is not kept open. */
	assert_int_equal(control_receive(ends[1], &got, NULL), 1);
	assert_int_equal(read(pipe_ends[0], &byte, 1), 1);
	assert_int_equal(byte, 'x');
	assert_int_equal(read(pipe_ends[0], &byte, 1), 0);
	close(pipe_ends[0]);
}

static void sending_to_an_end_that_does_not_read_fails_in_the_end(void **state)
{
	int *ends = *state;
	const struct control_message start = {CONTROL_START, 0};
	int sent = 0;
	while (sent < 1000000 && control_send(ends[0], &start) == 0)
		sent++;
	assert_in_range(sent, 1, 999999);
}

static void the_other_end_gone_is_told_on_both_ways(void **state)
{
	int *ends = *state;
	struct control_message message = {CONTROL_STOP, 0};
	close(ends[1]);
	ends[1] = -1;
	assert_int_equal(control_receive(ends[0], &message, NULL), -1);
	/* And no SIGPIPE: it would have ended this test. */
	assert_int_equal(control_send(ends[0], &message), -1);
}

static void what_it_does_not_know_is_passed_over(void **state)
{
	int *ends = *state;
	const int32_t unknown[2] = {99, 0};
	const char fragment[3] = {1, 0, 0};
	const struct control_message stop = {CONTROL_STOP, 7};
	struct control_message got;
	assert_int_equal(send(ends[0], unknown, sizeof(unknown), 0), sizeof(unknown));
	assert_int_equal(send(ends[0], fragment, sizeof(fragment), 0), sizeof(fragment));
	assert_int_equal(control_send(ends[0], &stop), 0);
	assert_int_equal(control_receive(ends[1], &got, NULL), 1);
	assert_int_equal(got.kind, CONTROL_STOP);
	assert_int_equal(got.code, 7);
}

#define PAIR_TEST(f) cmocka_unit_test_setup_teardown(f, pair_setup, pair_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PAIR_TEST(messages_arrive_whole_and_in_order),
		PAIR_TEST(receiving_never_blocks),
		PAIR_TEST(a_descriptor_comes_along),
		PAIR_TEST(sending_to_an_end_that_does_not_read_fails_in_the_end),
		PAIR_TEST(the_other_end_gone_is_told_on_both_ways),
		PAIR_TEST(what_it_does_not_know_is_passed_over),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
