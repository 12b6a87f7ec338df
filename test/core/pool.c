#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "bug.h"
#include "core/pool.h"

#define SERVERS 3
#define CLIENTS 4
#define GROUPS  3

struct place {
	struct pool pool;
	struct pool_server servers[SERVERS];
	struct pool_client clients[CLIENTS];
	struct pool_group groups[GROUPS];
};

static void place_init(struct place *l)
{
	memset(l->groups, 0, sizeof(l->groups));
	pool_init(&l->pool,
		&(struct pool_memory){l->servers, SERVERS, l->clients, CLIENTS, l->groups, GROUPS});
	pool_group_set(&l->pool, 0, &(struct pool_group_settings){0});
}

/* A server that has just connected. */
static int server_up(struct pool *p, instant now)
{
	int server = pool_server_begin(p, 0, now);
	pool_server_ready(p, server, now, INSTANT_NEVER);
	return server;
}

static void a_new_pool_has_nothing_for_nobody(void **state)
{
	struct place l;
	int server, client;
	place_init(&l);
	assert_int_equal(pool_servers(&l.pool), 0);
	assert_false(pool_assign(&l.pool, 0, &server, &client, 0));
}

static void connecting_counts_against_the_number_of_servers(void **state)
{
	struct place l;
	place_init(&l);
	for (int i = 0; i < SERVERS; i++)
		assert_int_equal(pool_server_begin(&l.pool, 0, 0), i);
	assert_int_equal(pool_server_begin(&l.pool, 0, 0), POOL_NOBODY);
	assert_int_equal(pool_servers(&l.pool), SERVERS);
	assert_int_equal(l.pool.connecting, SERVERS);
}

static void an_attempt_that_failed_gives_its_id_back(void **state)
{
	struct place l;
	place_init(&l);
	pool_server_begin(&l.pool, 0, 0);
	int second = pool_server_begin(&l.pool, 0, 0);
	assert_int_equal(pool_server_gone(&l.pool, 0), POOL_NOBODY);
	assert_int_equal(pool_servers(&l.pool), 1);
	assert_int_equal(pool_server_begin(&l.pool, 0, 0), 0);
	assert_int_equal(second, 1);
}

static void who_comes_first_is_served_first(void **state)
{
	struct place l;
	int server, client;
	place_init(&l);
	pool_client_waits(&l.pool, 2, 0, false, 10);
	pool_client_waits(&l.pool, 0, 0, false, 20);
	pool_client_waits(&l.pool, 3, 0, true, 30);
	assert_int_equal(l.pool.waiting, 3);
	const int order[] = {2, 0, 3};
	for (int i = 0; i < 3; i++) {
		int up = server_up(&l.pool, 100);
		assert_true(pool_assign(&l.pool, 0, &server, &client, 100));
		assert_int_equal(client, order[i]);
		assert_int_equal(server, up);
	}
	assert_int_equal(l.pool.waiting, 0);
	assert_int_equal(l.pool.holding, 3);
	assert_int_equal(l.pool.busy, 3);
	assert_true(l.clients[3].patient);
	assert_int_equal(l.clients[3].since, 100);
}

static void the_newest_may_be_served_before_the_others(void **state)
{
	struct place l;
	int server, client;
	place_init(&l);
	pool_client_waits(&l.pool, 2, 0, false, 10);
	pool_client_waits(&l.pool, 0, 0, false, 20);
	pool_client_waits(&l.pool, 3, 0, true, 30);
	const int order[] = {3, 0, 2};
	for (int i = 0; i < 3; i++) {
		assert_false(pool_assign_newest(&l.pool, 0, &server, &client, 100));
		int up = server_up(&l.pool, 100);
		assert_true(pool_assign_newest(&l.pool, 0, &server, &client, 100));
		assert_int_equal(client, order[i]);
		assert_int_equal(server, up);
	}
	assert_int_equal(l.pool.waiting, 0);
}

