#include "gate/context.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/json.h"
#include "gate/describe.h"
#include "gate/hint.h"

/* What is left at last, even if every character of its texts must be escaped. */
#define TRIM_MIN 2048

/* ---- the cause ---- */

struct cause {
	const struct error *error; /* or NULL */
	const struct engine_attempt *attempt; /* the telling one, or NULL */
	const char *stage; /* or NULL */
	const char *sqlstate; /* "" when there is none */
	struct hint_question question;
};

static const struct error *phase_error(const struct gate_view *view, enum phase phase)
{
	const struct error *e = view->phase_errors ? &view->phase_errors[phase] : NULL;
	return e && error_is_set(e) ? e : NULL;
}

/* The newest trouble came after the login: a server let us in, and was lost. */
static bool find_lost(const struct gate_view *view, struct cause *cause)
{
	const struct error *e = view->database_error;
	if (!e || !error_is_set(e) || strcmp(e->stage, stage_name(STAGE_READY)) != 0)
		return false;
	cause->question.attempted = true;
	cause->question.stage = STAGE_READY;
	cause->question.outcome = e->sqlstate[0] ? outcome_from_sqlstate(e->sqlstate)
						 : OUTCOME_RESET;
	cause->stage = e->stage;
	if (!cause->error)
		cause->error = e;
	return true;
}

/* The attempt that tells most: the last that failed, else the one that still hangs. */
static void find_attempt(const struct gate_view *view, struct cause *cause)
{
	const struct engine_attempt *a = view_last_failure(view);
	cause->question.attempted = view->engine->attempt_serial > 0;
	if (a) {
		cause->question.outcome = a->path.outcome;
	} else {
		a = view_oldest_under_way(view);
		cause->question.outcome = a ? OUTCOME_TIMEOUT : OUTCOME_OK;
	}
	cause->attempt = a;
	if (!a)
		return;
	cause->question.stage = a->path.stage;
	cause->stage = stage_name(a->path.stage);
	const struct error *said = a->under_way ? NULL : view_attempt_error(view, a->serial);
	if (said)
		cause->error = said;
}

static struct cause find_cause(const struct gate_view *view, enum phase phase)
{
	const struct engine *e = view->engine;
	struct cause cause = {
		.error = phase_error(view, phase),
		.sqlstate = "",
		.question =
			{
				.phase = phase,
				.timed_out = e->startup.phases[phase].timed_out,
				.table_setup = phase == PHASE_DATABASE && e->in_table_setup,
				.command_ended = view->command == COMMAND_ENDED,
				.command_code = view->command_code,
			},
	};
	if (cause.error)
		cause.stage = cause.error->stage;
	/* A check's own patience may end a moment before its phase's. */
	if (cause.error && cause.error->code == ETIMEDOUT)
		cause.question.timed_out = true;
	/* Once the database has answered, or in other phases, connects are not the cause unless
	 * nothing else is known. */
	bool connects = phase == PHASE_DATABASE && !cause.question.table_setup;
	if (connects || (phase == PHASE_FINALIZE && !cause.error)) {
		if (!find_lost(view, &cause))
			find_attempt(view, &cause);
	}
	if (cause.error)
		cause.sqlstate = cause.error->sqlstate;
	cause.question.sqlstate = cause.sqlstate;
	return cause;
}

static json_t *message(const struct gate_view *view, enum phase phase, const struct cause *cause,
	int64_t elapsed_ns)
{
	char text[ERROR_TEXT_MAX + 192], why[ERROR_TEXT_MAX + 96] = "";
	const struct engine_attempt *a = cause->attempt;
	if (cause->error)
		snprintf(why, sizeof(why), ": %s", cause->error->text);
	else if (a && a->under_way)
		snprintf(why, sizeof(why), ": no answer at stage %s for %.1f s",
			stage_name(a->path.stage), s_from_ns(view->now - a->began_at));
	else if (a)
		snprintf(why, sizeof(why), ": %s at stage %s", outcome_name(a->path.outcome),
			stage_name(a->path.stage));
	snprintf(text, sizeof(text), "startup phase %s %s after %.1f s%s", phase_name(phase),
		cause->question.timed_out ? "timed out" : "failed", s_from_ns(elapsed_ns), why);
	return describe_text(view, text);
}

