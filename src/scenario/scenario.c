#include "scenario/scenario.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/tree.h"
#include "conf/value.h"
#include "core/budget.h"
#include "scenario/rows.h"

/* One table applied to one mapping, all of it. */
static int apply(struct scenario *s, const struct setting *rows, int count, void *target,
	const char *prefix, const struct tree_node *node, struct error *error)
{
	struct settings settings;

	if (node->kind != TREE_MAPPING)
		return tree_error(node, error, "%s must be a mapping, not %s", prefix,
			tree_kind_name(node->kind));
	settings_init(&settings, rows, count, target, &s->arena);
	settings.prefix = prefix;
	settings_defaults(&settings);
	if (settings_tree(&settings, node, error) < 0)
		return -1;
	return settings_complete(&settings, node, error);
}

static int add_variable(struct scenario *s, struct scenario_arm *arm, const struct tree_node *entry,
	bool is_time, struct error *error)
{
	struct scenario_variable *v = &arm->env[arm->env_count];

	if (arm->env_count == SCENARIO_ENV_MAX)
		return tree_error(
			entry, error, "more than %d variables in one arm", SCENARIO_ENV_MAX);
	if (entry->kind != TREE_TEXT && entry->kind != TREE_NOTHING)
		return tree_error(entry, error, "%s: a variable's value must be a text, not %s",
			entry->key, tree_kind_name(entry->kind));
	if (entry->key[0] == '\0' || strchr(entry->key, '='))
		return tree_error(entry, error, "`%s` is not the name of a variable", entry->key);
	v->value_ns = -1;
	if (is_time) {
		if (entry->kind != TREE_TEXT || !value_duration(entry->text, &v->value_ns) ||
			v->value_ns < 0)
			return tree_error(entry, error,
				"%s: a time is needed, such as 20s, 1.5m or 250ms", entry->key);
		v->text = entry->key;
	} else {
		v->text = arena_format(
			&s->arena, "%s=%s", entry->key, entry->text ? entry->text : "");
	}
	arm->env_count++;
	return 0;
}

static int add_variables(struct scenario *s, struct scenario_arm *arm, const struct tree_node *node,
	bool is_time, struct error *error)
{
	if (!node)
		return 0;
	if (tree_expect(node, TREE_MAPPING, is_time ? "timeouts" : "env", error) < 0)
		return -1;
	tree_each (entry, node)
		if (add_variable(s, arm, entry, is_time, error) < 0)
			return -1;
	return 0;
}

static int read_arm(struct scenario *s, const struct tree_node *node, struct error *error)
{
	struct scenario_arm *arm = &s->arms[s->arm_count];
	const char *prefix = arena_format(&s->arena, "arms[%d].", s->arm_count);

	if (apply(s, scenario_arm_rows, scenario_arm_row_count, arm, prefix, node, error) < 0)
		return -1;
	if (strpbrk(arm->name, ". \t/"))
		return tree_error(node, error,
			"the arm's name `%s` must be without dots, slashes and blanks", arm->name);
	for (int i = 0; i < s->arm_count; i++)
		if (strcmp(s->arms[i].name, arm->name) == 0)
			return tree_error(
				node, error, "there are two arms with the name `%s`", arm->name);
	if (add_variables(s, arm, s->env_node, false, error) < 0 ||
		add_variables(s, arm, s->timeouts_node, true, error) < 0 ||
		add_variables(s, arm, arm->env_node, false, error) < 0 ||
		add_variables(s, arm, arm->timeouts_node, true, error) < 0)
		return -1;
	s->arm_count++;
	return 0;
}

static int check_references(
	const struct scenario *s, const struct tree_node *node, struct error *error)
{
	int i = 0;

	tree_each (entry, node) {
		const char *name = s->arms[i++].reference;
		const struct scenario_arm *reference = scenario_arm(s, name);
		if (name[0] == '\0')
			continue;
		if (!reference)
			return tree_error(entry, error, "reference: there is no arm `%s`", name);
		if (reference->path != ARM_PATH_NONE || reference->standpipe)
			return tree_error(entry, error,
				"reference: `%s` must have `path: none` and no standpipe", name);
	}
	return 0;
}

