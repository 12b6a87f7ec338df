#include "gate/phases.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gate/target.h"
#include "gate/watch.h"

#define READY_BY_NOTIFY "notify"

enum database_step { DATABASE_LIMITS, DATABASE_SCHEMA, DATABASE_MIGRATE, DATABASE_DONE };

static void try_now(struct phases *p);
static void database_step(struct phases *p, enum database_step step);

/* ---- how a phase ends, and how it goes on ---- */

static void stop_work(struct phases *p)
{
	if (p->check)
		check_cancel(p->check);
	if (p->inquirer)
		client_inquiry_cancel(p->inquirer);
	p->check = NULL;
	p->inquirer = NULL;
	uv_timer_stop(&p->timer);
}

static void phase_done(struct phases *p, bool ok)
{
	enum phase phase = p->current;
	if (ok)
		error_init(&p->errors[phase]);
	p->current = PHASE_COUNT;
	stop_work(p);
	hub_tell(p->hub, (struct engine_event){.kind = EVENT_PHASE_DONE, .phase = phase, .ok = ok});
}

static void on_timer(uv_timer_t *timer)
{
	try_now(timer->data);
}

static void try_later(struct phases *p)
{
	int64_t wait_ns = p->hub->settings->check_interval_ns;
	uv_timer_start(&p->timer, on_timer, (uint64_t)(wait_ns / NS_PER_MS), 0);
}

/* ---- checks ---- */

static const char *dependency(const struct phases *p)
{
	return p->hub->settings->dependencies[p->target];
}

/* The command accepts on the socket that the gate accepts on, too: while it is asked whether it
 * is ready, the gate must not be the one that answers. */
static void step_aside(struct phases *p, bool aside)
{
	if (p->current != PHASE_SERVICES || !p->door || p->hub->settings->door_mode != DOOR_INHERIT)
		return;
	if (p->hub->engine.command_up)
		return; /* it was ready before this gate was there: the door stays open */
	if (aside)
		door_open(p->door);
	else
		door_close(p->door);
}

static void check_passed(struct phases *p)
{
	if (p->current == PHASE_DEPENDENCIES && ++p->target < p->hub->settings->dependencies_count)
		try_now(p);
	else if (p->current == PHASE_DATABASE)
		database_step(p, DATABASE_DONE);
	else
		phase_done(p, true);
}

static void on_checked(void *context, const struct error *error)
{
	struct phases *p = context;
	p->check = NULL;
	if (!error) {
		check_passed(p);
		return;
	}
	p->errors[p->current] = *error;
	log_debug(p->hub->log, "a check failed", field_text("phase", phase_name(p->current)),
		field_error(error));
	step_aside(p, false);
	if (p->current == PHASE_DATABASE)
		phase_done(p, false); /* a migration is not tried again */
	else
		try_later(p);
}

static void check_target(struct phases *p, const char *target)
{
	struct hub *h = p->hub;
	struct error error;
	char expanded[TARGET_MAX];
	if (target_expand(h->settings, target, expanded, &error) != 0 ||
		check_validate(expanded, &error) != 0) {
		p->errors[p->current] = error;
		phase_done(p, false);
		return;
	}
	step_aside(p, true);
	p->check = check_start(h->loop, expanded,
		engine_deadline_span(&h->engine, DEADLINE_HEALTH_CHECK), on_checked, p);
}

static void check_required(struct phases *p)
{
	const struct gate_settings *settings = p->hub->settings;
	char missing[ERROR_TEXT_MAX / 2] = "";
	size_t len = 0;
	for (int i = 0; i < settings->required_count && len < sizeof(missing); i++) {
		const char *value = getenv(settings->required[i]);
		if (!value || !*value)
			len += (size_t)snprintf(missing + len, sizeof(missing) - len, "%s%s (%s)",
				len > 0 ? ", " : "", settings->required[i],
				value ? "empty" : "not set");
	}
	if (len > 0) {
		error_set(&p->errors[PHASE_DEPENDENCIES], "environment", 0,
			"required variables (startup.required) are missing: %s", missing);
		phase_done(p, false);
		return;
	}
	if (settings->dependencies_count == 0)
		phase_done(p, true);
	else
		check_target(p, dependency(p));
}

