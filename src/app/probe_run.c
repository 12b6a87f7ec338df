#include "app/probe_run.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "gate/token.h"
#include "gate/watch.h"
#include "io/command.h"
#include "io/upstream_query.h"

#define FAILURES_IN_A_ROW 3 /* are enough */
#define INTERRUPTED_NS    NS_PER_S /* a connect that had no answer for so long tells something */
#define DRAIN_MS          200 /* for what is under way on libuv's pool at the end */
#define THREADS_MIN       4 /* libuv's own number */
#define THREADS_MAX       64

struct run;

/* One attempt, from its start until its connection is closed. */
struct trial {
	struct run *run;
	struct trial *next; /* in the run's list */
	struct upstream_login *login; /* until it has ended */
	struct upstream up; /* up.conn NULL: not connected */
	struct upstream_query *query; /* under way */
	uv_timer_t timer;
	instant began_at, stage_at, query_at;
	bool ended; /* told; if it is connected, it is held */
	struct probe_attempt a;
};

struct run {
	const struct probe_plan *plan;
	struct probe_record *record;
	uv_loop_t loop;
	uv_timer_t pause, drain;
	uv_signal_t signals[2];
	struct command *command;
	char *password; /* owned, wiped; NULL: the conninfo's */
	struct trial *trials;
	int under_way; /* of them, those that have not ended */
	enum probe_part part;
	int series; /* of that part, made so far */
	int parallel; /* of the present step */
	int failures; /* in a row */
	bool hopeless; /* trying again can't help */
	bool step_failed;
	unsigned turn; /* of the places, the one to begin with */
	bool over;
};

static void go_on(struct run *r);
static void ask(struct trial *t);

static instant now(void)
{
	return (instant)uv_hrtime();
}

/* ---- the end of an attempt ---- */

static void on_timer_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void trial_close(struct trial *t)
{
	struct trial **at = &t->run->trials;
	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	if (t->login)
		upstream_abandon(t->login);
	if (t->query)
		upstream_query_abandon(t->query);
	upstream_release(&t->up);
	uv_close((uv_handle_t *)&t->timer, on_timer_closed);
}

static void record(struct run *r, const struct probe_attempt *a)
{
	bool ok = a->outcome == OUTCOME_OK;
	const struct probe_attempt *added = probe_record_add(r->record, a);
	r->failures = ok ? 0 : r->failures + 1;
	r->hopeless = r->hopeless || outcome_is_permanent(a->outcome);
	r->step_failed = r->step_failed || !ok;
	if (r->plan->ended)
		r->plan->ended(r->plan->context, r->record, added);
}

static void trial_ended(struct trial *t)
{
	struct run *r = t->run;
	uv_timer_stop(&t->timer);
	t->ended = true;
	r->under_way--;
	record(r, &t->a);
	if (t->a.outcome != OUTCOME_OK || t->a.part != PROBE_RAMP)
		trial_close(t);
	go_on(r);
}

static void sample(struct trial *t, int fd)
{
	struct tcp_sample tcp;
	if (fd >= 0 && tcp_info_read(fd, &tcp) == 0)
		t->a.tcp = tcp;
}

/* The stage that it is in ends, for better or worse. */
static void leave_stage(struct trial *t, int fd)
{
	instant at = now();
	t->a.stage_ns[t->a.stage] += at - t->stage_at;
	t->stage_at = at;
	sample(t, fd);
	if (t->a.stage == STAGE_TCP)
		t->a.syns_again = t->a.tcp.retransmits;
}

static void fail_silent(struct trial *t, const char *why)
{
	t->a.outcome = OUTCOME_TIMEOUT;
	error_set(&t->a.error, stage_name(t->a.stage), 0, "%s after %.1f s", why,
		s_from_ns(now() - t->began_at));
	error_origin(&t->a.error, t->run->plan->host);
	if (t->login) {
		leave_stage(t, upstream_fd(t->login));
		t->run->turn = upstream_abandon(t->login);
		t->login = NULL;
	} else {
		sample(t, t->up.fd);
	}
	trial_ended(t);
}

static void on_timeout(uv_timer_t *timer)
{
	fail_silent(timer->data, "no answer");
}

/* ---- queries ---- */

static void take_server(struct trial *t, const PGresult *result)
{
	struct probe_server *s = &t->run->record->server;
	const char *version = PQparameterStatus(t->up.conn, "server_version");
	struct bytes columns[WATCH_COLUMNS];
	if (PQntuples(result) != 1 || PQnfields(result) != WATCH_COLUMNS)
		return;
	for (int i = 0; i < WATCH_COLUMNS; i++)
		columns[i] = (struct bytes){(const uint8_t *)PQgetvalue(result, 0, i),
			(size_t)PQgetlength(result, 0, i)};
	s->known = true;
	s->limits = watch_limits(columns, WATCH_COLUMNS);
	snprintf(s->version, sizeof(s->version), "%s", version ? version : "");
}

/* A pooler in between may not know of limits: then they stay unknown. */
static void on_server_told(void *context, const PGresult *result, const struct error *error)
{
	struct trial *t = context;
	t->query = NULL;
	if (!error)
		take_server(t, result);
	trial_ended(t);
}

