#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gate/userlist.h"

#define VERIFIER                                                                               \
	"SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT" \
	"4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
#define MD5 "md5d41d8cd98f00b204e9800998ecf8427e"

static char path[] = "/tmp/standpipe-userlist-XXXXXX";

static int make_file(void **state)
{
	int fd = mkstemp(path);
	close(fd);
	return fd < 0 ? -1 : 0;
}

static int remove_file(void **state)
{
	return unlink(path);
}

static int load(struct userlist *u, const char *text, size_t len, struct error *error)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, len, file), len);
	fclose(file);
	return userlist_load(u, path, error);
}

static void load_well(struct userlist *u, const char *text)
{
	struct error error;
	error_init(&error);
	if (load(u, text, strlen(text), &error) != 0)
		fail_msg("%s: %s", error.origin, error.text);
}

static const char *secret_of(const struct userlist *u, const char *name)
{
	const struct userlist_user *user = userlist_find(u, name);
	return user ? user->secret : NULL;
}

static void users_are_found_by_their_names(void **state)
{
	struct userlist u = USERLIST_INIT;
	load_well(&u, "; a comment\n"
		      "# another\n"
		      "\n"
		      "\"zoe\" \"" VERIFIER "\"\n"
		      "  \"app\"\t\"pass word\" and more that is not looked at\r\n"
		      "\"with \"\"quotes\"\"\" \"a\"\"b\"\n"
		      "\"empty\" \"\"\n"
		      "\"last\" \"x\"");
	assert_int_equal(u.count, 5);
	assert_string_equal(secret_of(&u, "app"), "pass word");
	assert_string_equal(secret_of(&u, "zoe"), VERIFIER);
	assert_string_equal(secret_of(&u, "with \"quotes\""), "a\"b");
	assert_string_equal(secret_of(&u, "empty"), "");
	assert_null(userlist_find(&u, "nobody"));
	assert_null(userlist_find(&u, "ap"));
	assert_null(userlist_find(&u, ""));
	assert_int_equal(userlist_find(&u, "app")->kind, SECRET_PASSWORD);
	assert_int_equal(userlist_find(&u, "zoe")->kind, SECRET_VERIFIER);
	assert_int_equal(userlist_find(&u, "empty")->kind, SECRET_NONE);
	userlist_release(&u);
}

static void a_mistake_is_told_with_its_line_and_changes_nothing(void **state)
{
	static const struct {
		const char *text;
		int line;
	} cases[] = {
		{"app hunter2\n", 1},
		{"\"a\" \"b\"\n\"app\n", 2},
		{"\"a\" \"b\"\n\"app\" \"hunter2\n", 2},
		{"\"a\" \"b\"\n\n\"app\"\n", 3},
		{"\"a\" \"b\"\n\"\" \"hunter2\"\n", 2},
		{"\"a\" \"b\"\n\"c\" \"d\"\n\"a\" \"e\"\n", 3},
		{"\"a\" hunter2\n", 1},
		{"x\"a\" \"b\"\n", 1},
	};
	struct userlist u = USERLIST_INIT;
	load_well(&u, "\"before\" \"b\"\n");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct error error;
		char origin[64];
		snprintf(origin, sizeof(origin), "%s:%d", path, cases[i].line);
		if (load(&u, cases[i].text, strlen(cases[i].text), &error) != -1)
			fail_msg("taken: %s", cases[i].text);
		assert_string_equal(error.origin, origin);
		assert_null(strstr(error.text, "hunter2")); /* none is shown */
		assert_string_equal(secret_of(&u, "before"), "b");
	}
	userlist_release(&u);
}

static void what_can_not_be_a_list_is_refused(void **state)
{
	struct userlist u = USERLIST_INIT;
	struct error error;
	assert_int_equal(load(&u, "\"a\" \"b\0c\"\n", 10, &error), -1);
	assert_int_equal(userlist_load(&u, "/", &error), -1);
	assert_int_equal(userlist_load(&u, "/nonexistent/users", &error), -1);
	assert_string_equal(error.origin, "/nonexistent/users");
	char *text = malloc(USERLIST_SECRET_MAX + 16);
	memset(text, 'x', USERLIST_SECRET_MAX + 16);
	memcpy(text, "\"a\" \"", 5);
	text[5 + USERLIST_SECRET_MAX + 1] = '"';
	assert_int_equal(load(&u, text, USERLIST_SECRET_MAX + 16, &error), -1);
	free(text);
	assert_int_equal(u.count, 0);
}

static void what_a_secret_is_good_for(void **state)
{
	struct userlist u = USERLIST_INIT;
	struct scram_verifier v, parsed;
	load_well(&u, "\"v\" \"" VERIFIER "\"\n"
		      "\"p\" \"pencil\"\n"
		      "\"m\" \"" MD5 "\"\n"
		      "\"n\" \"\"\n"
		      "\"b\" \"SCRAM-SHA-256$4096:xyz\"\n"
		      "\"almost\" \"md5d41d8cd98f00b204e9800998ecf8427\"\n");
	assert_int_equal(userlist_verifier(userlist_find(&u, "v"), &v), 0);
	assert_int_equal(scram_verifier_parse(VERIFIER, &parsed), 0);
	assert_memory_equal(v.stored, parsed.stored, SCRAM_KEY);
	assert_int_equal(userlist_verifier(userlist_find(&u, "p"), &v), 0);
	/* Once made it stays: a client that comes again sees the same salt. */
	struct scram_verifier again;
	assert_int_equal(userlist_verifier(userlist_find(&u, "p"), &again), 0);
	assert_memory_equal(v.salt, again.salt, v.salt_len);
	assert_int_equal(userlist_verifier(userlist_find(&u, "m"), &v), -1);
	assert_int_equal(userlist_verifier(userlist_find(&u, "n"), &v), -1);
	assert_int_equal(userlist_verifier(userlist_find(&u, "b"), &v), -1);
	assert_int_equal(userlist_find(&u, "almost")->kind, SECRET_PASSWORD);
	assert_int_equal(u.unusable, 2);
	assert_int_equal(u.unusable_line, 3);
	assert_non_null(strstr(secret_fault(SECRET_MD5), "MD5"));
	assert_null(secret_fault(SECRET_VERIFIER));
	userlist_release(&u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(users_are_found_by_their_names),
		cmocka_unit_test(a_mistake_is_told_with_its_line_and_changes_nothing),
		cmocka_unit_test(what_can_not_be_a_list_is_refused),
		cmocka_unit_test(what_a_secret_is_good_for),
	};
	return cmocka_run_group_tests(tests, make_file, remove_file);
}
