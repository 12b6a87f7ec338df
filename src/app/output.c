#include "app/output.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "report/picture.h"

#define JSON_FORMAT (JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(12))

static int write_picture(const char *file, const struct report *report)
{
	FILE *to = fopen(file, "we");
	if (!to)
		return -1;
	picture_svg(report, to);
	bool failed = ferror(to) != 0;
	return fclose(to) != 0 || failed ? -1 : 0;
}

static bool is_written(const char *command, const char *file, int result)
{
	if (result != 0)
		fprintf(stderr, "standpipe %s: cannot write %s: %s\n", command, file,
			strerror(errno));
	return result == 0;
}

bool output_is_possible(const char *command, const struct output *o)
{
	const char *files[] = {o->file, o->picture};
	for (int i = 0; i < 2; i++) {
		/* What is in it already stays until the report is there. */
		FILE *to = files[i] ? fopen(files[i], "ae") : NULL;
		if (files[i] && !is_written(command, files[i], to ? fclose(to) : -1))
			return false;
	}
	return true;
}

int output_report(const char *command, const struct output *o, const struct report *report)
{
	json_t *json = report_json(report);
	bool ok = true;
	if (o->json) {
		ok = json_dumpf(json, stdout, JSON_FORMAT) == 0;
		putchar('\n');
	} else {
		report_table(report, stdout);
	}
	ok = fflush(stdout) == 0 && ok;
	if (o->file)
		ok = is_written(command, o->file, json_dump_file(json, o->file, JSON_FORMAT)) && ok;
	if (o->picture)
		ok = is_written(command, o->picture, write_picture(o->picture, report)) && ok;
	json_decref(json);
	return ok && report_holds(report) ? 0 : 1;
}
