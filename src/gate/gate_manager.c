/* What the service manager is told (sd_notify(3)). Behind PID 1 there is none. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "gate/gate_inside.h"

static void tell(struct gate *g, const char *text)
{
	struct error error;
	if (g->options->control_fd < 0 && notify_send(text, &error) != 0)
		log_warning(g->log, "the service manager could not be told", field_error(&error));
}

void gate_manager_ready(struct gate *g)
{
	tell(g, "READY=1");
}

void gate_manager_reloading(struct gate *g)
{
	char text[96];
	notify_reloading(text, sizeof(text));
	tell(g, text);
}

void gate_manager_stopping(struct gate *g)
{
	tell(g, "STOPPING=1");
}

void gate_manager_succeeded(struct gate *g, int pid)
{
	char text[64];
	snprintf(text, sizeof(text), "MAINPID=%d", pid);
	if (pid > 0)
		tell(g, text);
	uv_timer_stop(&g->watchdog);
}

static void on_watchdog(uv_timer_t *timer)
{
	tell(timer->data, "WATCHDOG=1");
}

/* How often the manager wants a sign of life from this process, in us; 0: never. */
static long long watchdog_us(void)
{
	const char *span = getenv("WATCHDOG_USEC"), *whose = getenv("WATCHDOG_PID");
	if (!span || (whose && *whose && atoll(whose) != (long long)getpid()))
		return 0;
	return atoll(span);
}

void gate_manager_begin(struct gate *g)
{
	long long span_us = watchdog_us();
	uint64_t half_ms = span_us > 0 ? (uint64_t)span_us / 2000 : 0;
	uv_timer_init(&g->loop, &g->watchdog);
	g->watchdog.data = g;
	if (span_us > 0 && g->options->control_fd < 0)
		uv_timer_start(&g->watchdog, on_watchdog, 0, half_ms > 0 ? half_ms : 1);
}

void gate_manager_end(struct gate *g)
{
	uv_close((uv_handle_t *)&g->watchdog, NULL);
}
