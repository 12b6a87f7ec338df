/* Who waits for how long, and who is told what, when there are more than can be served. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rig.h"

#define SEED    31
#define MS      NS_PER_MS
#define ALLOWED (10 * S) /* so the target is 1 s */

/* One server, whose transactions take 100 ms each, for clients that never stop coming. */
struct shop {
	struct rig rig;
	int holder; /* who is being served */
	int served[RIG_CLIENTS], told[RIG_CLIENTS]; /* how often */
	instant came_at[RIG_CLIENTS];
	int64_t longest_ns; /* wait of one who was served */
	int serves, tells, lates;
};

static struct shop *fresh(enum backlog_order order, bool rejects)
{
	static struct shop s;
	s = (struct shop){.holder = POOL_NOBODY};
	rig_settings(&s.rig);
	s.rig.settings.deadlines.base_ns[DEADLINE_POOL] = ALLOWED;
	s.rig.settings.budget.pool_size = 1;
	s.rig.settings.budget.pool_overflow = 0;
	s.rig.settings.queue = (struct backlog_settings){order, 5 * MS, rejects};
	rig_init(&s.rig, SEED);
	return &s;
}

static struct shop *open_for_all(enum backlog_order order, bool rejects)
{
	struct shop *s = fresh(order, rejects);
	rig_to_run_time(&s->rig);
	return s;
}

static void look(struct shop *s)
{
	struct rig *r = &s->rig;
	for (int i = 0; i < r->log_count; i++) {
		const struct engine_action *a = &r->log[i];
		if (a->kind == ACTION_ASSIGN) {
			int64_t waited_ns = r->now - s->came_at[a->client];
			s->holder = a->client;
			s->served[a->client]++;
			s->serves++;
			if (waited_ns > s->longest_ns)
				s->longest_ns = waited_ns;
		} else if (a->kind == ACTION_REJECT) {
			s->told[a->client]++;
			s->tells += a->reject == REJECT_OVERLOADED;
			s->lates += a->reject == REJECT_POOL_TIMEOUT;
		}
	}
}

static int comes(struct shop *s)
{
	for (int client = 0; client < RIG_CLIENTS; client++) {
		if (s->rig.clients[client].state != CLIENT_NONE)
			continue;
		s->came_at[client] = s->rig.now;
		s->served[client] = s->told[client] = 0;
		rig_waits(&s->rig, client);
		look(s);
		return client;
	}
	return POOL_NOBODY;
}

static void turn(struct shop *s)
{
	rig_go(&s->rig, s->rig.now + 100 * MS);
	look(s);
	if (s->holder == POOL_NOBODY)
		return;
	s->holder = POOL_NOBODY;
	rig_released(&s->rig, 0);
	look(s);
}

/* `each` come for each one that is served. */
static void work(struct shop *s, int turns, int each)
{
	for (int i = 0; i < turns; i++) {
		for (int j = 0; j < each; j++)
			comes(s);
		turn(s);
	}
}

static void whoever_comes_too_late_to_be_served_is_told_at_once(void **state)
{
	struct shop *s = open_for_all(BACKLOG_FIFO, true);
	work(s, 400, 2);
	assert_true(s->tells > 100);
	/* Nobody else waits in vain, but for those at the very edge: all who wait are served. */
	assert_in_range(s->lates, 0, 5);
	assert_true(s->longest_ns <= ALLOWED);
	int client = comes(s);
	while (!s->told[client])
		client = comes(s);
	const struct engine_action *a = rig_first(&s->rig, ACTION_REJECT);
	assert_int_equal(a->reject, REJECT_OVERLOADED);
	assert_true(a->waiting > 95);
	assert_true(a->expected_ns > ALLOWED);
	assert_int_equal(s->rig.engine.rejects_by[REJECT_OVERLOADED], s->tells);
}

static void when_that_is_switched_off_they_wait_to_their_end(void **state)
{
	struct shop *s = open_for_all(BACKLOG_FIFO, false);
	work(s, 400, 2);
	assert_int_equal(s->tells, 0);
	assert_true(s->lates > 100);
}

static void an_overloaded_queue_serves_the_newest_and_tells_the_oldest(void **state)
{
	struct shop *s = open_for_all(BACKLOG_ADAPTIVE, true);
	work(s, 200, 2); /* until it is too long, and stands */
	assert_true(s->rig.engine.groups[ENGINE_OWN].queue.overloaded);
	s->longest_ns = 0;
	int tells = s->tells;
	for (int i = 0; i < 200; i++) {
		comes(s);
		int newest = comes(s);
		turn(s);
		assert_int_equal(s->served[newest], 1);
	}
	assert_true(s->longest_ns <= 100 * MS);
	assert_true(s->tells > tells + 100);
	assert_int_equal(s->lates, 0); /* they were all told before their end */
	/* When no more come, those who still wait are served, and it is over. */
	tells = s->tells;
	work(s, 120, 0);
	assert_int_equal(s->rig.engine.pool.waiting, 0);
	assert_in_range(s->tells, tells, tells + 3);
	comes(s);
	comes(s);
	assert_false(s->rig.engine.groups[ENGINE_OWN].queue.overloaded);
}

