#include "lab/storm.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/random.h"
#include "lab/fetch.h"
#include "lab/launch.h"
#include "lab/ports.h"
#include "lab/process.h"

#define TICK_MS          20
#define PROBE_TIMEOUT_MS 5000 /* one probe's */

enum instance_state {
	INSTANCE_WAITING, /* for its (re)start */
	INSTANCE_STARTING, /* it runs, and is probed */
	INSTANCE_READY, /* it runs, and a probe was answered 200 */
};

struct instance {
	struct storm *storm;
	int index;
	enum instance_state state;
	pid_t pid; /* 0: it does not run */
	uint16_t port, admin_port, gate_port;
	uint64_t due_ns; /* WAITING: its start */
	uint64_t started_ns; /* the start under way */
	uint64_t probe_ns; /* STARTING: the next probe */
	uint64_t ready_ns; /* the moment it was ready, last; 0: never */
	int failures; /* in a row */
	struct fetch *fetch; /* a probe, or the phases */
	bool has_phases;
};

struct storm {
	struct storm_settings settings;
	struct arena arena;
	uv_timer_t timer;
	uint64_t begun_ns, ended_ns;
	uint64_t all_ready_ns; /* since then all have been up; 0: not now */
	bool stopping;
	struct instance *instances;
	int count;
	int starts, succeeded, failed, died_after_ready;
	struct result gathered; /* exits, phases, last words: as they come */
	struct random random;
	struct error error;
};

static uint64_t wall_ns(const struct storm *s, int64_t span_ns)
{
	return (uint64_t)((double)span_ns * s->settings.time_scale);
}

/* Output goes on where the last start's ended. */
static void log_path(const struct instance *at, char *path, size_t size)
{
	snprintf(path, size, "%s/%s-%02d.log", at->storm->settings.logs,
		at->storm->settings.arm->name, at->index);
}

static int start_process(struct storm *s, struct instance *at, struct error *error)
{
	struct arena arena = ARENA_INIT;
	char host[16] = "127.0.0.1", path[512];
	struct launch launch = {
		.program = s->settings.program,
		.database_host = host,
		.database_port = s->settings.postgres->port,
		.user = POSTGRES_USER,
		.password = s->settings.postgres->password,
		.database = POSTGRES_DATABASE,
		.port = at->port,
		.admin_port = at->admin_port,
		.gate_port = at->gate_port,
		.time_scale = s->settings.time_scale,
	};

	if (s->settings.connector) {
		connector_address(s->settings.connector, at->index, host);
		launch.database_port = connector_port(s->settings.connector);
	}
	log_path(at, path, sizeof path);
	int output = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	const struct process_spec spec = {
		.argv = launch_command(&arena, s->settings.scenario, s->settings.arm, &launch),
		.environment = launch_environment(
			&arena, s->settings.arm, &launch, (const char *const *)environ),
		.directory = s->settings.scenario->directory,
		.output = output,
		.death_signal = SIGKILL,
	};
	int result = process_start(&spec, &at->pid, error);
	if (output >= 0)
		close(output);
	arena_release(&arena);
	return result;
}

static int start_instance(struct storm *s, struct instance *at, uint64_t now)
{
	const struct scenario *scenario = s->settings.scenario;

	if (s->settings.connector) {
		int64_t spread_ns = scenario->egress_warmup_max_ns - scenario->egress_warmup_min_ns;
		connector_cold(s->settings.connector, at->index,
			scenario->egress_warmup_min_ns + random_span(&s->random, spread_ns));
	}
	if (start_process(s, at, &s->error) < 0) {
		at->pid = 0;
		return -1;
	}
	at->state = INSTANCE_STARTING;
	at->started_ns = at->probe_ns = now;
	s->starts++;
	return 0;
}

static void phases_came(void *context, int status, const char *body)
{
	struct instance *at = context;
	json_t *root = json_loads(body, 0, NULL), *phase;
	size_t i;

	at->fetch = NULL;
	at->has_phases = true;
	/* Whatever is missing is passed over: this is a report's extra, not a measurement that
	 * anything depends on. */
	json_array_foreach(json_object_get(root, "phases"), i, phase)
	{
		const char *name = json_string_value(json_object_get(phase, "phase"));
		const json_t *duration = json_object_get(phase, "duration_s");
		const char *state = json_string_value(json_object_get(phase, "status"));
		if (status == 200 && name && json_is_number(duration) && state &&
			strcmp(state, "completed") == 0)
			result_phase(&at->storm->gathered, name, json_number_value(duration));
	}
	json_decref(root);
}

static bool all_ready(const struct storm *s)
{
	for (int i = 0; i < s->count; i++)
		if (s->instances[i].state != INSTANCE_READY)
			return false;
	return true;
}

