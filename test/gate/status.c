#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gate/page.h"
#include "gate/status.h"
#include "instance.h"

static struct instance i;

static int set_up(void **state)
{
	instance_init(&i);
	return 0;
}

static int tear_down(void **state)
{
	instance_release(&i);
	return 0;
}

static int ask(const char *method, const char *path, json_t **json)
{
	const struct http_request request = {.method = method, .path = path};
	struct http_response response = {.status = 500};
	status_answer(&i.view, &request, &response);
	assert_string_equal(response.headers[0].name, "Cache-Control");
	assert_string_equal(response.headers[0].value, "no-store");
	assert_null(strstr(response.body, INSTANCE_PASSWORD));
	assert_null(strstr(response.body, "s3cr3t"));
	*json = json_loads(response.body, 0, NULL);
	assert_non_null(*json);
	free(response.body);
	return response.status;
}

static int code_of(const char *path)
{
	json_t *json;
	int status = ask("GET", path, &json);
	json_decref(json);
	return status;
}

static void assert_text(json_t *json, const char *path, const char *expected)
{
	const char *text = json_string_value(instance_get(json, path));
	assert_non_null(text);
	assert_string_equal(text, expected);
}

static void assert_number(json_t *json, const char *path, double expected)
{
	json_t *number = instance_get(json, path);
	assert_true(json_is_number(number));
	assert_true(json_number_value(number) == expected);
}

static void assert_true_at(json_t *json, const char *path, bool expected)
{
	json_t *value = instance_get(json, path);
	assert_true(json_is_boolean(value));
	assert_int_equal(json_is_true(value), expected);
}

static void finish(double at_s)
{
	for (enum phase phase = PHASE_DATABASE; phase < PHASE_COUNT; phase++)
		instance_phase(&i, at_s, phase, true);
}

static void before_the_start_all_is_pending(void **state)
{
	json_t *json;
	assert_int_equal(ask("GET", "/startup", &json), 503);
	assert_true_at(json, "complete", false);
	assert_true_at(json, "failed", false);
	assert_number(json, "elapsed_s", 0);
	assert_int_equal(json_array_size(instance_get(json, "phases")), 7);
	assert_text(json, "phases.0.phase", "init");
	assert_text(json, "phases.6.phase", "finalize");
	assert_text(json, "phases.2.status", "pending");
	assert_true(json_is_null(instance_get(json, "phases.2.duration_s")));
	json_decref(json);
	assert_int_equal(code_of("/live"), 200);
	assert_int_equal(code_of("/ready"), 503);
	assert_int_equal(code_of("/health"), 503);
	assert_int_equal(code_of("/status"), 200);
}

static void while_it_starts_the_phase_is_named(void **state)
{
	instance_reach(&i, 1.0, PHASE_DATABASE);
	instance_step(&i, 3.5, (struct engine_event){.kind = EVENT_TICK});
	json_t *json;
	assert_int_equal(ask("GET", "/startup", &json), 503);
	assert_text(json, "phase", "database");
	assert_number(json, "elapsed_s", 2.5);
	assert_text(json, "phases.1.status", "completed");
	assert_text(json, "phases.2.status", "in_progress");
	assert_number(json, "phases.2.duration_s", 2.5);
	assert_number(json, "phases.2.timeout_s", 90);
	assert_true_at(json, "phases.2.critical", true);
	assert_true_at(json, "phases.3.critical", false);
	assert_null(instance_get(json, "phases.2.error"));
	json_decref(json);
	assert_int_equal(code_of("/live"), 200);
	assert_int_equal(code_of("/ready"), 503);
}

static void complete_implies_ready(void **state)
{
	instance_reach(&i, 1.0, PHASE_DATABASE);
	instance_connected(&i, 2.0);
	finish(4.0);
	json_t *json;
	assert_int_equal(ask("GET", "/startup", &json), 200);
	assert_true_at(json, "complete", true);
	assert_true(json_is_null(instance_get(json, "phase")));
	assert_number(json, "elapsed_s", 3);
	json_decref(json);
	assert_int_equal(code_of("/ready"), 200);
	assert_int_equal(ask("GET", "/health", &json), 200);
	assert_text(json, "availability", "full");
	assert_true_at(json, "database.up", true);
	json_decref(json);
}

