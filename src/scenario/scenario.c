#include "scenario/scenario.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/tree.h"
#include "conf/value.h"
#include "core/budget.h"

#define AT(member)  offsetof(struct scenario, member)
#define ARM(member) offsetof(struct scenario_arm, member)

static const struct setting scenario_rows[] = {
        {.key = "name",
                .type = SETTING_TEXT,
                .offset = AT(name),
                .min = 1,
                .max = 60,
                .required = true,
                .help = "the scenario's name, in reports"},
        {.key = "description",
                .type = SETTING_TEXT,
                .offset = AT(description),
                .preset = "",
                .empty = "nothing to add",
                .help = "what it shows"},
        {.key = "seed",
                .type = SETTING_INT,
                .offset = AT(seed),
                .min = 0,
                .max = 2e9,
                .preset = "1",
                .help = "of all that is drawn"},
        {.key = "time_scale",
                .type = SETTING_REAL,
                .offset = AT(time_scale),
                .min = 0.01,
                .max = 10,
                .preset = "1",
                .help = "seconds that a scenario's second takes"},
        {.key = "instances",
                .type = SETTING_INT,
                .offset = AT(instances),
                .min = 1,
                .max = SCENARIO_INSTANCES_MAX,
                .required = true,
                .help = "started at once"},
        {.key = "duration",
                .type = SETTING_DURATION,
                .offset = AT(duration_ns),
                .min = 1,
                .max = 86400,
                .preset = "60s",
                .help = "an arm ends then at the latest"},
        {.key = "settle",
                .type = SETTING_DURATION,
                .offset = AT(settle_ns),
                .min = 0,
                .max = 3600,
                .preset = "2s",
                .help = "all must stay up for so long"},
        {.key = "database.max_connections",
                .type = SETTING_INT,
                .offset = AT(database.max_connections),
                .min = 5,
                .max = 5000,
                .preset = "100",
                .help = "what the server allows"},
        {.key = "database.superuser_reserved",
                .type = SETTING_INT,
                .offset = AT(database.superuser_reserved),
                .min = 1,
                .max = 100,
                .preset = "3",
                .help = "of these for superusers only"},
        {.key = "database.setup",
                .type = SETTING_TEXTS,
                .offset = AT(database.setup),
                .preset = "",
                .help = "SQL, run once before the arms"},
        {.key = "database.agents",
                .type = SETTING_INT,
                .offset = AT(database.agents),
                .min = 0,
                .max = 100,
                .preset = "0",
                .help = "connections that the database's own agents hold"},
        {.key = "database.margin",
                .type = SETTING_REAL,
                .offset = AT(database.margin),
                .min = 0,
                .max = 1,
                .preset = "0.8",
                .help = "share of the usable that the fleet may use"},
        {.key = "database.buffer",
                .type = SETTING_INT,
                .offset = AT(database.buffer),
                .min = 0,
                .max = 1000,
                .preset = "5",
                .help = "connections held back"},
        {.key = "path.instances_min",
                .type = SETTING_INT,
                .offset = AT(path.instances_min),
                .min = 1,
                .max = CAPACITY_INSTANCES_MAX,
                .preset = "2",
                .help = "connector instances at the start"},
        {.key = "path.instances_max",
                .type = SETTING_INT,
                .offset = AT(path.instances_max),
                .min = 1,
                .max = CAPACITY_INSTANCES_MAX,
                .preset = "10",
                .help = "connector instances at most"},
        {.key = "path.flows",
                .type = SETTING_INT,
                .offset = AT(path.flows),
                .min = 1,
                .max = 100000,
                .preset = "25",
                .help = "flows at once, per connector instance"},
        {.key = "path.connect_rate",
                .type = SETTING_REAL,
                .offset = AT(path.connect_rate),
                .min = 0,
                .max = 1e6,
                .preset = "0",
                .help = "new flows a second, per connector instance; 0: no limit"},
        {.key = "path.connect_burst",
                .type = SETTING_REAL,
                .offset = AT(path.connect_burst),
                .min = 0,
                .max = 1e6,
                .preset = "0",
                .help = "new flows at once after a rest; 0: one second's worth"},
        {.key = "path.bandwidth",
                .type = SETTING_RATE,
                .offset = AT(path.bandwidth_bit_s),
                .min = 0,
                .max = 1e12,
                .preset = "0",
                .help = "per connector instance, both directions; 0: no limit"},
        {.key = "path.scale_at",
                .type = SETTING_REAL,
                .offset = AT(path.scale_at),
                .min = 0,
                .max = 1,
                .preset = "0.7",
                .help = "share of the flows in use that starts a step"},
        {.key = "path.scale_step",
                .type = SETTING_INT,
                .offset = AT(path.scale_step),
                .min = 1,
                .max = CAPACITY_INSTANCES_MAX,
                .preset = "1",
                .help = "connector instances that a step adds"},
        {.key = "path.scale_delay_min",
                .type = SETTING_DURATION,
                .offset = AT(path.scale_delay_min_ns),
                .min = 0,
                .max = 3600,
                .preset = "10s",
                .help = "a step takes at least this"},
        {.key = "path.scale_delay_max",
                .type = SETTING_DURATION,
                .offset = AT(path.scale_delay_max_ns),
                .min = 0,
                .max = 3600,
                .preset = "30s",
                .help = "and at most this"},
        {.key = "path.egress_warmup_min",
                .type = SETTING_DURATION,
                .offset = AT(egress_warmup_min_ns),
                .min = 0,
                .max = 3600,
                .preset = "0",
                .help = "nothing leaves an instance for at least so long after its start"},
        {.key = "path.egress_warmup_max",
                .type = SETTING_DURATION,
                .offset = AT(egress_warmup_max_ns),
                .min = 0,
                .max = 3600,
                .preset = "0",
                .help = "and at most so long"},
        {.key = "platform.restart_delay",
                .type = SETTING_DURATION,
                .offset = AT(platform.restart_delay_ns),
                .min = 0,
                .max = 3600,
                .preset = "1s",
                .help = "before an instance that ended is started again"},
        {.key = "platform.restart_factor",
                .type = SETTING_REAL,
                .offset = AT(platform.restart_factor),
                .min = 1,
                .max = 10,
                .preset = "2",
                .help = "each further delay is so many times as long"},
        {.key = "platform.restart_max",
                .type = SETTING_DURATION,
                .offset = AT(platform.restart_max_ns),
                .min = 0,
                .max = 3600,
                .preset = "10s",
                .help = "but no longer than this"},
        {.key = "platform.probe_timeout",
                .type = SETTING_DURATION,
                .offset = AT(platform.probe_timeout_ns),
                .min = 1,
                .max = 3600,
                .preset = "240s",
                .help = "a start that is not ready by then is killed"},
        {.key = "platform.probe_interval",
                .type = SETTING_DURATION,
                .offset = AT(platform.probe_interval_ns),
                .min = 0.01,
                .max = 600,
                .preset = "100ms",
                .help = "between two probes"},
        {.key = "platform.probe_path",
                .type = SETTING_TEXT,
                .offset = AT(platform.probe_path),
                .min = 1,
                .max = 200,
                .preset = "/health",
                .help = "GET answers 200 when ready"},
        {.key = "command",
                .type = SETTING_TEXTS,
                .offset = AT(command),
                .min = 1,
                .max = 64,
                .required = true,
                .help = "what each instance runs"},
        {.key = "directory",
                .type = SETTING_TEXT,
                .offset = AT(directory),
                .min = 1,
                .max = 1000,
                .preset = ".",
                .help = "its working directory, seen from the scenario's file"},
        {.key = "env",
                .type = SETTING_NODE,
                .offset = AT(env_node),
                .help = "variables of every arm"},
        {.key = "timeouts",
                .type = SETTING_NODE,
                .offset = AT(timeouts_node),
                .help = "variables that are times, given in seconds, shortened by time_scale"},
        {.key = "faults",
                .type = SETTING_NODE,
                .offset = AT(faults_node),
                .help = "what goes wrong, and when"},
        {.key = "arms",
                .type = SETTING_NODE,
                .offset = AT(arms_node),
                .required = true,
                .help = "the ways of starting that are compared"},
        {.key = "expect",
                .type = SETTING_NODE,
                .offset = AT(expect_node),
                .help = "ARM.METRIC OP VALUE"},
};

