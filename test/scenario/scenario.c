#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "scenario/scenario.h"

#define HEAD "name: t\ninstances: 20\ncommand: [serve, --fast]\n"
#define ARMS "arms:\n  - {name: plain, path: none}\n  - {name: direct, reference: plain}\n"

static struct scenario read_well(const char *text)
{
	struct scenario s;
	struct error error = {0};

	if (scenario_parse(&s, "dir/t.yaml", text, strlen(text), &error) < 0)
		fail_msg("%s: %s", error.origin, error.text);
	return s;
}

static void refused(const char *text, const char *origin, const char *part)
{
	struct scenario s;
	struct error error = {0};

	assert_int_equal(scenario_parse(&s, "t.yaml", text, strlen(text), &error), -1);
	if (strcmp(error.origin, origin) != 0 || !strstr(error.text, part))
		fail_msg("`%s: %s` is not `%s: ...%s`", error.origin, error.text, origin, part);
	scenario_release(&s);
}

static void a_short_scenario_has_the_defaults(void **state)
{
	struct scenario s = read_well(HEAD ARMS);

	(void)state;
	assert_string_equal(s.name, "t");
	assert_int_equal(s.instances, 20);
	assert_true(s.time_scale == 1);
	assert_int_equal(s.duration_ns, 60 * NS_PER_S);
	assert_int_equal(s.database.max_connections, 100);
	assert_int_equal(s.path.instances_min, 2);
	assert_int_equal(s.path.instances_max, 10);
	assert_int_equal(s.path.flows, 25);
	assert_int_equal(s.path.scale_delay_min_ns, 10 * NS_PER_S);
	assert_int_equal(s.path.scale_delay_max_ns, 30 * NS_PER_S);
	assert_int_equal(s.platform.probe_timeout_ns, 240 * NS_PER_S);
	assert_int_equal(s.command.count, 2);
	assert_string_equal(s.directory, "dir/.");
	assert_int_equal(s.arm_count, 2);
	assert_int_equal(s.arms[0].path, ARM_PATH_NONE);
	assert_int_equal(s.arms[1].path, ARM_PATH_CONNECTOR);
	assert_false(s.arms[1].standpipe);
	scenario_release(&s);
}

static void variables_of_the_scenario_come_before_the_arms(void **state)
{
	struct scenario s = read_well(HEAD "env: {A: 1, B: x=y}\ntimeouts: {T: 20s}\narms:\n"
					   "  - {name: a, env: {A: 2, T: none}}\n"
					   "  - {name: b, timeouts: {U: 250ms}}\n");

	(void)state;
	assert_string_equal(scenario_arm_get(&s.arms[0], "A"), "2");
	assert_string_equal(scenario_arm_get(&s.arms[0], "B"), "x=y");
	assert_string_equal(scenario_arm_get(&s.arms[0], "T"), "none");
	assert_null(scenario_arm_get(&s.arms[0], "U"));
	assert_string_equal(scenario_arm_get(&s.arms[1], "A"), "1");
	assert_string_equal(scenario_arm_get(&s.arms[1], "U"), "");
	assert_int_equal(s.arms[1].env[3].value_ns, 250 * NS_PER_MS);
	scenario_release(&s);
}

static void faults_and_expectations(void **state)
{
	struct scenario s = read_well(
		HEAD ARMS "faults:\n  - {at: 5s, kind: partition, for: 2s}\n"
			  "  - {at: 9s, kind: database_restart}\n"
			  "expect: [direct.ready == instances, plain.makespan_s < 30]\n");

	(void)state;
	assert_int_equal(s.fault_count, 2);
	assert_int_equal(s.faults[0].kind, FAULT_PARTITION);
	assert_int_equal(s.faults[0].at_ns, 5 * NS_PER_S);
	assert_int_equal(s.faults[0].for_ns, 2 * NS_PER_S);
	assert_int_equal(s.faults[1].kind, FAULT_DATABASE_RESTART);
	assert_int_equal(s.expect_count, 2);
	assert_int_equal(s.expects[0].metric, METRIC_READY);
	assert_string_equal(s.expect_texts[1], "plain.makespan_s < 30");
	scenario_release(&s);
}

