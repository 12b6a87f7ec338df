/* The arms side by side: a row is a figure, a column is an arm. */
#include <math.h>
#include <string.h>

#include "report/report_inside.h"

#define COLUMNS_MAX 5 /* arms side by side; more of them get a table of their own */
#define LABEL_WIDTH 36
#define CELL_MAX    48

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

void report_arms(const struct report *report, FILE *to)
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