static void the_server_used_last_is_used_next(void **state)
{
	struct place l;
	int server, client;
	place_init(&l);
	for (int i = 0; i < SERVERS; i++)
		server_up(&l.pool, i);
	assert_int_equal(l.groups[0].idle_last, 0);
	pool_client_waits(&l.pool, 0, 0, false, 5);
	assert_true(pool_assign(&l.pool, 0, &server, &client, 5));
	assert_int_equal(server, 2);
	pool_client_waits(&l.pool, 1, 0, false, 6);
	assert_true(pool_assign(&l.pool, 0, &server, &client, 6));
	assert_int_equal(server, 1);
	pool_server_released(&l.pool, 2, 7);
	pool_server_released(&l.pool, 1, 8);
	assert_int_equal(l.groups[0].idle_first, 1);
	assert_int_equal(l.groups[0].idle_last, 0); /* free to age */
	assert_int_equal(l.servers[0].since, 0);
	assert_int_equal(l.servers[1].since, 8);
}

static void a_released_server_goes_to_who_waits(void **state)
{
	struct place l;
	int server, client;
	place_init(&l);
	int only = server_up(&l.pool, 0);
	pool_client_waits(&l.pool, 0, 0, false, 1);
	pool_client_waits(&l.pool, 1, 0, false, 2);
	assert_true(pool_assign(&l.pool, 0, &server, &client, 2));
	assert_false(pool_assign(&l.pool, 0, &server, &client, 2));
	pool_server_released(&l.pool, only, 9);
	assert_int_equal(l.clients[0].state, CLIENT_NONE);
	assert_int_equal(l.clients[0].server, POOL_NOBODY);
	assert_true(pool_assign(&l.pool, 0, &server, &client, 9));
	assert_int_equal(client, 1);
	assert_int_equal(l.servers[only].client, 1);
	assert_int_equal(l.clients[1].server, only);
}

static void who_leaves_the_queue_is_not_served(void **state)
{
	struct place l;
	int server, client;
	place_init(&l);
	for (int i = 0; i < CLIENTS; i++)
		pool_client_waits(&l.pool, i, 0, false, i);
	pool_client_leaves(&l.pool, 0); /* first */
	pool_client_leaves(&l.pool, 2); /* in the middle */
	pool_client_leaves(&l.pool, 3); /* last */
	assert_int_equal(l.pool.waiting, 1);
	server_up(&l.pool, 5);
	assert_true(pool_assign(&l.pool, 0, &server, &client, 5));
	assert_int_equal(client, 1);
	assert_int_equal(l.groups[0].queue_first, POOL_NOBODY);
	assert_int_equal(l.groups[0].queue_last, POOL_NOBODY);
}

static void a_client_whose_server_is_lost_is_told_and_may_return_to_the_front(void **state)
{
	struct place l;
	int server, client;
	place_init(&l);
	int lost = server_up(&l.pool, 0);
	pool_client_waits(&l.pool, 0, 0, true, 1);
	assert_true(pool_assign(&l.pool, 0, &server, &client, 1));
	pool_client_waits(&l.pool, 1, 0, false, 2);
	assert_int_equal(pool_server_gone(&l.pool, lost), 0);
	assert_int_equal(l.clients[0].state, CLIENT_NONE);
	assert_int_equal(l.pool.holding, 0);
	pool_client_returns(&l.pool, 0, true, 1);
	assert_int_equal(l.clients[0].since, 1);
	server_up(&l.pool, 3);
	assert_true(pool_assign(&l.pool, 0, &server, &client, 3));
	assert_int_equal(client, 0);
	assert_int_equal(l.groups[0].queue_first, 1);
}

static void an_idle_server_may_go_from_anywhere_in_the_list(void **state)
{
	for (int gone = 0; gone < SERVERS; gone++) {
		struct place l;
		place_init(&l);
		for (int i = 0; i < SERVERS; i++)
			server_up(&l.pool, i);
		assert_int_equal(pool_server_gone(&l.pool, gone), POOL_NOBODY);
		assert_int_equal(l.pool.idle, SERVERS - 1);
		for (int i = SERVERS - 1; i >= 0; i--) {
			if (i == gone)
				continue;
			int server, client;
			pool_client_waits(&l.pool, i, 0, false, 10);
			assert_true(pool_assign(&l.pool, 0, &server, &client, 10));
			assert_int_equal(server, i);
		}
	}
}

