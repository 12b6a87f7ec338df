#include "lab/fleet.h"

#include <assert.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lab/launch.h"
#include "lab/liveness.h"
#include "lab/ports.h"
#include "lab/process.h"

#define PROBE_TIMEOUT_MS 5000 /* one startup probe's */
#define LEAVE_NS         (UINT64_C(10) * 1000000000) /* between SIGTERM and SIGKILL, as platforms do */

static uint64_t wall_ns(const struct fleet *f, int64_t span_ns)
{
	return (uint64_t)((double)span_ns * f->settings.time_scale);
}

static void enter(struct instance *at, enum instance_state state)
{
	at->fleet->in_state[at->state]--;
	at->fleet->in_state[state]++;
	at->state = state;
}

static void drop_fetch(struct instance *at)
{
	if (at->fetch)
		fetch_cancel(at->fetch);
	at->fetch = NULL;
}

/* Output goes on where the last start's ended. */
static void log_path(const struct instance *at, char *path, size_t size)
{
	snprintf(path, size, "%s/%s-%02d.log", at->fleet->settings.logs,
		at->fleet->settings.arm->name, at->index);
}

static int start_process(struct fleet *f, struct instance *at, struct error *error)
{
	struct arena arena = ARENA_INIT;
	char host[16] = "127.0.0.1", path[512];
	struct launch launch = {
		.program = f->settings.program,
		.database_host = host,
		.database_port = f->settings.postgres->port,
		.user = POSTGRES_USER,
		.password = f->settings.postgres->password,
		.database = POSTGRES_DATABASE,
		.port = at->port,
		.admin_port = at->admin_port,
		.gate_port = at->gate_port,
		.time_scale = f->settings.time_scale,
	};

	if (f->settings.connector) {
		connector_address(f->settings.connector, at->index, host);
		launch.database_port = connector_port(f->settings.connector);
	}
	log_path(at, path, sizeof path);
	int output = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	const struct process_spec spec = {
		.argv = launch_command(&arena, f->settings.scenario, f->settings.arm, &launch),
		.environment = launch_environment(
			&arena, f->settings.arm, &launch, (const char *const *)environ),
		.directory = f->settings.scenario->directory,
		.output = output,
		.death_signal = SIGKILL,
	};
	int result = process_start(&spec, &at->pid, error);
	if (output >= 0)
		close(output);
	arena_release(&arena);
	return result;
}

static void start_instance(struct fleet *f, struct instance *at, uint64_t now)
{
	const struct scenario *scenario = f->settings.scenario;

	if (f->settings.connector) {
		int64_t spread_ns = scenario->egress_warmup_max_ns - scenario->egress_warmup_min_ns;
		connector_cold(f->settings.connector, at->index,
			scenario->egress_warmup_min_ns + random_span(&f->random, spread_ns));
	}
	if (start_process(f, at, &f->error) < 0) {
		at->pid = 0;
		return;
	}
	enter(at, INSTANCE_STARTING);
	at->started_ns = at->probe_ns = now;
	f->starts++;
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
			result_phase(at->fleet->gathered, name, json_number_value(duration));
	}
	json_decref(root);
}

static void probed(void *context, int status, const char *body)
{
	struct instance *at = context;
	struct fleet *f = at->fleet;
	uint64_t now = uv_hrtime();

	(void)body;
	at->fetch = NULL;
	if (at->state != INSTANCE_STARTING || status != 200)
		return;
	enter(at, INSTANCE_READY);
	at->failures = 0;
	f->succeeded++;
	if (!at->first_ready_ns)
		at->first_ready_ns = now;
	liveness_begin(at, now);
	if (f->settings.arm->standpipe && !at->has_phases)
		at->fetch = fetch_start(f->settings.loop, at->admin_port, "/startup",
			PROBE_TIMEOUT_MS, FETCH_ANSWER_MAX, phases_came, at);
}

/* The last line that says something, of the log of a start that failed. */
static void keep_last_words(struct fleet *f, const struct instance *at)
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
			snprintf(f->gathered->last_words, sizeof f->gathered->last_words, "%.*s",
				RESULT_TEXT_MAX - 1, line);
	}
	fclose(log);
}

bool fleet_exited(struct fleet *f, pid_t pid, int wait_status)
{
	const struct platform_settings *platform = &f->settings.scenario->platform;
	struct instance *at = NULL;

	for (int i = 0; i < f->count && !at; i++)
		if (f->instances[i].pid == pid)
			at = &f->instances[i];
	if (!at)
		return false;
	/* What it started must not live on beside its next start. */
	kill(-pid, SIGKILL);
	at->pid = 0;
	drop_fetch(at);
	if (f->stopping || at->state == INSTANCE_LEAVING) {
		enter(at, INSTANCE_GONE);
		return true;
	}
	if (at->state == INSTANCE_READY)
		f->died++;
	else
		f->failed++;
	at->failures++;
	result_exit(f->gathered, process_exit_code(wait_status));
	keep_last_words(f, at);
	enter(at, INSTANCE_WAITING);
	at->due_ns = uv_hrtime() + wall_ns(f, platform_restart_ns(platform, at->failures));
	return true;
}

