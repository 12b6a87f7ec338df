#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "gate/statement.h"

/* As in Parse: a count, then as many OIDs. */
static const struct bytes no_types = {(const uint8_t *)"\0\0", 2};
static const struct bytes one_type = {(const uint8_t *)"\0\1\0\0\0\x17", 6};

/* ---- all statements ---- */

static void the_same_text_and_types_are_one_statement(void **state)
{
	struct statements all;
	statements_init(&all, 3, 1 << 20);
	struct statement *a = statements_intern(&all, "select 1", no_types, 0);
	char text[] = "select 1";
	assert_ptr_equal(statements_intern(&all, text, no_types, 0), a);
	assert_int_equal(a->refs, 2);
	struct statement *other_text = statements_intern(&all, "select 2", no_types, 0);
	struct statement *other_types = statements_intern(&all, "select 1", one_type, 0);
	assert_ptr_not_equal(other_text, a);
	assert_ptr_not_equal(other_types, a);
	assert_int_equal(all.count, 3);
	statements_release(&all);
}

static void a_statement_keeps_copies_and_has_a_name_of_its_own(void **state)
{
	struct statements all;
	char name[STATEMENT_NAME_MAX], other[STATEMENT_NAME_MAX];
	char text[] = "select $1";
	uint8_t types[] = {0, 1, 0, 0, 0, 23};
	statements_init(&all, 3, 1 << 20);
	struct statement *s = statements_intern(
		&all, text, (struct bytes){types, sizeof(types)}, 0);
	memset(text, 'x', sizeof(text) - 1);
	memset(types, 'x', sizeof(types));
	assert_string_equal(statement_query(s), "select $1");
	assert_int_equal(statement_types(s).len, 6);
	assert_memory_equal(statement_types(s).at, one_type.at, 6);
	statement_name(s, name);
	assert_string_equal(name, STATEMENT_PREFIX "1");
	statement_name(statements_intern(&all, "", no_types, 0), other);
	assert_string_equal(other, STATEMENT_PREFIX "2");
	s->id = UINT64_MAX;
	statement_name(s, name);
	assert_string_equal(name, STATEMENT_PREFIX "18446744073709551615");
	statements_release(&all);
}

static void those_that_nobody_names_give_up_their_room(void **state)
{
	struct statements all;
	statements_init(&all, 2, 1 << 20);
	struct statement *made[9];
	for (int i = 0; i < 9; i++) {
		char text[2] = {(char)('a' + i)};
		made[i] = statements_intern(&all, text, no_types, 0);
		statements_put(&all, made[i], 0);
		if (i == 4)
			statements_put(&all, made[i], 1);
		if (i % 3 != 0)
			statements_drop(&all, made[i]);
	}
	assert_int_equal(statements_give_up(&all, 0), 6);
	assert_int_equal(statements_on(&all, 0), 3);
	for (int i = 0; i < 9; i += 3)
		assert_true(statement_is_on(made[i], 0));
	/* Another server has it. */
	assert_int_equal(all.count, 4);
	assert_int_equal(statements_give_up(&all, 0), 0);
	assert_int_equal(statements_give_up(&all, 1), 1);
	assert_int_equal(all.count, 3);
	statements_release(&all);
}

static void one_that_nobody_names_and_no_server_has_is_gone(void **state)
{
	struct statements all;
	statements_init(&all, 3, 1 << 20);
	struct statement *s = statements_intern(&all, "select 1", no_types, 0);
	statements_intern(&all, "select 1", no_types, 0);
	statements_drop(&all, s);
	assert_int_equal(all.count, 1);
	statements_drop(&all, s);
	assert_int_equal(all.count, 0);
	/* Its name is not given out again: a server might still know it. */
	assert_int_equal(statements_intern(&all, "select 1", no_types, 0)->id, 2);
	statements_release(&all);
}

static void one_that_a_server_has_stays_until_the_server_forgets_it(void **state)
{
	struct statements all;
	statements_init(&all, 3, 1 << 20);
	struct statement *s = statements_intern(&all, "select 1", no_types, 0);
	statements_put(&all, s, 0);
	statements_put(&all, s, 2);
	statements_drop(&all, s);
	assert_int_equal(all.count, 1);
	assert_ptr_equal(statements_intern(&all, "select 1", no_types, 0), s);
	assert_true(statement_is_on(s, 2));
	statements_drop(&all, s);
	statements_forget_server(&all, 0);
	assert_int_equal(all.count, 1);
	assert_false(statement_is_on(s, 0));
	statements_forget_server(&all, 2);
	assert_int_equal(all.count, 0);
	statements_release(&all);
}