static void the_time_to_retire_is_kept_through_use(void **state)
{
	struct place l;
	int server, client;
	place_init(&l);
	pool_server_begin(&l.pool, 0, 0);
	assert_int_equal(l.servers[0].retire_at, INSTANT_NEVER);
	pool_server_ready(&l.pool, 0, 1, 3600);
	pool_client_waits(&l.pool, 0, 0, false, 2);
	assert_true(pool_assign(&l.pool, 0, &server, &client, 2));
	pool_server_released(&l.pool, 0, 3);
	assert_int_equal(l.servers[0].retire_at, 3600);
}

static void everyone_knows_since_when(void **state)
{
	struct place l;
	int server, client;
	place_init(&l);
	pool_server_begin(&l.pool, 0, 1);
	assert_int_equal(l.servers[0].since, 1);
	pool_server_ready(&l.pool, 0, 2, INSTANT_NEVER);
	assert_int_equal(l.servers[0].since, 2);
	pool_client_waits(&l.pool, 0, 0, false, 3);
	assert_int_equal(l.clients[0].since, 3);
	assert_true(pool_assign(&l.pool, 0, &server, &client, 4));
	assert_int_equal(l.servers[0].since, 4);
	assert_int_equal(l.clients[0].since, 4);
	pool_server_released(&l.pool, 0, 5);
	assert_int_equal(l.servers[0].since, 5);
}

static void steps_out_of_order_are_bugs(void **state)
{
	struct place l;
	int server, client;
	place_init(&l);
	assert_true(IS_BUG(pool_server_gone(&l.pool, 0)));
	assert_true(IS_BUG(pool_server_ready(&l.pool, 0, 0, 0)));
	assert_true(IS_BUG(pool_server_released(&l.pool, 0, 0)));
	assert_true(IS_BUG(pool_server_gone(&l.pool, SERVERS)));
	assert_true(IS_BUG(pool_client_leaves(&l.pool, 0)));
	assert_true(IS_BUG(pool_client_waits(&l.pool, CLIENTS, 0, false, 0)));
	pool_client_waits(&l.pool, 0, 0, false, 0);
	assert_true(IS_BUG(pool_client_waits(&l.pool, 0, 0, false, 0)));
	int up = server_up(&l.pool, 0);
	assert_true(IS_BUG(pool_server_released(&l.pool, up, 0)));
	assert_true(pool_assign(&l.pool, 0, &server, &client, 0));
	assert_true(IS_BUG(pool_client_leaves(&l.pool, 0)));
}

/* ---- groups ---- */

static void a_server_is_for_clients_of_its_group_only(void **state)
{
	struct place l;
	int server, client;
	place_init(&l);
	pool_group_set(&l.pool, 1, &(struct pool_group_settings){.family = 1});
	int up = server_up(&l.pool, 5);
	pool_client_waits(&l.pool, 0, 1, false, 10);
	assert_false(pool_assign(&l.pool, 0, &server, &client, 10));
	assert_false(pool_assign(&l.pool, 1, &server, &client, 10));
	assert_int_equal(l.pool.waiting_first, 1);
	pool_client_waits(&l.pool, 1, 0, false, 20);
	assert_int_equal(l.groups[1].next, 0); /* in the order in which their queues began */
	assert_true(pool_assign(&l.pool, 0, &server, &client, 20));
	assert_int_equal(server, up);
	assert_int_equal(client, 1);
	assert_int_equal(l.groups[1].waiting, 1);
	assert_int_equal(l.pool.waiting_last, 1);
}

static void a_family_shares_its_heads_limit(void **state)
{
	struct place l;
	place_init(&l);
	pool_group_set(&l.pool, 1, &(struct pool_group_settings){.family = 1, .servers_max = 2});
	pool_group_set(&l.pool, 2, &(struct pool_group_settings){.family = 1});
	pool_server_begin(&l.pool, 1, 0);
	assert_true(pool_group_has_room(&l.pool, 2));
	int second = pool_server_begin(&l.pool, 2, 0);
	assert_false(pool_group_has_room(&l.pool, 1));
	assert_false(pool_group_has_room(&l.pool, 2));
	assert_true(pool_group_has_room(&l.pool, 0));
	pool_server_gone(&l.pool, second);
	assert_true(pool_group_has_room(&l.pool, 1));
	assert_true(pool_group_is_empty(&l.pool, 2));
	pool_group_close(&l.pool, 2);
	assert_int_equal(l.pool.groups_top, 2);
	assert_true(IS_BUG(pool_group_close(&l.pool, 1)));
	assert_true(IS_BUG(pool_server_begin(&l.pool, 2, 0)));
}

