/* What a probe's numbers mean, without a network: every number here is made up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "app/probe_record.h"

#define MS NS_PER_MS

static const struct budget_settings fleet = {
	.max_connections = 100,
	.superuser_reserved = 3,
	.margin = 0.8,
	.path_limit = 1000,
	.path_share = 1,
	.instances = 2,
	.pool_size = 5,
	.pool_overflow = 10,
};

struct rig {
	struct probe_record record;
	struct probe_numbers numbers;
	struct probe_verdict verdict;
};

static int setup(void **state)
{
	static struct rig rig; /* large */
	memset(&rig, 0, sizeof(rig));
	rig.record.parallel_wanted = rig.record.parallel_allowed = 4;
	*state = &rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;
	probe_record_release(&rig->record);
	return 0;
}

/* A connect as it goes where nothing is wrong: one region, TLS, SCRAM. */
static struct probe_attempt fine(enum probe_part part, int parallel)
{
	return (struct probe_attempt){
		.part = part,
		.parallel = parallel,
		.outcome = OUTCOME_OK,
		.stage = STAGE_READY,
		.stage_ns = {1 * MS, 1 * MS, 5 * MS, 8 * MS, 15 * MS},
		.query_ns = {1 * MS},
		.queries = 1,
		.tcp = {.rtt_ns = 1 * MS, .min_rtt_ns = MS / 2},
	};
}

static struct probe_attempt failed(enum outcome outcome, enum stage stage, const char *sqlstate)
{
	struct probe_attempt a = {
		.part = PROBE_SERIES, .parallel = 1, .outcome = outcome, .stage = stage};
	error_set(&a.error, stage_name(stage), 0, "made up");
	error_sqlstate(&a.error, sqlstate);
	return a;
}

static void add(struct rig *rig, struct probe_attempt a, int times)
{
	for (int i = 0; i < times; i++)
		probe_record_add(&rig->record, &a);
}

static void tell_server(struct rig *rig, int max_connections, int backends)
{
	rig->record.server = (struct probe_server){
		.known = true,
		.limits = {.max_connections = max_connections,
			.superuser_reserved = 3,
			.reserved = 0,
			.backends = backends},
	};
}

static void judge(struct rig *rig)
{
	probe_numbers_init(&rig->numbers, &rig->record);
	probe_judge(&rig->verdict, &rig->record, &rig->numbers, &fleet);
}

/* The advice of that code, which must be there and as severe. */
static const char *expect(struct rig *rig, const char *code, enum probe_severity severity)
{
	for (int i = 0; i < rig->verdict.count; i++)
		if (strcmp(rig->verdict.advice[i].code, code) == 0) {
			assert_string_equal(probe_severity_name(rig->verdict.advice[i].severity),
				probe_severity_name(severity));
			return rig->verdict.advice[i].text;
		}
	fail_msg("no advice %s; the first is %s", code,
		rig->verdict.count ? rig->verdict.advice[0].code : "none");
	return "";
}

static void expect_text(
	struct rig *rig, const char *code, enum probe_severity severity, const char *part)
{
	const char *text = expect(rig, code, severity);
	if (!strstr(text, part))
		fail_msg("%s: \"%s\" is not in: %s", code, part, text);
}

/* ---- numbers ---- */

static void quantiles_are_of_the_nearest_rank(void **state)
{
	int64_t spans[20];
	for (int i = 0; i < 20; i++)
		spans[i] = 20 - i;
	struct probe_spans s = probe_spans_of(spans, 20);
	assert_int_equal(s.count, 20);
	assert_int_equal(s.min_ns, 1);
	assert_int_equal(s.p50_ns, 10);
	assert_int_equal(s.p95_ns, 19);
	assert_int_equal(s.max_ns, 20);
	s = probe_spans_of(spans, 3);
	assert_int_equal(s.p50_ns, 2);
	assert_int_equal(s.p95_ns, 3);
	s = probe_spans_of(spans, 1);
	assert_int_equal(s.p50_ns, 1);
	assert_int_equal(s.p95_ns, 1);
	assert_int_equal(probe_spans_of(spans, 0).max_ns, 0);
}

