#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* The table of keys as a whole, and that the manual and the example tell all of it. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "app/settings.h"
#include "loaded.h"

static char *read_file(const char *path)
{
	FILE *file = fopen(path, "r");
	assert_non_null(file);
	char *text = calloc(1, 1 << 20);
	size_t len = fread(text, 1, (1 << 20) - 1, file);
	assert_true(len > 0);
	fclose(file);
	return text;
}

static void every_key_has_a_variable_that_is_called_like_it(void **state)
{
	int count;
	const struct setting *rows = config_rows(&count);
	for (int i = 0; i < count; i++) {
		char name[SETTING_KEY_MAX] = "STANDPIPE_";
		size_t len = strlen(name);
		if (rows[i].type == SETTING_NODE)
			continue; /* too much for a variable */
		for (const char *at = rows[i].key; *at; at++)
			name[len++] = *at == '.' ? '_' : (char)toupper((unsigned char)*at);
		name[len] = 0;
		assert_true(strlen(rows[i].variables) >= len);
		assert_memory_equal(rows[i].variables, name, len);
		assert_true(rows[i].variables[len] == 0 || rows[i].variables[len] == ' ');
	}
}

static void keys_are_there_once_and_explained(void **state)
{
	int count;
	const struct setting *rows = config_rows(&count);
	for (int i = 0; i < count; i++) {
		assert_true(rows[i].help && *rows[i].help);
		for (int j = 0; j < i; j++)
			assert_string_not_equal(rows[i].key, rows[j].key);
	}
}

/* The other names of a key's variable; the first, STANDPIPE_..., is told in general. */
static void the_manual_tells_every_other_variable(void **state)
{
	char *manual = read_file(SOURCE_ROOT "/man/standpipe.1");
	int count;
	const struct setting *rows = config_rows(&count);
	for (int i = 0; i < count; i++) {
		const char *names = rows[i].variables ? strchr(rows[i].variables, ' ') : NULL;
		while (names && *names) {
			char line[SETTING_KEY_MAX];
			names++;
			size_t len = strcspn(names, " ");
			snprintf(line, sizeof(line), ".Ev %.*s ", (int)len, names);
			if (!strstr(manual, line))
				fail_msg("man/standpipe.1 does not tell of \"%s\"", line);
			names += len;
		}
	}
	free(manual);
}

/* The defaults in force, as the manual has them: one, or one for each environment; "" for a key that
 * has none of its own. */
static void defaults_of(const struct loaded *l, int row, char *text, size_t size)
{
	const char *shown[ENVIRONMENT_COUNT];
	bool same = true;
	text[0] = 0;
	for (int e = 0; e < ENVIRONMENT_COUNT; e++) {
		enum setting_source source = l[e].config.settings.origins[row].source;
		shown[e] = settings_show(&l[e].config.settings, row);
		if ((source != SETTING_DEFAULT && source != SETTING_PRESET) || !*shown[e])
			return;
		same = same && !strcmp(shown[e], shown[0]);
	}
	if (same)
		snprintf(text, size, " Pq %s", shown[0]);
	else
		snprintf(text, size, " Pq %s, %s, %s, %s", shown[0], shown[1], shown[2], shown[3]);
}

static void the_manual_tells_every_key_with_the_default_in_force(void **state)
{
	char *manual = read_file(SOURCE_ROOT "/man/standpipe.1");
	struct loaded l[ENVIRONMENT_COUNT];
	for (int e = 0; e < ENVIRONMENT_COUNT; e++) {
		char yaml[64];
		const char *const variables[] = {URL, NULL};
		snprintf(yaml, sizeof(yaml), "environment: %s\n", environment_name(e));
		loaded_init(&l[e], CONFIG_RUN, yaml, variables);
		assert_int_equal(l[e].result, 0);
	}
	int count;
	const struct setting *rows = config_rows(&count);
	for (int i = 0; i < count; i++) {
		char defaults[128], line[SETTING_KEY_MAX + 160];
		defaults_of(l, i, defaults, sizeof(defaults));
		if (!strcmp(rows[i].key, "environment")) /* which this test writes itself */
			strcpy(defaults, " Pq development");
		snprintf(line, sizeof(line), "\n.It Ic %s%s\n", rows[i].key, defaults);
		if (!strstr(manual, line))
			fail_msg("man/standpipe.1 lacks the line \"%s\"", line + 1);
	}
	for (int e = 0; e < ENVIRONMENT_COUNT; e++)
		loaded_release(&l[e]);
	free(manual);
}

/* Each key stands in the example, possibly as a comment, as its last part and a colon. */
static void the_example_is_accepted_and_shows_every_key(void **state)
{
	const char *const variables[] = {"DATABASE_URL=postgresql://u@h/d", NULL};
	struct config_options options = {
		SOURCE_ROOT "/examples/standpipe.yaml", variables, CONFIG_RUN};
	struct config config;
	struct error error;
	error_init(&error);
	int result = config_load(&config, &options, &error);
	if (result < 0)
		fail_msg("%s: %s", error.origin, error.text);
	char *example = read_file(options.file);
	for (int i = 0; i < config.settings.count; i++) {
		const char *dot = strrchr(config.settings.rows[i].key, '.');
		char part[SETTING_KEY_MAX + 4];
		snprintf(part, sizeof(part), "%s:", dot ? dot + 1 : config.settings.rows[i].key);
		if (!strstr(example, part))
			fail_msg("examples/standpipe.yaml does not show %s",
				config.settings.rows[i].key);
	}
	free(example);
	config_release(&config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_key_has_a_variable_that_is_called_like_it),
		cmocka_unit_test(keys_are_there_once_and_explained),
		cmocka_unit_test(the_manual_tells_every_other_variable),
		cmocka_unit_test(the_manual_tells_every_key_with_the_default_in_force),
		cmocka_unit_test(the_example_is_accepted_and_shows_every_key),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
