#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"
#include "core/path.h"

/* Staging and production: 50 connections, 2 Gbit/s, pressure over 0.7, 30 s of scaling. */
static const struct path_settings production = {
	.monitoring = true,
	.threshold = 0.7,
	.limit = 50,
	.baseline_bit_s = 2e9,
	.scaling_ns = 30 * NS_PER_S,
};

static struct path path_with(const struct path_settings *settings)
{
	struct path p;
	path_init(&p, settings, 0);
	return p;
}

static void connect_in(struct path *p, int64_t total_ns, instant now)
{
	const struct path_attempt attempt = {
		.stage_ns = {[STAGE_TCP] = total_ns / 4, [STAGE_AUTH] = total_ns - total_ns / 4},
		.stage = STAGE_READY,
		.outcome = OUTCOME_OK,
	};
	path_attempt(p, &attempt, now);
}

static void fail_with(struct path *p, enum outcome outcome, instant now)
{
	const struct path_attempt attempt = {
		.stage_ns = {[STAGE_TCP] = NS_PER_S}, .stage = STAGE_TCP, .outcome = outcome};
	path_attempt(p, &attempt, now);
}

/* A path over which `count` connects went in 20 ms each. */
static struct path connected(int count)
{
	struct path p = path_with(&production);
	for (int i = 0; i < count; i++)
		connect_in(&p, 20 * NS_PER_MS, 0);
	return p;
}

static void unknown_until_something_has_connected(void **state)
{
	struct path p;
	path_init(&p, &production, 5);
	assert_int_equal(p.state, PATH_UNKNOWN);
	fail_with(&p, OUTCOME_REFUSED, 6);
	assert_int_equal(p.state, PATH_UNKNOWN);
	assert_int_equal(p.changed_at, 5);
	connect_in(&p, NS_PER_MS, 7);
	assert_int_equal(p.state, PATH_NORMAL);
	assert_int_equal(p.changed_at, 7);
	assert_int_equal(p.attempts, 2);
	assert_int_equal(p.failures, 1);
}

static void utilisation_is_the_larger_of_connections_and_throughput(void **state)
{
	struct path p = path_with(&production);
	assert_true(path_utilisation(&p) == 0.0);
	path_connections(&p, 20, 0);
	assert_true(path_utilisation(&p) == 0.4);
	path_throughput(&p, 1e9, 4e8, 0);
	assert_true(path_utilisation(&p) == 0.5);
	path_throughput(&p, 1e8, 1e8, 0);
	assert_true(path_utilisation(&p) == 0.4);
	path_limit(&p, 25, 0);
	assert_true(path_utilisation(&p) == 0.8);
}

static void connections_without_a_limit_are_not_looked_at(void **state)
{
	struct path p = path_with(&production);
	path_limit(&p, 0, 0);
	assert_true(path_utilisation(&p) == 0.0);
	path_connections(&p, 10, 0);
	assert_true(path_utilisation(&p) == 0.0);
}

static void throughput_without_a_baseline_is_not_looked_at(void **state)
{
	struct path_settings settings = production;
	settings.baseline_bit_s = 0;
	struct path p = path_with(&settings);
	path_throughput(&p, 1e12, 0, 0);
	assert_true(path_utilisation(&p) == 0.0);
}

static void pressure_begins_over_its_threshold_and_ends_five_seconds_after_a_tenth_below(
	void **state)
{
	struct path p = connected(1);
	path_connections(&p, 35, 1);
	assert_int_equal(p.state, PATH_NORMAL); /* 0.7 is not over 0.7 */
	path_connections(&p, 36, 2);
	assert_int_equal(p.state, PATH_PRESSURE);
	path_connections(&p, 35, 3);
	path_connections(&p, 31, 4);
	assert_int_equal(path_deadline(&p), INSTANT_NEVER);
	path_tick(&p, 60 * NS_PER_S);
	assert_int_equal(p.state, PATH_PRESSURE);
	assert_int_equal(p.changed_at, 2);
	path_connections(&p, 29, 100 * NS_PER_S);
	path_connections(&p, 31, 101 * NS_PER_S); /* not low for long enough */
	path_connections(&p, 29, 102 * NS_PER_S);
	assert_int_equal(path_deadline(&p), 107 * NS_PER_S);
	path_connections(&p, 28, 107 * NS_PER_S - 1);
	assert_int_equal(p.state, PATH_PRESSURE);
	path_tick(&p, 107 * NS_PER_S);
	assert_int_equal(p.state, PATH_NORMAL);
	assert_int_equal(path_deadline(&p), INSTANT_NEVER);
	path_connections(&p, 31, 108 * NS_PER_S); /* no way back in before the threshold */
	assert_int_equal(p.state, PATH_NORMAL);
}