static void an_outage_of_the_database_takes_nobody_out_of_rotation(void **state)
{
	instance_reach(&i, 1.0, PHASE_DATABASE);
	instance_connected(&i, 2.0);
	finish(4.0);
	instance_step(&i, 10.0,
		(struct engine_event){.kind = EVENT_SERVER_GONE, .outcome = OUTCOME_SHUTDOWN});
	json_t *json;
	assert_int_equal(ask("GET", "/health", &json), 200);
	assert_text(json, "availability", "degraded");
	assert_true_at(json, "database.up", false);
	assert_true(json_integer_value(instance_get(json, "database.retry_after_s")) >= 1);
	json_decref(json);
	assert_int_equal(code_of("/ready"), 200);
	assert_int_equal(code_of("/live"), 200);
}

static void a_failed_critical_phase_shows_its_error(void **state)
{
	instance_reach(&i, 1.0, PHASE_DEPENDENCIES);
	error_set(&i.phase_errors[PHASE_DEPENDENCIES], "tcp", 111,
		"auth.internal:80 refuses, password " INSTANCE_PASSWORD);
	instance_phase(&i, 5.0, PHASE_DEPENDENCIES, false);
	json_t *json;
	assert_int_equal(ask("GET", "/startup", &json), 503);
	assert_true_at(json, "failed", true);
	assert_true_at(json, "complete", false);
	assert_text(json, "phases.1.status", "failed");
	assert_text(json, "phases.1.error.text", "auth.internal:80 refuses, password ***");
	assert_text(json, "phases.2.status", "skipped");
	json_decref(json);
	assert_int_equal(code_of("/health"), 503);
	assert_int_equal(code_of("/live"), 200);
}

static void health_tells_path_pool_breaker_and_budget(void **state)
{
	instance_reach(&i, 1.0, PHASE_DATABASE);
	instance_stage(&i, 1.1, STAGE_TCP);
	instance_stage(&i, 1.5, STAGE_TLS);
	instance_failed(&i, 2.0, OUTCOME_RESET, "", "connection reset");
	json_t *json;
	ask("GET", "/health", &json);
	assert_text(json, "path.history", "x");
	assert_number(json, "path.limit", 50);
	assert_true(json_is_null(instance_get(json, "path.connect_s")));
	assert_text(json, "breaker.state", "closed");
	assert_number(json, "breaker.failures", 1);
	assert_number(json, "breaker.threshold", 3);
	assert_number(json, "budget.fleet", 35);
	assert_number(json, "budget.share", 1);
	assert_number(json, "pool.share", 1);
	assert_text(json, "database.host", "db.internal:5432");
	assert_text(json, "database.last_error.text", "connection reset");
	assert_text(json, "database.last_failure_at", "2024-05-06T07:08:11.000Z");
	json_decref(json);
}

static void connect_in(double at_s, int64_t tcp_ms)
{
	const struct path_attempt attempt = {
		.stage_ns = {[STAGE_TCP] = tcp_ms * NS_PER_MS, [STAGE_AUTH] = 30 * NS_PER_MS},
		.stage = STAGE_READY,
		.outcome = OUTCOME_OK,
		.syn_lost = tcp_ms > 1000,
	};
	path_attempt(&i.engine.path, &attempt, ns_from_s(at_s));
}

