#include "app/probe_show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COLUMNS      79
#define INDENT       10 /* of advice's text */
#define BAR_WIDTH    50
#define SERIES_LINES 10

#define SPAN_TEXT 16

/* Three digits that matter, and the unit. */
static const char *span(int64_t span_ns, char text[SPAN_TEXT])
{
	double value = (double)span_ns / NS_PER_MS;
	const char *unit = "ms";
	if (value >= 1000) {
		value /= 1000;
		unit = "s";
	}
	int digits = value < 0.995 ? 3 : value < 9.95 ? 2 : value < 99.5 ? 1 : 0;
	snprintf(text, SPAN_TEXT, "%.*f %s", digits, value, unit);
	return text;
}

/* Words up to the last column, from the column `indent` on. */
static void show_wrapped(int indent, const char *text)
{
	int column = indent;
	for (bool first = true; *text; first = false) {
		int len = (int)strcspn(text, " ");
		bool fits = column + 1 + len <= COLUMNS;
		if (!first && fits) {
			putchar(' ');
			column++;
		} else if (!first) {
			printf("\n%*s", indent, "");
			column = indent;
		}
		printf("%.*s", len, text);
		column += len;
		text += len + (text[len] == ' ');
	}
	printf("\n");
}

/* ---- while it runs ---- */

void probe_show_target(const struct config *config, int64_t timeout_ns)
{
	char text[SPAN_TEXT];
	printf("%s at %s as %s, each attempt within %s\n", config->gate.database, config->address,
		config->gate.user, span(timeout_ns, text));
	fflush(stdout);
}

static void show_failure(const struct probe_attempt *a, const struct secrets *secrets)
{
	char text[ERROR_TEXT_MAX], line[ERROR_TEXT_MAX + 64];
	secrets_clean(secrets, a->error.text, text, sizeof(text));
	snprintf(line, sizeof(line), "failed at %s: %s%s%s", stage_name(a->stage),
		a->error.sqlstate, *a->error.sqlstate ? ": " : "", text);
	printf("  ");
	show_wrapped(2, line);
}

static void show_stages(const struct probe_record *r, const struct probe_attempt *a)
{
	char time[SPAN_TEXT], rtt[SPAN_TEXT], least[SPAN_TEXT];
	bool connected = a->stage == STAGE_READY;
	for (enum stage s = 0; s <= a->stage; s++) {
		if (s == STAGE_TLS && a->stage_ns[s] == 0)
			continue;
		printf("  %-6s %9s", stage_name(s), span(a->stage_ns[s], time));
		if (s == STAGE_TCP && connected)
			printf("   to %s", r->place);
		if (s == STAGE_TCP && a->syns_again > 0)
			printf("   SYN sent again: %lld", (long long)a->syns_again);
		if (s == STAGE_TLS && connected)
			printf("   %s", r->tls);
		printf("\n");
	}
	if (a->queries > 0)
		printf("  %-6s %9s   the first `select 1` of %d\n", "query",
			span(a->query_ns[0], time), a->queries);
	if (connected && a->tcp.rtt_ns > 0)
		printf("  %-6s %9s   at least %s, by the kernel's measure\n", "trip",
			span(a->tcp.rtt_ns, rtt), span(a->tcp.min_rtt_ns, least));
}

/* The heading of its part, before the part's first one. */
static void show_part(const struct probe_attempt *a)
{
	static const char *const parts[] = {
		[PROBE_FIRST] = "First connect",
		[PROBE_SERIES] = "One after the other",
		[PROBE_RAMP] = "Several at once, held until the last of them is there",
	};
	printf("\n%s\n", parts[a->part]);
}

/* Of those that went well only some: the table at the end has them all. */
static bool is_worth_a_line(const struct probe_record *r, const struct probe_attempt *a)
{
	return (a->part == PROBE_SERIES && r->count <= SERIES_LINES + 1) || a->syns_again > 0 ||
	       a->stage_ns[STAGE_READY] > NS_PER_S;
}

void probe_show_attempt(
	const struct probe_record *r, const struct probe_attempt *a, const struct secrets *secrets)
{
	char time[SPAN_TEXT];
	bool ok = a->outcome == OUTCOME_OK, begins = r->count < 2 || a[-1].part != a->part;
	if (begins)
		show_part(a);
	if (a->part == PROBE_FIRST)
		show_stages(r, a);
	else if (ok && is_worth_a_line(r, a))
		printf("  %3d  ready in %s%s\n", r->count - 1, span(a->stage_ns[STAGE_READY], time),
			a->syns_again > 0 ? ", its SYN had to be sent again" : "");
	if (!ok)
		show_failure(a, secrets);
	fflush(stdout);
}

/* ---- the report ---- */

static void show_row(const char *name, const struct probe_spans *s, int failed)
{
	char least[SPAN_TEXT], median[SPAN_TEXT], high[SPAN_TEXT], most[SPAN_TEXT];
	if (s->count == 0 && failed == 0)
		return;
	printf("%-8s %6d %7d", name, s->count, failed);
	if (s->count > 0)
		printf(" %10s %10s %10s %10s", span(s->min_ns, least), span(s->p50_ns, median),
			span(s->p95_ns, high), span(s->max_ns, most));
	printf("\n");
}