static void overloaded_begins_over_nine_tenths_and_ends_five_seconds_after_eight(void **state)
{
	struct path p = connected(1);
	path_connections(&p, 45, 1);
	assert_int_equal(p.state, PATH_PRESSURE);
	path_connections(&p, 46, 2);
	assert_int_equal(p.state, PATH_OVERLOADED);
	path_connections(&p, 41, 3);
	path_tick(&p, 60 * NS_PER_S);
	assert_int_equal(p.state, PATH_OVERLOADED);
	path_connections(&p, 40, 60 * NS_PER_S);
	assert_int_equal(p.state, PATH_OVERLOADED);
	path_tick(&p, 65 * NS_PER_S);
	assert_int_equal(p.state, PATH_PRESSURE);
	path_connections(&p, 44, 66 * NS_PER_S);
	assert_int_equal(p.state, PATH_PRESSURE);
	path_connections(&p, 0, 67 * NS_PER_S);
	path_tick(&p, 72 * NS_PER_S);
	assert_int_equal(p.state, PATH_NORMAL);
	assert_int_equal(path_deadline(&p), INSTANT_NEVER);
}

static void use_says_more_than_never_having_connected(void **state)
{
	struct path p = path_with(&production);
	path_connections(&p, 40, 1);
	assert_int_equal(p.state, PATH_PRESSURE);
	path_connections(&p, 0, 2);
	path_tick(&p, 2 + PATH_SETTLE_NS);
	assert_int_equal(p.state, PATH_UNKNOWN);
}

static void two_timeouts_of_eight_are_overload_until_ten_calm_seconds(void **state)
{
	struct path p = connected(1);
	fail_with(&p, OUTCOME_TIMEOUT, NS_PER_S);
	assert_int_equal(p.state, PATH_NORMAL);
	fail_with(&p, OUTCOME_TIMEOUT, 3 * NS_PER_S);
	assert_int_equal(p.state, PATH_OVERLOADED);
	assert_int_equal(path_deadline(&p), 13 * NS_PER_S);
	/* Successes push the timeouts out of the last eight, but calm takes time. */
	for (int i = 0; i < 10; i++)
		connect_in(&p, 20 * NS_PER_MS, 4 * NS_PER_S);
	assert_int_equal(p.state, PATH_OVERLOADED);
	/* And each further timeout starts it anew, even a single one. */
	fail_with(&p, OUTCOME_TIMEOUT, 12 * NS_PER_S);
	assert_int_equal(path_deadline(&p), 22 * NS_PER_S);
	path_tick(&p, 22 * NS_PER_S - 1);
	assert_int_equal(p.state, PATH_OVERLOADED);
	path_tick(&p, 22 * NS_PER_S);
	assert_int_equal(p.state, PATH_NORMAL);
	assert_int_equal(path_deadline(&p), INSTANT_NEVER);
}

static void a_server_that_is_full_is_overload_until_ten_calm_seconds(void **state)
{
	struct path p = connected(8);

	(void)state;
	fail_with(&p, OUTCOME_FULL, NS_PER_S);
	assert_int_equal(p.state, PATH_OVERLOADED);
	assert_int_equal(path_deadline(&p), NS_PER_S + PATH_CALM_NS);
	path_tick(&p, NS_PER_S + PATH_CALM_NS - 1);
	assert_int_equal(p.state, PATH_OVERLOADED);
	path_tick(&p, NS_PER_S + PATH_CALM_NS);
	assert_int_equal(p.state, PATH_NORMAL);
	assert_int_equal(path_deadline(&p), INSTANT_NEVER);
}