static void a_stage_counts_for_those_that_got_through_it(void **state)
{
	struct rig *rig = *state;
	add(rig, fine(PROBE_FIRST, 1), 3);
	add(rig, failed(OUTCOME_AUTH, STAGE_AUTH, "28P01"), 2);
	add(rig, failed(OUTCOME_TIMEOUT, STAGE_TCP, ""), 1);
	judge(rig);
	const struct probe_numbers *n = &rig->numbers;
	assert_int_equal(n->ok, 3);
	assert_int_equal(n->failed, 3);
	assert_int_equal(n->failed_by[OUTCOME_AUTH], 2);
	assert_int_equal(n->failed_in[STAGE_AUTH], 2);
	assert_int_equal(n->failed_in[STAGE_TCP], 1);
	assert_int_equal(n->stages[STAGE_DNS].count, 6);
	assert_int_equal(n->stages[STAGE_TCP].count, 5);
	assert_int_equal(n->stages[STAGE_TLS].count, 3); /* the others were never asked for it */
	assert_int_equal(n->stages[STAGE_AUTH].count, 3);
	assert_int_equal(n->stages[STAGE_READY].count, 3);
	assert_int_equal(n->query.count, 3);
}

static void the_histogram_has_every_connect_once(void **state)
{
	static const int64_t edges_ms[] = {0, 1, 2, 5, 999, 1000, 49999, 50000, 3600000};
	struct rig *rig = *state;
	int total = 0, count = (int)(sizeof(edges_ms) / sizeof(edges_ms[0]));
	for (int i = 0; i < count; i++) {
		struct probe_attempt a = fine(PROBE_SERIES, 1);
		a.stage_ns[STAGE_READY] = edges_ms[i] * MS;
		add(rig, a, 1);
	}
	add(rig, failed(OUTCOME_TIMEOUT, STAGE_TCP, ""), 1);
	judge(rig);
	const struct probe_bucket *b = rig->numbers.buckets;
	for (int i = 0; i < PROBE_BUCKETS; i++) {
		total += b[i].count;
		assert_int_equal(b[i].from_ns, i == 0 ? 0 : b[i - 1].to_ns);
	}
	assert_int_equal(total, count);
	assert_int_equal(b[0].to_ns, 1 * MS);
	assert_int_equal(b[PROBE_BUCKETS - 1].from_ns, 50 * NS_PER_S);
	assert_int_equal(b[PROBE_BUCKETS - 1].count, 2);
}

/* ---- advice ---- */

static void a_healthy_path_is_called_so_with_the_arithmetic(void **state)
{
	struct rig *rig = *state;
	add(rig, fine(PROBE_FIRST, 1), 1);
	add(rig, fine(PROBE_SERIES, 1), 10);
	add(rig, fine(PROBE_RAMP, 1), 1);
	add(rig, fine(PROBE_RAMP, 2), 2);
	add(rig, fine(PROBE_RAMP, 4), 4);
	tell_server(rig, 100, 1);
	judge(rig);
	assert_int_equal(rig->verdict.worst, PROBE_NOTE);
	assert_string_equal(rig->verdict.advice[0].code, "healthy");
	expect_text(
		rig, "healthy", PROBE_OK, "18 of 18 attempts connected, the median within 15 ms");
	expect_text(rig, "capacity", PROBE_NOTE, "2 instances of 15 connections");
	assert_int_equal(rig->numbers.steps_count, 3);
	assert_int_equal(rig->numbers.gave_way, -1);
	assert_int_equal(rig->verdict.count, 2);
}

