#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "scene.h"
#include "sim/invariant.h"

#define S NS_PER_S

static struct scene scene;

/* A world in which all is up and well. */
static struct world *well(void)
{
	static struct world w;

	scene_init(&scene, true);
	scene_open(&scene, &w, 17);
	world_play(&w, 5 * S);
	assert_int_equal(w.fleet.ready, 4);
	assert_false(error_is_set(&w.broken));
	return &w;
}

static void must_be_broken(struct world *w, const char *what)
{
	if (!strstr(w->broken.text, what))
		fail_msg("\"%s\" was expected, not \"%s\"", what, w->broken.text);
	/* Enough to play it again. */
	assert_non_null(strstr(w->broken.text, "seed 17"));
	assert_non_null(strstr(w->broken.text, "at 5.0"));
	w->connector.flows = w->connector.capacity.flows;
	scene_close(&scene, w);
}

static void a_lost_flow_is_noticed(void **state)
{
	struct world *w = well();
	w->connector.flows++;
	invariant_world(w);
	must_be_broken(w, "5 flows, the connector carries 4");
}

static void a_lost_place_at_the_database_is_noticed(void **state)
{
	struct world *w = well();
	w->database.backends++;
	invariant_all(w);
	must_be_broken(w, "counted 4 connections, 4 flows, 4 backends");
}

static void a_lost_request_is_noticed(void **state)
{
	struct world *w = well();
	/* One that no instance has heard of. */
	load_liveness(w, 0);
	w->fleet.list[0].service.slots[0].request = REQUEST_NONE;
	invariant_all(w);
	must_be_broken(w, "1 requests, of which 0 are somewhere");
}

static void a_connection_that_nobody_knows_is_noticed(void **state)
{
	struct world *w = well();
	int conn = w->fleet.list[2].gate->conns[0];
	w->fleet.list[2].gate->conns[0] = -1;
	invariant_all(w);
	w->fleet.list[2].gate->conns[0] = conn;
	must_be_broken(w, "instance 2: server 0: the engine and the gate differ");
}

static void more_servers_than_the_share_are_noticed(void **state)
{
	struct world *w = well();
	w->fleet.list[1].gate->engine.budget.share = 0;
	/* One that has been there before may stay until it is free. */
	invariant_gate(w, 1, 1);
	assert_false(error_is_set(&w->broken));
	invariant_gate(w, 1, 0);
	must_be_broken(w, "instance 1: 1 server connections, its share is 0");
}

static void attempts_that_do_not_agree_are_noticed(void **state)
{
	struct world *w = well();
	w->fleet.list[0].gate->engine.connects.under_way = 1;
	invariant_gate(w, 0, 1);
	must_be_broken(w, "attempts under way: 0 by the pool, 1 by the window");
}

static void a_phase_after_a_failed_one_is_noticed(void **state)
{
	struct world *w = well();
	w->fleet.list[0].gate->engine.startup.phases[PHASE_DATABASE].status = PHASE_FAILED;
	invariant_gate(w, 0, 1);
	must_be_broken(w, "phase services is completed after a critical one failed");
}

static void whoever_waits_beside_an_idle_server_is_noticed(void **state)
{
	struct world *w = well();
	w->fleet.list[0].gate->engine.pool.groups[ENGINE_OWN].waiting = 1;
	invariant_gate(w, 0, 1);
	must_be_broken(w, "1 wait beside 1 idle servers");
}

static void an_open_breaker_without_an_end_is_noticed(void **state)
{
	struct world *w = well();
	w->fleet.list[0].gate->engine.breaker.state = BREAKER_OPEN;
	invariant_gate(w, 0, 1);
	must_be_broken(w, "the breaker is open until");
}

static void a_broken_one_ends_the_run(void **state)
{
	struct world *w = well();
	w->connector.flows++;
	world_play(w, 10 * S);
	assert_true(error_is_set(&w->broken));
	assert_true(w->now < 7 * S);
	w->connector.flows--;
	scene_close(&scene, w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lost_flow_is_noticed),
		cmocka_unit_test(a_lost_place_at_the_database_is_noticed),
		cmocka_unit_test(a_lost_request_is_noticed),
		cmocka_unit_test(a_connection_that_nobody_knows_is_noticed),
		cmocka_unit_test(more_servers_than_the_share_are_noticed),
		cmocka_unit_test(attempts_that_do_not_agree_are_noticed),
		cmocka_unit_test(a_phase_after_a_failed_one_is_noticed),
		cmocka_unit_test(whoever_waits_beside_an_idle_server_is_noticed),
		cmocka_unit_test(an_open_breaker_without_an_end_is_noticed),
		cmocka_unit_test(a_broken_one_ends_the_run),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