static void probe(struct fleet *f, struct instance *at, uint64_t now)
{
	const struct platform_settings *platform = &f->settings.scenario->platform;

	if (now - at->started_ns > wall_ns(f, platform->probe_timeout_ns)) {
		kill(-at->pid, SIGKILL);
		return;
	}
	if (at->fetch || now < at->probe_ns)
		return;
	at->probe_ns = now + wall_ns(f, platform->probe_interval_ns);
	at->fetch = fetch_start(f->settings.loop, at->port, platform->probe_path, PROBE_TIMEOUT_MS,
		FETCH_STATUS_ONLY, probed, at);
}

void fleet_tick(struct fleet *f, uint64_t now)
{
	for (int i = 0; i < f->count && !f->stopping && !error_is_set(&f->error); i++) {
		struct instance *at = &f->instances[i];
		switch (at->state) {
		case INSTANCE_WAITING:
			if (now >= at->due_ns)
				start_instance(f, at, now);
			break;
		case INSTANCE_STARTING:
			probe(f, at, now);
			break;
		case INSTANCE_READY:
			liveness_watch(at, now);
			break;
		case INSTANCE_LEAVING:
			if (now >= at->due_ns)
				kill(-at->pid, SIGKILL);
			break;
		case INSTANCE_UNUSED:
		case INSTANCE_GONE:
		case INSTANCE_STATES:
			break;
		}
	}
}

static int pick_ports(struct fleet *f, struct error *error)
{
	uint16_t *ports = arena_alloc(&f->arena, sizeof *ports * (size_t)f->count * 3);
	struct random random;

	random_init(&random, uv_hrtime() ^ (uint64_t)getpid());
	if (ports_pick(&random, ports, f->count * 3, error) < 0)
		return -1;
	for (int i = 0; i < f->count; i++) {
		f->instances[i].port = *ports++;
		f->instances[i].admin_port = *ports++;
		f->instances[i].gate_port = *ports++;
	}
	return 0;
}

int fleet_init(struct fleet *f, const struct fleet_settings *settings, struct result *gathered,
	struct error *error)
{
	*f = (struct fleet){.settings = *settings, .arena = ARENA_INIT, .gathered = gathered};
	f->count = settings->instances;
	f->instances = arena_alloc(&f->arena, sizeof *f->instances * (size_t)f->count);
	for (int i = 0; i < f->count; i++) {
		f->instances[i].fleet = f;
		f->instances[i].index = i;
	}
	f->in_state[INSTANCE_UNUSED] = f->count;
	random_init(&f->random, (uint64_t)settings->scenario->seed);
	error_init(&f->error);
	return pick_ports(f, error);
}

void fleet_release(struct fleet *f)
{
	arena_release(&f->arena);
}

void fleet_begin(struct fleet *f, int count, uint64_t now)
{
	uint64_t spread_ns = wall_ns(f, f->settings.scenario->service.spread_ns);

	assert(count <= f->count);
	for (int i = 0; i < count; i++) {
		enter(&f->instances[i], INSTANCE_WAITING);
		f->instances[i].due_ns = now + spread_ns * (uint64_t)i / (uint64_t)count;
	}
	fleet_tick(f, now);
}

bool fleet_add(struct fleet *f, uint64_t now)
{
	for (int i = 0; i < f->count; i++) {
		if (f->instances[i].state != INSTANCE_UNUSED)
			continue;
		enter(&f->instances[i], INSTANCE_WAITING);
		f->instances[i].due_ns = now;
		f->instances[i].revision = f->revision;
		return true;
	}
	return false;
}

void fleet_retire(struct fleet *f, struct instance *at, uint64_t now)
{
	drop_fetch(at);
	if (at->pid == 0) {
		enter(at, INSTANCE_GONE);
		return;
	}
	enter(at, INSTANCE_LEAVING);
	at->due_ns = now + LEAVE_NS;
	kill(at->pid, SIGTERM);
}

int fleet_wanted(const struct fleet *f)
{
	return f->in_state[INSTANCE_WAITING] + f->in_state[INSTANCE_STARTING] +
	       f->in_state[INSTANCE_READY];
}

struct instance *fleet_draw(struct fleet *f, struct random *random)
{
	if (f->in_state[INSTANCE_READY] == 0)
		return NULL;
	uint32_t skip = random_below(random, (uint32_t)f->in_state[INSTANCE_READY]);
	for (int i = 0; i < f->count; i++)
		if (f->instances[i].state == INSTANCE_READY && skip-- == 0)
			return &f->instances[i];
	assert(false);
	return NULL;
}

void fleet_stop(struct fleet *f, bool kill_them)
{
	f->stopping = true;
	for (int i = 0; i < f->count; i++) {
		struct instance *at = &f->instances[i];
		drop_fetch(at);
		if (at->pid == 0)
			continue;
		if (kill_them)
			kill(-at->pid, SIGKILL);
		else
			kill(at->pid, SIGTERM);
	}
}

bool fleet_is_empty(const struct fleet *f)
{
	for (int i = 0; i < f->count; i++)
		if (f->instances[i].pid != 0)
			return false;
	return true;
}