static void dropped_handshakes_are_told_by_their_retransmissions(void **state)
{
	struct rig *rig = *state;
	struct probe_attempt a = failed(OUTCOME_TIMEOUT, STAGE_TCP, "");
	a.syns_again = a.tcp.retransmits = 3;
	add(rig, a, 3);
	judge(rig);
	expect_text(rig, "syn_dropped", PROBE_CRITICAL,
		"3 of 3 attempts failed at tcp (timeout, the SYN sent again 9 times in vain)");
	expect_text(rig, "syn_dropped", PROBE_CRITICAL, "the connector (VPC) is exhausted");
	assert_int_equal(rig->numbers.syns_again, 9);
	assert_int_equal(rig->numbers.segments_again, 0);
}

static void a_handshake_that_took_a_second_syn_is_a_warning(void **state)
{
	struct rig *rig = *state;
	struct probe_attempt a = fine(PROBE_SERIES, 1);
	a.syns_again = a.tcp.retransmits = 2;
	a.stage_ns[STAGE_TCP] = 3001 * MS;
	a.stage_ns[STAGE_READY] = 3015 * MS;
	add(rig, fine(PROBE_FIRST, 1), 1);
	add(rig, a, 2);
	judge(rig);
	expect_text(rig, "syn_again", PROBE_WARNING, "2 of 3 handshakes got through only when");
}

static void each_way_to_fail_has_its_own_advice(void **state)
{
	static const struct {
		enum outcome outcome;
		enum stage stage;
		const char *sqlstate, *code, *part;
	} cases[] = {
		{OUTCOME_DNS, STAGE_DNS, "", "dns", "does not resolve"},
		{OUTCOME_TIMEOUT, STAGE_DNS, "", "dns_timeout", "name server does not answer"},
		{OUTCOME_REFUSED, STAGE_TCP, "", "refused", "nothing listens on that port"},
		{OUTCOME_UNREACHABLE, STAGE_TCP, "", "unreachable", "no route"},
		{OUTCOME_TLS, STAGE_TLS, "", "tls", "certificate"},
		{OUTCOME_TIMEOUT, STAGE_TLS, "", "tls_timeout", "TLS stalls"},
		{OUTCOME_AUTH, STAGE_AUTH, "28P01", "auth", "password is wrong"},
		{OUTCOME_AUTH, STAGE_AUTH, "28000", "auth", "pg_hba.conf"},
		{OUTCOME_DATABASE, STAGE_AUTH, "3D000", "database", "does not exist"},
		{OUTCOME_FULL, STAGE_AUTH, "53300", "full", "no connection slots"},
		{OUTCOME_STARTING, STAGE_AUTH, "57P03", "starting", "starting up"},
		{OUTCOME_TIMEOUT, STAGE_AUTH, "", "auth_timeout", "does not finish the login"},
		{OUTCOME_TIMEOUT, STAGE_READY, "", "query_timeout", "did not answer"},
		{OUTCOME_SETTINGS, STAGE_AUTH, "42704", "settings", "options"},
		{OUTCOME_TOKEN, STAGE_DNS, "", "token", "password_command"},
	};
	struct rig *rig = *state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		rig->record.count = 0;
		add(rig, failed(cases[i].outcome, cases[i].stage, cases[i].sqlstate), 1);
		judge(rig);
		expect_text(rig, cases[i].code, PROBE_CRITICAL, cases[i].part);
		if (*cases[i].sqlstate)
			expect_text(rig, cases[i].code, PROBE_CRITICAL, cases[i].sqlstate);
		assert_int_equal(rig->verdict.count, 1);
	}
}

static void what_fails_only_sometimes_is_a_warning(void **state)
{
	struct rig *rig = *state;
	add(rig, fine(PROBE_FIRST, 1), 5);
	add(rig, failed(OUTCOME_RESET, STAGE_AUTH, ""), 1);
	judge(rig);
	expect_text(rig, "reset", PROBE_WARNING, "1 of 6 attempts failed at auth (reset)");
	assert_int_equal(rig->verdict.worst, PROBE_WARNING);
}