static const struct setting_choice path_choices[] = {
        {"none", ARM_PATH_NONE}, {"connector", ARM_PATH_CONNECTOR}, {NULL, 0}};

static const struct setting arm_rows[] = {
        {.key = "name",
                .type = SETTING_TEXT,
                .offset = ARM(name),
                .min = 1,
                .max = EXPECT_ARM_MAX - 1,
                .required = true,
                .help = "the arm's name"},
        {.key = "path",
                .type = SETTING_CHOICE,
                .offset = ARM(path),
                .choices = path_choices,
                .preset = "connector",
                .help = "how it reaches the database"},
        {.key = "standpipe",
                .type = SETTING_BOOL,
                .offset = ARM(standpipe),
                .preset = "off",
                .help = "behind `standpipe run`"},
        {.key = "reference",
                .type = SETTING_TEXT,
                .offset = ARM(reference),
                .preset = "",
                .empty = "the same arm is measured without path",
                .help = "the arm without path that bounds this one"},
        {.key = "max_connections",
                .type = SETTING_INT,
                .offset = ARM(max_connections),
                .min = 0,
                .max = 5000,
                .preset = "0",
                .help = "instead of the database's; 0: the same"},
        {.key = "duration",
                .type = SETTING_DURATION,
                .offset = ARM(duration_ns),
                .min = 0,
                .max = 86400,
                .preset = "0",
                .help = "instead of the scenario's; 0: the same"},
        {.key = "env", .type = SETTING_NODE, .offset = ARM(env_node), .help = "its variables"},
        {.key = "timeouts",
                .type = SETTING_NODE,
                .offset = ARM(timeouts_node),
                .help = "its variables that are times"},
};

