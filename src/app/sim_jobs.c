#include "app/sim_jobs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "app/jobs.h"

/* What of a connector is told as a median over the runs. */
enum number { FLOWS_PEAK, MACHINES, COMPLETED, DROPPED, NUMBERS };

/* What is kept of a run of an arm, in memory that all jobs share. */
struct record {
	bool done;
	int status;
	int64_t events;
	struct error error;
	double values[METRICS];
	double numbers[NUMBERS];
	int codes[RESULT_EXITS_MAX], counts[RESULT_EXITS_MAX], exits; /* of starts */
};

struct records {
	struct record *list; /* run by run, arm by arm; shared */
	size_t size;
};

static struct record *record_of(
	const struct sim_jobs *j, const struct records *records, int run, int arm)
{
	return &records->list[(size_t)run * (size_t)j->scenario->arm_count + (size_t)arm];
}

static void keep(struct record *record, const struct result *result)
{
	memcpy(record->values, result->values, sizeof record->values);
	record->numbers[FLOWS_PEAK] = result->connector.flows_peak;
	record->numbers[MACHINES] = result->connector.instances;
	record->numbers[COMPLETED] = (double)result->connector.completed;
	record->numbers[DROPPED] = (double)result->connector.dropped;
	record->exits = result->exit_count;
	for (int i = 0; i < result->exit_count; i++) {
		record->codes[i] = result->exits[i].code;
		record->counts[i] = result->exits[i].count;
	}
	record->done = true;
}

static void play(const struct sim_jobs *j, const struct records *records, int run, int arm,
	struct result *result)
{
	struct record *record = record_of(j, records, run, arm);
	struct sim_stats stats;

	record->status = sim_run(j->scenario, &j->scenario->arms[arm], &j->settings[arm],
		sim_run_seed(j->seed, run), result, &stats, &record->error);
	record->events = stats.events;
	keep(record, result);
}

struct work {
	const struct sim_jobs *jobs;
	const struct records *records;
	struct report *report;
};

/* Every so many-th run is this job's. The first run is the report's own. */
static void work(void *context, int job)
{
	const struct work *w = context;
	const struct sim_jobs *j = w->jobs;

	for (int run = job; run < j->runs; run += j->jobs) {
		for (int arm = 0; arm < j->scenario->arm_count; arm++) {
			struct result result;
			if (!j->chosen[arm])
				continue;
			result_init(&result, &j->scenario->arms[arm]);
			play(j, w->records, run, arm, run == 0 ? &w->report->arms[arm] : &result);
			result_release(&result);
			if (record_of(j, w->records, run, arm)->status < 0)
				return;
		}
	}
}

/* ---- what the runs gave together ---- */

/* The first in the order of runs that went wrong. */
static int find_trouble(
	const struct sim_jobs *j, const struct records *records, struct error *error)
{
	for (int run = 0; run < j->runs; run++) {
		for (int arm = 0; arm < j->scenario->arm_count; arm++) {
			const struct record *record = record_of(j, records, run, arm);
			if (!j->chosen[arm])
				continue;
			if (!record->done)
				return error_set(error, "job", 0,
					"run %d of arm %s ended before it was over: its seed is "
					"%llu",
					run, j->scenario->arms[arm].name,
					(unsigned long long)sim_run_seed(j->seed, run));
			if (record->status < 0) {
				*error = record->error;
				return -1;
			}
		}
	}
	return 0;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median_of(
	const struct sim_jobs *j, const struct records *records, int arm, enum number number)
{
	double *sorted = calloc((size_t)j->runs, sizeof *sorted);

	if (!sorted)
		abort();
	for (int run = 0; run < j->runs; run++)
		sorted[run] = record_of(j, records, run, arm)->numbers[number];
	qsort(sorted, (size_t)j->runs, sizeof *sorted, compare);
	double median = sorted[(j->runs - 1) / 2];
	free(sorted);
	return median;
}

/* As many of each code as a run has in the mean. */
static void average_exits(
	const struct sim_jobs *j, const struct records *records, int arm, struct result *result)
{
	result->exit_count = 0;
	memset(result->exits, 0, sizeof result->exits);
	for (int run = 0; run < j->runs; run++) {
		const struct record *record = record_of(j, records, run, arm);
		for (int i = 0; i < record->exits; i++)
			result_exits(result, record->codes[i], record->counts[i]);
	}
	for (int i = 0; i < result->exit_count; i++)
		result->exits[i].count = (int)lround((double)result->exits[i].count / j->runs);
}

static void merge(struct sim_jobs *j, const struct records *records, int arm, struct report *report)
{
	struct result *result = &report->arms[arm];
	struct runs *runs = &report->runs[arm];

	runs_init(runs, j->runs);
	for (int run = 0; run < j->runs; run++) {
		const struct record *record = record_of(j, records, run, arm);
		memcpy(runs_at(runs, run), record->values, sizeof record->values);
		j->events += record->events;
	}
	if (j->runs == 1)
		return;
	for (int m = 0; m < METRICS; m++)
		result->values[m] = runs_quantile(runs, (enum metric)m, 0.5);
	result->connector.flows_peak = (int)median_of(j, records, arm, FLOWS_PEAK);
	result->connector.instances = (int)median_of(j, records, arm, MACHINES);
	result->connector.completed = (int64_t)median_of(j, records, arm, COMPLETED);
	result->connector.dropped = (int64_t)median_of(j, records, arm, DROPPED);
	average_exits(j, records, arm, result);
}

int sim_jobs_run(struct sim_jobs *j, struct report *report, struct error *error)
{
	struct records records = {
		.size = (size_t)j->runs * (size_t)j->scenario->arm_count * sizeof(struct record)};

	records.list = jobs_memory(records.size, error);
	if (!records.list)
		return -1;
	int status = jobs_run(j->jobs, work, &(struct work){j, &records, report}, error);
	if (status == 0)
		status = find_trouble(j, &records, error);
	for (int arm = 0; arm < j->scenario->arm_count && status == 0; arm++)
		if (j->chosen[arm])
			merge(j, &records, arm, report);
	jobs_memory_free(records.list, records.size);
	return status;
}