static void two_timeouts_more_than_eight_attempts_apart_are_no_overload(void **state)
{
	struct path p = connected(1);
	fail_with(&p, OUTCOME_TIMEOUT, 0);
	for (int i = 0; i < 7; i++)
		connect_in(&p, 20 * NS_PER_MS, 0);
	fail_with(&p, OUTCOME_TIMEOUT, 0); /* the ninth attempt after the first */
	assert_int_equal(p.state, PATH_NORMAL);
	struct path q = connected(1);
	fail_with(&q, OUTCOME_TIMEOUT, 0);
	for (int i = 0; i < 6; i++)
		connect_in(&q, 20 * NS_PER_MS, 0);
	fail_with(&q, OUTCOME_TIMEOUT, 0); /* the eighth */
	assert_int_equal(q.state, PATH_OVERLOADED);
}

static void other_failures_are_not_overload(void **state)
{
	struct path p = connected(1);
	for (int i = 0; i < 8; i++)
		fail_with(&p, i % 2 ? OUTCOME_REFUSED : OUTCOME_STARTING, 1);
	assert_int_equal(p.state, PATH_NORMAL);
	assert_int_equal(p.history.failed, 0xff);
	assert_int_equal(p.timeouts.failed, 0);
}

static void overload_by_timeouts_does_not_outlive_them_for_a_use_that_never_caused_it(void **state)
{
	struct path p = connected(1);
	path_connections(&p, 43, 0); /* 0.86: between leaving and entering */
	fail_with(&p, OUTCOME_TIMEOUT, 0);
	fail_with(&p, OUTCOME_TIMEOUT, 0);
	assert_int_equal(p.state, PATH_OVERLOADED);
	path_tick(&p, PATH_CALM_NS);
	assert_int_equal(p.state, PATH_PRESSURE);
}

/* Eight connects of 20 ms, under just enough load; then `count` of `total_ns`, 1 s apart. */
static struct path stepped(int count, int64_t total_ns)
{
	struct path p = connected(8);
	path_connections(&p, 35, NS_PER_S);
	for (int i = 0; i < count; i++)
		connect_in(&p, total_ns, (10 + i) * NS_PER_S);
	return p;
}

static void one_slow_connect_is_noise_and_two_of_four_are_a_step(void **state)
{
	struct path p = stepped(1, 60 * NS_PER_S);
	assert_int_equal(p.state, PATH_NORMAL);
	p = stepped(2, 2 * NS_PER_S); /* the median of 20, 20, 2000, 2000 ms is 1010 ms */
	assert_int_equal(p.state, PATH_SCALING);
	assert_int_equal(p.scaling.begun, 1);
}

static void two_handshakes_sent_again_once_are_noise(void **state)
{
	/* A lost SYN costs a second: the median of 20, 20, 1020, 1020 ms is 520, 500 over 20. */
	assert_int_equal(stepped(2, 1020 * NS_PER_MS).state, PATH_NORMAL);
	assert_int_equal(stepped(2, 1020 * NS_PER_MS + 2 * NS_PER_US).state, PATH_SCALING);
}

static void a_step_after_scaling_ended_is_another(void **state)
{
	struct path p = stepped(2, 2 * NS_PER_S);
	connect_in(&p, 2 * NS_PER_S, 41 * NS_PER_S); /* just as the first one ends */
	assert_int_equal(p.scaling.begun, 2);
	assert_int_equal(p.state, PATH_SCALING);
}

static void a_step_is_three_times_as_long_and_half_a_second_longer(void **state)
{
	/* 520 ms are 500 ms over 20 ms, and must be more than that. */
	assert_int_equal(stepped(4, 520 * NS_PER_MS).state, PATH_NORMAL);
	assert_int_equal(stepped(4, 520 * NS_PER_MS + NS_PER_US).state, PATH_SCALING);
	struct path p = path_with(&production);
	path_connections(&p, 35, 0);
	for (int i = 0; i < 4; i++)
		connect_in(&p, NS_PER_S, 0);
	for (int i = 0; i < 4; i++)
		connect_in(&p, 3 * NS_PER_S, 1);
	assert_int_equal(p.state, PATH_NORMAL);
	for (int i = 0; i < 4; i++)
		connect_in(&p, 9 * NS_PER_S, 2); /* over three times the median of 1 s and 3 s */
	assert_int_equal(p.state, PATH_SCALING);
}