/* ---- its parts ---- */

static json_t *timeout(const struct gate_view *view, enum phase phase)
{
	const struct engine *e = view->engine;
	int64_t used_ns = e->startup.phases[phase].timeout_ns;
	if (phase == PHASE_DATABASE)
		return describe_timeout(view,
			e->in_table_setup ? DEADLINE_TABLE_SETUP : DEADLINE_INITIALIZATION,
			used_ns);
	json_t *o = json_object();
	json_put(o, "kind", json_string(phase_name(phase)));
	json_put(o, "used_s", json_real(s_from_ns(used_ns)));
	json_put(o, "rule", json_string("base"));
	json_put(o, "base_s", json_real(s_from_ns(e->startup.settings.timeout_ns[phase])));
	return o;
}

/* Without a ledger an instance lives within its static share. */
static json_t *lease(const struct gate_view *view)
{
	json_t *o = json_object();
	json_put(o, "source", json_string("static"));
	json_put(o, "share", json_integer(view->engine->budget.share));
	json_put(o, "in_use", json_integer(pool_servers(&view->engine->pool)));
	return o;
}

static int64_t elapsed_ns(const struct gate_view *view, enum phase phase)
{
	const struct phase_record *r = &view->engine->startup.phases[phase];
	if (r->began_at < 0)
		return 0;
	return (r->ended_at < 0 ? view->now : r->ended_at) - r->began_at;
}

static char *dump(json_t *json)
{
	char *text = describe_dump(json);
	text[strcspn(text, "\n")] = 0;
	return text;
}

char *context_text(const struct gate_view *view, enum phase phase, int exit_code)
{
	struct cause cause = find_cause(view, phase);
	json_t *o = json_object();
	json_put(o, "message", message(view, phase, &cause, elapsed_ns(view, phase)));
	json_put(o, "hint", json_string(hint_for(&cause.question)));
	json_put(o, "time", describe_time(view, view->now));
	json_put(o, "phase", json_string(phase_name(phase)));
	json_put(o, "stage", describe_text(view, cause.stage));
	json_put(o, "exit_code", exit_code < 0 ? json_null() : json_integer(exit_code));
	json_put(o, "elapsed_s", json_real(s_from_ns(elapsed_ns(view, phase))));
	json_put(o, "timeout", timeout(view, phase));
	json_put(o, "sqlstate", describe_text(view, cause.sqlstate[0] ? cause.sqlstate : NULL));
	json_put(o, "error", describe_error(view, cause.error));
	json_put(o, "attempts", describe_attempts(view, ENGINE_ATTEMPTS_MAX));
	json_put(o, "path", describe_path(view));
	json_put(o, "breaker", describe_breaker(view));
	json_put(o, "budget", describe_budget(view));
	json_put(o, "lease", lease(view));
	json_put(o, "database", describe_text(view, view->settings->host));
	json_put(o, "command", describe_command(view));
	json_put(o, "phases", describe_phases(view));
	json_put(o, "instance", describe_text(view, view->settings->instance));
	json_put(o, "environment", describe_text(view, view->settings->environment));
	json_put(o, "version", describe_text(view, view->version));
	char *text = dump(o);
	if (strlen(text) <= CONTEXT_MAX)
		return text;
	char *shorter = context_trim(text, CONTEXT_MAX);
	free(text);
	return shorter;
}

void context_hint(const char *text, char out[CONTEXT_HINT_SIZE])
{
	json_t *context = json_loads(text, 0, NULL);
	const char *hint = json_string_value(json_object_get(context, "hint"));
	secrets_clean(NULL, hint ? hint : "", out, CONTEXT_HINT_SIZE);
	json_decref(context);
}

/* ---- trimming ---- */