static void on_answer(void *context, const PGresult *result, const struct error *error)
{
	struct trial *t = context;
	(void)result;
	t->query = NULL;
	if (error) {
		t->a.outcome = outcome_from_sqlstate(error->sqlstate);
		if (!*error->sqlstate)
			t->a.outcome = OUTCOME_RESET;
		t->a.error = *error;
		trial_ended(t);
		return;
	}
	t->a.query_ns[t->a.queries++] = now() - t->query_at;
	sample(t, t->up.fd);
	if (t->a.part == PROBE_FIRST && t->a.queries == PROBE_QUERIES)
		t->query = upstream_query_start(
			&t->run->loop, &t->up, WATCH_SQL, on_server_told, t);
	else if (t->a.part == PROBE_FIRST)
		ask(t);
	else
		trial_ended(t);
}

static void ask(struct trial *t)
{
	t->query_at = now();
	t->query = upstream_query_start(&t->run->loop, &t->up, "select 1", on_answer, t);
}

/* ---- the login ---- */

static void note_place(struct probe_record *record, const struct upstream *up)
{
	const char *address = PQhostaddr(up->conn), *host = PQhost(up->conn);
	bool is_name = address && *address && strcmp(address, host) != 0;
	if (*host == '/')
		snprintf(record->place, sizeof(record->place), "%s/.s.PGSQL.%s", host,
			PQport(up->conn));
	else
		snprintf(record->place, sizeof(record->place), "%s:%s%s%s%s",
			address && *address ? address : host, PQport(up->conn), is_name ? " (" : "",
			is_name ? host : "", is_name ? ")" : "");
	if (up->ssl)
		snprintf(record->tls, sizeof(record->tls), "%s, %s", SSL_get_version(up->ssl),
			SSL_get_cipher_name(up->ssl));
}

static void on_stage(void *context, enum stage stage)
{
	struct trial *t = context;
	leave_stage(t, upstream_fd(t->login));
	if (t->a.stage == STAGE_TLS && !upstream_is_encrypted(t->login)) {
		t->a.stage_ns[STAGE_AUTH] += t->a.stage_ns[STAGE_TLS];
		t->a.stage_ns[STAGE_TLS] = 0;
	}
	t->a.stage = stage;
}

static void on_done(
	void *context, enum outcome outcome, const struct upstream *up, const struct error *error)
{
	struct trial *t = context;
	t->login = NULL;
	t->a.outcome = outcome;
	leave_stage(t, up->fd);
	if (outcome != OUTCOME_OK) {
		t->a.error = *error;
		trial_ended(t);
		return;
	}
	t->up = *up;
	t->a.stage = STAGE_READY;
	t->a.stage_ns[STAGE_READY] = t->stage_at - t->began_at;
	if (t->a.part == PROBE_FIRST)
		note_place(t->run->record, up);
	ask(t);
}

static void trial_begin(struct run *r)
{
	static const struct upstream_events events = {on_stage, on_done};
	struct trial *t = calloc(1, sizeof(*t));
	if (!t)
		abort();
	struct upstream_target target = {
		.conninfo = r->plan->conninfo,
		.password = r->password,
		.origin = r->plan->host,
		.care = r->plan->care,
		.turn = r->turn,
	};
	t->run = r;
	t->next = r->trials;
	r->trials = t;
	r->under_way++;
	t->up.fd = -1;
	t->a.part = r->part;
	t->a.parallel = r->parallel;
	uv_timer_init(&r->loop, &t->timer);
	t->timer.data = t;
	uv_update_time(&r->loop);
	uv_timer_start(&t->timer, on_timeout, (uint64_t)(r->plan->timeout_ns / NS_PER_MS), 0);
	t->began_at = t->stage_at = now();
	t->login = upstream_start(&r->loop, &target, &events, t);
}

/* ---- the course of it ---- */

static void on_drained(uv_timer_t *timer)
{
	uv_stop(timer->loop);
}

static void finish(struct run *r)
{
	r->over = true;
	while (r->trials)
		trial_close(r->trials);
	if (r->command)
		command_abandon(r->command);
	r->command = NULL;
	uv_close((uv_handle_t *)&r->pause, NULL);
	for (int i = 0; i < 2; i++)
		uv_close((uv_handle_t *)&r->signals[i], NULL);
	uv_timer_start(&r->drain, on_drained, DRAIN_MS, 0);
	uv_unref((uv_handle_t *)&r->drain);
}

static void begin_step(struct run *r)
{
	r->step_failed = false;
	for (int i = 0; i < r->parallel && !r->over; i++)
		trial_begin(r);
}

static void on_pause_over(uv_timer_t *timer)
{
	begin_step(timer->data);
}

/* The next step, after a pause that lets the server get rid of those before it. */
static void pause_then_step(struct run *r)
{
	uv_update_time(&r->loop);
	uv_timer_start(&r->pause, on_pause_over, (uint64_t)(r->plan->interval_ns / NS_PER_MS), 0);
}

