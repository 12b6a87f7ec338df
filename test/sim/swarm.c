#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "scene.h"
#include "sim/swarm.h"

#define SEEDS 20 /* many more by `standpipe sim --swarm` */

static void random_scenarios_keep_what_is_promised(void **state)
{
	struct swarm_case *c = malloc(sizeof *c);
	struct scene scene;
	struct error error;

	scene_init(&scene, true);
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		error_init(&error);
		if (swarm_run(c, seed, &scene.settings, NULL, &error) < 0)
			fail_msg("seed %d: %s: %s (%s)", (int)seed, error.stage, error.text,
				c->text);
	}
	scene_end(&scene);
	free(c);
}

/* Every trait is there in some and missing in others. */
static void the_seeds_draw_what_there_is(void **state)
{
	static const char *const traits[] = {"restart", "partition", "connector restart",
		"slow path", "failover", "deploy", "scale-out", "cold egress", "requests/s", "told",
		"strangers", "aimd", "vegas", "gradient", "fixed", "breaker on", "breaker off",
		"fifo queue", "adaptive queue"};
	struct swarm_case *c = malloc(sizeof *c);
	struct scene scene;

	scene_init(&scene, true);
	for (size_t i = 0; i < sizeof traits / sizeof traits[0]; i++) {
		int with = 0, seeds = 100;
		for (int seed = 0; seed < seeds; seed++) {
			swarm_draw(c, (uint64_t)seed, &scene.settings);
			with += strstr(c->text, traits[i]) != NULL;
		}
		if (with < seeds / 10 || with > seeds * 9 / 10)
			fail_msg("%s: in %d of %d", traits[i], with, seeds);
	}
	scene_end(&scene);
	free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_scenarios_keep_what_is_promised),
		cmocka_unit_test(the_seeds_draw_what_there_is),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
