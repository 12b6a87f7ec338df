/*
 * faults - what goes wrong, and when: the scenario's list.
 */
#ifndef STANDPIPE_SIM_FAULTS_H
#define STANDPIPE_SIM_FAULTS_H

#include "base/instant.h"

struct world;

void faults_start(struct world *w);
void faults_begin(struct world *w, int fault);
void faults_end(struct world *w, int fault);

/* When the last one is over; 0: there is none. */
instant faults_over_at(const struct world *w);

#endif