static void the_slow_stage_is_named(void **state)
{
	static const struct {
		enum stage stage;
		int64_t span_ns;
		const char *code, *part;
	} cases[] = {
		{STAGE_DNS, 300 * MS, "dns_slow", "takes 300 ms to resolve"},
		{STAGE_DNS, 5010 * MS, "dns_slow", "first name server does not answer"},
		{STAGE_TCP, 400 * MS, "tcp_slow", "takes 400 ms although nothing was dropped"},
		{STAGE_TLS, 400 * MS, "tls_slow", "short of CPU"},
		{STAGE_AUTH, 800 * MS, "auth_slow", "start a backend or to check the password"},
	};
	struct rig *rig = *state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct probe_attempt a = fine(PROBE_SERIES, 1);
		a.stage_ns[cases[i].stage] = cases[i].span_ns;
		rig->record.count = 0;
		add(rig, a, 3);
		judge(rig);
		expect_text(rig, cases[i].code, PROBE_WARNING, cases[i].part);
		assert_int_equal(rig->verdict.count, 1);
	}
}

static void a_slow_query_on_a_quick_path_is_the_database(void **state)
{
	struct rig *rig = *state;
	struct probe_attempt a = fine(PROBE_FIRST, 1);
	for (a.queries = 0; a.queries < PROBE_QUERIES; a.queries++)
		a.query_ns[a.queries] = 250 * MS;
	add(rig, a, 1);
	judge(rig);
	expect_text(rig, "query_slow", PROBE_WARNING, "the database is busy");
}

static void a_far_database_is_far_and_not_slow(void **state)
{
	struct rig *rig = *state;
	struct probe_attempt a = fine(PROBE_FIRST, 1);
	a.tcp = (struct tcp_sample){.rtt_ns = 210 * MS, .min_rtt_ns = 200 * MS};
	a.stage_ns[STAGE_TCP] = 201 * MS;
	a.stage_ns[STAGE_TLS] = 420 * MS;
	a.stage_ns[STAGE_AUTH] = 650 * MS;
	a.query_ns[0] = 205 * MS;
	add(rig, a, 3);
	judge(rig);
	expect_text(rig, "far", PROBE_NOTE, "a round trip takes 200 ms");
	assert_int_equal(rig->verdict.worst, PROBE_NOTE);
}

static void lost_segments_count_by_connection(void **state)
{
	struct rig *rig = *state;
	struct probe_attempt a = fine(PROBE_SERIES, 1);
	a.tcp.retransmits = 1;
	add(rig, a, 2);
	judge(rig);
	assert_int_equal(rig->verdict.count, 1); /* two are chance */
	add(rig, a, 1);
	judge(rig);
	expect(rig, "loss", PROBE_NOTE);
	a.tcp.retransmits = 5;
	add(rig, a, 1);
	judge(rig);
	expect_text(rig, "loss", PROBE_WARNING, "8 segments had to be sent again on 4 connections");
}

static void the_ramp_gives_way_where_connects_fail(void **state)
{
	struct rig *rig = *state;
	add(rig, fine(PROBE_FIRST, 1), 1);
	add(rig, fine(PROBE_RAMP, 1), 1);
	add(rig, fine(PROBE_RAMP, 2), 2);
	add(rig, fine(PROBE_RAMP, 4), 3);
	struct probe_attempt a = failed(OUTCOME_TIMEOUT, STAGE_TCP, "");
	a.part = PROBE_RAMP;
	a.parallel = 4;
	add(rig, a, 1);
	judge(rig);
	assert_int_equal(rig->numbers.gave_way, 2);
	expect_text(rig, "ramp", PROBE_WARNING, "4 connects at once are too many: 1 failed");
	expect_text(rig, "ramp", PROBE_WARNING, "keep connects.window at 2");
}

