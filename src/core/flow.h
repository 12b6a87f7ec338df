/*
 * flow - what the kernel's TCP tells of the connections that are there (TCP_INFO, tcp(7)): round
 * trips, what had to be sent again, how fast bytes arrive. Connects say how a path lets one in;
 * this says how it carries, also where nobody connects for an hour.
 *
 * The round trip's floor is the least of FLOW_MEMORY_NS. What the least of FLOW_STANDING_NS is over
 * it is a queue on the way that stands: one that drains lets some packet pass as fast as ever
 * (CoDel's argument). A peer that acknowledges late, as PostgreSQL's does while a query runs, looks
 * the same, but costs no more than the larger of 40 ms and a round trip (Linux): FLOW_NOISE_NS and
 * a factor over two leave it out. What is shown is the smoothed one (RFC 6298: 1/8 of each new
 * sample). Retransmits are counted over the last FLOW_HALF_NS or so: both counts are halved as
 * often as that passes.
 */
#ifndef STANDPIPE_CORE_FLOW_H
#define STANDPIPE_CORE_FLOW_H

#include <stdint.h>

#include "base/instant.h"
#include "core/minmax.h"

#define FLOW_MEMORY_NS (600 * NS_PER_S)
#define FLOW_HALF_NS   (10 * NS_PER_S)
/* What was sampled is believed for so long. */
#define FLOW_FRESH_NS (30 * NS_PER_S)
/* A swelling below this is a peer that acknowledges late, or a busy machine. */
#define FLOW_NOISE_NS    (50 * NS_PER_MS)
#define FLOW_STANDING_NS (10 * NS_PER_S)
/* A rate of fewer segments than that says nothing. */
#define FLOW_SEGMENTS_MIN 50

/* Of one connection. */
struct flow_sample {
	int64_t rtt_ns; /* smoothed, as the kernel has it; 0: none was measured */
	int64_t min_rtt_ns; /* 0: not known */
	int64_t segments, retransmits; /* sent since the connection's last sample; the second
					* within the first */
	double delivery_bit_s; /* 0: not known */
};

/* All zero is a flow that nothing is known of. */
struct flow {
	int64_t rtt_ns; /* smoothed over all; 0: none */
	struct minmax floor; /* the round trip's */
	struct minmax standing; /* the same of lately: over the floor by the queue that stands */
	struct minmax delivery; /* bits per second, the greatest of FLOW_FRESH_NS */
	double segments, retransmits; /* lately */
	int64_t segments_total, retransmits_total;
	int64_t samples;
	instant sampled_at, halved_at;
};

void flow_sample(struct flow *f, const struct flow_sample *sample, instant now);

/* 0..1, of what was sent lately; 0 where there is too little to tell, or it is too old. */
double flow_retransmit_rate(const struct flow *f, instant now);

/* The standing round trip as a multiple of its floor: 1 or more; 1 where it is no news. */
double flow_inflation(const struct flow *f, instant now);

/* When what was sampled will be too old; INSTANT_NEVER: nothing was. */
instant flow_deadline(const struct flow *f);

#endif
