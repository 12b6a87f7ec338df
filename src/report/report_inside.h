/*
 * report_inside - parts of the table that have files of their own.
 */
#ifndef STANDPIPE_REPORT_REPORT_INSIDE_H
#define STANDPIPE_REPORT_REPORT_INSIDE_H

#include "report/report.h"

/* All is the simulator's. */
bool report_is_simulated(const struct report *report);

void report_simulated_head(const struct report *report, FILE *to);

/* The arms that ran, side by side. */
void report_arms(const struct report *report, FILE *to);

/* Of an arm that was played several times: how far its metrics spread. */
void report_spread(const struct report *report, int arm, FILE *to);

#endif
