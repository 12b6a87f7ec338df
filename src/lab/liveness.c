#include "lab/liveness.h"

#include <signal.h>

#include "lab/fetch.h"
#include "lab/fleet.h"

static const struct platform_settings *platform_of(const struct instance *at)
{
	return &at->fleet->settings.scenario->platform;
}

static uint64_t interval_ns(const struct instance *at)
{
	return (uint64_t)((double)platform_of(at)->liveness_interval_ns *
			  at->fleet->settings.time_scale);
}

static void answered(void *context, int status, const char *body)
{
	struct instance *at = context;

	(void)body;
	at->fetch = NULL;
	if (at->state != INSTANCE_READY)
		return;
	at->misses = status == 200 ? 0 : at->misses + 1;
	if (at->misses >= platform_of(at)->liveness_failures)
		kill(-at->pid, SIGKILL);
}

void liveness_begin(struct instance *at, uint64_t now)
{
	at->misses = 0;
	at->probe_ns = now + interval_ns(at);
}

void liveness_watch(struct instance *at, uint64_t now)
{
	const struct platform_settings *platform = platform_of(at);
	bool gated = at->fleet->settings.arm->standpipe;
	int timeout_ms = (int)(interval_ns(at) / 1000000);

	if (platform->liveness_path[0] == '\0' || at->fetch || now < at->probe_ns)
		return;
	at->probe_ns = now + interval_ns(at);
	at->fetch = fetch_start(at->fleet->settings.loop, gated ? at->admin_port : at->port,
		gated ? "/live" : platform->liveness_path, timeout_ms < 1 ? 1 : timeout_ms,
		FETCH_STATUS_ONLY, answered, at);
}
