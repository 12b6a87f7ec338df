/* What a report of the simulator says besides. */
#include <math.h>

#include "report/report_inside.h"

/* Those whose spread tells something. */
static const enum metric spread[] = {
	METRIC_SUCCESS_RATE,
	METRIC_READY,
	METRIC_PEAK_CONNECTIONS,
	METRIC_REFUSED_53300,
	METRIC_CONNECT_ATTEMPTS,
	METRIC_FIT_S,
	METRIC_MAKESPAN_S,
	METRIC_BOUND_S,
	METRIC_DIED,
	METRIC_SERVED_RATE,
	METRIC_RECOVERED_S,
	METRIC_RECOVERY_BOUND_S,
	METRIC_FAIRNESS,
};

bool report_is_simulated(const struct report *report)
{
	return report->postgres_version[0] == '\0';
}

static int runs_of(const struct report *report)
{
	int most = 1;

	for (int i = 0; i < report->scenario->arm_count; i++)
		most = report->runs[i].count > most ? report->runs[i].count : most;
	return most;
}

void report_simulated_head(const struct report *report, FILE *to)
{
	const struct scenario *s = report->scenario;
	int runs = runs_of(report);

	fprintf(to, "standpipe sim: %s", s->name);
	if (s->description[0] != '\0')
		fprintf(to, ": %s", s->description);
	fprintf(to,
		"\n\nSimulated: time, %d instances with all that they open, the database, the "
		"connector, the\n  platform, the users. Real: Standpipe's engine, in each of its "
		"instances.\n",
		s->instances);
	fprintf(to,
		"The connector: %d machine%s growing to %d, each carries %d connections. The SYNs "
		"of all\n  others are dropped, and sent again after %s s.\n",
		s->path.instances_min, s->path.instances_min == 1 ? "" : "s", s->path.instances_max,
		s->path.flows, s->syn_linear > 0 ? "1, 2, 3 ..." : "1, 3, 7, 15");
	fprintf(to, "Seed: %s\n", report->seed);
	if (runs > 1)
		fprintf(to,
			"Numbers are medians of %d runs, each with a seed of its own (exits: "
			"means; phases: the first\n  run's).\n",
			runs);
	fputs("\n", to);
}

static void show(double value, char *text, size_t size)
{
	if (isnan(value))
		snprintf(text, size, "-");
	else
		snprintf(text, size, "%.6g", round(value * 1000) / 1000);
}

void report_spread(const struct report *report, int arm, FILE *to)
{
	const struct runs *runs = &report->runs[arm];

	if (runs->count < 2)
		return;
	fprintf(to, "%-24s %10s %10s %10s   measured in\n", report->scenario->arms[arm].name,
		"5 of 100", "50", "95");
	for (size_t i = 0; i < sizeof spread / sizeof spread[0]; i++) {
		char low[32], median[32], high[32];
		int measured = runs_measured(runs, spread[i]);
		if (measured == 0)
			continue;
		show(runs_quantile(runs, spread[i], 0.05), low, sizeof low);
		show(runs_quantile(runs, spread[i], 0.5), median, sizeof median);
		show(runs_quantile(runs, spread[i], 0.95), high, sizeof high);
		fprintf(to, "  %-22s %10s %10s %10s   %d of %d\n", metric_name(spread[i]), low,
			median, high, measured, runs->count);
	}
	fputs("\n", to);
}
