#include "scenario/rows.h"

#include <stddef.h>

#include "scenario/scenario.h"

/* clang-format off */
#define AT(member)  offsetof(struct scenario, member)
#define ARM(member) offsetof(struct scenario_arm, member)

const struct setting scenario_rows[] = {
	{.key = "name", .type = SETTING_TEXT, .offset = AT(name), .min = 1, .max = 60,
	 .required = true, .help = "the scenario's name, in reports"},
	{.key = "description", .type = SETTING_TEXT, .offset = AT(description), .preset = "",
	 .empty = "nothing to add", .help = "what it shows"},
	{.key = "seed", .type = SETTING_INT, .offset = AT(seed), .min = 0, .max = 2e9,
	 .preset = "1", .help = "of all that is drawn"},
	{.key = "time_scale", .type = SETTING_REAL, .offset = AT(time_scale), .min = 0.01,
	 .max = 10, .preset = "1", .help = "seconds that a scenario's second takes"},
	{.key = "instances", .type = SETTING_INT, .offset = AT(instances), .min = 1,
	 .max = SCENARIO_INSTANCES_MAX, .required = true, .help = "started at once"},
	{.key = "duration", .type = SETTING_DURATION, .offset = AT(duration_ns), .min = 1,
	 .max = 86400, .preset = "60s", .help = "an arm ends then at the latest"},
	{.key = "settle", .type = SETTING_DURATION, .offset = AT(settle_ns), .min = 0,
	 .max = 3600, .preset = "2s", .help = "all must stay up for so long"},
	{.key = "database.max_connections", .type = SETTING_INT,
	 .offset = AT(database.max_connections), .min = 5, .max = 5000, .preset = "100",
	 .help = "what the server allows"},
	{.key = "database.superuser_reserved", .type = SETTING_INT,
	 .offset = AT(database.superuser_reserved), .min = 1, .max = 100, .preset = "3",
	 .help = "of these for superusers only"},
	{.key = "database.setup", .type = SETTING_TEXTS, .offset = AT(database.setup),
	 .preset = "", .help = "SQL, run once before the arms"},
	{.key = "database.agents", .type = SETTING_INT, .offset = AT(database.agents), .min = 0,
	 .max = 100, .preset = "0", .help = "connections that the database's own agents hold"},
	{.key = "database.margin", .type = SETTING_REAL, .offset = AT(database.margin), .min = 0,
	 .max = 1, .preset = "0.8", .help = "share of the usable that the fleet may use"},
	{.key = "database.buffer", .type = SETTING_INT, .offset = AT(database.buffer), .min = 0,
	 .max = 1000, .preset = "5", .help = "connections held back"},
	{.key = "path.instances_min", .type = SETTING_INT, .offset = AT(path.instances_min),
	 .min = 1, .max = CAPACITY_INSTANCES_MAX, .preset = "2",
	 .help = "connector instances at the start"},
	{.key = "path.instances_max", .type = SETTING_INT, .offset = AT(path.instances_max),
	 .min = 1, .max = CAPACITY_INSTANCES_MAX, .preset = "10",
	 .help = "connector instances at most"},
	{.key = "path.flows", .type = SETTING_INT, .offset = AT(path.flows), .min = 1,
	 .max = 100000, .preset = "25", .help = "flows at once, per connector instance"},
	{.key = "path.connect_rate", .type = SETTING_REAL, .offset = AT(path.connect_rate),
	 .min = 0, .max = 1e6, .preset = "0",
	 .help = "new flows a second, per connector instance; 0: no limit"},
	{.key = "path.connect_burst", .type = SETTING_REAL, .offset = AT(path.connect_burst),
	 .min = 0, .max = 1e6, .preset = "0",
	 .help = "new flows at once after a rest; 0: one second's worth"},
	{.key = "path.bandwidth", .type = SETTING_RATE, .offset = AT(path.bandwidth_bit_s),
	 .min = 0, .max = 1e12, .preset = "0bit/s",
	 .help = "per connector instance, both directions; 0: no limit"},
	{.key = "path.scale_at", .type = SETTING_REAL, .offset = AT(path.scale_at), .min = 0,
	 .max = 1, .preset = "0.7", .help = "share of the flows in use that starts a step"},
	{.key = "path.scale_step", .type = SETTING_INT, .offset = AT(path.scale_step), .min = 1,
	 .max = CAPACITY_INSTANCES_MAX, .preset = "1",
	 .help = "connector instances that a step adds"},
	{.key = "path.scale_delay_min", .type = SETTING_DURATION,
	 .offset = AT(path.scale_delay_min_ns), .min = 0, .max = 3600, .preset = "10s",
	 .help = "a step takes at least this"},
	{.key = "path.scale_delay_max", .type = SETTING_DURATION,
	 .offset = AT(path.scale_delay_max_ns), .min = 0, .max = 3600, .preset = "30s",
	 .help = "and at most this"},
	{.key = "path.egress_warmup_min", .type = SETTING_DURATION,
	 .offset = AT(egress_warmup_min_ns), .min = 0, .max = 3600, .preset = "0s",
	 .help = "nothing leaves an instance for at least so long after its start"},
	{.key = "path.egress_warmup_max", .type = SETTING_DURATION,
	 .offset = AT(egress_warmup_max_ns), .min = 0, .max = 3600, .preset = "0s",
	 .help = "and at most so long"},
	{.key = "platform.restart_delay", .type = SETTING_DURATION,
	 .offset = AT(platform.restart_delay_ns), .min = 0, .max = 3600, .preset = "1s",
	 .help = "before an instance that ended is started again"},
	{.key = "platform.restart_factor", .type = SETTING_REAL,
	 .offset = AT(platform.restart_factor), .min = 1, .max = 10, .preset = "2",
	 .help = "each further delay is so many times as long"},
	{.key = "platform.restart_max", .type = SETTING_DURATION,
	 .offset = AT(platform.restart_max_ns), .min = 0, .max = 3600, .preset = "10s",
	 .help = "but no longer than this"},
	{.key = "platform.probe_timeout", .type = SETTING_DURATION,
	 .offset = AT(platform.probe_timeout_ns), .min = 1, .max = 3600, .preset = "240s",
	 .help = "a start that is not ready by then is killed"},
	{.key = "platform.probe_interval", .type = SETTING_DURATION,
	 .offset = AT(platform.probe_interval_ns), .min = 0.01, .max = 600, .preset = "100ms",
	 .help = "between two probes"},
	{.key = "platform.probe_path", .type = SETTING_TEXT, .offset = AT(platform.probe_path),
	 .min = 1, .max = 200, .preset = "/health", .help = "GET answers 200 when ready"},
	{.key = "command", .type = SETTING_TEXTS, .offset = AT(command), .min = 1, .max = 64,
	 .required = true, .help = "what each instance runs"},
	{.key = "directory", .type = SETTING_TEXT, .offset = AT(directory), .min = 1,
	 .max = 1000, .preset = ".",
	 .help = "its working directory, seen from the scenario's file"},
	{.key = "env", .type = SETTING_NODE, .offset = AT(env_node),
	 .help = "variables of every arm"},
	{.key = "timeouts", .type = SETTING_NODE, .offset = AT(timeouts_node),
	 .help = "variables that are times, given in seconds, shortened by time_scale"},
	{.key = "faults", .type = SETTING_NODE, .offset = AT(faults_node),
	 .help = "what goes wrong, and when"},
	{.key = "arms", .type = SETTING_NODE, .offset = AT(arms_node), .required = true,
	 .help = "the ways of starting that are compared"},
	{.key = "expect", .type = SETTING_NODE, .offset = AT(expect_node),
	 .help = "ARM.METRIC OP VALUE"},
};