/* ---- the database ---- */

/* The connection failed, not the query: another one may do better. */
static bool is_of_connection(const struct error *error)
{
	return strncmp(error->sqlstate, "08", 2) == 0 || strncmp(error->sqlstate, "57P", 3) == 0 ||
	       strncmp(error->sqlstate, "53", 2) == 0;
}

static void on_answered(
	void *context, const struct bytes *columns, int count, const struct error *error)
{
	struct phases *p = context;
	p->inquirer = NULL;
	if (error) {
		p->errors[PHASE_DATABASE] = *error;
		if (is_of_connection(error))
			try_later(p);
		else
			phase_done(p, false);
		return;
	}
	if (p->step == DATABASE_LIMITS) {
		hub_tell(p->hub, (struct engine_event){.kind = EVENT_SERVER_LIMITS,
					 .limits = watch_limits(columns, count)});
		hub_tell(p->hub,
			(struct engine_event){.kind = EVENT_PHASE_STEP, .phase = PHASE_DATABASE});
		database_step(p, DATABASE_SCHEMA);
		return;
	}
	if (count == 0) {
		error_set(&p->errors[PHASE_DATABASE], "schema", 0,
			"database.schema_check gave no row: the schema is not there yet");
		if (*p->hub->settings->migrate)
			database_step(p, DATABASE_MIGRATE);
		else
			phase_done(p, false);
		return;
	}
	database_step(p, DATABASE_MIGRATE);
}

static void inquire(struct phases *p, const char *sql,
	void (*answered)(
		void *context, const struct bytes *columns, int count, const struct error *error))
{
	p->inquiry = (struct inquiry){.sql = sql, .answered = answered, .context = p};
	p->inquirer = client_inquire(p->hub, &p->inquiry, true);
	if (!p->inquirer)
		try_later(p);
}

/* Begins the step, or the next that there is something to do for. */
static void database_step(struct phases *p, enum database_step step)
{
	struct hub *h = p->hub;
	const struct gate_settings *settings = h->settings;
	p->step = step;
	switch (step) {
	case DATABASE_LIMITS:
		inquire(p, WATCH_SQL, on_answered);
		return;
	case DATABASE_SCHEMA:
		if (*settings->schema_check) {
			inquire(p, settings->schema_check, on_answered);
			return;
		}
		__attribute__((fallthrough));
	case DATABASE_MIGRATE:
		if (*settings->migrate) {
			p->step = DATABASE_MIGRATE;
			p->check = check_command(h->loop, settings->migrate,
				settings->command_environment,
				engine_deadline_span(&h->engine, DEADLINE_TABLE_SETUP), on_checked,
				p);
			return;
		}
		__attribute__((fallthrough));
	case DATABASE_DONE:
		phase_done(p, true);
	}
}

/* ---- the service, and the end-to-end query ---- */

static void check_ready(struct phases *p)
{
	const struct gate_settings *settings = p->hub->settings;
	if (!p->command_running) {
		p->start_command(p->context);
		return; /* phases_command goes on */
	}
	if (strcmp(settings->ready, READY_BY_NOTIFY) == 0)
		return; /* phases_command_ready goes on */
	if (*settings->ready)
		check_target(p, settings->ready);
	else
		phase_done(p, true);
}

static void append_encoded(char *text, size_t size, const char *part)
{
	size_t len = strlen(text);
	for (; *part && len + 4 < size; part++) {
		bool plain = isalnum((unsigned char)*part) || *part == '_' || *part == '-';
		len += (size_t)snprintf(
			text + len, size - len, plain ? "%c" : "%%%02X", (unsigned char)*part);
	}
}

/* "host:port", for a URL, of what this process listens on itself. */
static void show_own(const char *listen_host, int port, char text[LISTEN_HOST_MAX + 16])
{
	char host[LISTEN_HOST_MAX];
	listen_reached(listen_host, host);
	snprintf(text, LISTEN_HOST_MAX + 16, strchr(host, ':') ? "[%s]:%d" : "%s:%d", host, port);
}

