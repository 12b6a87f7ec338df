/*
 * metrics - the view in Prometheus' text format, version 0.0.4.
 *
 * States are one series a value, 1 for the one that holds and 0 for the others. Counters start
 * with the process.
 */
#ifndef STANDPIPE_GATE_METRICS_H
#define STANDPIPE_GATE_METRICS_H

#include "gate/view.h"

/* Malloc'ed, the caller's. */
char *metrics_text(const struct gate_view *view);

#endif