static void health_tells_what_was_measured_of_the_path(void **state)
{
	for (int n = 0; n < 10; n++)
		connect_in(n + 1, n < 8 ? 10 : 4010);
	const struct flow_sample sample = {.rtt_ns = 90 * NS_PER_MS,
		.min_rtt_ns = 30 * NS_PER_MS,
		.segments = 200,
		.retransmits = 2,
		.delivery_bit_s = 5e6};
	path_flow(&i.engine.path, &sample, ns_from_s(10.0));
	path_throughput(&i.engine.path, 8e6, 2e6, ns_from_s(10.0));
	instance_step(&i, 10.0, (struct engine_event){.kind = EVENT_TICK});
	json_t *json;
	ask("GET", "/health", &json);
	assert_text(json, "path.state", "scaling");
	assert_text(json, "path.history", "..........");
	assert_text(json, "path.handshakes.history", "........ss");
	assert_number(json, "path.handshakes.syn_lost", 2);
	assert_number(json, "path.connect_s.tcp.min", 0.01);
	assert_number(json, "path.connect_s.tcp.p95", 4.01);
	assert_number(json, "path.sent_bytes_s", 250000);
	assert_number(json, "path.received_bytes_s", 750000);
	assert_number(json, "path.tcp.rtt_s", 0.09);
	assert_number(json, "path.tcp.inflation", 3);
	assert_number(json, "path.tcp.retransmit_ratio", 0.01);
	assert_number(json, "path.scaling_events", 1);
	assert_number(json, "path.scaling.0.before.tcp_s", 0.01);
	assert_number(json, "path.scaling.0.lasted_s", 0);
	assert_true(json_is_null(instance_get(json, "path.scaling.0.ended")));
	json_decref(json);
	instance_step(&i, 50.0, (struct engine_event){.kind = EVENT_TICK});
	ask("GET", "/health", &json);
	assert_number(json, "path.scaling.0.lasted_s", 30);
	assert_true(json_is_number(instance_get(json, "path.scaling.0.gain.connect_ratio")));
	json_decref(json);
}

static void health_tells_what_the_server_is_at(void **state)
{
	instance_reach(&i, 1.0, PHASE_DATABASE);
	json_t *json;
	ask("GET", "/health", &json);
	assert_text(json, "database.state", "unknown");
	assert_true(json_is_null(instance_get(json, "database.in_recovery")));
	json_decref(json);
	instance_connected(&i, 2.0);
	instance_step(&i, 3.0,
		(struct engine_event){.kind = EVENT_SERVER_LIMITS,
			.limits = {200, 3, 2, 17, .in_recovery = true}});
	ask("GET", "/health", &json);
	assert_text(json, "database.state", "recovery");
	assert_true_at(json, "database.in_recovery", true);
	assert_number(json, "database.limits.max_connections", 200);
	assert_number(json, "database.limits.backends", 17);
	assert_text(json, "database.limits.told", "2024-05-06T07:08:12.000Z");
	json_decref(json);
}

static void status_tells_all_and_no_secret(void **state)
{
	instance_reach(&i, 1.0, PHASE_DATABASE);
	instance_stage(&i, 1.25, STAGE_TCP);
	instance_failed(&i, 4.25, OUTCOME_TIMEOUT, "", "timed out");
	i.view.error_context = "{\"message\":\"it failed\"}";
	i.view.command = COMMAND_RUNNING;
	i.view.command_pid = 42;
	json_t *json;
	ask("GET", "/status", &json);
	assert_text(json, "time", "2024-05-06T07:08:13.250Z");
	assert_text(json, "instance", "backend-00042-abc");
	assert_text(json, "attempts.recent.0.stage", "tcp");
	assert_text(json, "attempts.recent.0.outcome", "timeout");
	assert_number(json, "attempts.recent.0.stages_s.dns", 0.25);
	assert_number(json, "attempts.recent.0.stages_s.tcp", 3);
	assert_number(json, "attempts.recent.0.took_s", 3.25);
	assert_text(json, "attempts.recent.0.error.text", "timed out");
	assert_number(json, "attempts.ended.timeout", 1);
	assert_text(json, "deadlines.0.kind", "initialization");
	assert_number(json, "deadlines.0.base_s", 90);
	assert_number(json, "command.pid", 42);
	assert_text(json, "error_context.message", "it failed");
	assert_text(json, "settings.cache", "redis://cache.internal:6379/0");
	assert_text(json, "settings.dependencies.0", "http://auth.internal/ok");
	json_decref(json);
}