static void what_groups_lack_is_counted(void **state)
{
	struct place l;
	place_init(&l);
	pool_group_set(&l.pool, 1, &(struct pool_group_settings){.family = 1, .servers_kept = 2});
	assert_int_equal(l.pool.lacking, 2);
	server_up(&l.pool, 0); /* of another group */
	assert_int_equal(l.pool.lacking, 2);
	int up = pool_server_begin(&l.pool, 1, 0);
	assert_int_equal(l.pool.lacking, 1);
	pool_group_set(&l.pool, 1, &(struct pool_group_settings){.family = 1, .servers_kept = 1});
	assert_int_equal(l.pool.lacking, 0);
	pool_server_gone(&l.pool, up);
	assert_int_equal(l.pool.lacking, 1);
	pool_group_close(&l.pool, 1);
	assert_int_equal(l.pool.lacking, 0);
}

/* ---- all of it ---- */

/* Walks a group's lists in both directions. */
static void check_group(const struct place *l, int group)
{
	const struct pool_group *g = &l->groups[group];
	int count = 0, last = POOL_NOBODY;
	for (int i = g->idle_first; i != POOL_NOBODY; last = i, i = l->servers[i].next, count++) {
		assert_int_equal(l->servers[i].state, SERVER_IDLE);
		assert_int_equal(l->servers[i].group, group);
		assert_int_equal(l->servers[i].previous, last);
	}
	assert_int_equal(g->idle_last, last);
	assert_int_equal(g->idle, count);
	count = 0;
	last = POOL_NOBODY;
	for (int i = g->queue_first; i != POOL_NOBODY; last = i, i = l->clients[i].next, count++) {
		assert_int_equal(l->clients[i].state, CLIENT_WAITING);
		assert_int_equal(l->clients[i].group, group);
		assert_int_equal(l->clients[i].previous, last);
	}
	assert_int_equal(g->queue_last, last);
	assert_int_equal(g->waiting, count);
}

static void check_lists_of_all(const struct place *l)
{
	const struct pool *p = &l->pool;
	int count = 0, last = POOL_NOBODY;
	for (int i = p->newest; i != POOL_NOBODY; last = i, i = l->servers[i].older, count++) {
		assert_int_equal(l->servers[i].state, SERVER_IDLE);
		assert_int_equal(l->servers[i].newer, last);
		if (last != POOL_NOBODY)
			assert_true(l->servers[i].since <= l->servers[last].since);
	}
	assert_int_equal(p->oldest, last);
	assert_int_equal(p->idle, count);
	last = POOL_NOBODY;
	int waiting = 0;
	for (int g = p->waiting_first; g != POOL_NOBODY; last = g, g = l->groups[g].next) {
		assert_true(l->groups[g].waiting > 0);
		assert_int_equal(l->groups[g].previous, last);
		waiting += l->groups[g].waiting;
	}
	assert_int_equal(p->waiting_last, last);
	assert_int_equal(p->waiting, waiting);
}

