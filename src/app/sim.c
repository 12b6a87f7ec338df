/*
 * standpipe sim SCENARIO - the same scenario in virtual time. Exit codes: 0; 1 an expectation does
 * not hold, or an invariant was broken; 2 usage or scenario.
 */
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "app/commands.h"
#include "app/config.h"
#include "app/jobs.h"
#include "app/output.h"
#include "app/sim_jobs.h"
#include "app/sim_swarm.h"
#include "conf/value.h"
#include "report/report.h"
#include "sim/sim.h"

struct arguments {
	const char *scenario;
	const char *seed; /* NULL: the scenario's */
	struct output output;
	int runs, jobs;
	int swarm; /* random scenarios in place of one from a file; 0: none */
	const char *arms[SCENARIO_ARMS_MAX];
	int arm_count;
};

static int parse_count(const char *option, int most, int *count)
{
	double value;

	if (!value_real(optarg, &value) || value < 1 || value > most || value != (int)value)
		return usage_error(
			"sim", "%s %s: a whole number from 1 to %d", option, optarg, most);
	*count = (int)value;
	return 0;
}

static int parse_option(struct arguments *a, int option, char **argv)
{
	switch (option) {
	case 'j':
		a->output.json = true;
		return 0;
	case 's':
		a->seed = optarg;
		return *optarg ? 0 : usage_error("sim", "--seed must not be empty");
	case 'a':
		if (a->arm_count == SCENARIO_ARMS_MAX)
			return usage_error("sim", "too many arms");
		a->arms[a->arm_count++] = optarg;
		return 0;
	case 'o':
		a->output.file = optarg;
		return 0;
	case 'p':
		a->output.picture = optarg;
		return 0;
	case 'r':
		return parse_count("--runs", SIM_RUNS_MAX, &a->runs);
	case 'w':
		return parse_count("--swarm", SIM_RUNS_MAX, &a->swarm);
	case 'J':
		return parse_count("--jobs", JOBS_MAX, &a->jobs);
	default:
		return option_error("sim", option, argv);
	}
}

/* It draws all that another scenario says. */
static int parse_swarm(const struct arguments *a, int scenarios)
{
	if (scenarios > 0 || a->arm_count > 0)
		return usage_error("sim", "--swarm draws its scenarios and arms itself");
	if (a->runs > 1 || a->output.picture || a->output.file)
		return usage_error("sim",
			"--swarm goes with --seed, --jobs and --json, not with --runs, "
			"--picture or --output");
	return 0;
}

static int parse(struct arguments *a, int argc, char **argv)
{
	static const struct option options[] = {
		{"json", no_argument, NULL, 'j'},
		{"seed", required_argument, NULL, 's'},
		{"arm", required_argument, NULL, 'a'},
		{"output", required_argument, NULL, 'o'},
		{"picture", required_argument, NULL, 'p'},
		{"runs", required_argument, NULL, 'r'},
		{"jobs", required_argument, NULL, 'J'},
		{"swarm", required_argument, NULL, 'w'},
		{NULL, 0, NULL, 0},
	};
	int option, code;

	*a = (struct arguments){.runs = 1, .jobs = 1};
	opterr = 0;
	optind = 0;
	while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1)
		if ((code = parse_option(a, option, argv)) != 0)
			return code;
	if (a->swarm > 0)
		return parse_swarm(a, argc - optind);
	if (argc - optind != 1)
		return usage_error("sim", "one scenario is needed");
	a->scenario = argv[optind];
	return 0;
}

/* ---- what Standpipe would be told ---- */

#define ADDED 2 /* variables that every instance has */

/* The environment that `standpipe run` would have in this arm. */
static const char **environment_of(struct arena *arena, const struct scenario_arm *arm)
{
	const char **list = arena_alloc(arena, sizeof *list * (size_t)(arm->env_count + ADDED + 1));
	int count = 0;

	/* Of a name that comes twice the last counts; the configuration takes the first. */
	for (int i = arm->env_count - 1; i >= 0; i--) {
		const struct scenario_variable *v = &arm->env[i];
		list[count++] = v->value_ns < 0 ? v->text
						: arena_format(arena, "%s=%.9g", v->text,
							  (double)v->value_ns / 1e9);
	}
	list[count++] = "DATABASE_URL=postgresql://app@database/app";
	list[count++] = "PORT=8080";
	return list;
}

static int settings_of(
	const struct scenario_arm *arm, struct sim_settings *settings, struct error *error)
{
	struct config *config = calloc(1, sizeof *config);
	struct arena arena = ARENA_INIT;

	*settings = (struct sim_settings){0};
	if (!config)
		abort();
	const struct config_options options = {
		.environment = environment_of(&arena, arm),
		.mode = CONFIG_RUN,
		.only_variables = true,
	};
	int status = config_load(config, &options, error);
	if (status == 0) {
		settings->engine = config->gate.engine;
		settings->check_interval_ns = config->gate.check_interval_ns;
		settings->waits_for_ready = *config->gate.ready;
	} else {
		error_wrap(error, "arm %s", arm->name);
	}
	config_release(config);
	free(config);
	arena_release(&arena);
	return status;
}