static void scaling_lasts_for_thirty_seconds_after_the_last_sign_of_it(void **state)
{
	struct path p = stepped(2, 2 * NS_PER_S);
	assert_int_equal(path_deadline(&p), 41 * NS_PER_S);
	connect_in(&p, 2 * NS_PER_S, 20 * NS_PER_S);
	assert_int_equal(path_deadline(&p), 50 * NS_PER_S);
	assert_int_equal(p.scaling.begun, 1); /* the same one goes on */
	path_tick(&p, 50 * NS_PER_S - 1);
	assert_int_equal(p.state, PATH_SCALING);
	path_tick(&p, 50 * NS_PER_S);
	assert_int_equal(p.state, PATH_NORMAL);
	assert_int_equal(p.changed_at, 50 * NS_PER_S);
	assert_int_equal(path_deadline(&p), INSTANT_NEVER);
	connect_in(&p, 2 * NS_PER_S, 60 * NS_PER_S);
	assert_int_equal(p.state, PATH_SCALING);
	assert_int_equal(p.scaling.begun, 2);
}

static void slow_for_long_is_the_new_normal(void **state)
{
	struct path p = stepped(40, 2 * NS_PER_S);
	assert_int_equal(p.scaling.begun, 1);
	path_tick(&p, 100 * NS_PER_S);
	connect_in(&p, 2 * NS_PER_S, 101 * NS_PER_S);
	assert_int_equal(p.state, PATH_NORMAL);
}

static void a_step_without_load_is_not_the_paths_scaling(void **state)
{
	struct path p = connected(8);
	for (int i = 0; i < 4; i++)
		connect_in(&p, 2 * NS_PER_S, NS_PER_S);
	assert_int_equal(p.state, PATH_NORMAL);
	/* A timeout lately is load too, however few connections are known of. */
	fail_with(&p, OUTCOME_TIMEOUT, 2 * NS_PER_S);
	connect_in(&p, 2 * NS_PER_S, 12 * NS_PER_S);
	assert_int_equal(p.state, PATH_NORMAL);
	fail_with(&p, OUTCOME_TIMEOUT, 60 * NS_PER_S);
	connect_in(&p, 2 * NS_PER_S, 70 * NS_PER_S - 1);
	assert_int_equal(p.scaling.begun, 1);
}

static void four_connects_have_nothing_to_be_compared_with(void **state)
{
	struct path p = path_with(&production);
	path_connections(&p, 35, 0);
	for (int i = 0; i < 4; i++)
		connect_in(&p, 20 * NS_PER_S, 0);
	assert_int_equal(p.state, PATH_NORMAL);
}

static void the_worst_that_holds_is_the_state(void **state)
{
	struct path p = stepped(4, 2 * NS_PER_S);
	path_connections(&p, 40, 14 * NS_PER_S);
	assert_int_equal(p.state, PATH_SCALING); /* worse than pressure */
	path_connections(&p, 50, 15 * NS_PER_S);
	assert_int_equal(p.state, PATH_OVERLOADED); /* worse than scaling */
	path_connections(&p, 36, 16 * NS_PER_S);
	path_tick(&p, 21 * NS_PER_S);
	assert_int_equal(p.state, PATH_SCALING);
	path_tick(&p, 60 * NS_PER_S);
	assert_int_equal(p.state, PATH_PRESSURE);
}

static void without_monitoring_only_unknown_and_normal_exist(void **state)
{
	struct path_settings settings = production;
	settings.monitoring = false;
	struct path p = path_with(&settings);
	path_connections(&p, 1000, 0);
	for (int i = 0; i < 4; i++)
		fail_with(&p, OUTCOME_TIMEOUT, 0);
	assert_int_equal(p.state, PATH_UNKNOWN);
	for (int i = 0; i < 8; i++)
		connect_in(&p, (i < 4 ? 1 : 10) * NS_PER_S, 1);
	assert_int_equal(p.state, PATH_NORMAL);
	assert_int_equal(path_deadline(&p), INSTANT_NEVER);
	assert_int_equal(path_connect_quantile(&p, 1.0), 10 * NS_PER_S); /* measured all the same */
}

