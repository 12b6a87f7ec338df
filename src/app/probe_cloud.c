/* `standpipe probe --cloud`: one question to Cloud Monitoring. */
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <uv.h>

#include "app/probe_run.h"

struct question {
	uv_loop_t loop;
	uv_signal_t interrupt;
	struct cloud *cloud;
	struct probe_cloud *answer;
};

static void finish(struct question *q)
{
	cloud_free(q->cloud);
	uv_close((uv_handle_t *)&q->interrupt, NULL);
}

static void on_answer(void *context, const struct cloud_sample *sample, const struct error *error)
{
	struct question *q = context;
	if (error)
		q->answer->error = *error;
	else
		q->answer->sample = *sample;
	finish(q);
}

/* What the connects told is shown all the same. */
static void on_interrupt(uv_signal_t *handle, int signal_number)
{
	struct question *q = handle->data;
	(void)signal_number;
	error_set(&q->answer->error, "monitoring", 0, "interrupted");
	finish(q);
}

void probe_cloud_ask(struct probe_cloud *answer, const struct cloud_target *target)
{
	struct question q = {.answer = answer};
	*answer = (struct probe_cloud){.asked = true};
	uv_loop_init(&q.loop);
	uv_signal_init(&q.loop, &q.interrupt);
	q.interrupt.data = &q;
	uv_signal_start_oneshot(&q.interrupt, on_interrupt, SIGINT);
	q.cloud = cloud_new(&q.loop, target, on_answer, &q);
	cloud_ask(q.cloud);
	uv_run(&q.loop, UV_RUN_DEFAULT);
	uv_loop_close(&q.loop);
	struct timespec wall;
	clock_gettime(CLOCK_REALTIME, &wall);
	answer->wall_ns = wall.tv_sec * NS_PER_S + wall.tv_nsec;
}
