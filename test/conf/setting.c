#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdbool.h>

#include "base/instant.h"
#include "conf/setting.h"

enum door { DOOR_A, DOOR_B };

struct target {
	int size;
	double share;
	int64_t wait_ns, bytes;
	double rate_bit_s;
	bool on;
	const char *name, *secret;
	enum door door;
	struct setting_texts checks;
	const struct tree_node *arms;
};

static const struct setting_choice doors[] = {{"a", DOOR_A}, {"b", DOOR_B}, {NULL, 0}};

#define AT(member) .offset = offsetof(struct target, member)

static const struct setting rows[] = {
	{.key = "pool.size",
		.type = SETTING_INT,
		AT(size),
		.min = 1,
		.max = 1000,
		.preset = "5",
		.variables = "TEST_POOL_SIZE DB_POOL_SIZE",
		.required = true},
	{.key = "pool.share", .type = SETTING_REAL, AT(share), .min = 0, .max = 1},
	{.key = "pool.wait",
		.type = SETTING_DURATION,
		AT(wait_ns),
		.min = 0.001,
		.max = 3600,
		.preset = "30s",
		.variables = "DB_WAIT"},
	{.key = "pool.on", .type = SETTING_BOOL, AT(on)},
	{.key = "path.bytes", .type = SETTING_SIZE, AT(bytes)},
	{.key = "path.rate", .type = SETTING_RATE, AT(rate_bit_s), .min = 0, .max = 1e12},
	{.key = "path.door.mode", .type = SETTING_CHOICE, AT(door), .choices = doors},
	{.key = "name", .type = SETTING_TEXT, AT(name), .max = 8, .required = true},
	{.key = "secret",
		.type = SETTING_TEXT,
		AT(secret),
		.max = 8,
		.empty = "none",
		.variables = "SECRET",
		.secret = true},
	{.key = "checks", .type = SETTING_TEXTS, AT(checks), .max = 3, .variables = "CHECKS"},
	{.key = "arms", .type = SETTING_NODE, AT(arms)},
};
#define ROWS (int)(sizeof(rows) / sizeof(rows[0]))

static struct arena arena;
static struct error error;
static struct target target;
static struct settings s;

static int fresh(void **state)
{
	arena_release(&arena);
	error_init(&error);
	target = (struct target){0};
	settings_init(&s, rows, ROWS, &target, &arena);
	return 0;
}

static int apply(const char *text)
{
	const struct tree_node *root = tree_parse(&arena, "x.yaml", text, strlen(text), &error);
	return root ? settings_tree(&s, root, &error) : -1;
}

static void refused(const char *text, const char *origin, const char *message)
{
	fresh(NULL);
	assert_int_equal(apply(text), -1);
	assert_string_equal(error.origin, origin);
	assert_string_equal(error.text, message);
}

static void every_type_finds_its_place(void **state)
{
	assert_int_equal(apply("name: gate\n"
			       "pool: {size: 7, share: 0.5, wait: 250ms, on: yes}\n"
			       "path:\n"
			       "  bytes: 64KiB\n"
			       "  rate: 2Gbit/s\n"
			       "  door: {mode: b}\n"
			       "checks: [\"tcp://a:1\", \"exec:a, b\"]\n"
			       "arms: [{x: 1}]\n"),
		0);
	assert_int_equal(target.size, 7);
	assert_true(target.share == 0.5);
	assert_int_equal(target.wait_ns, 250 * NS_PER_MS);
	assert_true(target.on);
	assert_int_equal(target.bytes, 65536);
	assert_true(target.rate_bit_s == 2e9);
	assert_int_equal(target.door, DOOR_B);
	assert_string_equal(target.name, "gate");
	assert_int_equal(target.checks.count, 2);
	assert_string_equal(target.checks.list[1], "exec:a, b");
	assert_null(target.checks.list[2]);
	assert_int_equal(target.arms->kind, TREE_LIST);
	assert_string_equal(settings_origin(&s, "path.door.mode")->text, "x.yaml:6");
}

static void defaults_then_file_then_variables(void **state)
{
	settings_defaults(&s);
	assert_int_equal(target.size, 5);
	assert_int_equal(target.wait_ns, 30 * NS_PER_S);
	assert_string_equal(settings_origin(&s, "pool.size")->text, "default");
	assert_int_equal(settings_origin(&s, "pool.share")->source, SETTING_UNSET);

	assert_int_equal(apply("pool:\n  size: 7\n"), 0);
	assert_int_equal(target.size, 7);
	assert_int_equal(target.wait_ns, 30 * NS_PER_S);
	assert_string_equal(settings_origin(&s, "pool.size")->text, "x.yaml:2");

	const char *const environment[] = {
		"DB_POOL_SIZE=9", "DB_WAIT=", "CHECKS= a:1 ,, b:2,", NULL};
	assert_int_equal(settings_environment(&s, environment, &error), 0);
	assert_int_equal(target.size, 9);
	assert_int_equal(target.wait_ns, 30 * NS_PER_S);
	assert_int_equal(target.checks.count, 2);
	assert_string_equal(target.checks.list[0], "a:1");
	assert_string_equal(target.checks.list[1], "b:2");
	assert_string_equal(settings_origin(&s, "pool.size")->text, "DB_POOL_SIZE");
}

