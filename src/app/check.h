/*
 * check - `standpipe check`: what is in force, where it came from, and whether it fits.
 */
#ifndef STANDPIPE_APP_CHECK_H
#define STANDPIPE_APP_CHECK_H

#include "app/check_plan.h"
#include "app/config.h"

/* Both write to stdout. */
void check_print_table(const struct config *c, const struct plan *plan);
void check_print_json(const struct config *c, const struct plan *plan);

/* {"valid": false, "error": {"origin", "text"}} */
void check_print_error_json(const struct error *error);

#endif
