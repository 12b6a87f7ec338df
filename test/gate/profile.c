#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gate/profile.h"

/* The parameters of a startup packet: name, zero, value, zero, ..., zero. */
struct packet {
	struct buffer bytes;
};

static void put(struct packet *p, const char *name, const char *value)
{
	buffer_append_text(&p->bytes, name);
	buffer_append_text(&p->bytes, value);
}

static struct profile *profile_of(struct profiles *all, struct packet *p, struct error *error)
{
	error_init(error);
	buffer_append_u8(&p->bytes, 0);
	struct profile *profile = profile_from_startup(all, buffer_bytes(&p->bytes), error);
	buffer_release(&p->bytes);
	assert_int_equal(profile == NULL, error_is_set(error));
	return profile;
}

/* One pair, or `options`. */
static struct profile *profile_with_one(struct profiles *all, const char *name, const char *value)
{
	struct packet p = {BUFFER_INIT};
	struct error error;
	put(&p, "user", "app");
	put(&p, name, value);
	return profile_of(all, &p, &error);
}

static void expect_pairs(const struct profile *p, const char *pairs, size_t len)
{
	assert_non_null(p);
	assert_int_equal(buffer_len(&p->pairs), len);
	assert_memory_equal(buffer_bytes(&p->pairs).at, pairs, len);
}

#define EXPECT_PAIRS(p, literal) expect_pairs(p, literal, sizeof(literal) - 1)

static void expect_sql(const struct profile *p, const char *sql)
{
	struct buffer out = BUFFER_INIT;
	profile_sql(p, &out);
	assert_int_equal(buffer_len(&out), strlen(sql));
	assert_memory_equal(buffer_bytes(&out).at, sql, strlen(sql));
	buffer_release(&out);
}

static int count(const struct profiles *all)
{
	int n = 0;
	for (const struct profile *p = all->first; p; p = p->next)
		n++;
	return n;
}

static void a_session_that_sets_nothing_is_in_the_base_profile(void **state)
{
	struct profiles all;
	struct packet p = {BUFFER_INIT};
	struct error error;
	profiles_init(&all);
	put(&p, "user", "app");
	put(&p, "database", "main");
	put(&p, "replication", "off");
	put(&p, "_pq_.feature", "on");
	struct profile *profile = profile_of(&all, &p, &error);
	assert_ptr_equal(profile, all.base);
	assert_int_equal(profile->refs, 2);
	EXPECT_PAIRS(profile, "");
	expect_sql(profile, "SET SESSION AUTHORIZATION DEFAULT;RESET ROLE;RESET ALL");
	profile_drop(&all, profile);
	assert_int_equal(count(&all), 1);
	profiles_release(&all);
}

static void the_same_settings_in_any_order_are_one_profile(void **state)
{
	struct profiles all;
	struct packet one = {BUFFER_INIT}, two = {BUFFER_INIT};
	struct error error;
	profiles_init(&all);
	put(&one, "application_name", "web");
	put(&one, "TimeZone", "UTC");
	put(&one, "client_encoding", "UTF8");
	put(&two, "TimeZone", "UTC");
	put(&two, "user", "app");
	put(&two, "client_encoding", "UTF8");
	put(&two, "application_name", "web");
	struct profile *a = profile_of(&all, &one, &error);
	struct profile *b = profile_of(&all, &two, &error);
	assert_ptr_equal(a, b);
	assert_int_equal(a->refs, 2);
	EXPECT_PAIRS(a, "application_name\0web\0client_encoding\0UTF8\0TimeZone\0UTC\0");
	profile_drop(&all, a);
	assert_int_equal(count(&all), 3); /* with the part that is about how texts are read */
	profile_drop(&all, b);
	assert_int_equal(count(&all), 1);
	profiles_release(&all);
}

static void one_pair_more_is_another_profile_and_back_again(void **state)
{
	struct profiles all;
	profiles_init(&all);
	struct profile *utc = profile_with(&all, all.base, "TimeZone", "UTC");
	struct profile *cet = profile_with(&all, utc, "TimeZone", "CET");
	struct profile *again = profile_with(&all, cet, "TimeZone", "UTC");
	assert_ptr_not_equal(utc, cet);
	assert_ptr_equal(again, utc);
	assert_int_equal(utc->refs, 2);
	EXPECT_PAIRS(all.base, ""); /* what it was made from is as it was */
	profile_drop(&all, utc);
	profile_drop(&all, cet);
	profile_drop(&all, again);
	assert_int_equal(count(&all), 1);
	profiles_release(&all);
}