static void only_get_and_head_and_known_paths(void **state)
{
	json_t *json;
	assert_int_equal(ask("POST", "/status", &json), 405);
	json_decref(json);
	assert_int_equal(ask("HEAD", "/live", &json), 200);
	json_decref(json);
	assert_int_equal(ask("GET", "/nothing", &json), 404);
	assert_text(json, "paths.0", "/startup");
	json_decref(json);
	assert_int_equal(code_of("/"), 200);
	assert_int_equal(code_of("/live/"), 200);
	assert_int_equal(code_of("/livery"), 404);
	assert_int_equal(code_of("/live/x"), 404);
}

static void the_deadline_says_how_it_came_about(void **state)
{
	instance_reach(&i, 1.0, PHASE_DATABASE);
	instance_failed(&i, 2.0, OUTCOME_TIMEOUT, "", "timed out");
	instance_step(&i, 40.0, (struct engine_event){.kind = EVENT_TICK});
	instance_failed(&i, 41.0, OUTCOME_TIMEOUT, "", "timed out");
	assert_int_equal(i.engine.path.state, PATH_OVERLOADED);
	json_t *json;
	ask("GET", "/status", &json);
	assert_text(json, "deadlines.0.path_state", "overloaded");
	assert_number(json, "deadlines.0.factor", 2);
	assert_number(json, "deadlines.0.used_s", 180);
	assert_text(json, "deadlines.0.decided_by", "path_state");
	assert_text(json, "deadlines.3.kind", "pool");
	json_decref(json);
}

/* ---- the front door's page ---- */

static void the_page_says_what_is_waited_for_and_no_more(void **state)
{
	instance_reach(&i, 1.0, PHASE_DATABASE);
	instance_failed(&i, 2.0, OUTCOME_AUTH, "28P01", "password authentication failed");
	const struct http_request request = {.method = "GET", .path = "/"};
	struct http_response response = {.status = 500};
	/* The engine failed the phase for good. */
	page_answer(&i.view, &request, &response);
	assert_int_equal(response.status, 503);
	assert_true(response.close);
	assert_string_equal(response.headers[0].name, "Retry-After");
	assert_true(atoi(response.headers[0].value) >= 1);
	assert_null(strstr(response.body, "password"));
	assert_null(strstr(response.body, "db.internal"));
	json_t *json = json_loads(response.body, 0, NULL);
	assert_text(json, "state", "failed");
	assert_text(json, "phase", "database");
	json_decref(json);
	free(response.body);
}

static void html_is_for_those_who_prefer_it(void **state)
{
	assert_true(page_prefers_html("text/html,application/xhtml+xml,*/*;q=0.8"));
	assert_true(page_prefers_html("application/json;q=0.5, text/html"));
	assert_false(page_prefers_html("application/json, text/html;q=0.9"));
	assert_false(page_prefers_html("text/html;q=0"));
	assert_false(page_prefers_html("*/*"));
	assert_false(page_prefers_html("text/html5"));
	assert_false(page_prefers_html(""));
	assert_false(page_prefers_html(NULL));
}

#define STATUS_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STATUS_TEST(before_the_start_all_is_pending),
		STATUS_TEST(while_it_starts_the_phase_is_named),
		STATUS_TEST(complete_implies_ready),
		STATUS_TEST(an_outage_of_the_database_takes_nobody_out_of_rotation),
		STATUS_TEST(a_failed_critical_phase_shows_its_error),
		STATUS_TEST(health_tells_path_pool_breaker_and_budget),
		STATUS_TEST(health_tells_what_was_measured_of_the_path),
		STATUS_TEST(health_tells_what_the_server_is_at),
		STATUS_TEST(status_tells_all_and_no_secret),
		STATUS_TEST(only_get_and_head_and_known_paths),
		STATUS_TEST(the_deadline_says_how_it_came_about),
		STATUS_TEST(the_page_says_what_is_waited_for_and_no_more),
		STATUS_TEST(html_is_for_those_who_prefer_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
