#include "lab/lab.h"

#include <assert.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "lab/connector.h"
#include "lab/faults.h"
#include "lab/postgres.h"
#include "lab/process.h"
#include "lab/progress.h"
#include "lab/reference.h"
#include "lab/sampler.h"
#include "lab/storm.h"

#define TICK_MS         20
#define INITDB_LIMIT_MS 120000
#define START_LIMIT_MS  60000
#define STOP_LIMIT_MS   20000
#define GRACE_MS        3000 /* between SIGTERM and SIGKILL for the instances */

static const int end_signals[] = {SIGINT, SIGTERM, SIGHUP};
#define END_SIGNALS ((int)(sizeof end_signals / sizeof end_signals[0]))

struct lab {
	const struct scenario *scenario;
	const struct lab_options *options;
	double time_scale;
	uv_loop_t loop;
	uv_signal_t signals[END_SIGNALS], child;
	uv_timer_t tick;
	int signal; /* that came to end it; 0: none */
	struct postgres postgres;
	pid_t initdb;
	int initdb_status;
	char logs[POSTGRES_PATH_MAX + 16];
	struct progress progress;

	/* Of the arm that runs. */
	struct connector *connector;
	struct sampler *sampler;
	struct storm *storm;
	int max_connections;
};

static void end_signal_came(uv_signal_t *handle, int number)
{
	struct lab *lab = handle->data;

	lab->signal = number;
}

static void child_ended(uv_signal_t *handle, int number)
{
	struct lab *lab = handle->data;
	int status;
	pid_t pid;

	(void)number;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == lab->postgres.pid) {
			postgres_ended(&lab->postgres, status);
		} else if (pid == lab->initdb) {
			lab->initdb = 0;
			lab->initdb_status = status;
		} else if (lab->storm) {
			storm_exited(lab->storm, pid, status);
		}
	}
}

static void ticked(uv_timer_t *timer)
{
	struct lab *lab = timer->data;

	if (lab->storm && lab->options->progress)
		progress_show(&lab->progress, lab->storm, lab->scenario);
}

static void start_loop(struct lab *lab)
{
	int failed = uv_loop_init(&lab->loop) || uv_timer_init(&lab->loop, &lab->tick) ||
		     uv_signal_init(&lab->loop, &lab->child);

	for (int i = 0; i < END_SIGNALS && !failed; i++) {
		failed = uv_signal_init(&lab->loop, &lab->signals[i]);
		lab->signals[i].data = lab;
		uv_signal_start(&lab->signals[i], end_signal_came, end_signals[i]);
	}
	assert(!failed);
	lab->tick.data = lab->child.data = lab;
	uv_signal_start(&lab->child, child_ended, SIGCHLD);
	uv_timer_start(&lab->tick, ticked, TICK_MS, TICK_MS);
}

/* Runs the loop until `over`, a signal, or the limit. True when it was `over`. */
static bool wait_for(struct lab *lab, bool (*over)(struct lab *), int limit_ms, bool heed_signal)
{
	uint64_t until = uv_hrtime() + (uint64_t)limit_ms * 1000000;

	while (!over(lab)) {
		if ((lab->signal && heed_signal) || uv_hrtime() > until)
			return false;
		uv_run(&lab->loop, UV_RUN_ONCE);
	}
	return true;
}

static bool initdb_over(struct lab *lab)
{
	return lab->initdb == 0;
}

static bool database_up(struct lab *lab)
{
	return lab->postgres.pid == 0 || postgres_accepts(&lab->postgres);
}

static bool database_gone(struct lab *lab)
{
	return lab->postgres.pid == 0;
}

static bool storm_gone(struct lab *lab)
{
	return storm_is_empty(lab->storm);
}

static int start_database(struct lab *lab, int max_connections, struct error *error)
{
	char words[ERROR_TEXT_MAX / 2];

	if (postgres_start(&lab->postgres, max_connections,
		    lab->scenario->database.superuser_reserved, error) < 0)
		return -1;
	bool up = wait_for(lab, database_up, START_LIMIT_MS, true);
	if (lab->signal || (up && lab->postgres.pid != 0))
		return 0;
	postgres_last_words(&lab->postgres, "postgres.log", words, sizeof words);
	return error_set(error, "postgres", 0, "PostgreSQL does not start: %s", words);
}

static void stop_database(struct lab *lab)
{
	postgres_stop(&lab->postgres, lab->signal != 0);
	if (wait_for(lab, database_gone, STOP_LIMIT_MS, false))
		return;
	postgres_stop(&lab->postgres, true);
	wait_for(lab, database_gone, STOP_LIMIT_MS, false);
}