static void a_full_house_whose_guests_are_served_in_time_is_fair(void **state)
{
	struct shop *s = open_for_all(BACKLOG_ADAPTIVE, true);
	/* Fifty who come again as soon as they were served: each waits for 5 s. */
	int served[50] = {0};
	for (int i = 0; i < 50; i++)
		comes(s);
	for (int i = 0; i < 1000; i++) {
		int before = s->holder;
		turn(s);
		if (before != POOL_NOBODY)
			served[before]++;
		comes(s);
	}
	assert_int_equal(s->tells + s->lates, 0);
	assert_int_equal(s->rig.engine.groups[ENGINE_OWN].queue.overloads, 0);
	for (int i = 0; i < 50; i++)
		assert_in_range(served[i], 19, 21);
}

static void the_patient_are_served_in_any_overload(void **state)
{
	struct shop *s = open_for_all(BACKLOG_ADAPTIVE, true);
	work(s, 200, 2);
	int patient = RIG_CLIENTS - 1;
	assert_int_equal(s->rig.clients[patient].state, CLIENT_NONE);
	s->came_at[patient] = s->rig.now;
	rig_waits_patiently(&s->rig, patient);
	look(s);
	for (int i = 0; i < 200 && !s->served[patient]; i++)
		work(s, 1, 2);
	assert_int_equal(s->served[patient], 1);
	assert_int_equal(s->told[patient], 0);
}

static void a_burst_while_starting_waits(void **state)
{
	struct shop *s = fresh(BACKLOG_ADAPTIVE, true);
	rig_to_database(&s->rig);
	rig_ok(&s->rig, 0);
	work(s, 150, 2); /* far more than can be served in 10 s */
	assert_int_equal(s->tells, 0);
	assert_int_equal(s->lates, 0);
	assert_false(startup_is_over(&s->rig.engine.startup));
	/* They are given what the queue takes, as it moves. */
	assert_true(engine_expected_wait(&s->rig.engine, ENGINE_OWN) > 14 * S);
	assert_int_equal(engine_deadline_span(&s->rig.engine, DEADLINE_POOL),
		engine_expected_wait(&s->rig.engine, ENGINE_OWN) +
			path_connect_quantile(&s->rig.engine.path, 0.95));
	/* And the phase's deadline as well. */
	s->rig.engine.settings.deadlines.base_ns[DEADLINE_INITIALIZATION] = S;
	assert_true(engine_deadline_span(&s->rig.engine, DEADLINE_INITIALIZATION) > 14 * S);
}

static void nobody_is_judged_by_a_pause(void **state)
{
	struct shop *s = open_for_all(BACKLOG_FIFO, true);
	work(s, 60, 2);
	rig_group(&s->rig, ENGINE_OWN, (struct pool_group_settings){.hold = HOLD_ASSIGN});
	rig_go(&s->rig, s->rig.now + 8 * S);
	look(s);
	s->holder = POOL_NOBODY;
	rig_released(&s->rig, 0);
	for (int i = 0; i < 150; i++) /* more than can be served: but who knows when it ends */
		comes(s);
	assert_int_equal(s->tells, 0);
	rig_group(&s->rig, ENGINE_OWN, (struct pool_group_settings){.hold = HOLD_NONE});
	look(s);
	turn(s);
	assert_int_equal(s->tells, 0);
	assert_in_range(
		engine_expected_wait(&s->rig.engine, ENGINE_OWN) / s->rig.engine.pool.waiting,
		95 * MS, 105 * MS);
}

static void who_waits_for_a_server_on_its_way_is_not_told(void **state)
{
	struct shop *s = fresh(BACKLOG_FIFO, true);
	s->rig.settings.budget.pool_size = 2;
	rig_init(&s->rig, SEED);
	rig_to_run_time(&s->rig);
	rig_group(&s->rig, ENGINE_OWN, (struct pool_group_settings){.servers_kept = 1});
	s->rig.engine.settings.growth.interval_ns = 0;
	for (int i = 0; i < 3; i++)
		comes(s);
	assert_int_equal(s->rig.engine.pool.connecting, 1);
	work(s, 130, 2); /* it does not come */
	assert_int_equal(s->tells, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whoever_comes_too_late_to_be_served_is_told_at_once),
		cmocka_unit_test(when_that_is_switched_off_they_wait_to_their_end),
		cmocka_unit_test(an_overloaded_queue_serves_the_newest_and_tells_the_oldest),
		cmocka_unit_test(a_full_house_whose_guests_are_served_in_time_is_fair),
		cmocka_unit_test(the_patient_are_served_in_any_overload),
		cmocka_unit_test(a_burst_while_starting_waits),
		cmocka_unit_test(nobody_is_judged_by_a_pause),
		cmocka_unit_test(who_waits_for_a_server_on_its_way_is_not_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
