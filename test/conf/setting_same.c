/* What differs between two settings of one table, and what one keeps of the other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdbool.h>

#include "conf/setting.h"

struct target {
	int size;
	double share;
	int64_t wait_ns;
	bool on;
	const char *name;
	struct setting_texts checks;
	const struct tree_node *arms;
};

#define AT(member) .offset = offsetof(struct target, member)

enum { SIZE, SHARE, WAIT, ON, NAME, CHECKS, ARMS, ROWS };

static const struct setting rows[ROWS] = {
	[SIZE] = {.key = "size", .type = SETTING_INT, AT(size), .preset = "1"},
	[SHARE] = {.key = "share", .type = SETTING_REAL, AT(share), .preset = "0.5"},
	[WAIT] = {.key = "wait", .type = SETTING_DURATION, AT(wait_ns), .preset = "1s"},
	[ON] = {.key = "on", .type = SETTING_BOOL, AT(on), .preset = "off"},
	[NAME] = {.key = "name", .type = SETTING_TEXT, AT(name), .preset = "a", .max = 20},
	[CHECKS] = {.key = "checks", .type = SETTING_TEXTS, AT(checks), .preset = "x, y"},
	[ARMS] = {.key = "arms", .type = SETTING_NODE, AT(arms)},
};

struct made {
	struct target target;
	struct arena arena;
	struct settings settings;
};

static void make(struct made *m, const char *yaml)
{
	struct error error;
	*m = (struct made){0};
	settings_init(&m->settings, rows, ROWS, &m->target, &m->arena);
	settings_defaults(&m->settings);
	const struct tree_node *root = tree_parse(&m->arena, "t.yaml", yaml, strlen(yaml), &error);
	assert_non_null(root);
	assert_int_equal(settings_tree(&m->settings, root, &error), 0);
}

static void values_differ_by_what_they_hold_and_not_by_where(void **state)
{
	static const char *const changed[ROWS] = {"size: 2", "share: 0.25", "wait: 2s", "on: true",
		"name: b", "checks: [x, z]", "arms: [{k: 1}, {k: 3}]"};
	struct made a, b;
	make(&a, "arms: [{k: 1}, {k: 2}]");
	for (int row = 0; row < ROWS; row++) {
		make(&b, row == ARMS ? changed[row] : "arms: [{k: 1}, {k: 2}]");
		struct error error;
		if (row != ARMS) {
			const struct tree_node *root = tree_parse(
				&b.arena, "t.yaml", changed[row], strlen(changed[row]), &error);
			assert_int_equal(settings_tree(&b.settings, root, &error), 0);
		}
		for (int other = 0; other < ROWS; other++)
			assert_int_equal(
				settings_same(&a.settings, &b.settings, other), other != row);
		arena_release(&b.arena);
	}
	make(&b, "checks: [x]");
	assert_false(settings_same(&a.settings, &b.settings, CHECKS));
	assert_false(settings_same(&a.settings, &b.settings, ARMS)); /* none there */
	arena_release(&b.arena);
	arena_release(&a.arena);
}

static void what_is_kept_outlives_where_it_came_from(void **state)
{
	struct made a, b;
	make(&a, "size: 2\nname: old\nchecks: [p, q, r]\n");
	make(&b, "size: 3\nname: new\nchecks: []\n");
	for (int row = 0; row < ARMS; row++)
		settings_keep(&b.settings, &a.settings, row);
	arena_release(&a.arena);
	assert_int_equal(b.target.size, 2);
	assert_string_equal(b.target.name, "old");
	assert_int_equal(b.target.checks.count, 3);
	assert_string_equal(b.target.checks.list[2], "r");
	assert_null(b.target.checks.list[3]);
	assert_string_equal(settings_origin(&b.settings, "name")->text, "t.yaml:2");
	arena_release(&b.arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_differ_by_what_they_hold_and_not_by_where),
		cmocka_unit_test(what_is_kept_outlives_where_it_came_from),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
