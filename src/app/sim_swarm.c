#include "app/sim_swarm.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "app/jobs.h"
#include "sim/swarm.h"

#define SHOWN_MAX 20 /* of those that were broken */

enum verdict { NOT_PLAYED, KEPT, BROKEN };

/* Of a scenario, in memory that all jobs share. */
struct verdicts {
	enum verdict verdict;
	int64_t events;
};

struct swarm_work {
	const struct sim_swarm *swarm;
	struct verdicts *list;
};

static void work(void *context, int job)
{
	const struct swarm_work *w = context;
	const struct sim_swarm *s = w->swarm;
	struct swarm_case *c = malloc(sizeof *c);

	if (!c)
		abort();
	for (int run = job; run < s->runs; run += s->jobs) {
		struct sim_stats stats = {0};
		struct error error;
		error_init(&error);
		int status = swarm_run(c, sim_run_seed(s->seed, run), &s->preset, &stats, &error);
		w->list[run].events = stats.events;
		w->list[run].verdict = status < 0 ? BROKEN : KEPT;
	}
	free(c);
}

/* What was broken is told by playing it again: the same seed breaks the same. One that took its
 * process with it is only named. */
static void tell(const struct sim_swarm *s, int run, enum verdict verdict, json_t *broken)
{
	struct swarm_case *c = malloc(sizeof *c);
	uint64_t seed = sim_run_seed(s->seed, run);
	struct error error;
	char name[32];

	if (!c)
		abort();
	error_init(&error);
	if (verdict == BROKEN) {
		swarm_run(c, seed, &s->preset, NULL, &error);
	} else {
		swarm_draw(c, seed, &s->preset);
		error_set(&error, "job", 0, "its process ended before it was over");
	}
	snprintf(name, sizeof name, "0x%llx", (unsigned long long)seed);
	if (!s->json)
		printf("seed %s: %s: %s\n  %s\n", name, error.stage, error.text, c->text);
	json_array_append_new(
		broken, json_pack("{s:s,s:s,s:s,s:s}", "seed", name, "stage", error.stage, "what",
				error.text, "scenario", c->text));
	free(c);
}

static void say_verdict(const struct sim_swarm *s, int bad, json_t *broken)
{
	char seed[32];

	snprintf(seed, sizeof seed, "0x%llx", (unsigned long long)s->seed);
	if (!s->json) {
		printf("swarm: %d random scenarios from seed %s: ", s->runs, seed);
		if (bad > 0)
			printf("%d broke what is promised\n", bad);
		else
			puts("all kept what is promised");
		return;
	}
	json_t *root = json_pack("{s:s,s:i,s:i,s:O}", "seed", seed, "scenarios", s->runs, "failed",
		bad, "broken", broken);
	json_dumpf(root, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	putchar('\n');
	json_decref(root);
}

int sim_swarm_run(struct sim_swarm *s, struct error *error)
{
	size_t size = (size_t)s->runs * sizeof(struct verdicts);
	struct swarm_work w = {.swarm = s, .list = jobs_memory(size, error)};
	bool ended[JOBS_MAX] = {false};
	int bad = 0;

	if (!w.list)
		return -1;
	int status = jobs_run(s->jobs, work, &w, error);
	json_t *broken = json_array();
	for (int run = 0; run < s->runs && status == 0; run++) {
		const struct verdicts *at = &w.list[run];
		s->events += at->events;
		/* Of a job that ended too early only the first scenario is to blame. */
		if (at->verdict == KEPT || ended[run % s->jobs])
			continue;
		ended[run % s->jobs] = at->verdict == NOT_PLAYED;
		if (bad++ < SHOWN_MAX)
			tell(s, run, at->verdict, broken);
	}
	if (status == 0)
		say_verdict(s, bad, broken);
	json_decref(broken);
	jobs_memory_free(w.list, size);
	return status < 0 ? -1 : bad;
}