static const struct setting_choice fault_choices[] = {
        {"database_restart", FAULT_DATABASE_RESTART}, {"partition", FAULT_PARTITION}, {NULL, 0}};

static const struct setting fault_rows[] = {
        {.key = "at",
                .type = SETTING_DURATION,
                .offset = offsetof(struct scenario_fault, at_ns),
                .min = 0,
                .max = 86400,
                .required = true,
                .help = "since the arm's begin"},
        {.key = "kind",
                .type = SETTING_CHOICE,
                .offset = offsetof(struct scenario_fault, kind),
                .choices = fault_choices,
                .required = true,
                .help = "what happens"},
        {.key = "for",
                .type = SETTING_DURATION,
                .offset = offsetof(struct scenario_fault, for_ns),
                .min = 0,
                .max = 86400,
                .preset = "0",
                .help = "how long"},
};

#define COUNT(rows) ((int)(sizeof(rows) / sizeof((rows)[0])))

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

	if (apply(s, arm_rows, COUNT(arm_rows), arm, prefix, node, error) < 0)
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
		if (apply(s, fault_rows, COUNT(fault_rows), &s->faults[s->fault_count], prefix,
		            entry, error) < 0)
			return -1;
		s->fault_count++;
	}
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
	if (apply(s, scenario_rows, COUNT(scenario_rows), s, "", root, error) < 0)
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

instant scenario_earliest(const struct scenario *s, const struct scenario_arm *arm)
{
	int usable = max_connections(s, arm) - s->database.superuser_reserved;

	if (s->instances > usable)
		return INSTANT_NEVER;
	if (arm->path == ARM_PATH_NONE)
		return 0;
	/* Nothing leaves any instance before the shortest warm-up; the path is rested by then. */
	return instant_add(capacity_earliest(&s->path, s->instances), s->egress_warmup_min_ns);
}