static void the_budget_and_the_earliest_moment(void **state)
{
	struct scenario s = read_well(
		HEAD "path: {connect_rate: 8, egress_warmup_min: 3s, "
		     "egress_warmup_max: 5s}\n" ARMS "  - {name: tiny, max_connections: 22}\n");

	(void)state;
	assert_int_equal(scenario_budget(&s, &s.arms[0]), 72); /* floor(97 x 0.8) - 5 */
	assert_int_equal(scenario_budget(&s, &s.arms[1]), 50); /* 2 x 25 on the path */
	assert_int_equal(scenario_earliest(&s, &s.arms[0]), 0);
	assert_in_range(scenario_earliest(&s, &s.arms[1]), 3250 * NS_PER_MS, 3251 * NS_PER_MS);
	/* 19 may log in at all. */
	assert_int_equal(scenario_fitting(&s, &s.arms[2]), 19);
	assert_in_range(scenario_earliest(&s, &s.arms[2]), 3250 * NS_PER_MS, 3251 * NS_PER_MS);
	scenario_release(&s);
}

static void the_least_recovery_is_the_fault_and_the_way_back(void **state)
{
	struct scenario s = read_well(HEAD "path: {connect_rate: 8}\n"
					   "faults: [{at: 5s, kind: partition, for: 30s}]\n" ARMS
					   "  - {name: tiny, max_connections: 22}\n");

	(void)state;
	assert_int_equal(scenario_recovery(&s, &s.arms[0]), 30 * NS_PER_S);
	assert_in_range(scenario_recovery(&s, &s.arms[1]), 30250 * NS_PER_MS, 30251 * NS_PER_MS);
	assert_int_equal(scenario_recovery(&s, &s.arms[2]), INSTANT_NEVER);
	scenario_release(&s);
}

static void mistakes_are_named_with_their_line(void **state)
{
	(void)state;
	refused("instances: 2\ncommand: x\n" ARMS, "t.yaml:1", "name");
	refused(HEAD "speed: 3\n" ARMS, "t.yaml:4", "speed");
	refused(HEAD "path: {flows: 0}\n" ARMS, "t.yaml:4", "path.flows");
	refused(HEAD "path:\n  instances_min: 5\n  instances_max: 3\n" ARMS, "t.yaml:1",
		"instances_max 3");
	refused(HEAD "arms: []\n", "t.yaml:4", "arms");
	refused(HEAD "arms:\n  - {name: a}\n  - {name: a}\n", "t.yaml:6", "two arms");
	refused(HEAD "arms:\n  - {name: a.b}\n", "t.yaml:5", "without dots");
	refused(HEAD "arms:\n  - {name: a, path: tunnel}\n", "t.yaml:5", "arms[0].path");
	refused(HEAD "arms:\n  - {name: a, reference: b}\n", "t.yaml:5", "no arm `b`");
	refused(HEAD "arms:\n  - {name: a}\n  - {name: b, reference: a}\n", "t.yaml:6",
		"path: none");
	refused(HEAD ARMS "    env: {X: [1]}\n", "t.yaml:7", "");
	refused(HEAD ARMS "  - name: c\n    env: {X: [1]}\n", "t.yaml:8", "X");
	refused(HEAD ARMS "  - name: c\n    timeouts: {X: soon}\n", "t.yaml:8", "20s");
	refused(HEAD ARMS "faults:\n  - {at: 5s, kind: flood}\n", "t.yaml:8", "partition");
	refused(HEAD ARMS "faults:\n  - {kind: partition}\n", "t.yaml:8", "faults[0].at");
	refused(HEAD ARMS "expect:\n  - fast\n", "t.yaml:8", "ARM.METRIC");
	refused(HEAD ARMS "expect:\n  - other.ready > 1\n", "t.yaml:8", "no arm `other`");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_short_scenario_has_the_defaults),
		cmocka_unit_test(variables_of_the_scenario_come_before_the_arms),
		cmocka_unit_test(faults_and_expectations),
		cmocka_unit_test(the_budget_and_the_earliest_moment),
		cmocka_unit_test(the_least_recovery_is_the_fault_and_the_way_back),
		cmocka_unit_test(mistakes_are_named_with_their_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
