/* Asks Cloud Monitoring now and then. Whatever comes of it, nothing else of the gate depends on it. */
#include "gate/gate_inside.h"

static void ask_in(struct gate *g, int64_t pause_ns);

static void on_answer(void *context, const struct cloud_sample *sample, const struct error *error)
{
	struct gate *g = context;
	bool failed_before = g->cloud_report.failures > 0;
	cloud_report_told(&g->cloud_report, sample, error);
	/* Once, not each time. */
	if (error && !failed_before)
		log_warning(g->log, "Cloud Monitoring does not tell of the connector",
			field_error(error));
	else if (!error && failed_before)
		log_info(g->log, "Cloud Monitoring tells of the connector again");
	ask_in(g, cloud_report_pause(&g->cloud_report, g->settings->cloud_interval_ns));
}

static void on_timer(uv_timer_t *timer)
{
	struct gate *g = timer->data;
	cloud_ask(g->cloud);
}

static void ask_in(struct gate *g, int64_t pause_ns)
{
	uv_timer_start(&g->cloud_timer, on_timer, (uint64_t)(pause_ns / NS_PER_MS), 0);
}

void gate_cloud_begin(struct gate *g)
{
	/* One of several gates side by side is enough. */
	if (g->settings->cloud_interval_ns == 0 || g->settings->worker > 0)
		return;
	g->cloud = cloud_new(&g->loop, &g->settings->cloud, on_answer, g);
	uv_timer_init(&g->loop, &g->cloud_timer);
	g->cloud_timer.data = g;
	ask_in(g, 0);
}

void gate_cloud_end(struct gate *g)
{
	if (!g->cloud)
		return;
	cloud_free(g->cloud);
	g->cloud = NULL;
	uv_close((uv_handle_t *)&g->cloud_timer, NULL);
}