static void quantiles_are_of_the_last_thirty_two_connects_by_nearest_rank(void **state)
{
	struct path p = path_with(&production);
	assert_int_equal(path_connect_quantile(&p, 0.5), 0);
	for (int ms = 20; ms >= 1; ms--)
		connect_in(&p, ms * NS_PER_MS, 0);
	assert_int_equal(path_connect_quantile(&p, 0.0), 1 * NS_PER_MS);
	assert_int_equal(path_connect_quantile(&p, 0.05), 1 * NS_PER_MS);
	assert_int_equal(path_connect_quantile(&p, 0.5), 10 * NS_PER_MS);
	assert_int_equal(path_connect_quantile(&p, 0.51), 11 * NS_PER_MS);
	assert_int_equal(path_connect_quantile(&p, 0.95), 19 * NS_PER_MS);
	assert_int_equal(path_connect_quantile(&p, 1.0), 20 * NS_PER_MS);
	assert_int_equal(path_stage_quantile(&p, STAGE_TCP, 1.0), 5 * NS_PER_MS);
	assert_int_equal(path_stage_quantile(&p, STAGE_AUTH, 1.0), 15 * NS_PER_MS);
	assert_int_equal(path_stage_quantile(&p, STAGE_TLS, 1.0), 0);
	for (int i = 0; i < QUANTILES_SAMPLES; i++)
		connect_in(&p, 40 * NS_PER_MS, 0);
	assert_int_equal(path_connect_quantile(&p, 0.0), 40 * NS_PER_MS);
	assert_int_equal(p.least_ns, 1 * NS_PER_MS); /* the fastest of the last hour */
}

static void a_connect_faster_than_the_clock_tells_is_a_connect(void **state)
{
	struct path p = path_with(&production);
	connect_in(&p, 0, 0);
	assert_int_equal(p.least_ns, 1);
	assert_int_equal(p.state, PATH_NORMAL);
}

static void failures_do_not_count_as_times_to_connect(void **state)
{
	struct path p = connected(3);
	fail_with(&p, OUTCOME_TIMEOUT, 1);
	assert_int_equal(p.total.held, 3);
	assert_int_equal(path_connect_quantile(&p, 1.0), 20 * NS_PER_MS);
}

static void history_has_a_bit_for_each_of_the_last_attempts_newest_lowest(void **state)
{
	struct path p = path_with(&production);
	connect_in(&p, NS_PER_MS, 0);
	fail_with(&p, OUTCOME_TIMEOUT, 1);
	fail_with(&p, OUTCOME_RESET, 2);
	connect_in(&p, NS_PER_MS, 3);
	assert_int_equal(p.history.failed, 6);
	assert_int_equal(p.timeouts.failed, 4);
	assert_int_equal(p.timed_out_at, 1);
	assert_int_equal(p.attempts, 4);
	assert_int_equal(p.failures, 2);
}

static void the_slow_day_of_last_week_says_nothing_of_today(void **state)
{
	struct path p = path_with(&production);
	connect_in(&p, 50 * NS_PER_S, 0);
	assert_int_equal(path_connect_p95(&p), 50 * NS_PER_S);
	/* Even if nobody has connected since: any event is enough. */
	path_connections(&p, 0, PATH_MEMORY_NS + 2 * NS_PER_S);
	assert_int_equal(path_connect_p95(&p), 0);
	assert_int_equal(path_stage_quantile(&p, STAGE_TCP, 1.0), 0);
	assert_int_equal(p.state, PATH_NORMAL);
	assert_int_equal(p.least_ns, 50 * NS_PER_S);
	connect_in(&p, 60 * NS_PER_S, PATH_LEAST_NS + NS_PER_S);
	assert_int_equal(p.least_ns, 60 * NS_PER_S);
}

