/* Several groups under one budget: who gets the connections, and whose failures are whose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rig.h"

#define SEED     11
#define INTERVAL (200 * NS_PER_MS)

enum group { OWN, A, B };

/* At run time with so many servers at most, none open, and two groups besides the gate's own. */
static struct rig *with_share(int share)
{
	static struct rig r;
	rig_settings(&r);
	r.settings.servers_kept = 0;
	r.settings.budget.pool_size = share;
	r.settings.budget.pool_overflow = 0;
	r.settings.growth.interval_ns = INTERVAL;
	rig_init(&r, SEED);
	rig_group(&r, A, (struct pool_group_settings){.family = A});
	rig_group(&r, B, (struct pool_group_settings){.family = B});
	rig_to_run_time(&r);
	return &r;
}

/* A client of the group asks, and a server is opened for it. */
static int serve_first(struct rig *r, int client, int group)
{
	rig_waits_in(r, client, group);
	const struct engine_action *a = rig_first(r, ACTION_CONNECT);
	assert_non_null(a);
	assert_int_equal(a->group, group);
	int server = a->server;
	rig_ok(r, server);
	assert_int_equal(rig_first(r, ACTION_ASSIGN)->client, client);
	assert_int_equal(rig_first(r, ACTION_ASSIGN)->server, server);
	return server;
}

static void expect_closed(const struct rig *r, int server)
{
	assert_int_equal(rig_count(r, ACTION_CLOSE), 1);
	assert_int_equal(rig_first(r, ACTION_CLOSE)->server, server);
}

static void expect_connect(const struct rig *r, int group)
{
	assert_int_equal(rig_count(r, ACTION_CONNECT), 1);
	assert_int_equal(rig_first(r, ACTION_CONNECT)->group, group);
}

/* ---- each for itself ---- */

static void a_server_goes_to_clients_of_its_group_only(void **state)
{
	struct rig *r = with_share(5);
	int own = serve_first(r, 0, A);
	rig_released(r, own);
	serve_first(r, 1, B);
	assert_int_equal(r->engine.pool.idle, 1);
	rig_waits_in(r, 2, A);
	assert_int_equal(rig_first(r, ACTION_ASSIGN)->server, own);
}

static void a_wrong_password_of_one_rejects_and_delays_nobody_else(void **state)
{
	struct rig *r = with_share(5);
	rig_waits_in(r, 0, A);
	rig_failed(r, rig_first(r, ACTION_CONNECT)->server, OUTCOME_AUTH);
	assert_int_equal(rig_first(r, ACTION_REJECT)->client, 0);
	assert_int_equal(rig_first(r, ACTION_REJECT)->reject, REJECT_PERMANENT);
	assert_int_equal(engine_group_retry_after_s(&r->engine, A, r->now), 30);
	assert_int_equal(engine_retry_after_s(&r->engine, r->now), 1);
	serve_first(r, 1, B); /* at once */
	rig_waits_in(r, 2, A);
	assert_int_equal(rig_first(r, ACTION_REJECT)->reject, REJECT_PERMANENT);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 0);
	rig_go(r, 30 * S);
	rig_waits_in(r, 3, A); /* time to see whether it is mended */
	expect_connect(r, A);
}

static void what_is_set_anew_is_tried_at_once(void **state)
{
	struct rig *r = with_share(5);
	rig_waits_in(r, 0, A);
	rig_failed(r, rig_first(r, ACTION_CONNECT)->server, OUTCOME_AUTH);
	rig_group(r, A, (struct pool_group_settings){.family = A});
	serve_first(r, 1, A);
}

static void a_group_id_can_be_used_again(void **state)
{
	struct rig *r = with_share(5);
	rig_waits_in(r, 0, B);
	rig_failed(r, rig_first(r, ACTION_CONNECT)->server, OUTCOME_SETTINGS);
	rig_tell(r, (struct engine_event){.kind = EVENT_GROUP_CLOSED, .group = B});
	rig_group(r, B, (struct pool_group_settings){.family = B});
	serve_first(r, 1, B);
}

static void an_open_breaker_turns_away_those_without_a_server(void **state)
{
	struct rig *r = with_share(5);
	int own = serve_first(r, 0, A);
	rig_waits_in(r, 1, B);
	for (int i = 0; i < 3; i++) {
		rig_go(r, r->now + 31 * S);
		if (rig_count(r, ACTION_CONNECT) == 0)
			rig_tick(r);
		rig_failed(r, 1, OUTCOME_REFUSED);
	}
	assert_int_equal(r->engine.breaker.state, BREAKER_OPEN);
	rig_waits_in(r, 2, B);
	assert_int_equal(rig_first(r, ACTION_REJECT)->client, 2);
	assert_int_equal(rig_first(r, ACTION_REJECT)->reject, REJECT_BREAKER_OPEN);
	rig_waits_in(r, 3, A);
	assert_int_equal(rig_count(r, ACTION_REJECT), 0);
	rig_released(r, own);
	assert_int_equal(rig_first(r, ACTION_ASSIGN)->client, 3);
}

/* ---- limits ---- */

