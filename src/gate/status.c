#include "gate/status.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "gate/describe.h"
#include "gate/metrics.h"

#define JSON_TYPE    "application/json"
#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

bool status_is_ready(const struct gate_view *view)
{
	const struct engine *e = view->engine;
	/* A start without the service or without the database was allowed by whoever made that phase
	 * degradable: complete implies ready. A service that was there and is gone is another thing. */
	bool service_lost = e->startup.phases[PHASE_SERVICES].status == PHASE_COMPLETED &&
			    !e->command_up;
	return startup_is_complete(&e->startup) && !service_lost;
}

static void set(json_t *o, const char *key, json_t *value)
{
	if (json_object_set_new(o, key, value) != 0)
		abort();
}

static void set_availability(const struct gate_view *view, json_t *o)
{
	set(o, "availability", json_string(availability_name(view->engine->availability)));
}

/* What all answers about the startup begin with. */
static json_t *startup_json(const struct gate_view *view)
{
	const struct startup *s = &view->engine->startup;
	instant end = startup_is_over(s) ? s->ended_at : view->now;
	const char *current = s->current < PHASE_COUNT ? phase_name(s->current) : NULL;
	json_t *o = json_object();
	set(o, "complete", json_boolean(startup_is_complete(s)));
	set(o, "failed", json_boolean(s->failed));
	set(o, "phase", current ? json_string(current) : json_null());
	set(o, "elapsed_s", json_real(s->begun ? s_from_ns(end - s->began_at) : 0.0));
	set(o, "phases", describe_phases(view));
	return o;
}

static void take(struct http_response *response, int status, json_t *json)
{
	http_response_take(response, status, JSON_TYPE, describe_dump(json));
}

static void answer_startup(const struct gate_view *view, struct http_response *response)
{
	bool complete = startup_is_complete(&view->engine->startup);
	take(response, complete ? 200 : 503, startup_json(view));
}

static void answer_live(const struct gate_view *view, struct http_response *response)
{
	json_t *o = json_object();
	set(o, "live", json_true());
	set(o, "uptime_s", json_real(s_from_ns(view->now - view->began_at)));
	take(response, 200, o);
}

static void answer_ready(const struct gate_view *view, struct http_response *response)
{
	bool ready = status_is_ready(view);
	json_t *o = json_object();
	set(o, "ready", json_boolean(ready));
	set_availability(view, o);
	take(response, ready ? 200 : 503, o);
}

static json_t *health_json(const struct gate_view *view)
{
	json_t *o = json_object();
	set_availability(view, o);
	set(o, "ready", json_boolean(status_is_ready(view)));
	set(o, "startup", startup_json(view));
	set(o, "database", describe_database(view));
	set(o, "path", describe_path(view));
	set(o, "pool", describe_pool(view));
	set(o, "breaker", describe_breaker(view));
	set(o, "budget", describe_budget(view));
	return o;
}

static void answer_health(const struct gate_view *view, struct http_response *response)
{
	bool unavailable = view->engine->availability == AVAILABILITY_UNAVAILABLE;
	take(response, unavailable ? 503 : 200, health_json(view));
}

static void answer_status(const struct gate_view *view, struct http_response *response)
{
	json_t *o = health_json(view);
	json_t *context = view->error_context ? json_loads(view->error_context, 0, NULL) : NULL;
	set(o, "instance", describe_text(view, view->settings->instance));
	set(o, "worker", json_integer(view->settings->worker));
	set(o, "workers", json_integer(view->settings->workers));
	set(o, "environment", describe_text(view, view->settings->environment));
	set(o, "version", describe_text(view, view->version));
	set(o, "time", describe_time(view, view->now));
	set(o, "uptime_s", json_real(s_from_ns(view->now - view->began_at)));
	set(o, "pools", describe_pools(view));
	set(o, "connector", describe_connector(view));
	set(o, "command", describe_command(view));
	set(o, "counters", describe_counters(view));
	set(o, "attempts", describe_attempts(view, ENGINE_ATTEMPTS_MAX));
	set(o, "deadlines", describe_deadlines(view));
	set(o, "error_context", context ? context : json_null());
	set(o, "settings", describe_settings(view));
	take(response, 200, o);
}

static void answer_metrics(const struct gate_view *view, struct http_response *response)
{
	http_response_take(response, 200, METRICS_TYPE, metrics_text(view));
}

static void answer_list(const struct gate_view *view, struct http_response *response);

static const struct route {
	const char *path;
	void (*answer)(const struct gate_view *view, struct http_response *response);
} routes[] = {
	{"/", answer_list},
	{"/startup", answer_startup},
	{"/live", answer_live},
	{"/ready", answer_ready},
	{"/health", answer_health},
	{"/status", answer_status},
	{"/metrics", answer_metrics},
};

#define ROUTE_COUNT (sizeof(routes) / sizeof(routes[0]))

static json_t *paths(void)
{
	json_t *list = json_array();
	for (size_t i = 1; i < ROUTE_COUNT; i++)
		json_array_append_new(list, json_string(routes[i].path));
	return list;
}

static void answer_list(const struct gate_view *view, struct http_response *response)
{
	json_t *o = json_object();
	set(o, "standpipe", describe_text(view, view->version));
	set(o, "paths", paths());
	take(response, 200, o);
}

static void answer_error(struct http_response *response, int status, const char *error)
{
	json_t *o = json_object();
	set(o, "error", json_string(error));
	set(o, "paths", paths());
	take(response, status, o);
}

/* A trailing slash is the same page. */
static bool is_path(const char *asked, const char *path)
{
	size_t len = strlen(path);
	return strncmp(asked, path, len) == 0 && (!asked[len] || strcmp(asked + len, "/") == 0);
}

void status_answer(const struct gate_view *view, const struct http_request *request,
	struct http_response *response)
{
	http_response_header(response, "Cache-Control", "no-store");
	http_response_header(response, "X-Content-Type-Options", "nosniff");
	const struct route *route = NULL;
	for (size_t i = 0; i < ROUTE_COUNT && !route; i++)
		if (is_path(request->path, routes[i].path))
			route = &routes[i];
	if (!route) {
		answer_error(response, 404, "no such page");
		return;
	}
	if (strcmp(request->method, "GET") != 0 && strcmp(request->method, "HEAD") != 0) {
		http_response_header(response, "Allow", "GET, HEAD");
		answer_error(response, 405, "only GET and HEAD");
		return;
	}
	route->answer(view, response);
}
