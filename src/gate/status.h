/*
 * status - what the admin port answers. GET and HEAD only, JSON but for /metrics, never cached.
 *
 *   /startup   200 when the startup is complete, 503 while it goes on or when it failed
 *   /live      200: whoever can answer this lives; never 503 for the database's sake
 *   /ready     200 when this instance can serve; an outage of the shared database after the start
 *              does not count, or it would take the whole fleet out of rotation at once
 *   /health    200, or 503 when unavailable: phases, path, pool, breaker, budget, database
 *   /status    everything
 *   /metrics   Prometheus
 *   /          the list of these
 */
#ifndef STANDPIPE_GATE_STATUS_H
#define STANDPIPE_GATE_STATUS_H

#include <stdbool.h>

#include "gate/view.h"
#include "io/http.h"

/* Answers one request on the admin port. */
void status_answer(const struct gate_view *view, const struct http_request *request,
	struct http_response *response);

/* The startup is complete, and the service that it started is still there. */
bool status_is_ready(const struct gate_view *view);

#endif