/* Counts the records. */
static void check_whole(const struct place *l)
{
	const struct pool *p = &l->pool;
	int servers[SERVER_BUSY + 1] = {0}, clients[CLIENT_HOLDING + 1] = {0};
	int lacking = 0, in_group[GROUPS] = {0};
	for (int i = 0; i < SERVERS; i++) {
		const struct pool_server *s = &l->servers[i];
		servers[s->state]++;
		in_group[s->group] += s->state != SERVER_NONE;
		assert_int_equal(s->client != POOL_NOBODY, s->state == SERVER_BUSY);
		if (s->state != SERVER_BUSY)
			continue;
		assert_int_equal(l->clients[s->client].server, i);
		assert_int_equal(l->clients[s->client].group, s->group);
	}
	for (int i = 0; i < CLIENTS; i++) {
		const struct pool_client *c = &l->clients[i];
		clients[c->state]++;
		assert_int_equal(c->server != POOL_NOBODY, c->state == CLIENT_HOLDING);
		if (c->state == CLIENT_HOLDING)
			assert_int_equal(l->servers[c->server].client, i);
	}
	assert_int_equal(p->connecting, servers[SERVER_CONNECTING]);
	assert_int_equal(p->idle, servers[SERVER_IDLE]);
	assert_int_equal(p->busy, servers[SERVER_BUSY]);
	assert_int_equal(p->waiting, clients[CLIENT_WAITING]);
	assert_int_equal(p->holding, clients[CLIENT_HOLDING]);
	for (int group = 0; group < GROUPS; group++) {
		const struct pool_group *g = &l->groups[group];
		check_group(l, group);
		assert_int_equal(pool_group_servers(g), in_group[group]);
		if (g->settings.servers_kept > in_group[group])
			lacking += g->settings.servers_kept - in_group[group];
	}
	assert_int_equal(p->lacking, lacking);
	assert_int_equal(l->groups[1].family_servers, in_group[1] + in_group[2]);
	check_lists_of_all(l);
}

static void one_random_step(struct place *l, struct random *random, instant now)
{
	int server = (int)random_below(random, SERVERS);
	int client = (int)random_below(random, CLIENTS);
	int group = (int)random_below(random, GROUPS);
	bool flip = random_below(random, 2) == 0;
	switch (random_below(random, 4)) {
	case 0: /* a server goes one state on */
		if (l->servers[server].state == SERVER_CONNECTING)
			pool_server_ready(&l->pool, server, now, INSTANT_NEVER);
		else if (l->servers[server].state == SERVER_BUSY)
			pool_server_released(&l->pool, server, now);
		else
			pool_server_begin(&l->pool, group, now);
		break;
	case 1: /* or is lost */
		if (l->servers[server].state != SERVER_NONE && flip) {
			int held_it = pool_server_gone(&l->pool, server);
			if (held_it != POOL_NOBODY && flip)
				pool_client_returns(&l->pool, held_it, false, now);
		}
		break;
	case 2:
		if (l->clients[client].state == CLIENT_NONE)
			pool_client_waits(&l->pool, client, group, flip, now);
		else if (l->clients[client].state == CLIENT_WAITING && flip)
			pool_client_leaves(&l->pool, client);
		break;
	default:
		pool_assign(&l->pool, group, &server, &client, now);
	}
}

static void lists_and_counters_agree_whatever_happens(void **state)
{
	struct place l;
	struct random random;
	place_init(&l);
	pool_group_set(&l.pool, 1, &(struct pool_group_settings){.family = 1, .servers_kept = 1});
	pool_group_set(&l.pool, 2, &(struct pool_group_settings){.family = 1, .servers_kept = 2});
	random_init(&random, 7);
	for (instant now = 0; now < 50000; now++) {
		one_random_step(&l, &random, now);
		check_whole(&l);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_pool_has_nothing_for_nobody),
		cmocka_unit_test(connecting_counts_against_the_number_of_servers),
		cmocka_unit_test(an_attempt_that_failed_gives_its_id_back),
		cmocka_unit_test(who_comes_first_is_served_first),
		cmocka_unit_test(the_newest_may_be_served_before_the_others),
		cmocka_unit_test(the_server_used_last_is_used_next),
		cmocka_unit_test(a_released_server_goes_to_who_waits),
		cmocka_unit_test(who_leaves_the_queue_is_not_served),
		cmocka_unit_test(a_client_whose_server_is_lost_is_told_and_may_return_to_the_front),
		cmocka_unit_test(an_idle_server_may_go_from_anywhere_in_the_list),
		cmocka_unit_test(the_time_to_retire_is_kept_through_use),
		cmocka_unit_test(everyone_knows_since_when),
		cmocka_unit_test(steps_out_of_order_are_bugs),
		cmocka_unit_test(a_server_is_for_clients_of_its_group_only),
		cmocka_unit_test(a_family_shares_its_heads_limit),
		cmocka_unit_test(what_groups_lack_is_counted),
		cmocka_unit_test(lists_and_counters_agree_whatever_happens),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