static void a_limit_bounds_its_group_and_a_family_shares_one(void **state)
{
	struct rig *r = with_share(10);
	r->engine.settings.growth.interval_ns = 0;
	rig_group(r, A, (struct pool_group_settings){.family = A, .servers_max = 2});
	rig_group(r, 3, (struct pool_group_settings){.family = A});
	serve_first(r, 0, A);
	int idle = serve_first(r, 1, 3);
	rig_waits_in(r, 2, A);
	rig_go(r, r->now + 5 * S);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 0);
	serve_first(r, 3, B); /* there is room for others */
	/* Within a family one makes room for the other. */
	rig_tell(r, (struct engine_event){.kind = EVENT_CLIENT_LEFT, .client = 2});
	rig_group(r, 4, (struct pool_group_settings){.family = A});
	rig_waits_in(r, 4, 4);
	assert_int_equal(rig_count(r, ACTION_CONNECT), 0);
	rig_released(r, idle);
	expect_closed(r, idle);
	expect_connect(r, 4);
}

static void a_limit_that_shrinks_closes_what_is_given_back(void **state)
{
	struct rig *r = with_share(10);
	serve_first(r, 0, A);
	rig_waits_in(r, 1, A);
	rig_go(r, r->now + INTERVAL);
	rig_ok(r, rig_first(r, ACTION_CONNECT)->server);
	assert_int_equal(r->pool_groups[A].busy, 2);
	rig_waits_in(r, 2, A);
	rig_group(r, A, (struct pool_group_settings){.family = A, .servers_max = 1});
	rig_released(r, 0);
	expect_closed(r, 0);
	assert_int_equal(rig_count(r, ACTION_ASSIGN), 0);
	rig_released(r, 1);
	assert_int_equal(rig_first(r, ACTION_ASSIGN)->client, 2);
}

/* ---- warm ones ---- */

static void what_a_group_keeps_is_opened_while_there_is_room(void **state)
{
	struct rig *r = with_share(3);
	rig_group(r, A, (struct pool_group_settings){.family = A, .servers_kept = 2});
	expect_connect(r, A);
	rig_ok(r, rig_first(r, ACTION_CONNECT)->server);
	expect_connect(r, A);
	rig_ok(r, rig_first(r, ACTION_CONNECT)->server);
	rig_group(r, B, (struct pool_group_settings){.family = B, .servers_kept = 2});
	expect_connect(r, B);
	rig_ok(r, rig_first(r, ACTION_CONNECT)->server);
	/* No room is made for what nobody waits for. */
	rig_go(r, r->now + 5 * S);
	assert_int_equal(rig_count(r, ACTION_CONNECT) + rig_count(r, ACTION_CLOSE), 0);
	rig_go(r, r->now + 700 * S);
	assert_int_equal(rig_count(r, ACTION_CLOSE), 0);
}

/* ---- room for others ---- */

static void the_one_idle_for_the_longest_makes_room(void **state)
{
	struct rig *r = with_share(3);
	int first = serve_first(r, 0, A);
	rig_waits_in(r, 1, A);
	rig_go(r, r->now + INTERVAL);
	int second = rig_first(r, ACTION_CONNECT)->server;
	rig_ok(r, second);
	int third = serve_first(r, 2, OWN);
	r->now += S;
	rig_released(r, second);
	r->now += S;
	rig_released(r, third);
	r->now += S;
	rig_released(r, first);
	rig_waits_in(r, 3, B);
	expect_closed(r, second);
	expect_connect(r, B);
	assert_int_equal(pool_servers(&r->engine.pool), 3);
}

static void what_is_to_be_kept_goes_last_and_only_for_who_has_none(void **state)
{
	struct rig *r = with_share(2);
	rig_group(r, A, (struct pool_group_settings){.family = A, .servers_kept = 1});
	int kept = rig_first(r, ACTION_CONNECT)->server;
	rig_ok(r, kept); /* idle for the longest */
	r->now += S;
	int other = serve_first(r, 0, OWN);
	rig_released(r, other);
	rig_waits_in(r, 1, B);
	expect_closed(r, other);
	int server = rig_first(r, ACTION_CONNECT)->server;
	rig_ok(r, server);
	/* One that has a server already takes no other's last. */
	rig_waits_in(r, 2, B);
	rig_go(r, r->now + 10 * S);
	assert_int_equal(rig_count(r, ACTION_CLOSE), 0);
	rig_waits_in(r, 3, OWN);
	expect_closed(r, kept);
	expect_connect(r, OWN);
}

static void a_queue_that_stands_takes_what_others_left_idle_for_an_interval(void **state)
{
	struct rig *r = with_share(2);
	serve_first(r, 0, A);
	int other = serve_first(r, 1, B);
	rig_waits_in(r, 2, A);
	rig_go(r, 10 * S); /* stands, but there is nothing to take */
	assert_int_equal(rig_count(r, ACTION_CLOSE), 0);
	rig_released(r, other);
	rig_go(r, 10 * S + INTERVAL - 1);
	assert_int_equal(rig_count(r, ACTION_CLOSE), 0);
	assert_int_equal(engine_deadline(&r->engine), 10 * S + INTERVAL);
	rig_go(r, 10 * S + INTERVAL);
	expect_closed(r, other);
	expect_connect(r, A);
}

