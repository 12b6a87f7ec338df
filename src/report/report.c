#include "report/report.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "conf/value.h"
#include "report/report_inside.h"

#define COLUMNS_MAX 5 /* arms side by side; more of them get a table of their own */
#define LABEL_WIDTH 36
#define CELL_MAX    48

/* Of a round trip: the lab passes over what is less. */
#define LATENCY_MIN_NS (2 * NS_PER_MS)

struct table {
	const struct result *columns[COLUMNS_MAX];
	int widths[COLUMNS_MAX];
	int count;
};

/* Fills in one cell. */
typedef void cell(const struct result *r, char *text, size_t size);

static int value(const struct result *r, enum metric metric)
{
	return (int)r->values[metric];
}

static void seconds(double s, const char *none, char *text, size_t size)
{
	if (isnan(s))
		snprintf(text, size, "%s", none);
	else
		snprintf(text, size, "%.1f s", s);
}

static void show_way(const struct result *r, char *text, size_t size)
{
	snprintf(text, size, "%s", r->arm->path == ARM_PATH_NONE ? "none" : "connector");
}

static void show_standpipe(const struct result *r, char *text, size_t size)
{
	snprintf(text, size, "%s", r->arm->standpipe ? "yes" : "no");
}

static void show_warm(const struct result *r, char *text, size_t size)
{
	if (r->warm < 0)
		snprintf(text, size, "?");
	else
		snprintf(text, size, "%d", r->warm);
}

static void show_limit(const struct result *r, char *text, size_t size)
{
	snprintf(text, size, "%d", r->max_connections);
}

static void show_starts(const struct result *r, char *text, size_t size)
{
	snprintf(text, size, "%d", value(r, METRIC_STARTS));
}

static void show_succeeded(const struct result *r, char *text, size_t size)
{
	snprintf(text, size, "%d (%.0f %%)", value(r, METRIC_SUCCEEDED),
		floor(100 * r->values[METRIC_SUCCESS_RATE]));
}

static void show_unfinished(const struct result *r, char *text, size_t size)
{
	snprintf(text, size, "%d", value(r, METRIC_UNFINISHED));
}

static void show_ready(const struct result *r, char *text, size_t size)
{
	snprintf(text, size, "%d of %d", value(r, METRIC_READY), value(r, METRIC_INSTANCES));
}

static void show_exits(const struct result *r, char *text, size_t size)
{
	size_t used = 0;

	snprintf(text, size, "none");
	for (int i = 0; i < r->exit_count && used < size; i++)
		used += (size_t)snprintf(text + used, size - used, "%s%d x code %d", i ? ", " : "",
			r->exits[i].count, r->exits[i].code);
}

static void show_refused(const struct result *r, char *text, size_t size)
{
	snprintf(text, size, "%d", value(r, METRIC_REFUSED_53300));
}

static void show_peak(const struct result *r, char *text, size_t size)
{
	snprintf(text, size, "%d", value(r, METRIC_PEAK_CONNECTIONS));
}

static void show_budget(const struct result *r, char *text, size_t size)
{
	snprintf(text, size, "%d", value(r, METRIC_BUDGET));
}

static void show_flows(const struct result *r, char *text, size_t size)
{
	if (r->arm->path == ARM_PATH_NONE)
		snprintf(text, size, "-");
	else
		snprintf(text, size, "%d", r->connector.flows_peak);
}

static void show_grown(const struct result *r, char *text, size_t size)
{
	if (r->arm->path == ARM_PATH_NONE)
		snprintf(text, size, "-");
	else
		snprintf(text, size, "%d", r->connector.instances);
}

static void show_handshakes(const struct result *r, char *text, size_t size)
{
	if (r->arm->path == ARM_PATH_NONE)
		snprintf(text, size, "-");
	else
		snprintf(text, size, "%lld + %lld", (long long)r->connector.completed,
			(long long)r->connector.dropped);
}

static void show_median(const struct result *r, char *text, size_t size)
{
	seconds(r->values[METRIC_READY_P50_S], "-", text, size);
}

static void show_most(const struct result *r, char *text, size_t size)
{
	seconds(r->values[METRIC_READY_P95_S], "-", text, size);
}

static void show_makespan(const struct result *r, char *text, size_t size)
{
	char never[CELL_MAX];

	snprintf(never, sizeof never, "not in %.0f s", r->elapsed_s);
	seconds(r->values[METRIC_MAKESPAN_S], never, text, size);
}

static void show_bound(const struct result *r, char *text, size_t size)
{
	seconds(r->values[METRIC_BOUND_S], "?", text, size);
}

static void show_ratio(const struct result *r, char *text, size_t size)
{
	double ratio = r->values[METRIC_MAKESPAN_S] / r->values[METRIC_BOUND_S];

	if (isnan(ratio))
		snprintf(text, size, "-");
	else
		snprintf(text, size, "%.2f x", ratio);
}

static void show_died(const struct result *r, char *text, size_t size)
{
	snprintf(text, size, "%d", value(r, METRIC_DIED));
}