static void forgetting_a_server_leaves_what_is_named_and_what_others_have(void **state)
{
	struct statements all;
	statements_init(&all, 3, 1 << 20);
	struct statement *named = statements_intern(&all, "named", no_types, 0);
	struct statement *elsewhere = statements_intern(&all, "elsewhere", no_types, 0);
	statements_put(&all, named, 1);
	statements_put(&all, elsewhere, 1);
	statements_put(&all, elsewhere, 2);
	statements_drop(&all, elsewhere);
	statements_forget_server(&all, 1);
	assert_int_equal(all.count, 2);
	assert_false(statement_is_on(named, 1));
	assert_true(statement_is_on(elsewhere, 2));
	statements_release(&all);
}

static void each_server_has_a_bit_of_its_own(void **state)
{
	static const int counts[] = {1, 63, 64, 65, 200};
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		struct statements all;
		statements_init(&all, counts[i], 1 << 20);
		struct statement *s = statements_intern(&all, "select 1", no_types, 0);
		for (int server = 0; server < counts[i]; server++) {
			statements_put(&all, s, server);
			for (int other = 0; other < counts[i]; other++)
				assert_int_equal(statement_is_on(s, other), other == server);
			statements_take(&all, s, server);
		}
		statements_release(&all);
	}
}

static void thousands_are_found_again(void **state)
{
	struct statements all;
	static struct statement *made[5000];
	char text[64];
	statements_init(&all, 3, 1 << 20);
	for (int i = 0; i < 5000; i++) {
		snprintf(text, sizeof(text), "select %d", i);
		made[i] = statements_intern(&all, text, no_types, 0);
	}
	assert_int_equal(all.count, 5000);
	for (int i = 0; i < 5000; i++) {
		snprintf(text, sizeof(text), "select %d", i);
		assert_ptr_equal(statements_intern(&all, text, no_types, 0), made[i]);
		statements_drop(&all, made[i]);
		if (i % 2)
			statements_drop(&all, made[i]);
	}
	assert_int_equal(all.count, 2500);
	for (int i = 0; i < 5000; i += 2)
		statements_drop(&all, made[i]);
	assert_int_equal(all.count, 0);
	statements_release(&all);
}

/* ---- a client's names ---- */

static uint32_t add(struct statements *all, struct statement_names *names, const char *name)
{
	char text[64];
	snprintf(text, sizeof(text), "text of %s", name);
	return statement_names_add(names, name, statements_intern(all, text, no_types, 0));
}

static void names_are_found_and_removed(void **state)
{
	struct statements all;
	struct statement_names names = {0};
	statements_init(&all, 3, 1 << 20);
	assert_null(statement_names_find(&names, "a"));
	statement_names_remove(&names, &all, "a"); /* not there: no error */
	statement_names_undo(&names, &all, "a", 1);
	assert_null(names.entries);
	add(&all, &names, "a");
	add(&all, &names, "A");
	assert_string_equal(statement_query(statement_names_find(&names, "a")), "text of a");
	assert_string_equal(statement_query(statement_names_find(&names, "A")), "text of A");
	assert_null(statement_names_find(&names, "b"));
	statement_names_remove(&names, &all, "a");
	assert_null(statement_names_find(&names, "a"));
	assert_int_equal(names.count, 1);
	assert_int_equal(all.count, 1); /* the reference went with the name */
	statement_names_clear(&names, &all);
	assert_int_equal(names.count, 0);
	assert_int_equal(all.count, 0);
	assert_null(names.entries);
	statements_release(&all);
}

static void two_names_may_mean_one_statement(void **state)
{
	struct statements all;
	struct statement_names names = {0};
	statements_init(&all, 3, 1 << 20);
	statement_names_add(&names, "a", statements_intern(&all, "select 1", no_types, 0));
	statement_names_add(&names, "b", statements_intern(&all, "select 1", no_types, 0));
	assert_ptr_equal(statement_names_find(&names, "a"), statement_names_find(&names, "b"));
	statement_names_remove(&names, &all, "a");
	assert_int_equal(statement_names_find(&names, "b")->refs, 1);
	statement_names_clear(&names, &all);
	statements_release(&all);
}

