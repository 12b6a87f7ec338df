#include "gate/status.h"

#include <string.h>

#include "base/json.h"
#include "gate/describe.h"
#include "gate/metrics.h"

#define JSON_TYPE    "application/json"
#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

bool status_is_ready(const struct gate_view *view)
{
	const struct engine *e = view->engine;
	/* A start without the service or without the database was allowed by whoever made that
	 * phase degradable: complete implies ready. A service that was there and is gone is another
	 * thing. */
	bool service_lost = e->startup.phases[PHASE_SERVICES].status == PHASE_COMPLETED &&
			    !e->command_up;
	return startup_is_complete(&e->startup) && !service_lost;
}

static void set_availability(const struct gate_view *view, json_t *o)
{
	json_put(o, "availability", json_string(availability_name(view->engine->availability)));
}

/* What all answers about the startup begin with. */
static json_t *startup_json(const struct gate_view *view)
{
	const struct startup *s = &view->engine->startup;
	instant end = startup_is_over(s) ? s->ended_at : view->now;
	const char *current = s->current < PHASE_COUNT ? phase_name(s->current) : NULL;
	json_t *o = json_object();
	json_put(o, "complete", json_boolean(startup_is_complete(s)));
	json_put(o, "failed", json_boolean(s->failed));
	json_put(o, "phase", current ? json_string(current) : json_null());
	json_put(o, "elapsed_s", json_real(s->begun ? s_from_ns(end - s->began_at) : 0.0));
	json_put(o, "phases", describe_phases(view));
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
	json_put(o, "live", json_true());
	json_put(o, "uptime_s", json_real(s_from_ns(view->now - view->began_at)));
	take(response, 200, o);
}

static void answer_ready(const struct gate_view *view, struct http_response *response)
{
	bool ready = status_is_ready(view);
	json_t *o = json_object();
	json_put(o, "ready", json_boolean(ready));
	set_availability(view, o);
	take(response, ready ? 200 : 503, o);
}

static json_t *health_json(const struct gate_view *view)
{
	json_t *o = json_object();
	set_availability(view, o);
	json_put(o, "ready", json_boolean(status_is_ready(view)));
	json_put(o, "startup", startup_json(view));
	json_put(o, "database", describe_database(view));
	json_put(o, "path", describe_path(view));
	json_put(o, "pool", describe_pool(view));
	json_put(o, "breaker", describe_breaker(view));
	json_put(o, "budget", describe_budget(view));
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
	json_put(o, "instance", describe_text(view, view->settings->instance));
	json_put(o, "worker", json_integer(view->settings->worker));
	json_put(o, "workers", json_integer(view->settings->workers));
	json_put(o, "environment", describe_text(view, view->settings->environment));
	json_put(o, "version", describe_text(view, view->version));
	json_put(o, "time", describe_time(view, view->now));
	json_put(o, "uptime_s", json_real(s_from_ns(view->now - view->began_at)));
	json_put(o, "pools", describe_pools(view));
	json_put(o, "connector", describe_connector(view));
	json_put(o, "command", describe_command(view));
	json_put(o, "counters", describe_counters(view));
	json_put(o, "attempts", describe_attempts(view, ENGINE_ATTEMPTS_MAX));
	json_put(o, "deadlines", describe_deadlines(view));
	json_put(o, "error_context", context ? context : json_null());
	json_put(o, "settings", describe_settings(view));
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
	json_put(o, "standpipe", describe_text(view, view->version));
	json_put(o, "paths", paths());
	take(response, 200, o);
}

static void answer_error(struct http_response *response, int status, const char *error)
{
	json_t *o = json_object();
	json_put(o, "error", json_string(error));
	json_put(o, "paths", paths());
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