static void the_ramp_gives_way_where_syns_are_dropped(void **state)
{
	struct rig *rig = *state;
	add(rig, fine(PROBE_FIRST, 1), 1);
	struct probe_attempt a = fine(PROBE_RAMP, 2);
	a.syns_again = a.tcp.retransmits = 1;
	add(rig, a, 2);
	judge(rig);
	assert_int_equal(rig->numbers.gave_way, 0);
	expect_text(
		rig, "ramp", PROBE_WARNING, "0 failed and 2 were made only by a SYN sent again");
}

static void the_ramp_gives_way_where_latency_steps(void **state)
{
	struct rig *rig = *state;
	struct probe_attempt a = fine(PROBE_RAMP, 4);
	add(rig, fine(PROBE_FIRST, 1), 1);
	add(rig, fine(PROBE_RAMP, 2), 2);
	a.stage_ns[STAGE_READY] = 500 * MS; /* not yet half a second longer */
	add(rig, a, 4);
	judge(rig);
	assert_int_equal(rig->numbers.gave_way, -1);
	a.parallel = 8;
	a.stage_ns[STAGE_READY] = 600 * MS;
	add(rig, a, 8);
	judge(rig);
	assert_int_equal(rig->numbers.gave_way, 2);
	expect_text(rig, "ramp_slow", PROBE_WARNING, "keep connects.window at 4");
}

static void what_fails_alone_says_nothing_of_a_ramp(void **state)
{
	struct rig *rig = *state;
	struct probe_attempt a = failed(OUTCOME_FULL, STAGE_AUTH, "53300");
	add(rig, a, 3);
	a.part = PROBE_RAMP;
	a.parallel = 2;
	add(rig, a, 2);
	judge(rig);
	assert_int_equal(rig->numbers.gave_way, -1);
	assert_int_equal(rig->verdict.count, 1);
	/* One connect at a time is no ramp, either. */
	rig->record.count = 0;
	add(rig, fine(PROBE_FIRST, 1), 1);
	a = fine(PROBE_RAMP, 1);
	a.syns_again = a.tcp.retransmits = 1;
	add(rig, a, 1);
	judge(rig);
	assert_int_equal(rig->numbers.gave_way, -1);
	expect(rig, "syn_again", PROBE_WARNING);
}

static void a_server_that_fills_up_and_a_fleet_that_does_not_fit_are_warnings(void **state)
{
	struct rig *rig = *state;
	add(rig, fine(PROBE_FIRST, 1), 1);
	tell_server(rig, 20, 15); /* 14 others of 17 */
	judge(rig);
	expect_text(rig, "nearly_full", PROBE_WARNING, "14 of the server's 17 usable connections");
	tell_server(rig, 20, 14);
	judge(rig);
	expect(rig, "healthy", PROBE_OK);
	tell_server(rig, 4, 1);
	judge(rig);
	expect(rig, "capacity", PROBE_WARNING);
	assert_false(rig->verdict.plan.budget.fits);
}

static void the_server_s_own_limits_count_not_the_configured_ones(void **state)
{
	struct rig *rig = *state;
	add(rig, fine(PROBE_FIRST, 1), 1);
	tell_server(rig, 203, 1);
	judge(rig);
	assert_int_equal(rig->verdict.plan.budget.usable, 200);
	rig->record.server.limits.in_recovery = true;
	judge(rig);
	expect(rig, "standby", PROBE_NOTE);
	rig->record.server.known = false;
	judge(rig);
	assert_false(rig->verdict.has_plan);
}

static void a_ramp_that_was_held_back_says_so(void **state)
{
	struct rig *rig = *state;
	add(rig, fine(PROBE_FIRST, 1), 1);
	rig->record.parallel_allowed = 2;
	judge(rig);
	expect_text(rig, "ramp_held_back", PROBE_NOTE, "went to 2 at once, not to 4");
}

