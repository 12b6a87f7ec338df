#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "report/picture.h"

static struct scenario_arm arms[] = {
	{.name = "seen", .path = ARM_PATH_CONNECTOR}, {.name = "not run"}};
static const struct scenario scenario = {
	.name = "a < b & c",
	.description = "",
	.arms = arms,
	.arm_count = 2,
	.faults = {{.at_ns = 2 * NS_PER_S, .for_ns = NS_PER_S}},
	.fault_count = 1,
};

static char *draw(bool with_load)
{
	struct report *report = calloc(1, sizeof *report);
	char *svg = NULL;
	size_t size;

	report_init(report, &scenario);
	report->arms[0].ran = true;
	report->arms[0].values[METRIC_INSTANCES] = 4;
	for (int i = 0; i < 10; i++)
		series_add(&report->arms[0].series, &(struct series_point){.at_s = i,
							    .ready = i < 4 ? i : 4,
							    .flows = 4,
							    .room = 8,
							    .served = with_load ? 10 : 0});
	FILE *to = open_memstream(&svg, &size);
	picture_svg(report, to);
	fclose(to);
	report_release(report);
	free(report);
	return svg;
}

static void it_is_an_svg_of_the_arms_that_ran(void **state)
{
	char *svg = draw(false);

	assert_non_null(strstr(svg, "a &lt; b &amp; c"));
	assert_non_null(strstr(svg, ">seen<"));
	assert_null(strstr(svg, "not run"));
	assert_null(strstr(svg, "nan"));
	assert_null(strstr(svg, "inf"));
	assert_string_equal(svg + strlen(svg) - 7, "</svg>\n");
	free(svg);
}

static void requests_have_a_panel_where_there_are_some(void **state)
{
	char *without = draw(false), *with = draw(true);

	assert_null(strstr(without, ">served<"));
	assert_non_null(strstr(with, ">served<"));
	free(without);
	free(with);
}

/* Without a path nothing has room on it, and the scale must reach as far all the same. */
static void the_scale_reaches_as_far_as_the_connections(void **state)
{
	struct report *report = calloc(1, sizeof *report);
	char *svg = NULL;
	size_t size;

	report_init(report, &scenario);
	report->arms[0].ran = true;
	report->arms[0].max_connections = 40;
	report->arms[0].values[METRIC_INSTANCES] = 4;
	for (int i = 0; i < 3; i++)
		series_add(&report->arms[0].series,
			&(struct series_point){.at_s = i, .connections = 24});
	FILE *to = open_memstream(&svg, &size);
	picture_svg(report, to);
	fclose(to);
	assert_non_null(strstr(svg, ">20<"));
	assert_non_null(strstr(svg, ">40<"));
	free(svg);
	report_release(report);
	free(report);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_an_svg_of_the_arms_that_ran),
		cmocka_unit_test(the_scale_reaches_as_far_as_the_connections),
		cmocka_unit_test(requests_have_a_panel_where_there_are_some),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