static void names_are_the_same_in_capitals_values_are_not(void **state)
{
	struct profiles all;
	profiles_init(&all);
	struct profile *a = profile_with(&all, all.base, "timezone", "utc");
	struct profile *b = profile_with(&all, a, "TimeZone", "UTC");
	EXPECT_PAIRS(b, "TimeZone\0UTC\0");
	struct profile *c = profile_with(&all, all.base, "TimeZone", "utc");
	assert_ptr_not_equal(b, c);
	profile_drop(&all, a);
	profile_drop(&all, b);
	profile_drop(&all, c);
	profiles_release(&all);
}

static void what_is_put_in_keeps_the_order_of_names(void **state)
{
	struct profiles all;
	profiles_init(&all);
	static const char *const names[] = {"m", "a", "z", "k", "A"};
	struct profile *p = profile_hold(all.base);
	for (int i = 0; i < 5; i++) {
		char value[2] = {(char)('0' + i), 0};
		struct profile *next = profile_with(&all, p, names[i], value);
		profile_drop(&all, p);
		p = next;
	}
	EXPECT_PAIRS(p, "A\0"
			"4\0k\0"
			"3\0m\0"
			"0\0z\0"
			"2\0");
	profile_drop(&all, p);
	profiles_release(&all);
}

/* ---- options ---- */

static void options_are_taken_apart(void **state)
{
	struct profiles all;
	profiles_init(&all);
	struct profile *p = profile_with_one(&all, "options", "-c geqo=off --work-mem=4MB -e");
	EXPECT_PAIRS(p, "datestyle\0euro\0"
			"geqo\0off\0"
			"work_mem\0"
			"4MB\0");
	profile_drop(&all, p);
	profiles_release(&all);
}

static void what_a_packet_sets_itself_goes_before_its_options(void **state)
{
	for (int first = 0; first < 2; first++) {
		struct profiles all;
		struct packet p = {BUFFER_INIT};
		struct error error;
		profiles_init(&all);
		if (first)
			put(&p, "options", "-c TimeZone=Asia/Tokyo -c a=1");
		put(&p, "TimeZone", "UTC");
		if (!first)
			put(&p, "options", "-c TimeZone=Asia/Tokyo -c a=1");
		struct profile *profile = profile_of(&all, &p, &error);
		EXPECT_PAIRS(profile, "a\0"
				      "1\0"
				      "TimeZone\0UTC\0");
		profile_drop(&all, profile);
		profiles_release(&all);
	}
}

static void options_that_are_no_settings_are_refused(void **state)
{
	struct profiles all;
	profiles_init(&all);
	assert_null(profile_with_one(&all, "options", "-c geqo=off trailing"));
	assert_int_equal(count(&all), 1);
	profiles_release(&all);
}

static void pairs_before_bad_options_are_let_go(void **state)
{
	struct profiles all;
	struct packet p = {BUFFER_INIT};
	struct error error;
	profiles_init(&all);
	put(&p, "TimeZone", "UTC");
	put(&p, "options", "-c geqo=off -x");
	assert_null(profile_of(&all, &p, &error));
	assert_string_equal(error.stage, "startup");
	assert_non_null(strstr(error.text, "options"));
	profiles_release(&all);
}

/* ---- limits ---- */

static void no_more_pairs_than_allowed(void **state)
{
	for (int pairs = PROFILE_PAIRS_MAX; pairs <= PROFILE_PAIRS_MAX + 1; pairs++) {
		struct profiles all;
		struct packet p = {BUFFER_INIT};
		struct error error;
		profiles_init(&all);
		for (int i = 0; i < pairs; i++) {
			char name[16];
			snprintf(name, sizeof(name), "my.s%d", i);
			put(&p, name, "x");
		}
		struct profile *profile = profile_of(&all, &p, &error);
		assert_int_equal(profile != NULL, pairs == PROFILE_PAIRS_MAX);
		if (profile)
			profile_drop(&all, profile);
		else
			assert_non_null(strstr(error.text, "more than 64 parameters"));
		profiles_release(&all);
	}
}