/* Leaves the newest `keep` attempts, and with each at most what `bare` leaves. */
static void trim_attempts(json_t *context, size_t keep, bool bare)
{
	json_t *recent = json_object_get(json_object_get(context, "attempts"), "recent");
	while (json_array_size(recent) > keep)
		json_array_remove(recent, 0);
	size_t i;
	json_t *attempt;
	json_array_foreach(recent, i, attempt)
	{
		json_object_del(attempt, "error");
		if (bare)
			json_object_del(attempt, "stages_s");
	}
}

static void trim_text(json_t *object, const char *key, size_t max)
{
	const char *text = json_string_value(json_object_get(object, key));
	if (!text || strlen(text) <= max)
		return;
	char *shorter = malloc(max + 1);
	if (!shorter)
		abort();
	secrets_clean(NULL, text, shorter, max + 1);
	json_put(object, key, json_string(shorter));
	free(shorter);
}

static void trim_step(json_t *context, int step)
{
	switch (step) {
	case 0:
		trim_attempts(context, 8, false);
		break;
	case 1:
		json_object_del(context, "phases");
		break;
	case 2:
		trim_attempts(context, 4, false);
		json_object_del(json_object_get(context, "path"), "connect_s");
		break;
	case 3:
		trim_attempts(context, 2, true);
		json_object_del(context, "command");
		break;
	case 4:
		json_object_del(context, "attempts");
		json_object_del(json_object_get(context, "timeout"), "rule");
		break;
	case 5:
		json_object_del(context, "budget");
		json_object_del(context, "path");
		json_object_del(context, "breaker");
		break;
	case 6:
		json_object_del(context, "error");
		json_object_del(context, "timeout");
		json_object_del(context, "lease");
		break;
	default:
		trim_text(context, "hint", 120);
		trim_text(context, "message", 120);
		json_object_del(context, "instance");
		json_object_del(context, "database");
		json_object_del(context, "environment");
		json_object_del(context, "version");
		break;
	}
}

#define TRIM_STEPS 8

char *context_trim(const char *text, size_t max)
{
	assert(max >= TRIM_MIN);
	char *shorter = strdup(text);
	json_t *context = json_loads(text, 0, NULL);
	assert(shorter && context);
	for (int step = 0; step < TRIM_STEPS && strlen(shorter) > max; step++) {
		trim_step(context, step);
		free(shorter);
		shorter = dump(json_incref(context));
	}
	json_decref(context);
	assert(strlen(shorter) <= max);
	return shorter;
}

/* ---- files ---- */

static int fail(struct error *error, const char *what, const char *path)
{
	int code = errno;
	error_set(error, "error_file", code, "cannot %s: %s", what, strerror(code));
	error_origin(error, path);
	return -1;
}

static int write_all(int fd, const char *text)
{
	size_t len = strlen(text);
	while (len > 0) {
		ssize_t n = write(fd, text, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

static int write_file(const char *path, const char *text, int flags, struct error *error)
{
	/* Something else than a file (a pipe that nobody reads) must not hold us up. */
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK | flags, 0644);
	if (fd < 0)
		return fail(error, "open for writing", path);
	int rc = write_all(fd, text);
	if (rc == 0)
		rc = write_all(fd, "\n");
	if (rc != 0)
		fail(error, "write", path);
	if (close(fd) != 0 && rc == 0)
		rc = fail(error, "write", path);
	return rc;
}

int context_write_file(const char *path, const char *text, struct error *error)
{
	char temporary[4096];
	int len = snprintf(temporary, sizeof(temporary), "%s.%ld", path, (long)getpid());
	if (len < 0 || (size_t)len >= sizeof(temporary)) {
		errno = ENAMETOOLONG;
		return fail(error, "open for writing", path);
	}
	if (write_file(temporary, text, O_TRUNC | O_NOFOLLOW, error) != 0) {
		error_origin(error, path);
		unlink(temporary);
		return -1;
	}
	if (rename(temporary, path) == 0)
		return 0;
	fail(error, "rename to", path);
	unlink(temporary);
	return -1;
}

int context_write_termination_log(const char *path, const char *text, struct error *error)
{
	char *shorter = context_trim(text, CONTEXT_TERMINATION_MAX - 1); /* and its newline */
	int rc = write_file(path, shorter, O_TRUNC, error);
	free(shorter);
	return rc;
}