static void the_95th_percentile_is_kept_up_to_date(void **state)
{
	struct path p = path_with(&production);
	for (int ms = 1; ms <= 40; ms++) {
		connect_in(&p, ms * NS_PER_MS, ms * 30 * NS_PER_S);
		assert_int_equal(path_connect_p95(&p), path_connect_quantile(&p, 0.95));
	}
	for (int s = 1200; s < 2000; s += 10) {
		path_connections(&p, s, s * NS_PER_S);
		assert_int_equal(path_connect_p95(&p), path_connect_quantile(&p, 0.95));
	}
	assert_int_equal(path_connect_p95(&p), 0);
}

static void each_stage_has_a_history_of_those_that_got_there(void **state)
{
	struct path p = connected(2);
	fail_with(&p, OUTCOME_TIMEOUT, 1); /* at the handshake */
	assert_int_equal(p.stages[STAGE_DNS].history.count, 3);
	assert_int_equal(p.stages[STAGE_DNS].history.failed, 0);
	assert_int_equal(p.stages[STAGE_TCP].history.count, 3);
	assert_int_equal(p.stages[STAGE_TCP].history.failed, 1);
	assert_int_equal(p.stages[STAGE_AUTH].history.count, 2);
	assert_int_equal(p.stages[STAGE_AUTH].history.failed, 0);
}

static void connect_with_lost_syns(struct path *p, int lost, instant now)
{
	const struct path_attempt attempt = {
		.stage_ns = {[STAGE_TCP] = lost * NS_PER_S + 10 * NS_PER_MS},
		.stage = STAGE_READY,
		.outcome = OUTCOME_OK,
		.syn_lost = lost,
	};
	path_attempt(p, &attempt, now);
}

static void dropped_handshakes_are_pressure_until_ten_calm_seconds(void **state)
{
	struct path p = connected(8);
	connect_with_lost_syns(&p, 2, NS_PER_S);
	assert_int_equal(p.state, PATH_NORMAL);
	connect_with_lost_syns(&p, 3, 2 * NS_PER_S);
	assert_int_equal(p.syn_lost, 5);
	assert_int_equal(p.syns.failed, 3);
	assert_int_equal(p.state, PATH_SCALING); /* a step, and the drops are the load */
	struct path_settings settings = production;
	settings.scaling_ns = 0;
	p = path_with(&settings);
	connect_with_lost_syns(&p, 1, NS_PER_S);
	connect_with_lost_syns(&p, 1, 2 * NS_PER_S);
	assert_int_equal(p.state, PATH_PRESSURE);
	assert_int_equal(path_deadline(&p), 12 * NS_PER_S);
	path_tick(&p, 12 * NS_PER_S);
	assert_int_equal(p.state, PATH_NORMAL);
}

static void what_a_handshake_takes_else_is_of_those_that_lost_nothing(void **state)
{
	struct path p = path_with(&production);
	connect_with_lost_syns(&p, 1, 0);
	assert_int_equal(path_syn_losses(&p, 1300 * NS_PER_MS), 0);
	connect_in(&p, 400 * NS_PER_MS, 1); /* 100 ms for the handshake */
	assert_int_equal(path_syn_losses(&p, 1300 * NS_PER_MS), 1);
}

static void tell_flow(struct path *p, double rtt_ratio, int64_t retransmits, instant now)
{
	const struct flow_sample sample = {
		.rtt_ns = (int64_t)(rtt_ratio * 100e6),
		.min_rtt_ns = 100 * NS_PER_MS,
		.segments = 1000,
		.retransmits = retransmits,
	};
	path_flow(p, &sample, now);
}

static void swollen_round_trips_are_pressure_until_they_are_relieved(void **state)
{
	struct path p = connected(1);
	tell_flow(&p, 3.1, 0, NS_PER_S);
	assert_int_equal(p.state, PATH_PRESSURE);
	tell_flow(&p, 2.1, 0, 2 * NS_PER_S); /* less, and not yet relieved */
	path_tick(&p, 20 * NS_PER_S);
	assert_int_equal(p.state, PATH_PRESSURE);
	tell_flow(&p, 1.0, 0, 20 * NS_PER_S);
	assert_int_equal(path_deadline(&p), 25 * NS_PER_S);
	path_tick(&p, 25 * NS_PER_S);
	assert_int_equal(p.state, PATH_NORMAL);
}

