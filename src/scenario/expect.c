#include "scenario/expect.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[METRICS] = {
	[METRIC_STARTS] = "starts",
	[METRIC_SUCCEEDED] = "succeeded",
	[METRIC_UNFINISHED] = "unfinished",
	[METRIC_SUCCESS_RATE] = "success_rate",
	[METRIC_READY] = "ready",
	[METRIC_INSTANCES] = "instances",
	[METRIC_REFUSED_53300] = "refused_53300",
	[METRIC_PEAK_CONNECTIONS] = "peak_connections",
	[METRIC_BUDGET] = "budget",
	[METRIC_CONNECT_ATTEMPTS] = "connect_attempts",
	[METRIC_MAKESPAN_S] = "makespan_s",
	[METRIC_BOUND_S] = "bound_s",
	[METRIC_READY_P50_S] = "ready_p50_s",
	[METRIC_READY_P95_S] = "ready_p95_s",
	[METRIC_FITTING] = "fitting",
	[METRIC_FIT_S] = "fit_s",
	[METRIC_DIED] = "died",
	[METRIC_REQUESTS] = "requests",
	[METRIC_SERVED_RATE] = "served_rate",
	[METRIC_RECOVERED_S] = "recovered_s",
	[METRIC_RECOVERY_BOUND_S] = "recovery_bound_s",
	[METRIC_FAIRNESS] = "fairness",
};

/* Longer ones first where one begins with another. */
static const struct {
	const char *text;
	enum expect_op op;
} operators[] = {
	{"<=", EXPECT_LE},
	{">=", EXPECT_GE},
	{"==", EXPECT_EQ},
	{"!=", EXPECT_NE},
	{"<", EXPECT_LT},
	{">", EXPECT_GT},
};

const char *metric_name(enum metric metric)
{
	return names[metric];
}

int metric_find(const char *name, size_t len)
{
	for (int i = 0; i < METRICS; i++)
		if (strlen(names[i]) == len && strncmp(names[i], name, len) == 0)
			return i;
	return -1;
}

static const char *skip_blanks(const char *at)
{
	return at + strspn(at, " \t");
}

/* NUMBER, METRIC, or NUMBER * METRIC. */
static const char *parse_right(struct expect *e, const char *at)
{
	char *end;

	e->factor = strtod(at, &end);
	e->other = -1;
	if (end == at) {
		e->factor = 1;
	} else {
		at = skip_blanks(end);
		if (*at == '\0')
			return isfinite(e->factor) ? NULL : "the number on the right is not finite";
		if (*at != '*')
			return "after the number on the right only `* METRIC` may follow";
		at = skip_blanks(at + 1);
	}
	size_t len = strcspn(at, " \t");
	e->other = metric_find(at, len);
	if (e->other < 0 || *skip_blanks(at + len) != '\0')
		return "the right side must be NUMBER, METRIC or NUMBER * METRIC";
	return NULL;
}

const char *expect_parse(struct expect *e, const char *text)
{
	const char *at = skip_blanks(text);
	const char *dot = strchr(at, '.');
	size_t len;

	if (!dot || dot == at || (size_t)(dot - at) >= sizeof e->arm)
		return "it must begin with ARM.METRIC";
	memcpy(e->arm, at, (size_t)(dot - at));
	e->arm[dot - at] = '\0';
	at = dot + 1;
	len = strcspn(at, " \t<>=!");
	int metric = metric_find(at, len);
	if (metric < 0)
		return "no metric of the report has that name";
	e->metric = (enum metric)metric;
	at = skip_blanks(at + len);
	for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++) {
		if (strncmp(at, operators[i].text, strlen(operators[i].text)) != 0)
			continue;
		e->op = operators[i].op;
		return parse_right(e, skip_blanks(at + strlen(operators[i].text)));
	}
	return "after the metric one of < <= == != >= > must follow";
}

double expect_right(const struct expect *e, const double *values)
{
	return e->other < 0 ? e->factor : e->factor * values[e->other];
}

bool expect_holds(const struct expect *e, const double *values)
{
	double left = values[e->metric], right = expect_right(e, values);

	if (isnan(left) || isnan(right))
		return false;
	switch (e->op) {
	case EXPECT_LT:
		return left < right;
	case EXPECT_LE:
		return left <= right;
	case EXPECT_EQ:
		return fabs(left - right) < 1e-9;
	case EXPECT_NE:
		return fabs(left - right) >= 1e-9;
	case EXPECT_GE:
		return left >= right;
	case EXPECT_GT:
		return left > right;
	}
	return false;
}
