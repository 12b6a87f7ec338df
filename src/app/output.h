/*
 * output - where `lab` and `sim` leave their report: a table or JSON on stdout, JSON and a picture
 * in files.
 */
#ifndef STANDPIPE_APP_OUTPUT_H
#define STANDPIPE_APP_OUTPUT_H

#include <stdbool.h>

#include "report/report.h"

struct output {
	bool json; /* on stdout, in place of the table */
	const char *file; /* JSON, too; NULL: no. Borrowed, as the next */
	const char *picture; /* SVG; NULL: no */
};

/* Can the files be written? Asked before what takes minutes; if not it is said on stderr. Makes those that are
 * not there. */
bool output_is_possible(const char *command, const struct output *o);

/* What can't be written is said on stderr, in the name of `command`. Returns the exit code: 0; 1 if
 * something could not be written, or an expectation does not hold. */
int output_report(const char *command, const struct output *o, const struct report *report);

#endif