static void retransmits_are_pressure_and_many_are_overload(void **state)
{
	struct path p = connected(1);
	tell_flow(&p, 1.0, 20, 0);
	assert_int_equal(p.state, PATH_NORMAL);
	tell_flow(&p, 1.0, 21, 0);
	assert_int_equal(p.state, PATH_PRESSURE);
	tell_flow(&p, 1.0, 300, 0);
	assert_int_equal(p.state, PATH_OVERLOADED);
	/* When nothing is told any more, that is no news, and then it is over. */
	assert_int_equal(path_deadline(&p), FLOW_FRESH_NS);
	path_tick(&p, FLOW_FRESH_NS);
	assert_int_equal(p.state, PATH_OVERLOADED);
	path_tick(&p, FLOW_FRESH_NS + PATH_SETTLE_NS);
	assert_int_equal(p.state, PATH_NORMAL);
	assert_int_equal(path_deadline(&p), INSTANT_NEVER);
}

/* So many changes of state in ten minutes of noise, five times a second. */
static int changes_in_noise(uint64_t seed, double middle, double spread)
{
	struct random random;
	struct path p = connected(1);
	enum path_state was = p.state;
	int changes = 0;
	random_init(&random, seed);
	for (instant now = NS_PER_S; now < 600 * NS_PER_S; now += NS_PER_S / 5) {
		double use = middle + spread * (2.0 * random_unit(&random) - 1.0);
		tell_flow(&p, 1.0 + 3.0 * use, (int64_t)(20.0 * use), now);
		path_connections(&p, (int)(50.0 * use), now);
		path_throughput(&p, 2e9 * use * random_unit(&random), 0, now);
		changes += p.state != was;
		was = p.state;
	}
	return changes;
}

static void states_do_not_flap_on_noise(void **state)
{
	static const double bounds[] = {0.7, 0.9, 0.6, 0.8};
	for (uint64_t seed = 1; seed <= 200; seed++) {
		double bound = bounds[seed % 4], spread = 0.3 * (double)(seed % 7) / 6.0;
		int most = spread <= 0.15 ? 3 : 10;
		int changes = changes_in_noise(seed, bound, spread);
		/* Up to its worst, by way of what is less, and there it stays; noise that is as
		 * large as the whole of what is measured may settle now and then. */
		if (changes > most)
			fail_msg("seed %d, %.1f +- %.2f: %d changes", (int)seed, bound, spread,
				changes);
	}
}

static void without_news_a_told_number_of_connections_is_cheap(void **state)
{
	struct path p = connected(1);
	path_connections(&p, 46, 1);
	p.state = PATH_NORMAL; /* would be mended if anything were decided */
	path_connections(&p, 46, 2);
	assert_int_equal(p.state, PATH_NORMAL);
	path_connections(&p, 47, 3);
	assert_int_equal(p.state, PATH_OVERLOADED);
}

static void states_have_the_names_that_users_see(void **state)
{
	const char *const names[] = {
		"unknown", "normal", "capacity_pressure", "scaling", "overloaded"};
	for (enum path_state s = 0; s < PATH_STATE_COUNT; s++)
		assert_string_equal(path_state_name(s), names[s]);
}