static int read_arms(struct scenario *s, struct error *error)
{
	const struct tree_node *node = s->arms_node;

	if (tree_expect(node, TREE_LIST, "arms", error) < 0)
		return -1;
	if (node->count < 1 || node->count > SCENARIO_ARMS_MAX)
		return tree_error(node, error, "arms: 1 to %d are needed, not %d",
			SCENARIO_ARMS_MAX, node->count);
	s->arms = arena_alloc(&s->arena, sizeof *s->arms * (size_t)node->count);
	tree_each (entry, node)
		if (read_arm(s, entry, error) < 0)
			return -1;
	return check_references(s, node, error);
}

/* By their time; those of one time stay as they are. */
static void sort_faults(struct scenario *s)
{
	for (int i = 1; i < s->fault_count; i++) {
		struct scenario_fault one = s->faults[i];
		int k = i;
		for (; k > 0 && s->faults[k - 1].at_ns > one.at_ns; k--)
			s->faults[k] = s->faults[k - 1];
		s->faults[k] = one;
	}
}

static int read_faults(struct scenario *s, struct error *error)
{
	const struct tree_node *node = s->faults_node;

	if (!node)
		return 0;
	if (tree_expect(node, TREE_LIST, "faults", error) < 0)
		return -1;
	if (node->count > SCENARIO_FAULTS_MAX)
		return tree_error(
			node, error, "faults: %d at most are allowed", SCENARIO_FAULTS_MAX);
	tree_each (entry, node) {
		const char *prefix = arena_format(&s->arena, "faults[%d].", s->fault_count);
		if (apply(s, scenario_fault_rows, scenario_fault_row_count,
			    &s->faults[s->fault_count], prefix, entry, error) < 0)
			return -1;
		s->fault_count++;
	}
	sort_faults(s);
	return 0;
}

static int read_expects(struct scenario *s, struct error *error)
{
	const struct tree_node *node = s->expect_node;

	if (!node)
		return 0;
	if (tree_expect(node, TREE_LIST, "expect", error) < 0)
		return -1;
	if (node->count > SCENARIO_EXPECTS_MAX)
		return tree_error(
			node, error, "expect: %d at most are allowed", SCENARIO_EXPECTS_MAX);
	tree_each (entry, node) {
		struct expect *e = &s->expects[s->expect_count];
		if (tree_expect(entry, TREE_TEXT, "an expectation", error) < 0)
			return -1;
		const char *wrong = expect_parse(e, entry->text);
		if (wrong)
			return tree_error(entry, error,
				"`%s`: %s; an example: standpipe.makespan_s <= 1.5 * bound_s",
				entry->text, wrong);
		if (!scenario_arm(s, e->arm))
			return tree_error(
				entry, error, "`%s`: there is no arm `%s`", entry->text, e->arm);
		s->expect_texts[s->expect_count++] = entry->text;
	}
	return 0;
}

/* The directory of the scenario's file, with the scenario's own one after it. */
static void place_directory(struct scenario *s)
{
	const char *slash = strrchr(s->file, '/');

	if (s->directory[0] == '/')
		return;
	s->directory = slash ? arena_format(&s->arena, "%.*s/%s", (int)(slash - s->file), s->file,
				       s->directory)
			     : s->directory;
}

static int read_scenario(struct scenario *s, const struct tree_node *root, struct error *error)
{
	if (apply(s, scenario_rows, scenario_row_count, s, "", root, error) < 0)
		return -1;
	if (s->path.instances_min > s->path.instances_max)
		return tree_error(root, error,
			"path.instances_min %d is more than path.instances_max %d",
			s->path.instances_min, s->path.instances_max);
	if (s->path.scale_delay_min_ns > s->path.scale_delay_max_ns)
		return tree_error(
			root, error, "path.scale_delay_min is more than path.scale_delay_max");
	if (s->egress_warmup_min_ns > s->egress_warmup_max_ns)
		return tree_error(
			root, error, "path.egress_warmup_min is more than path.egress_warmup_max");
	if (s->path.connect_burst <= 0)
		s->path.connect_burst = s->path.connect_rate;
	if (s->path.connect_burst < 1)
		s->path.connect_burst = 1;
	s->path.seed = (uint64_t)s->seed;
	place_directory(s);
	if (read_arms(s, error) < 0 || read_faults(s, error) < 0)
		return -1;
	return read_expects(s, error);
}

