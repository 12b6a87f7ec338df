/*
 * A YAML file: as a tree, through a table that has a setting of each type, and as a scenario. What
 * is refused has a reason.
 */
#include <assert.h>

#include "conf/setting.h"
#include "scenario/scenario.h"
#include "target.h"

struct things {
	int count;
	double real, rate;
	int64_t wait_ns, size;
	bool flag;
	const char *text;
	struct setting_texts texts;
	const struct tree_node *node;
};

#define AT(member) .offset = offsetof(struct things, member)

static const struct setting rows[] = {
	{.key = "pool.size", .type = SETTING_INT, AT(count), .min = 0, .max = 9},
	{.key = "pool.wait", .type = SETTING_DURATION, AT(wait_ns)},
	{.key = "real", .type = SETTING_REAL, AT(real)},
	{.key = "rate", .type = SETTING_RATE, AT(rate)},
	{.key = "size", .type = SETTING_SIZE, AT(size)},
	{.key = "flag", .type = SETTING_BOOL, AT(flag)},
	{.key = "text", .type = SETTING_TEXT, AT(text), .empty = ""},
	{.key = "texts", .type = SETTING_TEXTS, AT(texts), .max = 3},
	{.key = "node", .type = SETTING_NODE, AT(node)},
};
#define ROWS ((int)(sizeof(rows) / sizeof(rows[0])))

static void as_settings(const char *text, size_t len)
{
	struct arena arena = ARENA_INIT;
	struct error error;
	error_init(&error);
	const struct tree_node *root = tree_parse(&arena, "fuzz.yaml", text, len, &error);
	struct things things = {0};
	struct settings settings;
	settings_init(&settings, rows, ROWS, &things, &arena);
	if (root && settings_tree(&settings, root, &error) == 0) {
		for (int i = 0; i < ROWS; i++)
			settings_show(&settings, i);
	} else {
		assert(error_is_set(&error));
	}
	arena_release(&arena);
}

static void as_scenario(const char *text, size_t len)
{
	struct scenario scenario;
	struct error error;
	error_init(&error);
	if (scenario_parse(&scenario, "fuzz.yaml", text, len, &error) != 0)
		assert(error_is_set(&error));
	scenario_release(&scenario);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	as_settings((const char *)data, size);
	as_scenario((const char *)data, size);
	return 0;
}