static void a_light_probe_keeps_the_time_of_handshakes_fresh_and_counts_nowhere(void **state)
{
	struct path p = connected(4);
	struct path_attempt probe = {.stage_ns = {[STAGE_TCP] = 9 * NS_PER_MS},
		.stage = STAGE_TLS,
		.outcome = OUTCOME_OK};
	for (int i = 0; i < 200; i++)
		path_probe(&p, &probe, i * 60 * NS_PER_S);
	instant now = 200 * 60 * NS_PER_S;
	assert_int_equal(path_stage_quantile(&p, STAGE_TCP, 0.0), 9 * NS_PER_MS);
	assert_int_equal(path_stage_quantile(&p, STAGE_TCP, 1.0), 9 * NS_PER_MS);
	assert_int_equal(p.attempts, 4);
	/* Nor do those that failed, or that lost a SYN: a second longer. */
	probe.stage_ns[STAGE_TCP] = 1009 * NS_PER_MS;
	path_probe(&p, &probe, now);
	probe.stage_ns[STAGE_TCP] = NS_PER_MS;
	probe.outcome = OUTCOME_TIMEOUT;
	path_probe(&p, &probe, now);
	assert_int_equal(path_stage_quantile(&p, STAGE_TCP, 0.0), 9 * NS_PER_MS);
	assert_int_equal(path_stage_quantile(&p, STAGE_TCP, 1.0), 9 * NS_PER_MS);
	assert_int_equal(p.failures, 0);
	assert_int_equal(p.state, PATH_NORMAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unknown_until_something_has_connected),
		cmocka_unit_test(utilisation_is_the_larger_of_connections_and_throughput),
		cmocka_unit_test(connections_without_a_limit_are_not_looked_at),
		cmocka_unit_test(throughput_without_a_baseline_is_not_looked_at),
		cmocka_unit_test(
			pressure_begins_over_its_threshold_and_ends_five_seconds_after_a_tenth_below),
		cmocka_unit_test(
			overloaded_begins_over_nine_tenths_and_ends_five_seconds_after_eight),
		cmocka_unit_test(use_says_more_than_never_having_connected),
		cmocka_unit_test(two_timeouts_of_eight_are_overload_until_ten_calm_seconds),
		cmocka_unit_test(a_server_that_is_full_is_overload_until_ten_calm_seconds),
		cmocka_unit_test(two_timeouts_more_than_eight_attempts_apart_are_no_overload),
		cmocka_unit_test(other_failures_are_not_overload),
		cmocka_unit_test(
			overload_by_timeouts_does_not_outlive_them_for_a_use_that_never_caused_it),
		cmocka_unit_test(one_slow_connect_is_noise_and_two_of_four_are_a_step),
		cmocka_unit_test(two_handshakes_sent_again_once_are_noise),
		cmocka_unit_test(a_step_after_scaling_ended_is_another),
		cmocka_unit_test(a_step_is_three_times_as_long_and_half_a_second_longer),
		cmocka_unit_test(scaling_lasts_for_thirty_seconds_after_the_last_sign_of_it),
		cmocka_unit_test(slow_for_long_is_the_new_normal),
		cmocka_unit_test(a_step_without_load_is_not_the_paths_scaling),
		cmocka_unit_test(four_connects_have_nothing_to_be_compared_with),
		cmocka_unit_test(the_worst_that_holds_is_the_state),
		cmocka_unit_test(without_monitoring_only_unknown_and_normal_exist),
		cmocka_unit_test(quantiles_are_of_the_last_thirty_two_connects_by_nearest_rank),
		cmocka_unit_test(a_connect_faster_than_the_clock_tells_is_a_connect),
		cmocka_unit_test(failures_do_not_count_as_times_to_connect),
		cmocka_unit_test(history_has_a_bit_for_each_of_the_last_attempts_newest_lowest),
		cmocka_unit_test(the_slow_day_of_last_week_says_nothing_of_today),
		cmocka_unit_test(the_95th_percentile_is_kept_up_to_date),
		cmocka_unit_test(each_stage_has_a_history_of_those_that_got_there),
		cmocka_unit_test(dropped_handshakes_are_pressure_until_ten_calm_seconds),
		cmocka_unit_test(what_a_handshake_takes_else_is_of_those_that_lost_nothing),
		cmocka_unit_test(swollen_round_trips_are_pressure_until_they_are_relieved),
		cmocka_unit_test(retransmits_are_pressure_and_many_are_overload),
		cmocka_unit_test(states_do_not_flap_on_noise),
		cmocka_unit_test(without_news_a_told_number_of_connections_is_cheap),
		cmocka_unit_test(
			a_light_probe_keeps_the_time_of_handshakes_fresh_and_counts_nowhere),
		cmocka_unit_test(states_have_the_names_that_users_see),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