static void the_first_variable_named_wins(void **state)
{
	const char *const both[] = {"DB_POOL_SIZE=9", "TEST_POOL_SIZE=11", NULL};
	assert_int_equal(settings_environment(&s, both, &error), 0);
	assert_int_equal(target.size, 11);
}

static void a_bad_value_names_place_key_value_and_what_is_allowed(void **state)
{
	refused("pool:\n  size: 1001\n", "x.yaml:2",
		"pool.size: \"1001\": must be a whole number from 1 to 1000");
	refused("pool: {size: five}\n", "x.yaml:1",
		"pool.size: \"five\": must be a whole number from 1 to 1000");
	refused("\npool: {wait: 2h}\n", "x.yaml:2",
		"pool.wait: \"2h\": must be a duration (like 500ms, 75s or 2m) from 1ms to 3600s");
	refused("pool: {share: 1.5}\n", "x.yaml:1",
		"pool.share: \"1.5\": must be a number from 0 to 1");
	refused("pool: {on: maybe}\n", "x.yaml:1", "pool.on: \"maybe\": must be true or false");
	refused("path: {rate: fast}\n", "x.yaml:1",
		"path.rate: \"fast\": must be a bit rate (like 100Mbit/s) from 0bit/s to "
		"1000Gbit/s");
	refused("path:\n  door:\n    mode: c\n", "x.yaml:3",
		"path.door.mode: \"c\": must be one of a, b");
	refused("name: much-too-long\n", "x.yaml:1",
		"name: \"much-too-long\": must be a text of at most 8 characters, not empty");
	refused("checks: [a, b, c, d]\n", "x.yaml:1",
		"checks: 4 entries: must be a list of at most 3 texts");
}

static void a_value_of_the_wrong_shape_is_refused(void **state)
{
	refused("pool: 5\n", "x.yaml:1", "pool: must be a mapping (key: value lines), not a text");
	refused("pool:\n  size: [1]\n", "x.yaml:2",
		"pool.size: must be a whole number from 1 to 1000, not a list");
	refused("pool:\n  size:\n", "x.yaml:2",
		"pool.size: must be a whole number from 1 to 1000, not nothing");
	refused("checks: {a: 1}\n", "x.yaml:1",
		"checks: must be a list (lines that begin with \"- \"), not a mapping");
	refused("checks:\n  - [a]\n", "x.yaml:2", "checks: each entry: must be a text, not a list");
}

static void an_unknown_key_names_the_nearest(void **state)
{
	refused("pool:\n  szie: 5\n", "x.yaml:2",
		"unknown key \"pool.szie\": did you mean \"pool.size\"?");
	refused("pol:\n  size: 5\n", "x.yaml:1", "unknown key \"pol\": did you mean \"pool\"?");
	refused("size: 5\n", "x.yaml:1", "unknown key \"size\": did you mean \"pool.size\"?");
	refused("pool:\n  zzz: 5\n", "x.yaml:2",
		"unknown key \"pool.zzz\": known here are size, share, wait, on");
	refused("pool.size: 5\n", "x.yaml:1",
		"unknown key \"pool.size\": did you mean \"pool.size\"?");
}

static void an_empty_section_changes_nothing(void **state)
{
	settings_defaults(&s);
	assert_int_equal(apply("pool:\npath: {}\n"), 0);
	assert_int_equal(target.size, 5);
}

static void a_secret_is_never_shown(void **state)
{
	refused("secret: much-too-secret\n", "x.yaml:1",
		"secret: \"(hidden)\": must be a text of at most 8 characters");
	fresh(NULL);
	const char *const environment[] = {"SECRET=hush", NULL};
	assert_int_equal(settings_environment(&s, environment, &error), 0);
	assert_string_equal(target.secret, "hush");
	assert_string_equal(settings_show(&s, settings_find(&s, "secret")), "(hidden)");
}