static void no_more_bytes_than_allowed_and_nothing_is_cut(void **state)
{
	static char value[PROFILE_BYTES_MAX + 64], options[PROFILE_BYTES_MAX + 128];
	static const char *const before[] = {"-c a=", "-ca=", "--a="};
	for (size_t len = PROFILE_BYTES_MAX - 20; len < PROFILE_BYTES_MAX + 20; len++) {
		struct profiles all;
		profiles_init(&all);
		memset(value, 'x', len);
		value[len] = 0;
		bool fits = 1 + len <= PROFILE_BYTES_MAX;
		struct profile *p = profile_with_one(&all, "a", value);
		assert_int_equal(p != NULL, fits);
		for (int i = 0; i < 3; i++) {
			snprintf(options, sizeof(options), "%s%s", before[i], value);
			/* The same profile, or none: never one with a part of the value. */
			struct profile *same = profile_with_one(&all, "options", options);
			assert_ptr_equal(same, p);
			if (same)
				profile_drop(&all, same);
		}
		if (p)
			profile_drop(&all, p);
		profiles_release(&all);
	}
}

/* ---- SQL ---- */

static void the_sql_starts_from_anything_and_sets_each(void **state)
{
	struct profiles all;
	profiles_init(&all);
	struct profile *a = profile_with(&all, all.base, "TimeZone", "UTC");
	struct profile *b = profile_with(&all, a, "application_name", "web");
	expect_sql(b, "SET SESSION AUTHORIZATION DEFAULT;RESET ROLE;RESET ALL;"
		      "SELECT pg_catalog.set_config(E'application_name',E'web',false),"
		      "pg_catalog.set_config(E'TimeZone',E'UTC',false)");
	profile_drop(&all, a);
	profile_drop(&all, b);
	profiles_release(&all);
}

static void what_notices_there_are_is_set_before_what_may_give_one(void **state)
{
	struct profiles all;
	profiles_init(&all);
	struct profile *a = profile_with(&all, all.base, "application_name", "web");
	struct profile *b = profile_with(&all, a, "client_min_messages", "error");
	expect_sql(b, "SET SESSION AUTHORIZATION DEFAULT;RESET ROLE;RESET ALL;"
		      "SELECT pg_catalog.set_config(E'client_min_messages',E'error',false),"
		      "pg_catalog.set_config(E'application_name',E'web',false)");
	profile_drop(&all, a);
	profile_drop(&all, b);
	profiles_release(&all);
}

static void no_value_breaks_out_of_its_quotes(void **state)
{
	struct profiles all;
	profiles_init(&all);
	struct profile *p = profile_with(
		&all, all.base, "my.na'me", "a'b\\c\\'; DROP TABLE x; --\n\"");
	expect_sql(p, "SET SESSION AUTHORIZATION DEFAULT;RESET ROLE;RESET ALL;"
		      "SELECT pg_catalog.set_config(E'my.na''me',"
		      "E'a''b\\\\c\\\\''; DROP TABLE x; --\n\"',false)");
	profile_drop(&all, p);
	profiles_release(&all);
}

/* In SJIS the byte 5c may be the second half of a character: no encoding may take part. */
static void what_is_not_ascii_is_the_same_in_every_encoding(void **state)
{
	struct profiles all;
	profiles_init(&all);
	struct profile *p = profile_with(&all, all.base, "application_name", "\x83\x5c'\xc3\xa9");
	expect_sql(p, "SET SESSION AUTHORIZATION DEFAULT;RESET ROLE;RESET ALL;"
		      "SELECT pg_catalog.set_config(E'application_name',"
		      "E'\\x83\\\\''\\xc3\\xa9',false)");
	profile_drop(&all, p);
	profiles_release(&all);
}

static void what_a_session_can_set_and_the_server_reports_is_known(void **state)
{
	assert_true(profile_is_settable("TimeZone"));
	assert_true(profile_is_settable("timezone"));
	assert_true(profile_is_settable("application_name"));
	assert_true(profile_is_settable("search_path"));
	assert_false(profile_is_settable("server_version"));
	assert_false(profile_is_settable("is_superuser"));
	assert_false(profile_is_settable("in_hot_standby"));
	assert_false(profile_is_settable(""));
}