static void while_nothing_may_be_opened_nothing_is_closed_for_it(void **state)
{
	struct rig *r = with_share(1);
	int idle = serve_first(r, 0, A);
	rig_released(r, idle);
	r->engine.retry.next_at = r->now + 10 * S;
	rig_waits_in(r, 1, B);
	rig_go(r, 10 * S - 1);
	assert_int_equal(rig_count(r, ACTION_CLOSE), 0);
	rig_go(r, 10 * S);
	expect_closed(r, idle);
	expect_connect(r, B);
}

static void the_first_given_back_is_for_who_has_none_and_came_first(void **state)
{
	struct rig *r = with_share(1);
	int server = serve_first(r, 0, A);
	rig_waits_in(r, 1, A);
	r->now += NS_PER_MS;
	rig_waits_in(r, 2, B);
	r->now += NS_PER_MS;
	rig_waits_in(r, 3, A);
	rig_released(r, server); /* the one before it */
	assert_int_equal(rig_first(r, ACTION_ASSIGN)->client, 1);
	rig_released(r, server); /* not for a moment's wait */
	assert_int_equal(rig_first(r, ACTION_ASSIGN)->client, 3);
	rig_waits_in(r, 4, A);
	r->now += INTERVAL;
	rig_released(r, server);
	expect_closed(r, server);
	expect_connect(r, B);
}

/* Two that never stop asking, and one server: both are served, time and again. */
static void nobody_starves(void **state)
{
	struct rig *r = with_share(1);
	int served[3] = {0}, connects = 0;
	int holder = -1, server = -1, group_of[40];
	for (int client = 0; client < 20; client++) {
		group_of[client] = client % 10 == 0 ? B : A; /* most are A's */
		rig_waits_in(r, client, group_of[client]);
		if (rig_count(r, ACTION_CONNECT))
			server = rig_first(r, ACTION_CONNECT)->server;
	}
	for (int turn = 0; turn < 10000; turn++) {
		r->now += 5 * NS_PER_MS;
		if (holder < 0) {
			rig_ok(r, server);
		} else {
			int again = holder;
			holder = -1;
			rig_released(r, server);
			if (rig_count(r, ACTION_CONNECT)) {
				server = rig_first(r, ACTION_CONNECT)->server;
				connects++;
			}
			const struct engine_action *a = rig_first(r, ACTION_ASSIGN);
			holder = a ? a->client : -1;
			rig_waits_in(r, again, group_of[again]);
			if (a)
				served[group_of[a->client]]++;
			continue;
		}
		const struct engine_action *a = rig_first(r, ACTION_ASSIGN);
		assert_non_null(a);
		holder = a->client;
		served[group_of[a->client]]++;
	}
	assert_int_equal(r->engine.rejects, 0);
	/* In 50 s; and most of the time was not spent on connects. */
	assert_true(served[A] > 2000 && served[B] > 100);
	assert_in_range(connects, 50, 600);
}

/* One group has been refused for longer than the other, long ago. Room for one server in all. */
static void an_old_refusal_does_not_make_two_groups_close_each_others_servers(void **state)
{
	struct rig *r = with_share(1);
	rig_waits_in(r, 0, A);
	rig_failed(r, 0, OUTCOME_AUTH); /* client 0 is turned away */
	assert_int_equal(rig_count(r, ACTION_REJECT), 1);
	rig_go(r, r->now + 40 * S);
	int busy = serve_first(r, 1, B);
	rig_waits_in(r, 2, A);
	rig_go(r, r->now + S);
	rig_waits_in(r, 3, B);
	rig_go(r, r->now + S);
	rig_released(r, busy); /* and is closed for A, which came first */
	expect_closed(r, busy);
	expect_connect(r, A);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_server_goes_to_clients_of_its_group_only),
		cmocka_unit_test(a_wrong_password_of_one_rejects_and_delays_nobody_else),
		cmocka_unit_test(what_is_set_anew_is_tried_at_once),
		cmocka_unit_test(a_group_id_can_be_used_again),
		cmocka_unit_test(an_open_breaker_turns_away_those_without_a_server),
		cmocka_unit_test(a_limit_bounds_its_group_and_a_family_shares_one),
		cmocka_unit_test(a_limit_that_shrinks_closes_what_is_given_back),
		cmocka_unit_test(what_a_group_keeps_is_opened_while_there_is_room),
		cmocka_unit_test(the_one_idle_for_the_longest_makes_room),
		cmocka_unit_test(what_is_to_be_kept_goes_last_and_only_for_who_has_none),
		cmocka_unit_test(a_queue_that_stands_takes_what_others_left_idle_for_an_interval),
		cmocka_unit_test(while_nothing_may_be_opened_nothing_is_closed_for_it),
		cmocka_unit_test(the_first_given_back_is_for_who_has_none_and_came_first),
		cmocka_unit_test(an_old_refusal_does_not_make_two_groups_close_each_others_servers),
		cmocka_unit_test(nobody_starves),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
