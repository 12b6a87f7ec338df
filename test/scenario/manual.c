#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* man/standpipe-scenario.5 tells every key, metric and fault, and its example is accepted. */
#include <stdio.h>
#include <stdlib.h>

#include "scenario/rows.h"
#include "scenario/scenario.h"

static char *read_manual(void)
{
	FILE *file = fopen(SOURCE_ROOT "/man/standpipe-scenario.5", "r");
	assert_non_null(file);
	char *text = calloc(1, 1 << 18);
	size_t len = fread(text, 1, (1 << 18) - 1, file);
	assert_true(len > 0);
	fclose(file);
	return text;
}

static const char *find(const char *from, const char *what)
{
	const char *at = strstr(from, what);
	if (!at)
		fail_msg("man/standpipe-scenario.5 lacks \"%s\"", what);
	return at;
}

/* A row's line, with its default in parentheses, and below it, until the next key, whether it is
 * needed. */
static void tells_rows(const char *from, const struct setting *rows, int count)
{
	for (int i = 0; i < count; i++) {
		const struct setting *row = &rows[i];
		const char *preset = row->preset ? row->preset : "";
		char line[SETTING_KEY_MAX + 160];
		/* A dot alone would be taken for punctuation. */
		snprintf(line, sizeof(line), "\n.It Ic %s%s%s\n", row->key, *preset ? " Pq " : "",
			strcmp(preset, ".") == 0 ? "\\&." : preset);
		const char *at = find(from, line) + strlen(line);
		const char *end = strstr(at, "\n.El\n");
		const char *next = strstr(at, "\n.It ");
		const char *needed = strstr(at, "eeded.");
		bool says = needed && needed < (next && next < end ? next : end);
		if (says != row->required)
			fail_msg("man/standpipe-scenario.5: is %s needed or not?", row->key);
	}
}

static void the_manual_tells_every_key_with_its_default(void **state)
{
	char *manual = read_manual();
	tells_rows(find(manual, ".Ss General\n"), scenario_rows, scenario_row_count);
	tells_rows(find(manual, ".Ss Arms\n"), scenario_arm_rows, scenario_arm_row_count);
	tells_rows(find(manual, ".Ss Faults\n"), scenario_fault_rows, scenario_fault_row_count);
	free(manual);
}

static void the_manual_tells_every_fault_and_metric(void **state)
{
	char *manual = read_manual();
	const char *faults = find(manual, ".Ss Faults\n");
	const char *expectations = find(manual, ".Ss Expectations\n");
	for (int i = 0; i < scenario_fault_row_count; i++) {
		const struct setting_choice *choice = scenario_fault_rows[i].choices;
		for (; choice && choice->name; choice++) {
			char line[64];
			snprintf(line, sizeof(line), "\n.Ic %s :\n", choice->name);
			find(faults, line);
		}
	}
	for (int m = 0; m < METRICS; m++) {
		char word[64];
		snprintf(word, sizeof(word), " %s", metric_name((enum metric)m));
		find(expectations, word);
	}
	free(manual);
}

static void the_manual_s_example_is_accepted(void **state)
{
	char *manual = read_manual();
	const char *begin = find(manual, ".Bd -literal");
	struct scenario s;
	struct error error;
	error_init(&error);
	begin = strchr(begin, '\n') + 1;
	size_t len = (size_t)(find(begin, ".Ed\n") - begin);
	if (scenario_parse(&s, "example", begin, len, &error) < 0)
		fail_msg("%s: %s", error.origin, error.text);
	assert_true(s.arm_count > 0 && s.fault_count > 0 && s.expect_count > 0);
	scenario_release(&s);
	free(manual);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_manual_tells_every_key_with_its_default),
		cmocka_unit_test(the_manual_tells_every_fault_and_metric),
		cmocka_unit_test(the_manual_s_example_is_accepted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
