/*
 * rows - every key of a scenario's YAML: type, limits, default, and a line of help.
 */
#ifndef STANDPIPE_SCENARIO_ROWS_H
#define STANDPIPE_SCENARIO_ROWS_H

#include "conf/setting.h"

/* For struct scenario, struct scenario_arm and struct scenario_fault. */
extern const struct setting scenario_rows[], scenario_arm_rows[], scenario_fault_rows[];
extern const int scenario_row_count, scenario_arm_row_count, scenario_fault_row_count;

#endif