static void probed(void *context, int status, const char *body)
{
	struct instance *at = context;
	struct storm *s = at->storm;
	uint64_t now = uv_hrtime();

	(void)body;
	at->fetch = NULL;
	if (at->state != INSTANCE_STARTING || status != 200)
		return;
	at->state = INSTANCE_READY;
	at->failures = 0;
	s->succeeded++;
	at->ready_ns = now;
	if (all_ready(s))
		s->all_ready_ns = now;
	if (s->settings.arm->standpipe && !at->has_phases)
		at->fetch = fetch_start(s->settings.loop, at->admin_port, "/startup",
			PROBE_TIMEOUT_MS, phases_came, at);
}

/* The last line that says something, of the log of a start that failed. */
static void keep_last_words(struct storm *s, const struct instance *at)
{
	char path[512], line[1024];

	log_path(at, path, sizeof path);
	FILE *log = fopen(path, "re");
	if (!log)
		return;
	if (fseek(log, -(long)sizeof line, SEEK_END) < 0)
		rewind(log);
	while (fgets(line, sizeof line, log)) {
		line[strcspn(line, "\r\n")] = '\0';
		if (line[0] != '\0')
			snprintf(s->gathered.last_words, sizeof s->gathered.last_words, "%.*s",
				RESULT_TEXT_MAX - 1, line);
	}
	fclose(log);
}

bool storm_exited(struct storm *s, pid_t pid, int wait_status)
{
	struct instance *at = NULL;

	for (int i = 0; i < s->count && !at; i++)
		if (s->instances[i].pid == pid)
			at = &s->instances[i];
	if (!at)
		return false;
	/* What it started must not live on beside its next start. */
	kill(-pid, SIGKILL);
	at->pid = 0;
	if (at->fetch)
		fetch_cancel(at->fetch);
	at->fetch = NULL;
	s->all_ready_ns = 0;
	if (s->stopping) {
		at->state = INSTANCE_WAITING;
		return true;
	}
	if (at->state == INSTANCE_READY)
		s->died_after_ready++;
	else
		s->failed++;
	at->failures++;
	result_exit(&s->gathered, process_exit_code(wait_status));
	keep_last_words(s, at);
	at->state = INSTANCE_WAITING;
	at->due_ns = uv_hrtime() +
		     wall_ns(s, platform_restart_ns(&s->settings.scenario->platform, at->failures));
	return true;
}

static void probe(struct storm *s, struct instance *at, uint64_t now)
{
	const struct platform_settings *platform = &s->settings.scenario->platform;

	if (now - at->started_ns > wall_ns(s, platform->probe_timeout_ns)) {
		kill(-at->pid, SIGKILL);
		return;
	}
	if (at->fetch || now < at->probe_ns)
		return;
	at->probe_ns = now + wall_ns(s, platform->probe_interval_ns);
	at->fetch = fetch_start(
		s->settings.loop, at->port, platform->probe_path, PROBE_TIMEOUT_MS, probed, at);
}

static void tick(uv_timer_t *timer)
{
	struct storm *s = timer->data;
	uint64_t now = uv_hrtime();

	if (s->stopping || error_is_set(&s->error))
		return;
	for (int i = 0; i < s->count; i++) {
		struct instance *at = &s->instances[i];
		if (at->state == INSTANCE_STARTING)
			probe(s, at, now);
		else if (at->state == INSTANCE_WAITING && now >= at->due_ns &&
			 start_instance(s, at, now) < 0)
			return;
	}
}

static int pick_ports(struct storm *s, struct error *error)
{
	uint16_t *ports = arena_alloc(&s->arena, sizeof *ports * (size_t)s->count * 3);
	struct random random;

	random_init(&random, uv_hrtime() ^ (uint64_t)getpid());
	if (ports_pick(&random, ports, s->count * 3, error) < 0)
		return -1;
	for (int i = 0; i < s->count; i++) {
		s->instances[i].port = *ports++;
		s->instances[i].admin_port = *ports++;
		s->instances[i].gate_port = *ports++;
	}
	return 0;
}

struct storm *storm_new(const struct storm_settings *settings, struct error *error)
{
	struct storm *s = calloc(1, sizeof *s);

	if (!s)
		abort();
	s->settings = *settings;
	s->count = settings->scenario->instances;
	s->instances = arena_alloc(&s->arena, sizeof *s->instances * (size_t)s->count);
	for (int i = 0; i < s->count; i++) {
		s->instances[i].storm = s;
		s->instances[i].index = i;
	}
	random_init(&s->random, (uint64_t)settings->scenario->seed);
	result_init(&s->gathered, settings->arm);
	error_init(&s->error);
	if (pick_ports(s, error) < 0) {
		arena_release(&s->arena);
		free(s);
		return NULL;
	}
	uv_timer_init(settings->loop, &s->timer);
	s->timer.data = s;
	return s;
}

int storm_start(struct storm *s, struct error *error)
{
	s->begun_ns = uv_hrtime();
	for (int i = 0; i < s->count; i++) {
		if (start_instance(s, &s->instances[i], uv_hrtime()) == 0)
			continue;
		*error = s->error;
		return -1;
	}
	uv_timer_start(&s->timer, tick, TICK_MS, TICK_MS);
	return 0;
}

