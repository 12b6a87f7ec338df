#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "gate/context.h"
#include "instance.h"

static struct instance i;
static char directory[64];

static int set_up(void **state)
{
	instance_init(&i);
	strcpy(directory, "/tmp/context-XXXXXX");
	return mkdtemp(directory) ? 0 : -1;
}

static int tear_down(void **state)
{
	instance_release(&i);
	return rmdir(directory);
}

static json_t *context_of(enum phase phase)
{
	char *text = context_text(&i.view, phase, 3);
	assert_null(strchr(text, '\n'));
	assert_null(strstr(text, "s3cr3t"));
	json_t *json = json_loads(text, 0, NULL);
	assert_non_null(json);
	free(text);
	return json;
}

static const char *text_at(json_t *json, const char *path)
{
	const char *text = json_string_value(instance_get(json, path));
	assert_non_null(text);
	return text;
}

static void assert_has(json_t *json, const char *path, const char *part)
{
	const char *text = text_at(json, path);
	if (!strstr(text, part))
		fail_msg("%s is \"%s\": no \"%s\" in it", path, text, part);
}

static void assert_number(json_t *json, const char *path, double expected)
{
	json_t *number = instance_get(json, path);
	assert_true(json_is_number(number));
	assert_true(json_number_value(number) == expected);
}

/* The one attempt was made at 1 s and failed at 2 s, in `stage`; the phase fails with it. */
static json_t *context_after(
	enum stage stage, enum outcome outcome, const char *sqlstate, const char *text)
{
	instance_reach(&i, 1.0, PHASE_DATABASE);
	for (enum stage s = STAGE_TCP; s <= stage; s++)
		instance_stage(&i, 1.5, s);
	instance_failed(&i, 2.0, outcome, sqlstate, text);
	if (!i.engine.startup.failed)
		instance_phase(&i, 2.0, PHASE_DATABASE, false);
	assert_true(i.engine.startup.failed);
	return context_of(PHASE_DATABASE);
}

static void a_wrong_password(void **state)
{
	json_t *json = context_after(STAGE_AUTH, OUTCOME_AUTH, "28P01",
		"password authentication failed for user \"app\"");
	assert_has(json, "message", "startup phase database failed after 1.0 s: password");
	assert_string_equal(text_at(json, "phase"), "database");
	assert_string_equal(text_at(json, "stage"), "auth");
	assert_string_equal(text_at(json, "sqlstate"), "28P01");
	assert_has(json, "error.text", "password authentication failed");
	assert_string_equal(text_at(json, "error.origin"), "db.internal:5432");
	assert_has(json, "hint", "password is wrong");
	assert_number(json, "exit_code", 3);
	assert_number(json, "elapsed_s", 1);
	assert_string_equal(text_at(json, "time"), "2024-05-06T07:08:11.000Z");
	json_decref(json);
}

static void the_likely_cause_follows_what_was_seen(void **state)
{
	static const struct {
		enum stage stage;
		enum outcome outcome;
		const char *sqlstate, *hint;
	} cases[] = {
		{STAGE_DNS, OUTCOME_TIMEOUT, "", "name server"},
		{STAGE_DNS, OUTCOME_DNS, "", "does not resolve"},
		{STAGE_TCP, OUTCOME_TIMEOUT, "", "connector (VPC) is exhausted"},
		{STAGE_TCP, OUTCOME_REFUSED, "", "nothing listens"},
		{STAGE_TCP, OUTCOME_UNREACHABLE, "", "no route"},
		{STAGE_TCP, OUTCOME_RESET, "", "was cut"},
		{STAGE_TLS, OUTCOME_TIMEOUT, "", "TLS stalls"},
		{STAGE_TLS, OUTCOME_TLS, "", "sslmode"},
		{STAGE_AUTH, OUTCOME_TIMEOUT, "", "does not finish the login"},
		{STAGE_AUTH, OUTCOME_FULL, "53300", "no connection slots left"},
		{STAGE_AUTH, OUTCOME_STARTING, "57P03", "starting up"},
		{STAGE_AUTH, OUTCOME_SHUTDOWN, "57P01", "restarted"},
		{STAGE_AUTH, OUTCOME_AUTH, "28P01", "password is wrong"},
		{STAGE_AUTH, OUTCOME_AUTH, "28000", "pg_hba.conf"},
		{STAGE_AUTH, OUTCOME_DATABASE, "3D000", "does not exist"},
		{STAGE_AUTH, OUTCOME_PROTOCOL, "", "not PostgreSQL"},
	};
	for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
		instance_release(&i);
		instance_init(&i);
		json_t *json = context_after(
			cases[c].stage, cases[c].outcome, cases[c].sqlstate, "it failed");
		assert_has(json, "hint", cases[c].hint);
		json_decref(json);
	}
}

