#include "report/picture.h"

#include <math.h>
#include <string.h>

/* All in pixels. */
#define WIDTH     960
#define LEFT      56 /* of the plots: the scale's numbers stand there */
#define RIGHT     230 /* the keys stand there */
#define TOP       56
#define PANEL     96
#define PANEL_GAP 14
#define ARM_HEAD  30
#define ARM_FOOT  34
#define LINE      15
#define TICKS     6

/* Okabe and Ito's palette, which the colour-blind can tell apart too. */
#define GREEN  "#009e73"
#define ORANGE "#e69f00"
#define RED    "#d55e00"
#define BLUE   "#0072b2"
#define SKY    "#56b4e9"
#define PURPLE "#cc79a7"
#define GREY   "#999999"

/* One quantity of a point. */
typedef double quantity(const struct series_point *p);

struct layer {
	const char *label, *colour;
	quantity *of;
};

struct level {
	const char *label, *colour;
	double at; /* NaN: there is none */
};

/* Where a panel is, and its scales. */
struct panel {
	const struct report *report;
	const struct series *series;
	double top, end_s, most;
	int keys; /* written so far */
	FILE *to;
};

/* ---- quantities ---- */

static double ready(const struct series_point *p)
{
	return p->ready;
}

static double starting(const struct series_point *p)
{
	return p->starting;
}

static double waiting(const struct series_point *p)
{
	return p->waiting;
}

static double connections(const struct series_point *p)
{
	return p->connections;
}

static double flows(const struct series_point *p)
{
	return p->flows;
}

static double room(const struct series_point *p)
{
	return p->room;
}

static double served(const struct series_point *p)
{
	return p->served;
}

static double failed(const struct series_point *p)
{
	return p->failed;
}

static double is_unknown(const struct series_point *p)
{
	return p->states[PATH_UNKNOWN];
}

static double is_normal(const struct series_point *p)
{
	return p->states[PATH_NORMAL];
}

static double is_pressed(const struct series_point *p)
{
	return p->states[PATH_PRESSURE];
}

static double is_scaling(const struct series_point *p)
{
	return p->states[PATH_SCALING];
}

static double is_overloaded(const struct series_point *p)
{
	return p->states[PATH_OVERLOADED];
}

static const struct layer starts[] = {
	{"up", GREEN, ready},
	{"starting", ORANGE, starting},
	{"waiting for a restart", RED, waiting},
};

static const struct layer states[] = {
	{"normal", GREEN, is_normal},
	{"unknown", GREY, is_unknown},
	{"capacity pressure", SKY, is_pressed},
	{"scaling", ORANGE, is_scaling},
	{"overloaded", RED, is_overloaded},
};

static const struct layer requests[] = {
	{"served", GREEN, served},
	{"failed", RED, failed},
};

#define COUNT(list) ((int)(sizeof(list) / sizeof((list)[0])))

/* ---- text ---- */

static void text(FILE *to, double x, double y, const char *style, const char *words)
{
	fprintf(to, "<text x=\"%.1f\" y=\"%.1f\" %s>", x, y, style);
	for (; *words; words++) {
		if (*words == '<')
			fputs("&lt;", to);
		else if (*words == '>')
			fputs("&gt;", to);
		else if (*words == '&')
			fputs("&amp;", to);
		else if ((unsigned char)*words >= ' ')
			putc(*words, to);
	}
	fputs("</text>\n", to);
}

static void key(struct panel *p, const char *colour, bool line, const char *label)
{
	double x = WIDTH - RIGHT + 14, y = p->top + 10 + LINE * p->keys++;

	if (line)
		fprintf(p->to,
			"<path d=\"M%.1f %.1fh12\" stroke=\"%s\" stroke-width=\"2\" "
			"stroke-dasharray=\"4 2\"/>\n",
			x, y - 4, colour);
	else
		fprintf(p->to,
			"<rect x=\"%.1f\" y=\"%.1f\" width=\"12\" height=\"9\" fill=\"%s\"/>\n", x,
			y - 9, colour);
	text(p->to, x + 18, y, "", label);
}

/* ---- scales ---- */

static double x_of(const struct panel *p, double at_s)
{
	return LEFT + at_s / p->end_s * (WIDTH - LEFT - RIGHT);
}

static double y_of(const struct panel *p, double value)
{
	double share = value > p->most ? 1 : value / p->most;

	return p->top + PANEL * (1 - share);
}

/* 1, 2 or 5 times a power of ten: some `ticks` of it make `span`. */
static double step_of(double span, int ticks)
{
	double step = pow(10, floor(log10(span / ticks)));

	if (span / step > 5 * ticks)
		return 10 * step;
	if (span / step > 2 * ticks)
		return 5 * step;
	return span / step > ticks ? 2 * step : step;
}