static void show_requests(const struct result *r, char *text, size_t size)
{
	snprintf(text, size, "%.0f", r->values[METRIC_REQUESTS]);
}

static void show_served(const struct result *r, char *text, size_t size)
{
	if (isnan(r->values[METRIC_SERVED_RATE]))
		snprintf(text, size, "-");
	else
		snprintf(text, size, "%.1f %%", floor(1000 * r->values[METRIC_SERVED_RATE]) / 10);
}

static void show_recovered(const struct result *r, char *text, size_t size)
{
	seconds(r->values[METRIC_RECOVERED_S], "never", text, size);
}

static void show_recovery_bound(const struct result *r, char *text, size_t size)
{
	seconds(r->values[METRIC_RECOVERY_BOUND_S], "?", text, size);
}

static bool has_load(const struct scenario *s)
{
	return s->load.rate > 0;
}

static bool has_faults(const struct scenario *s)
{
	return s->fault_count > 0;
}

/* Is there anything that ends what is up? */
static bool has_deaths(const struct scenario *s)
{
	return has_faults(s) || s->platform.liveness_path[0] != '\0';
}

static const struct {
	const char *label; /* NULL: an empty line */
	cell *show;
	bool (*when)(const struct scenario *s); /* NULL: always */
} rows[] = {
	{"path to the database", show_way, NULL},
	{"behind standpipe", show_standpipe, NULL},
	{"connections the service opens, each", show_warm, NULL},
	{"the database allows", show_limit, NULL},
	{NULL, NULL, NULL},
	{"starts tried", show_starts, NULL},
	{"  succeeded", show_succeeded, NULL},
	{"  still under way at the end", show_unfinished, NULL},
	{"  exits", show_exits, NULL},
	{"  died when they had been up", show_died, has_deaths},
	{"instances up at the end", show_ready, NULL},
	{NULL, NULL, NULL},
	{"connections at most, at the database", show_peak, NULL},
	{"  of these may be used (budget)", show_budget, NULL},
	{"  refused for want of room (53300)", show_refused, NULL},
	{"connections at most, on the path", show_flows, NULL},
	{"  handshakes: completed + SYNs dropped", show_handshakes, NULL},
	{"  connector machines at the end", show_grown, NULL},
	{NULL, NULL, NULL},
	{"time until an instance is up: median", show_median, NULL},
	{"  95 of 100", show_most, NULL},
	{"time until all are up", show_makespan, NULL},
	{"  at least needed (bound)", show_bound, NULL},
	{"  times the bound", show_ratio, NULL},
	{NULL, NULL, has_load},
	{"requests of users", show_requests, has_load},
	{"  served in the end", show_served, has_load},
	{NULL, NULL, has_faults},
	{"from the fault until all is well", show_recovered, has_faults},
	{"  at least needed (bound)", show_recovery_bound, has_faults},
};
#define ROWS (sizeof rows / sizeof rows[0])

static bool is_shown(const struct scenario *s, size_t row)
{
	return !rows[row].when || rows[row].when(s);
}

static void measure(const struct scenario *s, struct table *t)
{
	char text[CELL_MAX];

	for (int c = 0; c < t->count; c++) {
		t->widths[c] = (int)strlen(t->columns[c]->arm->name);
		for (size_t i = 0; i < ROWS; i++) {
			if (!rows[i].label || !is_shown(s, i))
				continue;
			rows[i].show(t->columns[c], text, sizeof text);
			int width = (int)strlen(text);
			t->widths[c] = width > t->widths[c] ? width : t->widths[c];
		}
	}
}

static void print_table(const struct scenario *s, struct table *t, FILE *to)
{
	char text[CELL_MAX];

	measure(s, t);
	fprintf(to, "%-*s", LABEL_WIDTH, "");
	for (int c = 0; c < t->count; c++)
		fprintf(to, "  %*s", t->widths[c], t->columns[c]->arm->name);
	fputs("\n", to);
	for (size_t i = 0; i < ROWS; i++) {
		if (!is_shown(s, i))
			continue;
		if (rows[i].label)
			fprintf(to, "%-*s", LABEL_WIDTH, rows[i].label);
		for (int c = 0; rows[i].label && c < t->count; c++) {
			rows[i].show(t->columns[c], text, sizeof text);
			fprintf(to, "  %*s", t->widths[c], text);
		}
		fputs("\n", to);
	}
	fputs("\n", to);
}

static void print_tables(const struct report *report, FILE *to)
{
	struct table t = {0};

	for (int i = 0; i < report->scenario->arm_count; i++) {
		if (report->arms[i].ran)
			t.columns[t.count++] = &report->arms[i];
		if (t.count == COLUMNS_MAX) {
			print_table(report->scenario, &t, to);
			t.count = 0;
		}
	}
	if (t.count > 0)
		print_table(report->scenario, &t, to);
}

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
	print_tables(report, to);
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
	report->expectations_hold = true;
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