static void undoing_takes_back_one_definition_and_not_a_later_one(void **state)
{
	struct statements all;
	struct statement_names names = {0};
	statements_init(&all, 3, 1 << 20);
	uint32_t first = add(&all, &names, "a");
	statement_names_remove(&names, &all, "a");
	uint32_t second = add(&all, &names, "a");
	assert_int_not_equal(first, second);
	statement_names_undo(&names, &all, "a", first); /* long gone */
	assert_non_null(statement_names_find(&names, "a"));
	statement_names_undo(&names, &all, "a", second);
	assert_null(statement_names_find(&names, "a"));
	assert_int_equal(all.count, 0);
	/* Serials go on after all is forgotten (DEALLOCATE ALL). */
	statement_names_clear(&names, &all);
	uint32_t third = add(&all, &names, "a");
	assert_true(third > second);
	statement_names_clear(&names, &all);
	statements_release(&all);
}

#define NAMES 97

/* Adds, removes and undoes at random, beside a plain list that does the same. */
static void names_agree_with_a_plain_list_whatever_happens(void **state)
{
	struct statements all;
	struct statement_names names = {0};
	uint32_t serials[NAMES] = {0}; /* 0: not there */
	struct random random;
	statements_init(&all, 3, 1 << 20);
	random_init(&random, 4);
	for (int round = 0; round < 20000; round++) {
		char name[16];
		int i = (int)random_below(&random, NAMES);
		snprintf(name, sizeof(name), "s%d", i);
		if (!serials[i]) {
			serials[i] = add(&all, &names, name);
		} else if (random_below(&random, 2)) {
			statement_names_remove(&names, &all, name);
			serials[i] = 0;
		} else {
			statement_names_undo(&names, &all, name, serials[i]);
			serials[i] = 0;
		}
		uint32_t count = 0;
		for (int k = 0; k < NAMES; k++) {
			char text[32];
			snprintf(name, sizeof(name), "s%d", k);
			snprintf(text, sizeof(text), "text of s%d", k);
			const struct statement *s = statement_names_find(&names, name);
			assert_int_equal(s != NULL, serials[k] != 0);
			if (s)
				assert_string_equal(statement_query(s), text);
			count += serials[k] != 0;
		}
		assert_int_equal(names.count, count);
		assert_int_equal(all.count, count);
	}
	statement_names_clear(&names, &all);
	assert_int_equal(all.count, 0);
	statements_release(&all);
}

static void a_server_knows_which_it_did_not_use_for_longest(void **state)
{
	struct statements all;
	statements_init(&all, 2, 1 << 20);
	struct statement *made[20];
	for (int i = 0; i < 20; i++) {
		char text[16];
		snprintf(text, sizeof(text), "%d", i);
		made[i] = statements_intern(&all, text, no_types, 0);
		statements_put(&all, made[i], 0);
	}
	assert_int_equal(statements_on(&all, 0), 20);
	assert_int_equal(statements_on(&all, 1), 0);
	assert_null(statements_oldest(&all, 1));
	assert_ptr_equal(statements_oldest(&all, 0), made[0]);
	statements_touch(&all, made[0], 0);
	statements_put(&all, made[1], 0); /* it has it: that is a use */
	assert_int_equal(statements_on(&all, 0), 20);
	assert_ptr_equal(statements_oldest(&all, 0), made[2]);
	for (int i = 2; i < 20; i++) {
		assert_ptr_equal(statements_find(&all, 0, made[i]->id), made[i]);
		assert_ptr_equal(statements_oldest(&all, 0), made[i]);
		statements_take(&all, made[i], 0);
		assert_false(statement_is_on(made[i], 0));
		assert_null(statements_find(&all, 0, made[i]->id));
	}
	assert_ptr_equal(statements_oldest(&all, 0), made[0]);
	statements_take(&all, made[0], 0);
	statements_take(&all, made[0], 0); /* as good as once */
	assert_ptr_equal(statements_oldest(&all, 0), made[1]);
	assert_int_equal(statements_on(&all, 0), 1);
	statements_release(&all);
}

static void other_settings_and_another_schema_make_another_statement(void **state)
{
	struct statements all;
	statements_init(&all, 1, 1 << 20);
	struct statement *first = statements_intern(&all, "select 1", no_types, 0);
	struct statement *read_otherwise = statements_intern(&all, "select 1", no_types, 7);
	assert_ptr_not_equal(first, read_otherwise);
	assert_ptr_equal(statements_intern(&all, "select 1", no_types, 7), read_otherwise);
	statements_outdate(&all);
	struct statement *anew = statements_intern(&all, "select 1", no_types, 0);
	assert_ptr_not_equal(anew, first);
	assert_ptr_equal(statements_intern(&all, "select 1", no_types, 0), anew);
	anew->generation = 0; /* known to be out of date by itself */
	assert_ptr_not_equal(statements_intern(&all, "select 1", no_types, 0), anew);
	statements_release(&all);
}

