#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"

static void a_new_buffer_is_empty_and_owns_no_memory(void **state)
{
	struct buffer b = BUFFER_INIT;
	assert_int_equal(buffer_len(&b), 0);
	assert_null(b.memory);
	buffer_release(&b);
}

static void bytes_come_out_in_the_order_they_went_in(void **state)
{
	struct buffer b = BUFFER_INIT;
	buffer_append(&b, "stand", 5);
	buffer_append(&b, "pipe", 4);
	assert_int_equal(buffer_len(&b), 9);
	assert_memory_equal(buffer_bytes(&b).at, "standpipe", 9);
	buffer_take(&b, 5);
	assert_int_equal(buffer_bytes(&b).len, 4);
	assert_memory_equal(buffer_bytes(&b).at, "pipe", 4);
	buffer_release(&b);
}

static void numbers_are_big_endian_and_texts_keep_their_zero(void **state)
{
	struct buffer b = BUFFER_INIT;
	buffer_append_u8(&b, 0x51);
	buffer_append_u16(&b, 0x0102);
	buffer_append_u32(&b, 0xfffefdfc);
	buffer_append_text(&b, "ok");
	const uint8_t expected[] = {0x51, 1, 2, 0xff, 0xfe, 0xfd, 0xfc, 'o', 'k', 0};
	assert_int_equal(buffer_len(&b), sizeof(expected));
	assert_memory_equal(buffer_bytes(&b).at, expected, sizeof(expected));
	assert_int_equal(bytes_u16(buffer_bytes(&b).at + 1), 0x0102);
	assert_int_equal(bytes_u32(buffer_bytes(&b).at + 3), 0xfffefdfc);
	buffer_release(&b);
}

static void reserved_room_counts_only_once_it_is_grown_into(void **state)
{
	struct buffer b = BUFFER_INIT;
	uint8_t *room = buffer_reserve(&b, 1000);
	memset(room, 'x', 1000);
	assert_int_equal(buffer_len(&b), 0);
	buffer_grow(&b, 10);
	assert_int_equal(buffer_len(&b), 10);
	assert_memory_equal(buffer_bytes(&b).at, "xxxxxxxxxx", 10);
	buffer_release(&b);
}

static void contents_survive_growth_after_some_were_taken(void **state)
{
	struct buffer b = BUFFER_INIT;
	for (uint32_t i = 0; i < 10000; i++) {
		buffer_append_u32(&b, i);
		if (i % 3 == 2)
			buffer_take(&b, 4);
	}
	uint32_t first = 10000 / 3;
	assert_int_equal(buffer_len(&b), 4 * (10000 - first));
	for (uint32_t i = first; i < 10000; i++) {
		assert_int_equal(bytes_u32(buffer_bytes(&b).at), i);
		buffer_take(&b, 4);
	}
	buffer_release(&b);
}

static void a_stream_through_it_does_not_make_it_grow(void **state)
{
	struct buffer b = BUFFER_INIT;
	buffer_append(&b, "x", 1);
	for (int i = 0; i < 100000; i++) {
		buffer_append(&b, "0123456789abcdef", 16);
		buffer_take(&b, 16);
	}
	assert_true(b.size <= 256);
	buffer_release(&b);
}

static void an_idle_buffer_can_give_its_memory_back(void **state)
{
	struct buffer b = BUFFER_INIT;
	buffer_append(&b, "abc", 3);
	buffer_take(&b, 1);
	buffer_trim(&b);
	assert_non_null(b.memory);
	buffer_take(&b, 2);
	buffer_trim(&b);
	assert_null(b.memory);
	assert_int_equal(b.size, 0);
	buffer_append(&b, "again", 5);
	assert_memory_equal(buffer_bytes(&b).at, "again", 5);
	buffer_release(&b);
	assert_null(b.memory);
}

static void appending_nothing_takes_no_memory(void **state)
{
	struct buffer b = BUFFER_INIT;
	buffer_append(&b, NULL, 0);
	assert_null(b.memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_buffer_is_empty_and_owns_no_memory),
		cmocka_unit_test(bytes_come_out_in_the_order_they_went_in),
		cmocka_unit_test(numbers_are_big_endian_and_texts_keep_their_zero),
		cmocka_unit_test(reserved_room_counts_only_once_it_is_grown_into),
		cmocka_unit_test(contents_survive_growth_after_some_were_taken),
		cmocka_unit_test(a_stream_through_it_does_not_make_it_grow),
		cmocka_unit_test(an_idle_buffer_can_give_its_memory_back),
		cmocka_unit_test(appending_nothing_takes_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