static void the_connector_is_told_of_and_is_busy_over_its_bound(void **state)
{
	struct rig *rig = *state;
	struct probe_cloud *c = &rig->record.cloud;
	add(rig, fine(PROBE_FIRST, 1), 1);
	judge(rig);
	assert_int_equal(rig->verdict.count, 1); /* it was not asked for */
	*c = (struct probe_cloud){.asked = true, .wall_ns = 1000 * NS_PER_S};
	judge(rig);
	expect_text(rig, "monitoring", PROBE_NOTE, "no sample of a connector");
	c->sample = (struct cloud_sample){{
		[CLOUD_INSTANCES] = {true, 3, 940 * NS_PER_S},
		[CLOUD_CPU] = {true, 0.6, 880 * NS_PER_S},
		[CLOUD_RECEIVED] = {true, 12.3e6, 940 * NS_PER_S},
	}};
	judge(rig);
	expect_text(rig, "connector", PROBE_NOTE,
		"3 instances at 60 % of their CPU and carried 12.3 Mbit/s in and 0.0 Mbit/s out, "
		"120 s ago");
	c->sample.values[CLOUD_CPU].value = 0.9;
	judge(rig);
	expect_text(rig, "connector_busy", PROBE_WARNING, "at 90 % of their CPU");
	error_set(&c->error, "monitoring", 403, "permission denied");
	judge(rig);
	expect_text(rig, "monitoring", PROBE_NOTE, "permission denied");
}

static void no_attempt_at_all_is_told(void **state)
{
	struct rig *rig = *state;
	judge(rig);
	expect(rig, "nothing", PROBE_CRITICAL);
}

static void the_worst_comes_first_and_there_is_an_end_to_it(void **state)
{
	struct rig *rig = *state;
	struct probe_attempt a = fine(PROBE_FIRST, 1);
	a.tcp.min_rtt_ns = a.tcp.rtt_ns = 60 * MS;
	add(rig, a, 1);
	for (int i = 0; i < 2 * PROBE_ADVICE_MAX; i++) {
		char sqlstate[6] = {'X', 'X', 'X', (char)('A' + i / 26), (char)('A' + i % 26), 0};
		add(rig, failed(OUTCOME_PROTOCOL, STAGE_AUTH, sqlstate), 1);
	}
	judge(rig);
	assert_int_equal(rig->verdict.count, PROBE_ADVICE_MAX);
	rig->record.count = 2;
	judge(rig);
	assert_int_equal(rig->verdict.count, 2);
	assert_string_equal(rig->verdict.advice[0].code, "protocol");
	assert_string_equal(rig->verdict.advice[1].code, "far");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quantiles_are_of_the_nearest_rank),
		TEST(a_stage_counts_for_those_that_got_through_it),
		TEST(the_histogram_has_every_connect_once),
		TEST(a_healthy_path_is_called_so_with_the_arithmetic),
		TEST(dropped_handshakes_are_told_by_their_retransmissions),
		TEST(a_handshake_that_took_a_second_syn_is_a_warning),
		TEST(each_way_to_fail_has_its_own_advice),
		TEST(what_fails_only_sometimes_is_a_warning),
		TEST(the_slow_stage_is_named),
		TEST(a_slow_query_on_a_quick_path_is_the_database),
		TEST(a_far_database_is_far_and_not_slow),
		TEST(lost_segments_count_by_connection),
		TEST(the_ramp_gives_way_where_connects_fail),
		TEST(the_ramp_gives_way_where_syns_are_dropped),
		TEST(the_ramp_gives_way_where_latency_steps),
		TEST(what_fails_alone_says_nothing_of_a_ramp),
		TEST(a_server_that_fills_up_and_a_fleet_that_does_not_fit_are_warnings),
		TEST(the_server_s_own_limits_count_not_the_configured_ones),
		TEST(a_ramp_that_was_held_back_says_so),
		TEST(the_connector_is_told_of_and_is_busy_over_its_bound),
		TEST(no_attempt_at_all_is_told),
		TEST(the_worst_comes_first_and_there_is_an_end_to_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