static int make_database(struct lab *lab, struct error *error)
{
	const struct setting_texts *setup = &lab->scenario->database.setup;
	char words[ERROR_TEXT_MAX / 2];

	if (postgres_init(
		    &lab->postgres, lab->options->temp, (uint64_t)lab->scenario->seed, error) < 0 ||
		postgres_initdb(&lab->postgres, &lab->initdb, error) < 0)
		return -1;
	if (!wait_for(lab, initdb_over, INITDB_LIMIT_MS, true) || lab->initdb_status != 0) {
		if (lab->signal)
			return 0;
		postgres_last_words(&lab->postgres, "initdb.log", words, sizeof words);
		return error_set(error, "postgres", 0, "initdb failed: %s", words);
	}
	if (start_database(lab, lab->scenario->database.max_connections, error) < 0)
		return -1;
	if (!lab->signal && postgres_setup(&lab->postgres, setup->list, setup->count, error) < 0)
		return -1;
	stop_database(lab);
	return 0;
}

static int watch_storm(struct lab *lab, struct error *error)
{
	while (!storm_is_over(lab->storm) && !lab->signal) {
		uv_run(&lab->loop, UV_RUN_ONCE);
		if (storm_error(lab->storm)) {
			*error = *storm_error(lab->storm);
			return -1;
		}
		if (lab->postgres.pid == 0 && !storm_database_is_down(lab->storm)) {
			char words[ERROR_TEXT_MAX / 2];
			postgres_last_words(&lab->postgres, "postgres.log", words, sizeof words);
			return error_set(error, "postgres", 0, "PostgreSQL ended: %s", words);
		}
	}
	return 0;
}

static void end_storm(struct lab *lab)
{
	if (lab->storm) {
		storm_stop(lab->storm, lab->signal != 0);
		if (!wait_for(lab, storm_gone, GRACE_MS, false))
			storm_stop(lab->storm, true);
		wait_for(lab, storm_gone, STOP_LIMIT_MS, false);
		storm_free(lab->storm);
	}
	lab->storm = NULL;
	/* What an instance started and did not take along. */
	process_sweep(lab->postgres.pid);
	sampler_free(lab->sampler);
	lab->sampler = NULL;
	connector_free(lab->connector);
	lab->connector = NULL;
}

static int begin_storm(
	struct lab *lab, const struct scenario_arm *arm, bool calm, struct error *error)
{
	struct connector_settings connector = {
		.capacity = lab->scenario->path,
		.time_scale = lab->time_scale,
		.database_port = lab->postgres.port,
		.clients = faults_instances(lab->scenario),
	};

	postgres_forget(&lab->postgres);
	if (arm->path == ARM_PATH_CONNECTOR) {
		lab->connector = connector_new(&connector, error);
		if (!lab->connector)
			return -1;
	}
	lab->sampler = sampler_new(&lab->loop, &lab->postgres);
	const struct storm_settings settings = {
		.loop = &lab->loop,
		.scenario = lab->scenario,
		.arm = arm,
		.calm = calm,
		.postgres = &lab->postgres,
		.connector = lab->connector,
		.sampler = lab->sampler,
		.time_scale = lab->time_scale,
		.program = lab->options->program,
		.logs = lab->options->logs ? lab->options->logs : lab->logs,
		.max_connections = lab->max_connections,
	};
	lab->storm = storm_new(&settings, error);
	return lab->storm ? storm_start(lab->storm, error) : -1;
}

/* `calm`: a reference, that measures what the same instances take without trouble. */
static int run_arm(struct lab *lab, const struct scenario_arm *arm, bool calm,
	struct result *result, struct error *error)
{
	int status;

	lab->max_connections = arm->max_connections > 0 ? arm->max_connections
							: lab->scenario->database.max_connections;
	progress_begin(&lab->progress, arm->name);
	if (start_database(lab, lab->max_connections, error) < 0)
		return -1;
	status = lab->signal ? 0 : begin_storm(lab, arm, calm, error);
	if (status == 0 && lab->storm)
		status = watch_storm(lab, error);
	if (status == 0 && lab->storm)
		storm_measure(lab->storm, result);
	progress_end(&lab->progress);
	end_storm(lab);
	stop_database(lab);
	return status < 0 ? error_wrap(error, "arm %s", arm->name) : 0;
}