static void a_timeout_says_how_it_was_computed(void **state)
{
	i.engine_settings.deadlines.base_ns[DEADLINE_CONNECTION] = 10 * NS_PER_S;
	instance_engine(&i);
	instance_reach(&i, 1.0, PHASE_DATABASE);
	instance_stage(&i, 1.1, STAGE_TCP);
	/* Nothing answers; attempts are given up after their own patience until the phase is. */
	for (double at_s = 2.0; !i.engine.startup.failed && at_s < 400; at_s += 1.0)
		instance_step(&i, at_s, (struct engine_event){.kind = EVENT_TICK});
	assert_true(i.engine.startup.failed);
	json_t *json = context_of(PHASE_DATABASE);
	assert_has(json, "message", "startup phase database timed out after");
	assert_number(json, "timeout.base_s", 90);
	assert_string_equal(text_at(json, "timeout.kind"), "initialization");
	assert_string_equal(text_at(json, "timeout.path_state"), "overloaded");
	assert_number(json, "timeout.factor", 2);
	assert_number(json, "timeout.used_s", 180);
	assert_number(json, "timeout.cap_s", 240);
	assert_number(json, "elapsed_s", 180);
	assert_string_equal(text_at(json, "attempts.recent.0.outcome"), "timeout");
	assert_number(json, "attempts.recent.0.stages_s.dns", 0.1);
	assert_true(json_is_number(instance_get(json, "path.utilisation")));
	assert_true(json_is_string(instance_get(json, "breaker.state")));
	assert_number(json, "budget.fleet", 35);
	assert_string_equal(text_at(json, "lease.source"), "static");
	assert_number(json, "lease.share", 1);
	json_decref(json);
}

static void an_attempt_that_still_hangs_is_the_cause(void **state)
{
	i.engine_settings.deadlines.base_ns[DEADLINE_INITIALIZATION] = 20 * NS_PER_S;
	instance_engine(&i);
	instance_reach(&i, 1.0, PHASE_DATABASE);
	instance_stage(&i, 1.5, STAGE_TCP);
	instance_step(&i, 22.0, (struct engine_event){.kind = EVENT_TICK});
	json_t *json = context_of(PHASE_DATABASE);
	assert_has(json, "message", "no answer at stage tcp for 21.0 s");
	assert_has(json, "hint", "connector (VPC)");
	assert_string_equal(text_at(json, "attempts.recent.0.outcome"), "under_way");
	assert_number(json, "attempts.recent.0.stages_s.tcp", 20.5);
	assert_string_equal(text_at(json, "timeout.decided_by"), "base");
	json_decref(json);
}

static void a_migration_that_fails_is_not_the_path(void **state)
{
	instance_reach(&i, 1.0, PHASE_DATABASE);
	instance_connected(&i, 2.0);
	instance_step(
		&i, 2.0, (struct engine_event){.kind = EVENT_PHASE_STEP, .phase = PHASE_DATABASE});
	error_set(&i.phase_errors[PHASE_DATABASE], "migration", 1, "it exited with code 1");
	instance_phase(&i, 5.0, PHASE_DATABASE, false);
	json_t *json = context_of(PHASE_DATABASE);
	assert_has(json, "hint", "schema check or migration failed");
	assert_string_equal(text_at(json, "stage"), "migration");
	assert_string_equal(text_at(json, "timeout.kind"), "table_setup");
	assert_number(json, "timeout.used_s", 45);
	json_decref(json);
}

static void the_command_exited_or_was_slow(void **state)
{
	instance_reach(&i, 1.0, PHASE_SERVICES);
	i.view.command = COMMAND_ENDED;
	i.view.command_code = 7;
	error_set(&i.phase_errors[PHASE_SERVICES], "command", 7, "the command ended with code 7");
	instance_step(&i, 3.0, (struct engine_event){.kind = EVENT_COMMAND_EXITED, .code = 7});
	json_t *json = context_of(PHASE_SERVICES);
	assert_has(json, "message", "startup phase services failed after 2.0 s: the command ended");
	assert_has(json, "hint", "ended by itself");
	assert_number(json, "command.exit_code", 7);
	json_decref(json);

	instance_release(&i);
	instance_init(&i);
	instance_reach(&i, 1.0, PHASE_SERVICES);
	i.view.command = COMMAND_RUNNING;
	instance_step(&i, 61.0, (struct engine_event){.kind = EVENT_TICK});
	json = context_of(PHASE_SERVICES);
	assert_has(json, "message", "timed out after 60.0 s");
	assert_has(json, "hint", "did not become ready in time");
	assert_number(json, "timeout.used_s", 60);
	json_decref(json);
}

