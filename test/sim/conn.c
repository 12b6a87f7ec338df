#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scene.h"
#include "sim/world.h"

#define S  NS_PER_S
#define MS NS_PER_MS

/* One instance without Standpipe that asks for one connection after exactly a second. */
static void init_one(struct scene *s, struct world *w)
{
	scene_init(s, false);
	scene_set(s, "DB_POOL_WARM=1");
	scene_set(s, "DB_INITIALIZATION_TIMEOUT=100");
	s->scenario.instances = 1;
	s->scenario.service.start_max_ns = s->scenario.service.start_min_ns;
	scene_open(s, w, 1);
}

static void a_dropped_syn_is_sent_again_after_1_3_7_and_15_seconds(void **state)
{
	static const int64_t sent_s[] = {1, 2, 4, 8, 16};
	struct scene s;
	struct world w;

	init_one(&s, &w);
	w.connector.down_until = INSTANT_NEVER;
	for (int i = 0; i < 5; i++) {
		world_play(&w, sent_s[i] * S - 1);
		assert_int_equal(w.connector.dropped, i);
		world_play(&w, sent_s[i] * S);
		assert_int_equal(w.connector.dropped, i + 1);
	}
	scene_close(&s, &w);
}

/* net.ipv4.tcp_syn_linear_timeouts = 4. */
static void newer_kernels_send_it_again_each_second_at_first(void **state)
{
	static const int64_t sent_s[] = {1, 2, 3, 4, 5, 6, 8};
	struct scene s;
	struct world w;

	init_one(&s, &w);
	s.scenario.syn_linear = 4;
	w.connector.down_until = INSTANT_NEVER;
	for (int i = 0; i < 7; i++) {
		world_play(&w, sent_s[i] * S - 1);
		assert_int_equal(w.connector.dropped, i);
		world_play(&w, sent_s[i] * S);
		assert_int_equal(w.connector.dropped, i + 1);
	}
	scene_close(&s, &w);
}

static void whoever_dials_afresh_sends_a_syn_at_once_and_begins_anew(void **state)
{
	struct scene s;
	struct world w;

	init_one(&s, &w);
	w.connector.down_until = INSTANT_NEVER;
	world_play(&w, 5 * S);
	assert_int_equal(w.connector.dropped, 3);
	conn_redial(&w, 0);
	assert_int_equal(w.connector.dropped, 4);
	/* The next one of the old socket, at 8 s, never comes; of the new one at 6 and 8 s. */
	world_play(&w, 6 * S);
	assert_int_equal(w.connector.dropped, 5);
	world_play(&w, 8 * S);
	assert_int_equal(w.connector.dropped, 6);
	scene_close(&s, &w);
}

/* TCP 1 round trip, the question for TLS 1, login 3 and the server's work. */
static void a_login_takes_its_round_trips_and_the_server_s_work(void **state)
{
	struct scene s;
	struct world w;
	instant up_at = S + (1 + 1 + 3) * MS + 8 * MS;

	init_one(&s, &w);
	world_play(&w, up_at - 1);
	assert_int_equal(w.conns.list[0].step, CONN_LET_IN);
	world_play(&w, up_at);
	assert_int_equal(w.conns.list[0].step, CONN_ASK);
	assert_int_equal(w.database.sessions, 1);
	scene_close(&s, &w);
}

static void a_login_given_up_holds_its_backend_until_the_work_is_done(void **state)
{
	struct scene s;
	struct world w;

	init_one(&s, &w);
	w.database.login_ns = 10 * S;
	world_play(&w, 2 * S);
	assert_int_equal(w.database.backends, 1);
	conn_close(&w, 0);
	w.fleet.list[0].service.slots[0].conn = -1;
	assert_int_equal(w.database.backends, 1);
	assert_int_equal(w.connector.flows, 1);
	world_play(&w, 10 * S);
	assert_int_equal(w.database.backends, 1);
	world_play(&w, 12 * S);
	assert_int_equal(w.database.backends, 0);
	assert_int_equal(w.connector.flows, 0);
	assert_int_equal(w.conns.open, 0);
	scene_close(&s, &w);
}

static void what_crosses_a_partition_comes_when_it_heals(void **state)
{
	struct scene s;
	struct world w;

	init_one(&s, &w);
	world_play(&w, S + MS / 2);
	w.connector.partitioned_until = 30 * S;
	world_play(&w, 29 * S);
	assert_int_equal(w.conns.list[0].step, CONN_TCP);
	world_play(&w, 31 * S);
	assert_int_equal(w.fleet.ready, 1);
	scene_close(&s, &w);
}

static void nobody_listens_where_the_database_is_down(void **state)
{
	struct scene s;
	struct world w;

	init_one(&s, &w);
	database_stop(&w);
	world_play(&w, S + 2 * MS);
	/* Refused at once: the start failed, and no flow was used up for it. */
	assert_int_equal(w.fleet.failed, 1);
	assert_int_equal(w.connector.completed, 0);
	scene_close(&s, &w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_dropped_syn_is_sent_again_after_1_3_7_and_15_seconds),
		cmocka_unit_test(newer_kernels_send_it_again_each_second_at_first),
		cmocka_unit_test(whoever_dials_afresh_sends_a_syn_at_once_and_begins_anew),
		cmocka_unit_test(a_login_takes_its_round_trips_and_the_server_s_work),
		cmocka_unit_test(a_login_given_up_holds_its_backend_until_the_work_is_done),
		cmocka_unit_test(what_crosses_a_partition_comes_when_it_heals),
		cmocka_unit_test(nobody_listens_where_the_database_is_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
