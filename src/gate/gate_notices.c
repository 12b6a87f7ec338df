/* What the engine has to tell. */
#include <stdlib.h>

#include "gate/context.h"
#include "gate/gate_inside.h"
#include "gate/watch.h"
#include "io/footprint.h"

static void keep_context(struct gate *g, enum phase phase)
{
	struct gate_view view = gate_view(g);
	const struct error *error = &g->phases.errors[phase];
	bool critical = g->hub.engine.startup.settings.critical[phase];
	int code = critical ? ENGINE_EXIT_STARTUP_FAILED : -1;
	char hint[CONTEXT_HINT_SIZE];
	struct error trouble;
	free(g->context);
	g->context = context_text(&view, phase, code);
	context_hint(g->context, hint);
	log_error(g->log, critical ? "startup failed" : "a phase failed, going on without it",
		field_text("phase", phase_name(phase)), field_error(error),
		field_text("hint", hint), field_json("context", g->context));
	if (*g->settings->error_file &&
		context_write_file(g->settings->error_file, g->context, &trouble) != 0)
		log_warning(g->log, "the error file could not be written", field_error(&trouble));
	if (*g->settings->termination_log &&
		context_write_termination_log(g->settings->termination_log, g->context, &trouble) !=
			0)
		log_warning(
			g->log, "the termination log could not be written", field_error(&trouble));
}

static void phase_changed(struct gate *g, const struct engine_action *a)
{
	const struct phase_record *record = &g->hub.engine.startup.phases[a->phase];
	const char *name = phase_name(a->phase);
	switch ((enum phase_status)a->to) {
	case PHASE_IN_PROGRESS:
		log_info(g->log, "phase begins", field_text("phase", name));
		break;
	case PHASE_COMPLETED:
		log_info(g->log, "phase completed", field_text("phase", name),
			field_s("duration_s", record->ended_at - record->began_at));
		break;
	case PHASE_SKIPPED:
		log_debug(g->log, "phase skipped", field_text("phase", name));
		break;
	case PHASE_FAILED:
		keep_context(g, a->phase);
		break;
	case PHASE_PENDING:
	case PHASE_STATUS_COUNT:
		break;
	}
}

static void started(struct gate *g)
{
	const struct startup *startup = &g->hub.engine.startup;
	log_info(g->log, "started", field_s("elapsed_s", startup->ended_at - startup->began_at),
		field_text("availability", availability_name(g->hub.engine.availability)));
	if (g->door && g->hub.engine.command_up)
		door_open(g->door);
	gate_succession_ready(g);
	gate_manager_ready(g);
	footprint_trim();
}

static void dbms_changed(struct gate *g, const struct engine_action *a)
{
	enum dbms_state to = (enum dbms_state)a->to;
	bool worse = to != DBMS_UP && to != DBMS_RECOVERY;
	log_write(g->log, worse ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, "database server",
		field_text("from", dbms_state_name((enum dbms_state)a->from)),
		field_text("to", dbms_state_name(to)), LOG_END);
	/* It may be another one now, or have been changed. */
	if (!worse && a->from != DBMS_UNKNOWN && g->hub.watch)
		watch_soon(g->hub.watch);
}

static void scaling_changed(struct gate *g, bool begins)
{
	const struct path *p = &g->hub.engine.path;
	const struct scaling_event *e = scaling_event_at(&p->scaling, 0);
	if (begins) {
		log_warning(g->log, "the path begins to scale",
			field_int("connections", e->before.connections),
			field_s("connect_before_s", e->before.connect_ns),
			field_s("connect_s", e->during.connect_ns),
			field_int("syn_lost", p->syn_lost));
		return;
	}
	log_info(g->log, "the path has scaled", field_s("lasted_s", e->ended_at - e->began_at),
		field_int("connections_before", e->before.connections),
		field_int("connections_after", e->after.connections),
		field_s("connect_before_s", e->before.connect_ns),
		field_s("connect_most_s", e->during.connect_ns),
		field_s("connect_after_s", e->after.connect_ns));
}

static void breaker_changed(struct gate *g, const struct engine_action *a)
{
	const struct breaker *b = &g->hub.engine.breaker;
	/* With mode metrics nothing happens; and a probe that fails like all before it is no news. */
	bool metrics = b->mode == BREAKER_METRICS;
	bool news = a->from == BREAKER_CLOSED && !metrics;
	log_write(g->log, news ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO,
		metrics ? "circuit breaker, metrics only" : "circuit breaker",
		field_text("from", breaker_state_name((enum breaker_state)a->from)),
		field_text("to", breaker_state_name((enum breaker_state)a->to)),
		field_text("cause", breaker_cause_name(a->cause)), LOG_END);
}

void gate_noticed(struct gate *g, const struct engine_action *a)
{
	switch (a->notice) {
	case NOTICE_PHASE:
		phase_changed(g, a);
		break;
	case NOTICE_BREAKER:
		breaker_changed(g, a);
		break;
	case NOTICE_PATH:
		log_info(g->log, "path", field_text("from", path_state_name(a->from)),
			field_text("to", path_state_name(a->to)),
			field_real("utilisation", path_utilisation(&g->hub.engine.path)));
		break;
	case NOTICE_DBMS:
		dbms_changed(g, a);
		break;
	case NOTICE_SCALING:
		scaling_changed(g, a->to);
		break;
	case NOTICE_AVAILABILITY:
		log_info(g->log, "availability", field_text("from", availability_name(a->from)),
			field_text("to", availability_name(a->to)));
		break;
	case NOTICE_STARTED:
		started(g);
		break;
	}
}