static void a_check_that_failed(void **state)
{
	instance_reach(&i, 1.0, PHASE_DEPENDENCIES);
	error_set(&i.phase_errors[PHASE_DEPENDENCIES], "dns", -2,
		"password " INSTANCE_PASSWORD " leaked");
	instance_phase(&i, 2.0, PHASE_DEPENDENCIES, false);
	json_t *json = context_of(PHASE_DEPENDENCIES);
	assert_has(json, "message", "password *** leaked");
	assert_has(json, "hint", "declared to need");
	assert_string_equal(text_at(json, "phases.1.status"), "failed");
	json_decref(json);
}

/* ---- where it goes ---- */

/* As long as a context gets: attempts with long errors in every place. */
static char *long_context(void)
{
	char text[ERROR_TEXT_MAX];
	memset(text, '"', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	i.engine_settings.breaker.enabled = false;
	instance_engine(&i);
	instance_reach(&i, 0.0, PHASE_DATABASE);
	for (double at_s = 1.0; at_s < 60; at_s += 1.0) {
		if (i.engine.attempts[0].under_way)
			instance_failed(&i, at_s, OUTCOME_RESET, "", text);
		else
			instance_step(&i, at_s, (struct engine_event){.kind = EVENT_TICK});
	}
	for (enum phase phase = 0; phase < PHASE_COUNT; phase++)
		error_set(&i.phase_errors[phase], "tcp", 1, "%s", text);
	return context_text(&i.view, PHASE_DATABASE, 3);
}

static void trimmed_it_is_still_the_same_object(void **state)
{
	char *text = long_context();
	assert_in_range(strlen(text), 7680, CONTEXT_MAX);
	char hint[CONTEXT_HINT_SIZE];
	context_hint(text, hint);
	assert_non_null(strstr(hint, "was cut"));
	for (size_t max = 2048; max <= 8192; max += 512) {
		char *shorter = context_trim(text, max);
		assert_true(strlen(shorter) <= max);
		json_t *json = json_loads(shorter, 0, NULL);
		assert_string_equal(text_at(json, "phase"), "database");
		assert_has(json, "hint", "was cut");
		assert_has(json, "message", "startup phase database");
		json_decref(json);
		free(shorter);
	}
	char *whole = context_trim(text, strlen(text));
	assert_string_equal(whole, text);
	free(whole);
	free(text);
}

static char *read_file(const char *path)
{
	static char text[32768];
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = 0;
	fclose(f);
	return text;
}

static void the_file_is_replaced_as_a_whole(void **state)
{
	char path[128];
	struct error error;
	struct stat before, after;
	snprintf(path, sizeof(path), "%s/error.json", directory);
	assert_int_equal(context_write_file(path, "{\"a\":1}", &error), 0);
	assert_string_equal(read_file(path), "{\"a\":1}\n");
	stat(path, &before);
	assert_int_equal(context_write_file(path, "{}", &error), 0);
	assert_string_equal(read_file(path), "{}\n");
	stat(path, &after);
	assert_int_not_equal(before.st_ino, after.st_ino);
	unlink(path); /* nothing else is left: the directory can be removed */

	snprintf(path, sizeof(path), "%s/no/such/directory", directory);
	assert_int_equal(context_write_file(path, "{}", &error), -1);
	assert_string_equal(error.origin, path);
	assert_non_null(strstr(error.text, "No such file"));
}

static void the_termination_log_is_written_in_place(void **state)
{
	char path[128];
	struct error error;
	struct stat before, after;
	snprintf(path, sizeof(path), "%s/termination-log", directory);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	stat(path, &before);
	char *text = long_context();
	assert_int_equal(context_write_termination_log(path, text, &error), 0);
	free(text);
	stat(path, &after);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_true(after.st_size <= CONTEXT_TERMINATION_MAX);
	json_t *json = json_loads(read_file(path), 0, NULL);
	assert_string_equal(text_at(json, "phase"), "database");
	json_decref(json);
	unlink(path);
}

#define CONTEXT_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONTEXT_TEST(a_wrong_password),
		CONTEXT_TEST(the_likely_cause_follows_what_was_seen),
		CONTEXT_TEST(a_timeout_says_how_it_was_computed),
		CONTEXT_TEST(an_attempt_that_still_hangs_is_the_cause),
		CONTEXT_TEST(a_migration_that_fails_is_not_the_path),
		CONTEXT_TEST(the_command_exited_or_was_slow),
		CONTEXT_TEST(a_check_that_failed),
		CONTEXT_TEST(trimmed_it_is_still_the_same_object),
		CONTEXT_TEST(the_file_is_replaced_as_a_whole),
		CONTEXT_TEST(the_termination_log_is_written_in_place),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