static void show_table(const struct probe_numbers *n)
{
	int failed_query = n->failed_in[STAGE_READY];
	printf("\n%-8s %6s %7s %10s %10s %10s %10s\n", "STAGE", "PASSED", "FAILED", "MIN", "P50",
		"P95", "MAX");
	for (enum stage s = 0; s < STAGE_COUNT; s++)
		show_row(stage_name(s), &n->stages[s], s == STAGE_READY ? 0 : n->failed_in[s]);
	show_row("query", &n->query, failed_query);
	for (enum outcome o = 0; o < OUTCOME_COUNT; o++)
		if (n->failed_by[o] > 0)
			printf("%-8s %14d  of %s\n", "", n->failed_by[o], outcome_name(o));
}

static void show_histogram(const struct probe_numbers *n)
{
	int first = PROBE_BUCKETS, last = -1, most = 1;
	for (int i = 0; i < PROBE_BUCKETS; i++) {
		if (n->buckets[i].count == 0)
			continue;
		first = first < i ? first : i;
		last = i;
		most = most > n->buckets[i].count ? most : n->buckets[i].count;
	}
	if (last < 0)
		return;
	printf("\nREADY WITHIN\n");
	for (int i = first; i <= last; i++) {
		const struct probe_bucket *b = &n->buckets[i];
		bool open = b->to_ns == INT64_MAX;
		int64_t edge_ns = open ? b->from_ns : b->to_ns;
		bool whole_s = edge_ns >= NS_PER_S;
		int width = (b->count * BAR_WIDTH + most - 1) / most;
		printf("%s%5lld %-2s ", open ? "over" : "    ",
			(long long)(edge_ns / (whole_s ? NS_PER_S : NS_PER_MS)),
			whole_s ? "s" : "ms");
		for (int bar = 0; bar < width; bar++)
			putchar('#');
		printf("%s%d\n", width ? " " : "", b->count);
	}
}

static void show_ramp(const struct probe_numbers *n)
{
	char median[SPAN_TEXT], most[SPAN_TEXT];
	if (n->steps_count == 0)
		return;
	printf("\n%-8s %6s %7s %10s %10s\n", "AT ONCE", "READY", "FAILED", "P50", "MAX");
	for (int i = 0; i < n->steps_count; i++) {
		const struct probe_step *s = &n->steps[i];
		printf("%-8d %6d %7d", s->parallel, s->ok, s->failed);
		if (s->ok > 0)
			printf(" %10s %10s", span(s->ready.p50_ns, median),
				span(s->ready.max_ns, most));
		printf("%s\n", i == n->gave_way ? "   gives way here" : "");
	}
}

static void show_path(const struct probe_shown *s)
{
	const struct probe_numbers *n = s->numbers;
	const struct probe_server *server = &s->record->server;
	const struct engine_limits *l = &server->limits;
	char rtt[SPAN_TEXT], least[SPAN_TEXT], version[PROBE_VERSION_MAX], line[PROBE_TEXT_MAX];
	printf("\n");
	if (n->rtt_ns > 0)
		printf("%-*sround trip %s, at least %s; sent again: %lld SYNs, %lld others\n",
			INDENT, "tcp", span(n->rtt_ns, rtt), span(n->min_rtt_ns, least),
			(long long)n->syns_again, (long long)n->segments_again);
	if (!server->known)
		return;
	secrets_clean(s->secrets, server->version, version, sizeof(version));
	snprintf(line, sizeof(line),
		"PostgreSQL %s, a %s; max_connections %d, of which %d are kept for superusers and "
		"%d reserved; %d clients beside this one",
		version, l->in_recovery ? "standby" : "primary", l->max_connections,
		l->superuser_reserved, l->reserved, l->backends - 1);
	printf("%-*s", INDENT, "server");
	show_wrapped(INDENT, line);
}

static void show_advice(const struct probe_shown *s)
{
	const struct probe_verdict *v = s->verdict;
	char text[PROBE_TEXT_MAX];
	static const char *const colours[] = {"\033[32m", "", "\033[33m", "\033[31m"};
	const char *no_colour = getenv("NO_COLOR");
	bool coloured = isatty(STDOUT_FILENO) && !(no_colour && *no_colour);
	printf("\n");
	for (int i = 0; i < v->count; i++) {
		const struct probe_advice *a = &v->advice[i];
		bool on = coloured && *colours[a->severity];
		printf("%s%-*s%s", on ? colours[a->severity] : "", INDENT,
			probe_severity_name(a->severity), on ? "\033[0m" : "");
		secrets_clean(s->secrets, a->text, text, sizeof(text));
		show_wrapped(INDENT, text);
	}
}

void probe_show_report(const struct probe_shown *s)
{
	if (s->record->interrupted)
		printf("\ninterrupted: this is what was seen so far\n");
	show_table(s->numbers);
	show_histogram(s->numbers);
	show_ramp(s->numbers);
	show_path(s);
	show_advice(s);
}
