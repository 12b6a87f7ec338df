/*
 * standpipe lab SCENARIO - storms and faults for real: real PostgreSQL, an emulated connector, real
 * processes. Exit codes: 0; 1 an expectation does not hold, or the lab cannot run; 2 usage or
 * scenario; 128 + signal.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/commands.h"
#include "app/output.h"
#include "conf/value.h"
#include "lab/lab.h"
#include "report/report.h"

struct arguments {
	const char *scenario;
	struct output output;
	const char *names[SCENARIO_ARMS_MAX];
	struct lab_options options;
};

static int parse_option(struct arguments *a, int option, char **argv)
{
	switch (option) {
	case 'j':
		a->output.json = true;
		return 0;
	case 'a':
		if (a->options.arm_count == SCENARIO_ARMS_MAX)
			return usage_error("lab", "too many arms");
		a->names[a->options.arm_count++] = optarg;
		return 0;
	case 't':
		if (!value_real(optarg, &a->options.time_scale) || a->options.time_scale < 0.01 ||
			a->options.time_scale > 10)
			return usage_error(
				"lab", "--time-scale %s: a number from 0.01 to 10", optarg);
		return 0;
	case 'o':
		a->output.file = optarg;
		return 0;
	case 'p':
		a->output.picture = optarg;
		return 0;
	case 'l':
		a->options.logs = optarg;
		return 0;
	default:
		return option_error("lab", option, argv);
	}
}

static int parse(struct arguments *a, int argc, char **argv)
{
	static const struct option options[] = {
		{"json", no_argument, NULL, 'j'},
		{"arm", required_argument, NULL, 'a'},
		{"time-scale", required_argument, NULL, 't'},
		{"output", required_argument, NULL, 'o'},
		{"picture", required_argument, NULL, 'p'},
		{"logs", required_argument, NULL, 'l'},
		{NULL, 0, NULL, 0},
	};
	int option, code;

	*a = (struct arguments){0};
	opterr = 0;
	optind = 0;
	while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1)
		if ((code = parse_option(a, option, argv)) != 0)
			return code;
	if (argc - optind != 1)
		return usage_error("lab", "one scenario is needed");
	a->scenario = argv[optind];
	a->options.arms = a->names;
	return 0;
}

static int check_arms(const struct arguments *a, const struct scenario *s)
{
	for (int i = 0; i < a->options.arm_count; i++)
		if (!scenario_arm(s, a->names[i]))
			return usage_error("lab", "%s has no arm %s", a->scenario, a->names[i]);
	return 0;
}

/* The instances' logs are opened from their own directory on, so the path must be whole. */
static int prepare_logs(struct arguments *a, char *path)
{
	if (!a->options.logs)
		return 0;
	if ((mkdir(a->options.logs, 0777) < 0 && errno != EEXIST) ||
		!realpath(a->options.logs, path))
		return usage_error("lab", "--logs %s: %s", a->options.logs, strerror(errno));
	a->options.logs = path;
	return 0;
}

/* Two sockets a flow, and more than a thousand flows: take all that we may have. */
static void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int run(struct arguments *a, const struct scenario *s)
{
	struct report *report = calloc(1, sizeof *report);
	struct error error;
	int code;

	if (!report)
		abort();
	error_init(&error);
	int status = lab_run(s, &a->options, report, &error);
	if (status < 0) {
		fprintf(stderr, "standpipe lab: %s%s%s\n", error.origin, *error.origin ? ": " : "",
			error.text);
		code = 1;
	} else if (status > 0) {
		fprintf(stderr, "standpipe lab: ended by a signal; all is cleaned up\n");
		code = 128 + status;
	} else {
		code = output_report("lab", &a->output, report);
	}
	report_release(report);
	free(report);
	return code;
}

int lab_main(int argc, char **argv)
{
	struct scenario *s = calloc(1, sizeof *s);
	struct arguments a;
	struct error error;
	char program[4096], logs[4096];
	ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
	int code = parse(&a, argc, argv);

	if (!s || len < 0)
		abort();
	program[len] = '\0';
	error_init(&error);
	if (code == 0 && scenario_load(s, a.scenario, &error) < 0)
		code = config_error(&error);
	if (code == 0 && lab_can_play(s, a.options.time_scale, &error) < 0)
		code = config_error(&error);
	if (code == 0)
		code = check_arms(&a, s);
	if (code == 0)
		code = prepare_logs(&a, logs);
	if (code == 0) {
		const char *temp = getenv("TMPDIR");
		a.options.program = program;
		a.options.temp = temp && *temp ? temp : "/tmp";
		a.options.progress = true;
		raise_file_limit();
		code = output_is_possible("lab", &a.output) ? run(&a, s) : 1;
	}
	scenario_release(s);
	free(s);
	return code;
}