static const struct setting_choice path_choices[] = {
	{"none", ARM_PATH_NONE}, {"connector", ARM_PATH_CONNECTOR}, {NULL, 0}};

const struct setting scenario_arm_rows[] = {
	{.key = "name", .type = SETTING_TEXT, .offset = ARM(name), .min = 1,
	 .max = EXPECT_ARM_MAX - 1, .required = true, .help = "the arm's name"},
	{.key = "path", .type = SETTING_CHOICE, .offset = ARM(path), .choices = path_choices,
	 .preset = "connector", .help = "how it reaches the database"},
	{.key = "standpipe", .type = SETTING_BOOL, .offset = ARM(standpipe), .preset = "off",
	 .help = "behind `standpipe run`"},
	{.key = "reference", .type = SETTING_TEXT, .offset = ARM(reference), .preset = "",
	 .empty = "the same arm is measured without path",
	 .help = "the arm without path that bounds this one"},
	{.key = "max_connections", .type = SETTING_INT, .offset = ARM(max_connections), .min = 0,
	 .max = 5000, .preset = "0", .help = "instead of the database's; 0: the same"},
	{.key = "duration", .type = SETTING_DURATION, .offset = ARM(duration_ns), .min = 0,
	 .max = 86400, .preset = "0s", .help = "instead of the scenario's; 0: the same"},
	{.key = "env", .type = SETTING_NODE, .offset = ARM(env_node), .help = "its variables"},
	{.key = "timeouts", .type = SETTING_NODE, .offset = ARM(timeouts_node),
	 .help = "its variables that are times"},
};

static const struct setting_choice fault_choices[] = {
	{"database_restart", FAULT_DATABASE_RESTART}, {"partition", FAULT_PARTITION}, {NULL, 0}};

const struct setting scenario_fault_rows[] = {
	{.key = "at", .type = SETTING_DURATION, .offset = offsetof(struct scenario_fault, at_ns),
	 .min = 0, .max = 86400, .required = true, .help = "since the arm's begin"},
	{.key = "kind", .type = SETTING_CHOICE, .offset = offsetof(struct scenario_fault, kind),
	 .choices = fault_choices, .required = true, .help = "what happens"},
	{.key = "for", .type = SETTING_DURATION,
	 .offset = offsetof(struct scenario_fault, for_ns), .min = 0, .max = 86400,
	 .preset = "0s", .help = "how long"},
};
/* clang-format on */

#define COUNT(rows) ((int)(sizeof(rows) / sizeof((rows)[0])))

const int scenario_row_count = COUNT(scenario_rows);
const int scenario_arm_row_count = COUNT(scenario_arm_rows);
const int scenario_fault_row_count = COUNT(scenario_fault_rows);