/* Half of what is free, and the one that was ours is free again. */
static int allowed(const struct run *r)
{
	const struct engine_limits *l = &r->record->server.limits;
	if (!r->record->server.known || l->max_connections < 0)
		return r->plan->parallel;
	int free = l->max_connections - l->superuser_reserved - l->reserved - l->backends + 1;
	int half = free / 2 > 1 ? free / 2 : 1;
	return half < r->plan->parallel ? half : r->plan->parallel;
}

static void begin_ramp(struct run *r)
{
	r->part = PROBE_RAMP;
	r->parallel = 1;
	r->record->parallel_allowed = allowed(r);
	if (r->failures > 0 || r->plan->parallel <= 1)
		finish(r);
	else
		pause_then_step(r);
}

static void widen_ramp(struct run *r)
{
	int most = r->record->parallel_allowed;
	while (r->trials)
		trial_close(r->trials);
	if (r->step_failed || r->parallel >= most) {
		finish(r);
		return;
	}
	r->parallel = 2 * r->parallel < most ? 2 * r->parallel : most;
	pause_then_step(r);
}

/* An attempt has ended. */
static void go_on(struct run *r)
{
	if (r->over || r->under_way > 0)
		return;
	if (r->hopeless || r->failures >= FAILURES_IN_A_ROW) {
		finish(r);
		return;
	}
	switch (r->part) {
	case PROBE_FIRST:
		r->part = PROBE_SERIES;
		break;
	case PROBE_SERIES:
		r->series++;
		break;
	case PROBE_RAMP:
		widen_ramp(r);
		return;
	}
	if (r->series < r->plan->count)
		pause_then_step(r);
	else
		begin_ramp(r);
}

static void on_signal(uv_signal_t *handle, int signal_number)
{
	struct run *r = handle->data;
	(void)signal_number;
	r->record->interrupted = true;
	r->over = true; /* what ends now begins nothing else */
	instant at = now();
	for (struct trial *t = r->trials, *next; t; t = next) {
		next = t->next;
		if (!t->ended && at - t->began_at > INTERRUPTED_NS)
			fail_silent(t, "interrupted, without an answer");
	}
	finish(r);
}

/* ---- the password ---- */

static void fail_password(struct run *r, const struct error *error)
{
	struct probe_attempt a = {.outcome = OUTCOME_TOKEN, .parallel = 1, .error = *error};
	error_wrap(&a.error, "database.password_command");
	record(r, &a);
	finish(r);
}

static void on_password(void *context, const char *line, const struct error *error)
{
	struct run *r = context;
	r->command = NULL;
	if (!line) {
		fail_password(r, error);
		return;
	}
	r->password = strdup(line);
	if (!r->password)
		abort();
	if (r->plan->password)
		r->plan->password(r->plan->context, line);
	begin_step(r);
}

static void begin(struct run *r)
{
	char texts[TOKEN_VARIABLES][TOKEN_VARIABLE_MAX];
	struct error error;
	if (!*r->plan->password_command) {
		begin_step(r);
		return;
	}
	const char **environment = token_environment(r->plan->conninfo, texts);
	r->command = command_start(&r->loop, r->plan->password_command, environment,
		r->plan->timeout_ns, on_password, r, &error);
	free(environment);
	if (!r->command)
		fail_password(r, &error);
}

/* Each step of a login takes a thread for a moment: those at once are not to wait for one. */
static void set_threads(int parallel)
{
	char text[12];
	int count = parallel > THREADS_MAX ? THREADS_MAX : parallel;
	snprintf(text, sizeof(text), "%d", count > THREADS_MIN ? count : THREADS_MIN);
	setenv("UV_THREADPOOL_SIZE", text, 0);
}

bool probe_run(struct probe_record *record, const struct probe_plan *plan)
{
	static const int signal_numbers[] = {SIGINT, SIGTERM};
	/* Not on the stack: a name server that does not answer may outlast this call. */
	struct run *r = calloc(1, sizeof(*r));
	if (!r)
		abort();
	*r = (struct run){.plan = plan, .record = record, .parallel = 1};
	*record = (struct probe_record){
		.parallel_wanted = plan->parallel, .parallel_allowed = plan->parallel};
	set_threads(plan->parallel);
	signal(SIGPIPE, SIG_IGN);
	uv_loop_init(&r->loop);
	uv_timer_init(&r->loop, &r->pause);
	uv_timer_init(&r->loop, &r->drain);
	r->pause.data = r;
	for (int i = 0; i < 2; i++) {
		uv_signal_init(&r->loop, &r->signals[i]);
		r->signals[i].data = r;
		uv_signal_start_oneshot(&r->signals[i], on_signal, signal_numbers[i]);
	}
	begin(r);
	uv_run(&r->loop, UV_RUN_DEFAULT);
	uv_close((uv_handle_t *)&r->drain, NULL);
	uv_run(&r->loop, UV_RUN_NOWAIT);
	if (r->password)
		explicit_bzero(r->password, strlen(r->password));
	free(r->password);
	r->password = NULL;
	bool clean = uv_loop_close(&r->loop) == 0;
	if (clean)
		free(r);
	return clean;
}