/* Part (a) of the bound of arm `i`: from an arm or a reference that ran, or by a run of its own. */
static int find_bound(struct lab *lab, struct report *report, int i, struct error *error)
{
	const struct scenario *s = lab->scenario;
	struct result *result = &report->arms[i];
	const struct scenario_arm *arm = &s->arms[i];
	const struct result *found = reference_fits(arm, arm) ? result : NULL;

	for (int k = 0; k < s->arm_count && !found; k++) {
		if (report->arms[k].ran && reference_fits(&s->arms[k], arm))
			found = &report->arms[k];
		else if (report->references[k].ran &&
			 reference_fits(&report->reference_arms[k], arm))
			found = &report->references[k];
	}
	if (!found) {
		const struct scenario_arm *named = scenario_arm(s, arm->reference);
		if (named)
			report->reference_arms[i] = *named;
		else
			reference_make(s, arm, &report->reference_arms[i],
				report->reference_names[i], sizeof report->reference_names[i]);
		if (run_arm(lab, &report->reference_arms[i], true, &report->references[i], error) <
			0)
			return error_wrap(error, "reference");
		found = &report->references[i];
	}
	result->reference_s = found->values[METRIC_MAKESPAN_S];
	result_bound(result);
	return 0;
}

static bool is_chosen(const struct lab_options *options, const char *name)
{
	for (int i = 0; i < options->arm_count; i++)
		if (strcmp(options->arms[i], name) == 0)
			return true;
	return options->arm_count == 0;
}

static int run_arms(struct lab *lab, struct report *report, struct error *error)
{
	const struct scenario *s = lab->scenario;

	for (int i = 0; i < s->arm_count && !lab->signal; i++)
		if (is_chosen(lab->options, s->arms[i].name) &&
			run_arm(lab, &s->arms[i], false, &report->arms[i], error) < 0)
			return -1;
	for (int i = 0; i < s->arm_count && !lab->signal; i++)
		if (report->arms[i].ran && find_bound(lab, report, i, error) < 0)
			return -1;
	return 0;
}

static void close_handle(uv_handle_t *handle, void *context)
{
	(void)context;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

static void end_all(struct lab *lab)
{
	progress_end(&lab->progress);
	end_storm(lab);
	if (lab->postgres.pid > 0)
		stop_database(lab);
	uv_timer_stop(&lab->tick);
	uv_signal_stop(&lab->child);
	process_sweep(0);
	lab->postgres.pid = 0;
	postgres_release(&lab->postgres);
	/* Nothing but the lab's own handles is open; closing others runs their callbacks. */
	for (int i = 0; i < END_SIGNALS; i++)
		close_handle((uv_handle_t *)&lab->signals[i], NULL);
	close_handle((uv_handle_t *)&lab->child, NULL);
	close_handle((uv_handle_t *)&lab->tick, NULL);
	uv_run(&lab->loop, UV_RUN_DEFAULT);
	int busy = uv_loop_close(&lab->loop);
	assert(!busy);
}

int lab_can_play(const struct scenario *s, double time_scale, struct error *error)
{
	double rate = s->load.rate / (time_scale > 0 ? time_scale : s->time_scale);
	int instances = faults_instances(s);

	if (instances > LAB_INSTANCES_MAX)
		return error_set(error, "config", 0,
			"the lab starts %d instances at most, with those of its faults, not %d: "
			"use standpipe sim",
			LAB_INSTANCES_MAX, instances);
	if (s->platform.scale_at > 0)
		return error_set(error, "config", 0,
			"platform.scale_at: the lab starts no instances by load: leave it out, or "
			"use standpipe sim");
	for (int i = 0; i < s->fault_count; i++)
		if (s->faults[i].kind == FAULT_FAILOVER)
			return error_set(error, "config", 0,
				"faults[%d]: the lab has one database and none to fail over to: "
				"use database_restart, or standpipe sim",
				i);
	if (rate > LAB_RATE_MAX)
		return error_set(error, "config", 0,
			"load.rate is %g requests in a real second, and the lab gives %d at most: "
			"a lower rate or a larger time_scale is needed, or standpipe sim",
			rate, LAB_RATE_MAX);
	return 0;
}

int lab_run(const struct scenario *s, const struct lab_options *options, struct report *report,
	struct error *error)
{
	struct lab *lab = calloc(1, sizeof *lab);
	int status, number;

	if (!lab)
		abort();
	report_init(report, s);
	lab->scenario = s;
	lab->options = options;
	lab->time_scale = options->time_scale > 0 ? options->time_scale : s->time_scale;
	lab->postgres.log = -1;
	report->time_scale = lab->time_scale;
	process_adopt_orphans();
	start_loop(lab);
	progress_init(&lab->progress);
	status = make_database(lab, error);
	if (status == 0 && !lab->signal) {
		snprintf(report->postgres_version, sizeof report->postgres_version, "%s",
			lab->postgres.version);
		snprintf(lab->logs, sizeof lab->logs, "%s/logs", lab->postgres.directory);
		if (mkdir(lab->logs, 0700) < 0)
			status = error_set(error, "lab", 0, "cannot make %s", lab->logs);
	}
	if (status == 0 && !lab->signal)
		status = run_arms(lab, report, error);
	end_all(lab);
	number = lab->signal;
	free(lab);
	return number ? number : status;
}