static void settings_that_change_how_a_text_is_read_are_told_apart(void **state)
{
	struct profiles all;
	profiles_init(&all);
	struct profile *plain = profile_with(&all, all.base, "application_name", "web");
	struct profile *path = profile_with(&all, all.base, "search_path", "a");
	struct profile *both = profile_with(&all, plain, "search_path", "a");
	struct profile *other = profile_with(&all, plain, "search_path", "b");
	assert_int_equal(all.base->reading, 0);
	assert_int_equal(plain->reading, 0);
	assert_int_not_equal(path->reading, 0);
	assert_int_equal(both->reading, path->reading);
	assert_int_not_equal(other->reading, path->reading);
	assert_int_equal(other->reading & PROFILE_READING_OWN, 0);
	uint64_t before = path->reading;
	profile_drop(&all, path);
	profile_drop(&all, both);
	path = profile_with(&all, all.base, "search_path", "a");
	assert_int_not_equal(path->reading, before); /* never used twice */
	profile_drop(&all, path);
	profile_drop(&all, plain);
	profile_drop(&all, other);
	assert_int_equal(count(&all), 1);
	profiles_release(&all);
}

static void pairs_as_a_server_tells_them_make_a_profile(void **state)
{
	struct profiles all;
	profiles_init(&all);
	static const char pairs[] = "work_mem\0001\0app.x\0y\0work_mem\0002";
	struct profile *p = profile_from_pairs(
		&all, (struct bytes){(const uint8_t *)pairs, sizeof(pairs)});
	EXPECT_PAIRS(p, "app.x\0y\0work_mem\0002\0");
	profile_drop(&all, p);
	struct buffer many = BUFFER_INIT;
	for (int i = 0; i <= PROFILE_PAIRS_MAX; i++) {
		char name[32];
		snprintf(name, sizeof(name), "a.b%d", i);
		buffer_append_text(&many, name);
		buffer_append_text(&many, "");
	}
	assert_null(profile_from_pairs(&all, buffer_bytes(&many)));
	buffer_release(&many);
	profiles_release(&all);
}

static void who_the_session_acts_for_is_set_last(void **state)
{
	struct profiles all;
	profiles_init(&all);
	static const char pairs[] = "role\0r\0session_authorization\0s\0work_mem\0001";
	struct profile *p = profile_from_pairs(
		&all, (struct bytes){(const uint8_t *)pairs, sizeof(pairs)});
	expect_sql(p, "SET SESSION AUTHORIZATION DEFAULT;RESET ROLE;RESET ALL;"
		      "SELECT pg_catalog.set_config(E'work_mem',E'1',false),"
		      "pg_catalog.set_config(E'session_authorization',E's',false),"
		      "pg_catalog.set_config(E'role',E'r',false)");
	profile_drop(&all, p);
	profiles_release(&all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(settings_that_change_how_a_text_is_read_are_told_apart),
		cmocka_unit_test(pairs_as_a_server_tells_them_make_a_profile),
		cmocka_unit_test(who_the_session_acts_for_is_set_last),
		cmocka_unit_test(a_session_that_sets_nothing_is_in_the_base_profile),
		cmocka_unit_test(the_same_settings_in_any_order_are_one_profile),
		cmocka_unit_test(one_pair_more_is_another_profile_and_back_again),
		cmocka_unit_test(names_are_the_same_in_capitals_values_are_not),
		cmocka_unit_test(what_is_put_in_keeps_the_order_of_names),
		cmocka_unit_test(options_are_taken_apart),
		cmocka_unit_test(what_a_packet_sets_itself_goes_before_its_options),
		cmocka_unit_test(options_that_are_no_settings_are_refused),
		cmocka_unit_test(pairs_before_bad_options_are_let_go),
		cmocka_unit_test(no_more_pairs_than_allowed),
		cmocka_unit_test(no_more_bytes_than_allowed_and_nothing_is_cut),
		cmocka_unit_test(the_sql_starts_from_anything_and_sets_each),
		cmocka_unit_test(what_notices_there_are_is_set_before_what_may_give_one),
		cmocka_unit_test(no_value_breaks_out_of_its_quotes),
		cmocka_unit_test(what_is_not_ascii_is_the_same_in_every_encoding),
		cmocka_unit_test(what_a_session_can_set_and_the_server_reports_is_known),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