static void scale(const struct panel *p, const char *title)
{
	char number[32];
	double step = step_of(p->most, 3);

	fprintf(p->to, "<rect x=\"%d\" y=\"%.1f\" width=\"%d\" height=\"%d\" fill=\"#f7f7f7\"/>\n",
		LEFT, p->top, WIDTH - LEFT - RIGHT, PANEL);
	for (int i = 0; i * step <= p->most * 1.0001; i++) {
		double at = i * step;
		double y = y_of(p, at);
		fprintf(p->to, "<path d=\"M%d %.1fH%d\" stroke=\"#dddddd\"/>\n", LEFT, y,
			WIDTH - RIGHT);
		snprintf(number, sizeof number, "%g", at);
		text(p->to, LEFT - 6, y + 4, "text-anchor=\"end\" class=\"small\"", number);
	}
	fprintf(p->to,
		"<text x=\"12\" y=\"%.1f\" text-anchor=\"middle\" class=\"small\" "
		"transform=\"rotate(-90 12 %.1f)\">%s</text>\n",
		p->top + PANEL / 2.0, p->top + PANEL / 2.0, title);
}

static void time_scale(const struct panel *p)
{
	char number[32];
	double step = step_of(p->end_s, TICKS);

	for (int i = 0; i * step <= p->end_s * 1.0001; i++) {
		double at = i * step;
		snprintf(number, sizeof number, "%g s", at);
		fprintf(p->to, "<path d=\"M%.1f %.1fv4\" stroke=\"#999999\"/>\n", x_of(p, at),
			p->top + PANEL);
		text(p->to, x_of(p, at), p->top + PANEL + 16,
			"text-anchor=\"middle\" class=\"small\"", number);
	}
}

static void faults(const struct panel *p)
{
	const struct scenario *s = p->report->scenario;

	for (int i = 0; i < s->fault_count; i++) {
		double from_s = s_from_ns(s->faults[i].at_ns) * p->report->time_scale;
		double to_s = from_s + s_from_ns(s->faults[i].for_ns) * p->report->time_scale;
		if (from_s > p->end_s)
			continue;
		double from = x_of(p, from_s), to = x_of(p, fmin(to_s, p->end_s));
		fprintf(p->to,
			"<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" "
			"fill=\"" PURPLE "\" fill-opacity=\"0.25\"/>\n",
			from, p->top, fmax(to - from, 1), PANEL);
	}
}

/* ---- curves ---- */

/* The layers on top of each other; a point holds until the next one. */
static void stack(struct panel *p, const struct layer *layers, int count)
{
	const struct series *s = p->series;

	for (int l = count - 1; l >= 0; l--) {
		fprintf(p->to, "<path fill=\"%s\" d=\"M%.1f %.1f", layers[l].colour, x_of(p, 0),
			y_of(p, 0));
		for (int i = 0; i < s->count; i++) {
			double sum = 0;
			for (int under = 0; under <= l; under++)
				sum += layers[under].of(&s->points[i]);
			fprintf(p->to, "V%.1fH%.1f", y_of(p, sum), x_of(p, s->points[i].at_s));
		}
		fprintf(p->to, "V%.1fZ\"/>\n", y_of(p, 0));
	}
	for (int l = 0; l < count; l++)
		key(p, layers[l].colour, false, layers[l].label);
}

static void curve(struct panel *p, const char *colour, quantity *of, bool dashed)
{
	const struct series *s = p->series;

	fprintf(p->to, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\"%s d=\"", colour,
		dashed ? " stroke-dasharray=\"4 2\"" : "");
	for (int i = 0; i < s->count; i++) {
		double x = x_of(p, s->points[i].at_s), y = y_of(p, of(&s->points[i]));
		if (i == 0)
			fprintf(p->to, "M%.1f %.1f", x, y);
		else
			fprintf(p->to, "H%.1fV%.1f", x, y);
	}
	fputs("\"/>\n", p->to);
}

static double largest(const struct series *s, quantity *of)
{
	double most = 0;

	for (int i = 0; i < s->count; i++)
		most = fmax(most, of(&s->points[i]));
	return most;
}

/* ---- panels ---- */

static void draw_starts(struct panel *p, const struct result *r)
{
	p->most = fmax(r->values[METRIC_INSTANCES], 1);
	for (int i = 0; i < p->series->count; i++) {
		const struct series_point *at = &p->series->points[i];
		p->most = fmax(p->most, at->ready + at->starting + at->waiting);
	}
	scale(p, "instances");
	stack(p, starts, COUNT(starts));
	faults(p);
}

