/*
 * reference - which arm tells what the instances of another take on an unconstrained path, and how
 * to make one where the scenario has none.
 */
#ifndef STANDPIPE_LAB_REFERENCE_H
#define STANDPIPE_LAB_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>

#include "scenario/scenario.h"

/* Is `candidate` the reference that `arm` names or, when it names none, an arm without path and
 * Standpipe in which the application has the same settings (times aside)? */
bool reference_fits(const struct scenario_arm *candidate, const struct scenario_arm *arm);

/* The same arm without connector and Standpipe, on a database that has room for all its pools.
 * `name` is filled in, and borrowed by `*reference`. */
void reference_make(const struct scenario *s, const struct scenario_arm *arm,
	struct scenario_arm *reference, char *name, size_t size_of_name);

#endif