static void on_own_answer(
	void *context, const struct bytes *columns, int count, const struct error *error)
{
	struct phases *p = context;
	p->inquirer = NULL;
	if (error) {
		p->errors[PHASE_FINALIZE] = *error;
		try_later(p);
		return;
	}
	phase_done(p, true);
}

/* As any client would: over TCP, with libpq. */
static void check_end_to_end(struct phases *p)
{
	const struct gate_settings *settings = p->hub->settings;
	char own[LISTEN_HOST_MAX + 16], tail[LISTEN_HOST_MAX + 192];
	show_own(settings->listen_host, p->gate_port, own);
	snprintf(p->text, sizeof(p->text), "postgresql://");
	append_encoded(p->text, sizeof(p->text), settings->user);
	snprintf(tail, sizeof(tail), ":%s@%s/", p->hub->auth.check_password, own);
	strncat(p->text, tail, sizeof(p->text) - strlen(p->text) - 1);
	append_encoded(p->text, sizeof(p->text), settings->database);
	strncat(p->text,
		"?sslmode=disable&application_name=", sizeof(p->text) - strlen(p->text) - 1);
	append_encoded(p->text, sizeof(p->text), AUTH_CHECK_NAME);
	check_target(p, p->text);
}

static void try_now(struct phases *p)
{
	const struct gate_settings *settings = p->hub->settings;
	char own[LISTEN_HOST_MAX + 16];
	switch (p->current) {
	case PHASE_INIT:
		show_own(settings->admin_host, p->admin_port, own);
		snprintf(p->text, sizeof(p->text), "http://%s/live", own);
		check_target(p, p->text);
		break;
	case PHASE_DEPENDENCIES:
		check_required(p);
		break;
	case PHASE_DATABASE:
		database_step(p, (enum database_step)p->step);
		break;
	case PHASE_CACHE:
		check_target(p, settings->cache);
		break;
	case PHASE_SERVICES:
		check_ready(p);
		break;
	case PHASE_WEBSOCKET:
		check_target(p, settings->websocket);
		break;
	case PHASE_FINALIZE:
		/* On the port it would meet the gate before this one, and wait for that one's servers. */
		if (p->succeeds)
			inquire(p, "select 1", on_own_answer);
		else
			check_end_to_end(p);
		break;
	case PHASE_COUNT:
		break;
	}
}

/* ---- the public face ---- */

void phases_begin(struct phases *p, enum phase phase)
{
	p->current = phase;
	p->target = 0;
	p->step = DATABASE_LIMITS;
	try_now(p);
}

void phases_cancel(struct phases *p, enum phase phase)
{
	struct error *error = &p->errors[phase];
	const struct phase_record *record = &p->hub->engine.startup.phases[phase];
	double timeout_s = s_from_ns(record->timeout_ns);
	step_aside(p, false);
	if (phase == PHASE_DATABASE && !error_is_set(error) &&
		error_is_set(&p->hub->database_error))
		*error = p->hub->database_error;
	if (record->timed_out && error_is_set(error))
		error_wrap(error, "not done within %.1f s; last", timeout_s);
	else if (record->timed_out)
		error_set(error, phase_name(phase), 0, "not done within %.1f s", timeout_s);
	p->current = PHASE_COUNT;
	stop_work(p);
}

void phases_command_ready(struct phases *p)
{
	if (p->current == PHASE_SERVICES && strcmp(p->hub->settings->ready, READY_BY_NOTIFY) == 0)
		phase_done(p, true);
}

void phases_command(struct phases *p, bool running, int code)
{
	p->command_running = running;
	if (running && p->current == PHASE_SERVICES && !p->check)
		check_ready(p);
	if (!running && p->current == PHASE_SERVICES)
		error_set(&p->errors[PHASE_SERVICES], "command", code,
			"the command ended with code %d before it was ready", code);
}

void phases_init(
	struct phases *p, struct hub *hub, void (*start_command)(void *context), void *context)
{
	*p = (struct phases){.hub = hub, .current = PHASE_COUNT};
	p->start_command = start_command;
	p->context = context;
	uv_timer_init(hub->loop, &p->timer);
	p->timer.data = p;
}

void phases_close(struct phases *p)
{
	stop_work(p);
	uv_close((uv_handle_t *)&p->timer, NULL);
}
