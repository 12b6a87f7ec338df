/*
 * report - a lab's results as a table for people and as JSON for programs.
 */
#ifndef STANDPIPE_LAB_REPORT_H
#define STANDPIPE_LAB_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "lab/lab.h"

void report_table(const struct lab_report *report, FILE *to);

/* The caller takes it. Keys of an arm: starts, succeeded, success_rate, ready, instances,
 * exit_codes, refused_53300, peak_connections, budget, makespan_s, bound_s, ready_p50_s,
 * ready_p95_s, and more. What was not measured is null. */
json_t *report_json(const struct lab_report *report);

#endif
