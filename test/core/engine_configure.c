/* Other settings for an engine that runs: what follows them, and what is kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "rig.h"

#define SEED 11

static struct rig *at_run_time(int size)
{
	static struct rig r;
	rig_settings(&r);
	r.settings.budget.pool_size = size;
	r.settings.budget.pool_overflow = 0;
	r.settings.growth.interval_ns = 0;
	r.settings.servers_kept = 0;
	rig_init(&r, SEED);
	rig_to_run_time(&r);
	return &r;
}

static void configure(struct rig *r)
{
	engine_configure(&r->engine, &r->settings, r->now);
	rig_tick(r);
	rig_check(r);
}

/* So many clients, each with a server. */
static void fill(struct rig *r, int count)
{
	for (int i = 0; i < count; i++)
		rig_waits(r, i);
	for (int rounds = 0; rounds < count && r->engine.pool.holding < count; rounds++)
		for (int server = 0; server < RIG_SERVERS; server++)
			if (r->engine.attempts[server].under_way)
				rig_ok(r, server);
	assert_int_equal(r->engine.pool.holding, count);
}

static void a_larger_pool_opens_more_servers(void **state)
{
	struct rig *r = at_run_time(2);
	fill(r, 2);
	rig_waits(r, 2);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 0);
	r->settings.budget.pool_size = 3;
	configure(r);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 1);
	assert_int_equal(r->engine.budget.share, 3);
}

static void a_smaller_pool_closes_servers_as_they_become_free(void **state)
{
	struct rig *r = at_run_time(4);
	fill(r, 4);
	r->settings.budget.pool_size = 1;
	configure(r);
	assert_int_equal(rig_count(r, ACTION_CLOSE), 0);
	for (int i = 0; i < 4; i++) {
		rig_released(r, r->engine.pool.clients[i].server);
		rig_go(r, r->now + 2 * S);
	}
	assert_int_equal(pool_servers(&r->engine.pool), 1);
}

static void what_the_server_said_of_its_limits_stays(void **state)
{
	struct rig *r = at_run_time(20);
	rig_tell(r, (struct engine_event){.kind = EVENT_SERVER_LIMITS, .limits = {16, 3, 0, 1}});
	int fleet = r->engine.budget.fleet;
	r->settings.breaker.failure_threshold = 9;
	configure(r);
	assert_int_equal(r->engine.budget.fleet, fleet);
	assert_int_equal(r->engine.budget.settings.max_connections, 16);
}

static void an_open_breaker_stays_open_for_the_new_time_at_most(void **state)
{
	struct rig *r = at_run_time(2);
	r->settings.breaker.failure_threshold = 1;
	configure(r);
	rig_waits(r, 0);
	rig_failed(r, rig_first(r, ACTION_CONNECT)->server, OUTCOME_REFUSED);
	assert_int_equal(r->engine.breaker.state, BREAKER_OPEN);
	int64_t opened = r->engine.breaker.opened_count;
	r->settings.breaker.open_ns = 2 * S;
	configure(r);
	assert_int_equal(r->engine.breaker.state, BREAKER_OPEN);
	assert_true(r->engine.breaker.until <= r->now + 2 * S);
	assert_int_equal(r->engine.breaker.opened_count, opened);
	r->settings.breaker.enabled = false;
	configure(r);
	assert_int_equal(r->engine.breaker.state, BREAKER_CLOSED);
}

static void a_shorter_cap_shortens_the_pause(void **state)
{
	struct rig *r = at_run_time(2);
	rig_waits(r, 0);
	rig_failed(r, rig_first(r, ACTION_CONNECT)->server, OUTCOME_AUTH);
	assert_true(r->engine.groups[ENGINE_OWN].retry_at > r->now + S);
	r->engine.retry.next_at = r->now + 20 * S;
	r->settings.retry.base_ns = r->settings.retry.cap_ns = S;
	configure(r);
	assert_true(r->engine.groups[ENGINE_OWN].retry_at <= r->now + S);
	assert_true(r->engine.retry.next_at <= r->now + S);
}

static void what_was_measured_stays(void **state)
{
	struct rig *r = at_run_time(4);
	fill(r, 4);
	struct path path = r->engine.path;
	double window = r->engine.connects.window;
	r->settings.path.threshold = 0.5;
	r->settings.connects.window_max = 2;
	configure(r);
	assert_int_equal(r->engine.path.attempts, path.attempts);
	assert_int_equal(r->engine.path.least_ns, path.least_ns);
	assert_true(window > 2 && r->engine.connects.window <= 2);
}

static void the_startup_in_progress_keeps_its_settings(void **state)
{
	static struct rig r;
	rig_settings(&r);
	rig_init(&r, SEED);
	rig_to_database(&r);
	struct startup startup = r.engine.startup;
	memset(r.settings.startup.critical, 0, sizeof(r.settings.startup.critical));
	memset(r.settings.startup.wanted, 0, sizeof(r.settings.startup.wanted));
	configure(&r);
	assert_memory_equal(&r.engine.startup, &startup, sizeof(startup));
	assert_true(r.engine.settings.startup.wanted[PHASE_FINALIZE]);
}

static void reconnect_replaces_servers_as_they_become_free(void **state)
{
	struct rig *r = at_run_time(2);
	fill(r, 2);
	int first = r->engine.pool.clients[0].server;
	rig_released(r, first); /* idle; the other is held */
	rig_tell(r, (struct engine_event){.kind = EVENT_RECONNECT, .group = POOL_NOBODY});
	assert_int_equal(rig_count(r, ACTION_CLOSE), 1);
	assert_int_equal(rig_first(r, ACTION_CLOSE)->server, first);
	rig_waits(r, 0);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 1);
	rig_ok(r, rig_first(r, ACTION_CONNECT)->server);
	assert_int_equal(rig_count(r, ACTION_ASSIGN), 1);
	int second = r->engine.pool.clients[1].server;
	rig_released(r, second);
	rig_go(r, r->now + 2 * S);
	assert_int_equal(r->engine.pool.servers[second].state, SERVER_NONE);
}

static void reconnect_makes_a_permanent_failure_worth_another_try(void **state)
{
	struct rig *r = at_run_time(2);
	rig_waits(r, 0);
	rig_failed(r, rig_first(r, ACTION_CONNECT)->server, OUTCOME_AUTH);
	rig_waits(r, 1);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 0);
	rig_tell(r, (struct engine_event){.kind = EVENT_RECONNECT, .group = POOL_NOBODY});
	rig_waits(r, 2);
	assert_true(r->engine.pool.connecting == 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_larger_pool_opens_more_servers),
		cmocka_unit_test(a_smaller_pool_closes_servers_as_they_become_free),
		cmocka_unit_test(what_the_server_said_of_its_limits_stays),
		cmocka_unit_test(an_open_breaker_stays_open_for_the_new_time_at_most),
		cmocka_unit_test(a_shorter_cap_shortens_the_pause),
		cmocka_unit_test(what_was_measured_stays),
		cmocka_unit_test(the_startup_in_progress_keeps_its_settings),
		cmocka_unit_test(reconnect_replaces_servers_as_they_become_free),
		cmocka_unit_test(reconnect_makes_a_permanent_failure_worth_another_try),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