/* ---- running ---- */

static bool is_chosen(const struct arguments *a, const char *name)
{
	for (int i = 0; i < a->arm_count; i++)
		if (strcmp(a->arms[i], name) == 0)
			return true;
	return a->arm_count == 0;
}

/* Of this process and of its jobs. */
static double cpu_s(void)
{
	static const int whose[] = {RUSAGE_SELF, RUSAGE_CHILDREN};
	double seconds = 0;

	for (int i = 0; i < 2; i++) {
		struct rusage usage;
		getrusage(whose[i], &usage);
		seconds += (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6;
	}
	return seconds;
}

/* Not in the report: that is the same for the same seed. */
static void say_speed(int64_t events, double took_s)
{
	fprintf(stderr, "%lld events in %.2f s of CPU time: %.2f million a second\n",
		(long long)events, took_s, (double)events / fmax(took_s, 1e-3) / 1e6);
}

static int run_arms(const struct arguments *a, const struct scenario *s, uint64_t seed,
	struct report *report, struct error *error)
{
	struct sim_settings settings[SCENARIO_ARMS_MAX];
	struct sim_jobs jobs = {
		.scenario = s,
		.settings = settings,
		.seed = seed,
		.runs = a->runs,
		.jobs = a->jobs < a->runs ? a->jobs : a->runs,
	};

	for (int i = 0; i < s->arm_count; i++) {
		jobs.chosen[i] = is_chosen(a, s->arms[i].name);
		if (jobs.chosen[i] && settings_of(&s->arms[i], &settings[i], error) < 0)
			return EXIT_USAGE;
	}
	double began_s = cpu_s();
	if (sim_jobs_run(&jobs, report, error) < 0)
		return 1;
	say_speed(jobs.events, cpu_s() - began_s);
	return 0;
}

static int run(const struct arguments *a, const struct scenario *s)
{
	struct report *report = calloc(1, sizeof *report);
	struct error error;
	uint64_t seed = a->seed ? sim_seed(a->seed) : (uint64_t)s->seed;

	if (!report)
		abort();
	error_init(&error);
	report_init(report, s);
	if (a->seed)
		snprintf(report->seed, sizeof report->seed, "%.50s (0x%llx)", a->seed,
			(unsigned long long)seed);
	else
		snprintf(report->seed, sizeof report->seed, "%llu", (unsigned long long)seed);
	int code = run_arms(a, s, seed, report, &error);
	if (code == EXIT_USAGE)
		config_error(&error);
	else if (code != 0)
		fprintf(stderr, "standpipe sim: %s: %s\n", error.stage, error.text);
	else
		code = output_report("sim", &a->output, report);
	report_release(report);
	free(report);
	return code;
}

/* Standpipe as it is in production, where a scenario draws nothing else. */
static int run_swarm(const struct arguments *a)
{
	struct scenario_arm arm = {
		.name = "swarm", .env = {{"ENVIRONMENT=production", -1}}, .env_count = 1};
	struct sim_swarm swarm = {
		.seed = a->seed ? sim_seed(a->seed) : 1,
		.runs = a->swarm,
		.jobs = a->jobs < a->swarm ? a->jobs : a->swarm,
		.json = a->output.json,
	};
	struct error error;

	error_init(&error);
	if (settings_of(&arm, &swarm.preset, &error) < 0)
		return config_error(&error);
	double began_s = cpu_s();
	int broken = sim_swarm_run(&swarm, &error);
	if (broken < 0)
		fprintf(stderr, "standpipe sim: %s: %s\n", error.stage, error.text);
	else
		say_speed(swarm.events, cpu_s() - began_s);
	return broken == 0 ? 0 : 1;
}

int sim_main(int argc, char **argv)
{
	struct scenario *s = calloc(1, sizeof *s);
	struct arguments a;
	struct error error;
	int code = parse(&a, argc, argv);

	if (!s)
		abort();
	error_init(&error);
	if (code == 0 && a.swarm > 0) {
		code = run_swarm(&a);
		free(s);
		return code;
	}
	if (code == 0 && scenario_load(s, a.scenario, &error) < 0)
		code = config_error(&error);
	for (int i = 0; i < a.arm_count && code == 0; i++)
		if (!scenario_arm(s, a.arms[i]))
			code = usage_error("sim", "%s has no arm %s", a.scenario, a.arms[i]);
	if (code == 0)
		code = output_is_possible("sim", &a.output) ? run(&a, s) : 1;
	scenario_release(s);
	free(s);
	return code;
}
