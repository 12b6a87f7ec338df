#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gate/secrets.h"

static char shown[256];

static const char *clean(const struct secrets *s, const char *text)
{
	size_t len = secrets_clean(s, text, shown, sizeof(shown));
	assert_int_equal(len, strlen(shown));
	return shown;
}

static void hides_every_occurrence(void **state)
{
	struct secrets s = SECRETS_INIT;
	secrets_add(&s, "hunter2");
	assert_string_equal(clean(&s, "hunter2 and hunter2!"), "*** and ***!");
	assert_string_equal(clean(&s, "hunter"), "hunter");
	secrets_release(&s);
	assert_string_equal(clean(&s, "hunter2"), "hunter2");
}

static void hides_the_encoded_and_the_decoded_form(void **state)
{
	struct secrets s = SECRETS_INIT;
	secrets_add_url(&s, "postgresql+asyncpg://app:p%40ss%2fword@db/app?sslmode=require");
	assert_string_equal(clean(&s, "p%40ss%2fword"), "***");
	assert_string_equal(clean(&s, "p%40ss%2Fword"), "***");
	assert_string_equal(clean(&s, "%70@ss/word%"), "***%");
	assert_string_equal(clean(&s, "password p@ss/word failed"), "password *** failed");
	assert_string_equal(clean(&s, "app db sslmode"), "app db sslmode");
	secrets_release(&s);
}

static void finds_the_password_in_every_form_of_url(void **state)
{
	static const char *const urls[] = {
		"redis://:hunter2@cache:6379/0",
		"postgresql://db/app?user=app&password=hunter2",
		"postgresql://app:hunter2@a:1,b:2/app",
	};
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		struct secrets s = SECRETS_INIT;
		secrets_add_url(&s, urls[i]);
		assert_null(strstr(clean(&s, urls[i]), "hunter2"));
		secrets_release(&s);
	}
	struct secrets s = SECRETS_INIT;
	secrets_add_url(&s, "postgresql://app@db/app");
	secrets_add_url(&s, "host=db");
	secrets_add_url(&s, NULL);
	assert_int_equal(s.count, 0);
	secrets_add(&s, "a/b:c@d");
	secrets_add_url(&s, "postgresql://app:a/b:c@d@db/app"); /* written without encoding */
	assert_string_equal(
		clean(&s, "postgresql://app:a/b:c@d@db/app"), "postgresql://app:***@db/app");
	secrets_release(&s);
}

static void leaves_what_is_too_short_to_search_for(void **state)
{
	struct secrets s = SECRETS_INIT;
	secrets_add(&s, "app");
	secrets_add(&s, "");
	assert_string_equal(clean(&s, "happy"), "happy");
}

static void replaces_what_is_not_utf8(void **state)
{
	assert_string_equal(clean(NULL, "gr\xc3\xbc\xc3\x9f dich \xf0\x9f\x90\x98"),
		"gr\xc3\xbc\xc3\x9f dich \xf0\x9f\x90\x98");
	assert_string_equal(clean(NULL, "a\xff"
					"b\xc3"),
		"a\xef\xbf\xbd"
		"b\xef\xbf\xbd");
	/* Overlong, surrogate, over the end of Unicode: a byte each. */
	assert_string_equal(clean(NULL, "\xc0\xaf"), "\xef\xbf\xbd\xef\xbf\xbd");
	assert_int_equal(strlen(clean(NULL, "\xed\xa0\x80")), 9);
	assert_int_equal(strlen(clean(NULL, "\xf4\x90\x80\x80")), 12);
}

static void cuts_at_a_characters_end(void **state)
{
	char small[6];
	assert_int_equal(secrets_clean(NULL, "abc\xe2\x82\xac", small, sizeof(small)), 3);
	assert_string_equal(small, "abc");
	struct secrets s = SECRETS_INIT;
	secrets_add(&s, "hunter2");
	/* Never a part of a secret. */
	assert_int_equal(secrets_clean(&s, "abchunter2", small, sizeof(small)), 3);
	secrets_release(&s);
}

static void forgets_what_is_over(void **state)
{
	struct secrets s = SECRETS_INIT;
	secrets_add(&s, "password");
	secrets_add(&s, "token%31");
	secrets_add(&s, "password"); /* for another reason */
	assert_string_equal(clean(&s, "token%31 token1 password"), "*** *** ***");
	secrets_forget(&s, "token%31");
	assert_string_equal(clean(&s, "token%31 token1 password"), "token%31 token1 ***");
	secrets_forget(&s, "password");
	assert_string_equal(clean(&s, "password"), "***");
	secrets_forget(&s, "password");
	assert_string_equal(clean(&s, "password"), "password");
	secrets_forget(&s, "never added");
	secrets_forget(&s, NULL);
	for (int i = 0; i < 640; i++) {
		char text[] = {'n', 'e', 'w', (char)('a' + i % 26), (char)('a' + i / 26), 0};
		secrets_add(&s, text);
		secrets_forget(&s, text);
	}
	assert_int_equal(s.count, 0);
	secrets_release(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hides_every_occurrence),
		cmocka_unit_test(hides_the_encoded_and_the_decoded_form),
		cmocka_unit_test(finds_the_password_in_every_form_of_url),
		cmocka_unit_test(leaves_what_is_too_short_to_search_for),
		cmocka_unit_test(replaces_what_is_not_utf8),
		cmocka_unit_test(cuts_at_a_characters_end),
		cmocka_unit_test(forgets_what_is_over),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