int scenario_parse(
	struct scenario *s, const char *file, const char *text, size_t len, struct error *error)
{
	memset(s, 0, sizeof *s);
	s->arena = ARENA_INIT;
	s->file = arena_format(&s->arena, "%s", file);
	const struct tree_node *root = tree_parse(&s->arena, s->file, text, len, error);
	return root ? read_scenario(s, root, error) : -1;
}

int scenario_load(struct scenario *s, const char *file, struct error *error)
{
	memset(s, 0, sizeof *s);
	s->arena = ARENA_INIT;
	s->file = arena_format(&s->arena, "%s", file);
	const struct tree_node *root = tree_load(&s->arena, s->file, error);
	return root ? read_scenario(s, root, error) : -1;
}

void scenario_release(struct scenario *s)
{
	arena_release(&s->arena);
}

const struct scenario_arm *scenario_arm(const struct scenario *s, const char *name)
{
	for (int i = 0; i < s->arm_count; i++)
		if (strcmp(s->arms[i].name, name) == 0)
			return &s->arms[i];
	return NULL;
}

const char *scenario_arm_get(const struct scenario_arm *arm, const char *name)
{
	size_t len = strlen(name);

	for (int i = arm->env_count - 1; i >= 0; i--) {
		const struct scenario_variable *v = &arm->env[i];
		if (strncmp(v->text, name, len) != 0)
			continue;
		if (v->value_ns >= 0 && v->text[len] == '\0')
			return "";
		if (v->value_ns < 0 && v->text[len] == '=')
			return v->text + len + 1;
	}
	return NULL;
}

static int max_connections(const struct scenario *s, const struct scenario_arm *arm)
{
	return arm->max_connections > 0 ? arm->max_connections : s->database.max_connections;
}

int scenario_budget(const struct scenario *s, const struct scenario_arm *arm)
{
	struct budget budget;
	const struct budget_settings settings = {
		.max_connections = max_connections(s, arm),
		.superuser_reserved = s->database.superuser_reserved,
		.agents = s->database.agents,
		.margin = s->database.margin,
		.buffer = s->database.buffer,
		/* What the connector carries before it has grown. */
		.path_limit = arm->path == ARM_PATH_NONE ? max_connections(s, arm)
							 : s->path.instances_min * s->path.flows,
		.path_share = 1,
		.instances = s->instances,
		.pool_size = 1,
	};

	budget_init(&budget, &settings);
	return budget.fleet;
}

int scenario_fitting(const struct scenario *s, const struct scenario_arm *arm)
{
	int fitting = max_connections(s, arm) - s->database.superuser_reserved;

	if (arm->path != ARM_PATH_NONE && s->path.instances_max * s->path.flows < fitting)
		fitting = s->path.instances_max * s->path.flows;
	if (fitting < 0)
		fitting = 0;
	return fitting < s->instances ? fitting : s->instances;
}

instant scenario_earliest(const struct scenario *s, const struct scenario_arm *arm)
{
	if (arm->path == ARM_PATH_NONE)
		return 0;
	/* Nothing leaves any instance before the shortest warm-up; the path is rested by then. */
	return instant_add(
		capacity_earliest(&s->path, scenario_fitting(s, arm)), s->egress_warmup_min_ns);
}

instant scenario_recovery(const struct scenario *s, const struct scenario_arm *arm)
{
	instant admitted = arm->path == ARM_PATH_NONE ? 0
						      : capacity_earliest(&s->path, s->instances);

	if (s->fault_count == 0 || scenario_fitting(s, arm) < s->instances)
		return INSTANT_NEVER;
	return instant_add(admitted, s->faults[0].for_ns);
}
