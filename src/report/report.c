#include "report/report.h"

#include <math.h>
#include <string.h>

#include "conf/value.h"
#include "report/report_inside.h"

/* Of a round trip: the lab passes over what is less. */
#define LATENCY_MIN_NS (2 * NS_PER_MS)

/* What the client's kernel does with a handshake that is not answered. */
static const char *syn_again(void)
{
	int linear = 0;
	FILE *file = fopen("/proc/sys/net/ipv4/tcp_syn_linear_timeouts", "re");

	if (file) {
		if (fscanf(file, "%d", &linear) != 1)
			linear = 0;
		fclose(file);
	}
	return linear > 0 ? "this kernel sends one again each second at first, older ones after 1, "
			    "3, 7 s"
			  : "the kernel sends one again after 1, 3, 7 s";
}

static void print_connector(const struct report *report, FILE *to)
{
	const struct scenario *s = report->scenario;
	char least[32], most[32], rtt[32];

	value_show_duration(s->rtt_ns, rtt, sizeof rtt);
	value_show_duration(s->path.scale_delay_min_ns, least, sizeof least);
	value_show_duration(s->path.scale_delay_max_ns, most, sizeof most);
	fprintf(to,
		"Emulated: the connector: %d machine%s growing to %d, %d more in %s to %s, and "
		"never\n"
		"  fewer; each carries %d connections",
		s->path.instances_min, s->path.instances_min == 1 ? "" : "s", s->path.instances_max,
		s->path.scale_step, least, most, s->path.flows);
	if (s->path.connect_rate > 0)
		fprintf(to, " and begins %g a second", s->path.connect_rate);
	fprintf(to,
		". The SYNs of all others are dropped\n"
		"  (%s).\n",
		syn_again());
	if ((double)s->rtt_ns * report->time_scale >= LATENCY_MIN_NS)
		fprintf(to, "  A round trip through it takes %s.\n", rtt);
	if (s->load.rate > 0)
		fprintf(to, "  The users: %g requests a second.\n", s->load.rate);
	fputs("  And the platform, which starts again what ended.\n", to);
}

static void print_head(const struct report *report, FILE *to)
{
	const struct scenario *s = report->scenario;

	if (report_is_simulated(report)) {
		report_simulated_head(report, to);
		return;
	}

	fprintf(to, "standpipe lab: %s", s->name);
	if (s->description[0] != '\0')
		fprintf(to, ": %s", s->description);
	fprintf(to, "\n\nReal: PostgreSQL %s (without fsync), %d processes of",
		report->postgres_version, s->instances);
	for (int i = 0; i < s->command.count; i++)
		fprintf(to, " %s", s->command.list[i]);
	fputs(",\n  every connection and every login, and the kernel's TCP.\n", to);
	print_connector(report, to);
	if (report->time_scale != 1)
		fprintf(to,
			"Time scale: a second of the scenario takes %g s. Times below are real.\n",
			report->time_scale);
	fputs("\n", to);
}

static void print_phases(const struct result *r, FILE *to)
{
	if (r->phase_count == 0)
		return;
	fprintf(to, "%s's phases, median (longest):", r->arm->name);
	for (int i = 0; i < r->phase_count; i++) {
		const struct result_phase *p = &r->phases[i];
		fprintf(to, "%s %s %.2f s (%.2f s)", i ? "," : "", p->name,
			result_quantile(p->seconds, p->count, 0.5),
			result_quantile(p->seconds, p->count, 1));
	}
	fputs("\n", to);
}

static void print_expectation(const struct report *report, int i, FILE *to)
{
	const struct scenario *s = report->scenario;
	const struct expect *e = &s->expects[i];

	for (int k = 0; k < s->arm_count; k++) {
		const struct result *r = &report->arms[k];
		if (!r->ran || strcmp(s->arms[k].name, e->arm) != 0)
			continue;
		if (report->runs[k].count > 1)
			fprintf(to, "expected: %s: %s (in %d of %d runs)\n", s->expect_texts[i],
				report_share(report, k, e) >= RUNS_SHARE ? "yes" : "NO",
				runs_hold(&report->runs[k], e), report->runs[k].count);
		else if (expect_holds(e, r->values))
			fprintf(to, "expected: %s: yes\n", s->expect_texts[i]);
		else if (isnan(r->values[e->metric]) || isnan(expect_right(e, r->values)))
			fprintf(to, "expected: %s: NO (not measured)\n", s->expect_texts[i]);
		else
			fprintf(to, "expected: %s: NO (%.4g against %.4g)\n", s->expect_texts[i],
				r->values[e->metric], expect_right(e, r->values));
	}
}

static bool beats_bound(const struct report *report)
{
	for (int i = 0; i < report->scenario->arm_count; i++)
		if (report->arms[i].values[METRIC_MAKESPAN_S] <
			report->arms[i].values[METRIC_BOUND_S])
			return true;
	return false;
}

void report_table(const struct report *report, FILE *to)
{
	const struct scenario *s = report->scenario;

	print_head(report, to);
	report_arms(report, to);
	for (int i = 0; i < s->arm_count; i++)
		report_spread(report, i, to);
	fprintf(to,
		"The bound is the larger of: what the same instances take with nothing between "
		"them "
		"and "
		"a\ndatabase that has room for all (%s), and the earliest moment at which "
		"connector\nand database can have admitted one connection for each (computed).\n\n",
		report_is_simulated(report) ? "simulated with the same seed" : "measured now");
	if (beats_bound(report))
		fputs("An arm can be quicker than that: it may open fewer connections than the "
		      "measured "
		      "one.\n\n",
			to);
	for (int i = 0; i < s->arm_count; i++)
		print_phases(&report->arms[i], to);
	for (int i = 0; i < s->arm_count; i++)
		if (report->arms[i].ran && report->arms[i].last_words[0] != '\0')
			fprintf(to, "%s's last failure: %s\n", s->arms[i].name,
				report->arms[i].last_words);
	for (int i = 0; i < s->arm_count; i++)
		if (report->arms[i].turned_away > 0)
			fprintf(to,
				"%s: %lld requests were not made, and count as lost: the lab has "
				"no room for more at a time.\n",
				s->arms[i].name, (long long)report->arms[i].turned_away);
	for (int i = 0; i < s->expect_count; i++)
		print_expectation(report, i, to);
}

double report_share(const struct report *report, int i, const struct expect *e)
{
	const struct runs *runs = &report->runs[i];

	if (runs->count > 1)
		return (double)runs_hold(runs, e) / runs->count;
	return expect_holds(e, report->arms[i].values);
}

bool report_holds(const struct report *report)
{
	const struct scenario *s = report->scenario;

	for (int i = 0; i < s->expect_count; i++)
		for (int k = 0; k < s->arm_count; k++)
			if (report->arms[k].ran &&
				strcmp(s->arms[k].name, s->expects[i].arm) == 0 &&
				report_share(report, k, &s->expects[i]) < RUNS_SHARE)
				return false;
	return true;
}

void report_init(struct report *report, const struct scenario *scenario)
{
	memset(report, 0, sizeof *report);
	report->scenario = scenario;
	report->time_scale = 1;
	for (int i = 0; i < scenario->arm_count; i++) {
		result_init(&report->arms[i], &scenario->arms[i]);
		result_init(&report->references[i], &report->reference_arms[i]);
	}
}

void report_release(struct report *report)
{
	for (int i = 0; i < SCENARIO_ARMS_MAX; i++) {
		result_release(&report->arms[i]);
		result_release(&report->references[i]);
		runs_release(&report->runs[i]);
	}
}