bool storm_is_over(const struct storm *s)
{
	const struct scenario *scenario = s->settings.scenario;
	int64_t duration_ns = s->settings.arm->duration_ns > 0 ? s->settings.arm->duration_ns
							       : scenario->duration_ns;
	uint64_t now = uv_hrtime();

	if (now - s->begun_ns >= wall_ns(s, duration_ns))
		return true;
	return s->all_ready_ns && now - s->all_ready_ns >= wall_ns(s, scenario->settle_ns);
}

const struct error *storm_error(const struct storm *s)
{
	return error_is_set(&s->error) ? &s->error : NULL;
}

struct storm_progress storm_progress(struct storm *s)
{
	struct storm_progress p = {
		.elapsed_s = (double)(uv_hrtime() - s->begun_ns) / 1e9,
		.starts = s->starts,
		.failed = s->failed + s->died_after_ready,
		.connections = sampler_now(s->settings.sampler),
		.refused = postgres_refused(s->settings.postgres),
	};

	for (int i = 0; i < s->count; i++) {
		p.ready += s->instances[i].state == INSTANCE_READY;
		p.starting += s->instances[i].state == INSTANCE_STARTING;
		p.waiting += s->instances[i].state == INSTANCE_WAITING;
	}
	if (s->settings.connector) {
		struct connector_stats stats = connector_stats(s->settings.connector);
		p.flows = stats.flows;
		p.connector_instances = stats.instances;
	}
	return p;
}

/* A connection more or fewer is in DB_POOL_WARM, else in DB_POOL_SIZE. */
static int warm(const struct scenario_arm *arm)
{
	const char *text = scenario_arm_get(arm, "DB_POOL_WARM");

	if (!text)
		text = scenario_arm_get(arm, "DB_POOL_SIZE");
	return text ? atoi(text) : -1;
}

void storm_measure(struct storm *s, struct result *result)
{
	const struct scenario *scenario = s->settings.scenario;
	struct storm_progress now = storm_progress(s);
	double *ready_s = arena_alloc(&s->arena, sizeof *ready_s * (size_t)s->count);
	int count = 0;

	*result = s->gathered;
	s->gathered.phase_count = 0; /* the caller's now */
	for (int i = 0; i < s->count; i++)
		if (s->instances[i].ready_ns)
			ready_s[count++] = (double)(s->instances[i].ready_ns - s->begun_ns) / 1e9;
	result->ran = true;
	result->elapsed_s = now.elapsed_s;
	result->values[METRIC_STARTS] = s->starts;
	result->values[METRIC_SUCCEEDED] = s->succeeded;
	result->values[METRIC_UNFINISHED] = now.starting;
	result->values[METRIC_SUCCESS_RATE] = s->starts > 0 ? (double)s->succeeded / s->starts : 0;
	result->values[METRIC_READY] = now.ready;
	result->values[METRIC_INSTANCES] = s->count;
	result->values[METRIC_REFUSED_53300] = (double)now.refused;
	result->values[METRIC_PEAK_CONNECTIONS] = sampler_peak(s->settings.sampler);
	result->values[METRIC_BUDGET] = scenario_budget(scenario, s->settings.arm);
	result_times(result, ready_s, count, s->count);
	/* All came up once, but not all were up at the end: that is no makespan. */
	if (now.ready < s->count)
		result->values[METRIC_MAKESPAN_S] = NAN;
	result->samples = sampler_count(s->settings.sampler);
	result->values[METRIC_DIED] = s->died_after_ready;
	result->warm = warm(s->settings.arm);
	result->max_connections = s->settings.max_connections;
	instant earliest = scenario_earliest(scenario, s->settings.arm);
	if (earliest != INSTANT_NEVER)
		result->earliest_s = s_from_ns(earliest) * s->settings.time_scale;
	if (s->settings.connector) {
		struct connector_stats stats = connector_stats(s->settings.connector);
		result->connector = (struct result_connector){
			.flows_peak = stats.flows_peak,
			.instances = stats.instances,
			.completed = stats.completed,
			.dropped = stats.dropped,
			.bytes = stats.bytes,
		};
		result->values[METRIC_CONNECT_ATTEMPTS] = (double)(result->connector.completed +
								   result->connector.dropped);
	}
}

void storm_stop(struct storm *s, bool kill_them)
{
	s->stopping = true;
	for (int i = 0; i < s->count; i++) {
		struct instance *at = &s->instances[i];
		if (at->fetch)
			fetch_cancel(at->fetch);
		at->fetch = NULL;
		if (at->pid == 0)
			continue;
		if (kill_them)
			kill(-at->pid, SIGKILL);
		else
			kill(at->pid, SIGTERM);
	}
}

bool storm_is_empty(const struct storm *s)
{
	for (int i = 0; i < s->count; i++)
		if (s->instances[i].pid != 0)
			return false;
	return true;
}

static void timer_closed(uv_handle_t *handle)
{
	struct storm *s = handle->data;

	result_release(&s->gathered);
	arena_release(&s->arena);
	free(s);
}

void storm_free(struct storm *s)
{
	if (s)
		uv_close((uv_handle_t *)&s->timer, timer_closed);
}
