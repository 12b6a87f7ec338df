/* What was let go of is not resident any more, and comes back where it is needed. */
#include "io/footprint.h"

#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void hash(unsigned char digest[EVP_MAX_MD_SIZE])
{
	assert_int_equal(EVP_Digest("standpipe", 9, digest, NULL, EVP_sha256(), NULL), 1);
}

/* Resident code of OpenSSL's, in KiB. */
static long resident(void)
{
	char line[512];
	bool here = false;
	long sum = 0, kib;
	FILE *f = fopen("/proc/self/smaps", "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (strstr(line, " r-xp ") || strstr(line, " r--p ") || strstr(line, " rw-p "))
			here = strstr(line, " r-xp ") && strstr(line, "libcrypto");
		else if (here && sscanf(line, "Rss: %ld", &kib) == 1)
			sum += kib;
	}
	fclose(f);
	return sum;
}

static void what_is_not_used_is_let_go_of(void **state)
{
	(void)state;
	static char written[] = "as it was";
	unsigned char before[EVP_MAX_MD_SIZE], after[EVP_MAX_MD_SIZE];
	written[0] = 'A';
	hash(before);
	long was = resident();
	footprint_trim();
	assert_true(was > 0);
	assert_true(resident() < was);
	hash(after);
	assert_memory_equal(before, after, 32);
	assert_string_equal(written, "As it was");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_used_is_let_go_of),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
