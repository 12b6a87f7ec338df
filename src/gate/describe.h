/*
 * describe - the parts of a view as JSON, each said in one place: /status, /health, /startup and
 * the error context are put together from them.
 *
 * Each gives a new reference, the caller's; out of memory aborts. Spans are in seconds (`_s`).
 * Texts from outside go through secrets_clean.
 */
#ifndef STANDPIPE_GATE_DESCRIBE_H
#define STANDPIPE_GATE_DESCRIBE_H

#include <jansson.h>

#include "gate/view.h"

/* A string made fit to be shown; null for NULL. */
json_t *describe_text(const struct gate_view *view, const char *text);
/* A check's target or a URL, without user, password and query. */
json_t *describe_target(const struct gate_view *view, const char *target);
/* A point in time; null for one that is not set (-1, INSTANT_NEVER). */
json_t *describe_time(const struct gate_view *view, instant at);
/* null for no error. */
json_t *describe_error(const struct gate_view *view, const struct error *error);

json_t *describe_phases(const struct gate_view *view);
json_t *describe_path(const struct gate_view *view);
json_t *describe_pool(const struct gate_view *view);
/* A list of the pools, each with its births' servers and clients. */
json_t *describe_pools(const struct gate_view *view);
/* What Cloud Monitoring told of the VPC connector; null where it is not asked. */
json_t *describe_connector(const struct gate_view *view);
/* With its last changes, and the light probe. */
json_t *describe_breaker(const struct gate_view *view);
json_t *describe_budget(const struct gate_view *view);
json_t *describe_database(const struct gate_view *view);
/* {"ended": {outcome: count}, "redials", "recent": [newest last, at most `max`]}; those under way
 * are among the recent. */
json_t *describe_attempts(const struct gate_view *view, int max);
json_t *describe_deadlines(const struct gate_view *view);
/* How `used_ns` came to be for that kind of wait: base, factor, buffer, measured, cap. */
json_t *describe_timeout(const struct gate_view *view, enum deadline_kind kind, int64_t used_ns);
json_t *describe_counters(const struct gate_view *view);
json_t *describe_command(const struct gate_view *view);
json_t *describe_settings(const struct gate_view *view);

/* The text, malloc'ed, ended by a newline; `json` is taken. */
char *describe_dump(json_t *json);

#endif