static void draw_connections(struct panel *p, const struct result *r)
{
	const struct scenario *s = p->report->scenario;
	const struct level levels[] = {
		{"the database allows", RED, r->max_connections - s->database.superuser_reserved},
		{"budget of the fleet", GREEN, r->values[METRIC_BUDGET]},
	};

	p->most = fmax(largest(p->series, connections), largest(p->series, flows));
	for (int i = 0; i < COUNT(levels); i++)
		p->most = fmax(p->most, levels[i].at);
	/* Room far beyond what is used would press the rest to the ground. */
	p->most = fmax(p->most, fmin(largest(p->series, room), 1.5 * p->most));
	p->most = 1.05 * fmax(p->most, 1);
	scale(p, "connections");
	curve(p, BLUE, connections, false);
	key(p, BLUE, false, "at the database");
	if (r->arm->path != ARM_PATH_NONE) {
		curve(p, ORANGE, flows, false);
		key(p, ORANGE, false, "on the path");
		curve(p, GREY, room, true);
		key(p, GREY, true, "the path carries");
	}
	for (int i = 0; i < COUNT(levels); i++) {
		if (isnan(levels[i].at))
			continue;
		fprintf(p->to, "<path d=\"M%d %.1fH%d\" stroke=\"%s\" stroke-dasharray=\"4 2\"/>\n",
			LEFT, y_of(p, levels[i].at), WIDTH - RIGHT, levels[i].colour);
		key(p, levels[i].colour, true, levels[i].label);
	}
	faults(p);
}

static void draw_states(struct panel *p, const struct result *r)
{
	p->most = fmax(r->values[METRIC_INSTANCES], 1);
	scale(p, "path, as seen");
	stack(p, states, COUNT(states));
	faults(p);
}

static void draw_requests(struct panel *p, const struct result *r)
{
	for (int i = 0; i < p->series->count; i++)
		p->most = fmax(
			p->most, served(&p->series->points[i]) + failed(&p->series->points[i]));
	scale(p, "requests");
	stack(p, requests, COUNT(requests));
	faults(p);
}

typedef void draw(struct panel *p, const struct result *r);

/* Which panels an arm has. Returns their number. */
static int panels_of(const struct result *r, draw *list[4])
{
	const struct series *s = &r->series;
	bool has_states = false;
	int count = 0;

	for (int i = 0; i < s->count && !has_states; i++)
		for (int state = 0; state < PATH_STATE_COUNT; state++)
			has_states |= s->points[i].states[state] > 0;
	list[count++] = draw_starts;
	list[count++] = draw_connections;
	if (has_states)
		list[count++] = draw_states;
	if (largest(s, served) + largest(s, failed) > 0)
		list[count++] = draw_requests;
	return count;
}

static double height_of(const struct result *r)
{
	draw *list[4];

	if (!r->ran || r->series.count == 0)
		return 0;
	return ARM_HEAD + ARM_FOOT + panels_of(r, list) * (PANEL + PANEL_GAP);
}

static void draw_arm(const struct report *report, const struct result *r, double top, FILE *to)
{
	draw *list[4];
	int count = panels_of(r, list);
	struct panel p = {
		.report = report,
		.series = &r->series,
		.end_s = fmax(r->series.points[r->series.count - 1].at_s, 1e-3),
		.to = to,
	};

	text(to, LEFT, top + 16, "class=\"arm\"", r->arm->name);
	for (int i = 0; i < count; i++) {
		p.top = top + ARM_HEAD + i * (PANEL + PANEL_GAP);
		p.most = 1;
		p.keys = 0;
		list[i](&p, r);
	}
	time_scale(&p);
}

void picture_svg(const struct report *report, FILE *to)
{
	const struct scenario *s = report->scenario;
	double height = TOP;

	for (int i = 0; i < s->arm_count; i++)
		height += height_of(&report->arms[i]);
	fprintf(to,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%.0f\" "
		"viewBox=\"0 0 %d %.0f\">\n"
		"<style>text{font:12px sans-serif;fill:#222222}.small{font-size:11px;"
		"fill:#555555}.arm{font-weight:bold;font-size:14px}</style>\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
		WIDTH, height, WIDTH, height);
	text(to, LEFT, 22, "class=\"arm\"", s->name);
	text(to, LEFT, 40, "class=\"small\"", s->description);
	double top = TOP;
	for (int i = 0; i < s->arm_count; i++) {
		if (height_of(&report->arms[i]) > 0)
			draw_arm(report, &report->arms[i], top, to);
		top += height_of(&report->arms[i]);
	}
	fputs("</svg>\n", to);
}