static void texts_have_a_bound_together(void **state)
{
	struct statements all;
	char text[1024];
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = 0;
	statements_init(&all, 1, 2000);
	struct statement *s = statements_intern(&all, text, no_types, 0);
	assert_non_null(s);
	text[0] = 'y';
	assert_null(statements_intern(&all, text, no_types, 0));
	text[0] = 'x';
	assert_ptr_equal(statements_intern(&all, text, no_types, 0), s); /* is there */
	statements_drop(&all, s);
	statements_drop(&all, s);
	assert_int_equal(all.bytes, 0);
	text[0] = 'y';
	assert_non_null(statements_intern(&all, text, no_types, 0));
	statements_release(&all);
}

#define COLUMN(name, table, type, modifier) \
	name "\0\0\0\0" table "\0\2\0\0\0" type "\0\4\xff\xff\xff" modifier "\0\0"
#define SHAPE(body) statement_shape((struct bytes){(const uint8_t *)(body), sizeof(body) - 1})

static void a_shape_is_the_names_and_types_of_columns(void **state)
{
	uint32_t one = SHAPE("\0\1" COLUMN("a", "\1", "\x17", "\xff"));
	assert_true(one > STATEMENT_SHAPE_NONE);
	assert_true(SHAPE("\0\0") > STATEMENT_SHAPE_NONE); /* rows without columns */
	/* A table that was created anew gives the same. */
	assert_int_equal(SHAPE("\0\1" COLUMN("a", "\7", "\x17", "\xff")), one);
	assert_int_not_equal(SHAPE("\0\1" COLUMN("b", "\1", "\x17", "\xff")), one);
	assert_int_not_equal(SHAPE("\0\1" COLUMN("a", "\1", "\x19", "\xff")), one);
	assert_int_not_equal(SHAPE("\0\1" COLUMN("a", "\1", "\x17", "\x08")), one);
	assert_int_not_equal(
		SHAPE("\0\2" COLUMN("a", "\1", "\x17", "\xff") COLUMN("a", "\1", "\x17", "\xff")),
		one);
	assert_int_equal(SHAPE("\0\2" COLUMN("a", "\1", "\x17", "\xff")), STATEMENT_SHAPE_UNKNOWN);
	assert_int_equal(SHAPE("\0"), STATEMENT_SHAPE_UNKNOWN);
}

static void a_name_remembers_what_was_prepared(void **state)
{
	struct statements all;
	struct statement_names names = {0};
	statements_init(&all, 1, 1 << 20);
	struct statement *s = statements_intern(&all, "select 1", no_types, 0);
	s->shape = 5;
	uint32_t serial = statement_names_add(&names, "a", s);
	assert_int_equal(statement_names_entry(&names, "a")->shape, 5);
	assert_true(statement_names_shape(&names, "a", serial, 7));
	s->shape = 9;
	statement_names_replace(
		&names, &all, "a", statements_intern(&all, "select 2", no_types, 0));
	assert_int_equal(statement_names_entry(&names, "a")->shape, 7);
	assert_false(statement_names_shape(&names, "a", serial + 1, 8));
	assert_false(statement_names_shape(&names, "b", serial, 8));
	assert_int_equal(statement_names_entry(&names, "a")->shape, 7);
	statement_names_clear(&names, &all);
	statements_release(&all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_server_knows_which_it_did_not_use_for_longest),
		cmocka_unit_test(other_settings_and_another_schema_make_another_statement),
		cmocka_unit_test(texts_have_a_bound_together),
		cmocka_unit_test(the_same_text_and_types_are_one_statement),
		cmocka_unit_test(a_statement_keeps_copies_and_has_a_name_of_its_own),
		cmocka_unit_test(one_that_nobody_names_and_no_server_has_is_gone),
		cmocka_unit_test(those_that_nobody_names_give_up_their_room),
		cmocka_unit_test(one_that_a_server_has_stays_until_the_server_forgets_it),
		cmocka_unit_test(forgetting_a_server_leaves_what_is_named_and_what_others_have),
		cmocka_unit_test(each_server_has_a_bit_of_its_own),
		cmocka_unit_test(thousands_are_found_again),
		cmocka_unit_test(a_shape_is_the_names_and_types_of_columns),
		cmocka_unit_test(a_name_remembers_what_was_prepared),
		cmocka_unit_test(names_are_found_and_removed),
		cmocka_unit_test(two_names_may_mean_one_statement),
		cmocka_unit_test(undoing_takes_back_one_definition_and_not_a_later_one),
		cmocka_unit_test(names_agree_with_a_plain_list_whatever_happens),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
