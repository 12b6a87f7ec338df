/* probe - measures the path to the database, and says what is wrong with it. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/commands.h"
#include "app/probe_run.h"
#include "app/probe_show.h"
#include "conf/value.h"

#define EXIT_IMPAIRED    1 /* it was reached, and something is wrong */
#define EXIT_UNREACHABLE 3 /* nothing connected */
#define EXIT_INTERRUPTED 130 /* 128 + SIGINT, as a shell has it */

#define COUNT_MAX    1000
#define PARALLEL_MAX 200

struct options {
	struct config_options config;
	int count, parallel;
	int64_t interval_ns, timeout_ns;
	bool cloud, json;
};

struct session {
	struct secrets secrets;
	bool quiet;
};

/* 0, or EXIT_USAGE after saying why. */
static int read_count(const char *name, const char *text, int least, int most, int *value)
{
	char *end;
	long number = strtol(text, &end, 10);
	if (end == text || *end || number < least || number > most)
		return usage_error(
			"probe", "%s: %s is not a number from %d to %d", name, text, least, most);
	*value = (int)number;
	return 0;
}

static int read_span(const char *name, const char *text, double least_s, int64_t *value_ns)
{
	if (!value_duration(text, value_ns) || *value_ns < ns_from_s(least_s) ||
		*value_ns > 3600 * NS_PER_S)
		return usage_error("probe",
			"%s: %s is not a duration from %g s to an hour (like "
			"500ms or 10s)",
			name, text, least_s);
	return 0;
}

/* 0, or EXIT_USAGE. */
static int read_options(struct options *o, int argc, char **argv)
{
	static const struct option long_options[] = {
		{"cloud", no_argument, NULL, 'm'},
		{"config", required_argument, NULL, 'c'},
		{"count", required_argument, NULL, 'n'},
		{"interval", required_argument, NULL, 'i'},
		{"json", no_argument, NULL, 'j'},
		{"parallel", required_argument, NULL, 'p'},
		{"timeout", required_argument, NULL, 't'},
		{NULL, 0, NULL, 0},
	};
	int letter, failed = 0;
	opterr = 0;
	while (!failed && (letter = getopt_long(argc, argv, "+:c:", long_options, NULL)) >= 0) {
		if (letter == 'c')
			o->config.file = optarg;
		else if (letter == 'n')
			failed = read_count("--count", optarg, 0, COUNT_MAX, &o->count);
		else if (letter == 'p')
			failed = read_count("--parallel", optarg, 1, PARALLEL_MAX, &o->parallel);
		else if (letter == 'i')
			failed = read_span("--interval", optarg, 0, &o->interval_ns);
		else if (letter == 't')
			failed = read_span("--timeout", optarg, 0.1, &o->timeout_ns);
		else if (letter == 'j')
			o->json = true;
		else if (letter == 'm')
			o->cloud = true;
		else
			failed = option_error("probe", letter, argv);
	}
	if (!failed && optind < argc)
		o->config.url = argv[optind++];
	if (!failed && optind < argc)
		failed = usage_error("probe", "there is more than one URL"); /* not shown: secret */
	return failed;
}

static void on_password(void *context, const char *password)
{
	struct session *p = context;
	secrets_add(&p->secrets, password);
}

static void on_ended(void *context, const struct probe_record *r, const struct probe_attempt *a)
{
	const struct session *p = context;
	if (!p->quiet)
		probe_show_attempt(r, a, &p->secrets);
}

static int exit_code(
	const struct probe_record *r, const struct probe_numbers *n, const struct probe_verdict *v)
{
	if (r->interrupted)
		return EXIT_INTERRUPTED;
	if (n->ok == 0)
		return EXIT_UNREACHABLE;
	return v->worst >= PROBE_WARNING ? EXIT_IMPAIRED : 0;
}

static void judge_and_show(
	const struct config *config, const struct session *p, struct probe_shown *shown)
{
	static struct probe_numbers numbers; /* large */
	static struct probe_verdict verdict;
	probe_numbers_init(&numbers, shown->record);
	probe_judge(&verdict, shown->record, &numbers, &config->gate.engine.budget);
	shown->config = config;
	shown->secrets = &p->secrets;
	shown->numbers = &numbers;
	shown->verdict = &verdict;
	shown->exit_code = exit_code(shown->record, &numbers, &verdict);
	if (p->quiet)
		probe_show_json(shown);
	else
		probe_show_report(shown);
	fflush(stdout);
}

static int probe(const struct config *config, const struct options *o)
{
	struct session p = {.secrets = SECRETS_INIT, .quiet = o->json};
	struct probe_record record;
	struct probe_shown shown = {.record = &record};
	struct probe_plan plan = {
		.conninfo = config->gate.conninfo,
		.host = config->address,
		/* The command gives the password of the configuration's own user and server. */
		.password_command = o->config.url ? "" : config->gate.password_command,
		.care = config->gate.database_care,
		.count = o->count,
		.parallel = o->parallel,
		.interval_ns = o->interval_ns,
		.timeout_ns = o->timeout_ns,
		.password = on_password,
		.ended = on_ended,
		.context = &p,
	};
	config_secrets(config, &p.secrets);
	if (!o->json)
		probe_show_target(config, o->timeout_ns);
	bool clean = probe_run(&record, &plan);
	if (o->cloud && !record.interrupted)
		probe_cloud_ask(&record.cloud, &config->gate.cloud);
	judge_and_show(config, &p, &shown);
	/* Or the process's end would wait for the thread. */
	if (!clean)
		_exit(shown.exit_code);
	probe_record_release(&record);
	secrets_release(&p.secrets);
	return shown.exit_code;
}

int probe_main(int argc, char **argv)
{
	struct options options = {
		.config = {.environment = (const char *const *)environ},
		.count = 10,
		.parallel = 4,
		.interval_ns = 100 * NS_PER_MS,
		.timeout_ns = 10 * NS_PER_S,
	};
	int failed = read_options(&options, argc, argv);
	if (failed)
		return failed;
	struct config config;
	struct error error;
	error_init(&error);
	int code = config_load(&config, &options.config, &error) < 0 ? config_error(&error)
								     : probe(&config, &options);
	config_release(&config);
	return code;
}
