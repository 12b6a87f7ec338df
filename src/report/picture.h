/*
 * picture - the arms over time as one SVG: starts, connections against the limits, the state of the
 * path as the instances see it, requests. The same report gives the same bytes.
 */
#ifndef STANDPIPE_REPORT_PICTURE_H
#define STANDPIPE_REPORT_PICTURE_H

#include <stdio.h>

#include "report/report.h"

/* Arms that have no series are left out. */
void picture_svg(const struct report *report, FILE *to);

#endif