static void passwords_in_urls_are_hidden_wherever_they_stand(void **state)
{
	const struct {
		const char *text, *shown;
	} cases[] = {
		{"redis://u:hush@h:6379/0", "redis://u:***@h:6379/0"},
		{"redis://:hu:sh@h", "redis://:***@h"},
		{"psql \"postgresql://u:hu/sh@h/d?password=hush&x=1\" -c 'select 1'",
			"psql \"postgresql://u:***@h/d?password=***&x=1\" -c 'select 1'"},
		{"http://h:80/x ftp://u:hush@h", "http://h:80/x ftp://u:***@h"},
		{"http://h/?password=hush", "http://h/?password=***"},
		{"tcp://h:5432", "tcp://h:5432"},
		{"exec:true", "exec:true"},
		{"://", "://"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(setting_hide(&arena, cases[i].text), cases[i].shown);
	assert_int_equal(apply("checks: [\"http://u:hush@h\"]\n"), 0);
	assert_string_equal(settings_show(&s, settings_find(&s, "checks")), "http://u:***@h");
}

static void a_bad_variable_is_named(void **state)
{
	const char *const environment[] = {"DB_POOL_SIZE=none", NULL};
	assert_int_equal(settings_environment(&s, environment, &error), -1);
	assert_string_equal(error.origin, "DB_POOL_SIZE");
	assert_string_equal(
		error.text, "pool.size: \"none\": must be a whole number from 1 to 1000");
}

static void what_is_required_and_missing_is_told_at_the_mapping(void **state)
{
	settings_defaults(&s);
	const char *text = "\nfaults:\n  - pool: {size: 1}\n";
	const struct tree_node *root = tree_parse(&arena, "x.yaml", text, strlen(text), &error);
	const struct tree_node *entry = tree_get(root, "faults")->first;
	s.prefix = "faults[0].";
	assert_int_equal(settings_tree(&s, entry, &error), 0);
	assert_int_equal(settings_complete(&s, entry, &error), -1);
	assert_string_equal(error.origin, "x.yaml:3");
	assert_string_equal(error.text,
		"faults[0].name: is missing; it must be a text of at most 8 characters, not empty");
}

static void a_contradiction_is_told_where_the_value_came_from(void **state)
{
	assert_int_equal(apply("\n\npool: {size: 7}\n"), 0);
	assert_int_equal(settings_error(&s, "pool.size", &error, "%d is odd: make it even", 7), -1);
	assert_string_equal(error.origin, "x.yaml:3");
	assert_string_equal(error.text, "pool.size: 7 is odd: make it even");
	settings_defaults(&s);
	settings_error(&s, "pool.size", &error, "a default has no place");
	assert_string_equal(error.origin, "");
}

static void values_are_shown_as_one_would_write_them(void **state)
{
	settings_defaults(&s);
	apply("path: {bytes: 65536, rate: 2000000000, door: {mode: b}}\nchecks: [a, b]\n");
	assert_string_equal(settings_show(&s, settings_find(&s, "pool.size")), "5");
	assert_string_equal(settings_show(&s, settings_find(&s, "pool.wait")), "30s");
	assert_string_equal(settings_show(&s, settings_find(&s, "pool.on")), "off");
	assert_string_equal(settings_show(&s, settings_find(&s, "path.bytes")), "64KiB");
	assert_string_equal(settings_show(&s, settings_find(&s, "path.rate")), "2Gbit/s");
	assert_string_equal(settings_show(&s, settings_find(&s, "path.door.mode")), "b");
	assert_string_equal(settings_show(&s, settings_find(&s, "checks")), "a, b");
	assert_string_equal(settings_show(&s, settings_find(&s, "name")), "");
}

static int release(void **state)
{
	arena_release(&arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(every_type_finds_its_place, fresh),
		cmocka_unit_test_setup(defaults_then_file_then_variables, fresh),
		cmocka_unit_test_setup(the_first_variable_named_wins, fresh),
		cmocka_unit_test_setup(
			a_bad_value_names_place_key_value_and_what_is_allowed, fresh),
		cmocka_unit_test_setup(a_value_of_the_wrong_shape_is_refused, fresh),
		cmocka_unit_test_setup(an_unknown_key_names_the_nearest, fresh),
		cmocka_unit_test_setup(an_empty_section_changes_nothing, fresh),
		cmocka_unit_test_setup(a_secret_is_never_shown, fresh),
		cmocka_unit_test_setup(passwords_in_urls_are_hidden_wherever_they_stand, fresh),
		cmocka_unit_test_setup(a_bad_variable_is_named, fresh),
		cmocka_unit_test_setup(what_is_required_and_missing_is_told_at_the_mapping, fresh),
		cmocka_unit_test_setup(a_contradiction_is_told_where_the_value_came_from, fresh),
		cmocka_unit_test_setup(values_are_shown_as_one_would_write_them, fresh),
	};
	return cmocka_run_group_tests(tests, NULL, release);
}
