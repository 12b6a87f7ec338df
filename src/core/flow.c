#include "core/flow.h"

#include <stdbool.h>

#define SMOOTHING 8 /* RFC 6298's */

static bool is_fresh(const struct flow *f, instant now)
{
	return f->samples > 0 && now < f->sampled_at + FLOW_FRESH_NS;
}

static void halve(struct flow *f, instant now)
{
	/* Past a few dozen nothing is left of what was. */
	for (int i = 0; i < 64 && now - f->halved_at >= FLOW_HALF_NS; i++) {
		f->segments /= 2.0;
		f->retransmits /= 2.0;
		f->halved_at += FLOW_HALF_NS;
	}
	if (now - f->halved_at >= FLOW_HALF_NS)
		f->halved_at = now;
}

void flow_sample(struct flow *f, const struct flow_sample *sample, instant now)
{
	if (f->samples == 0)
		f->halved_at = now;
	/* After a silence the round trip of before it is no start for this one. */
	bool first = f->rtt_ns == 0 || !is_fresh(f, now);
	halve(f, now);
	if (sample->rtt_ns > 0) {
		f->rtt_ns = first ? sample->rtt_ns
				  : f->rtt_ns + (sample->rtt_ns - f->rtt_ns) / SMOOTHING;
		int64_t least_ns = sample->min_rtt_ns > 0 ? sample->min_rtt_ns : sample->rtt_ns;
		minmax_least(&f->floor, least_ns, FLOW_MEMORY_NS, now);
		minmax_least(&f->standing, sample->rtt_ns, FLOW_STANDING_NS, now);
	}
	if (sample->delivery_bit_s > 0)
		minmax_greatest(&f->delivery, (int64_t)sample->delivery_bit_s, FLOW_FRESH_NS, now);
	f->segments += (double)sample->segments;
	f->retransmits += (double)sample->retransmits;
	f->segments_total += sample->segments;
	f->retransmits_total += sample->retransmits;
	f->samples++;
	f->sampled_at = now;
}

double flow_retransmit_rate(const struct flow *f, instant now)
{
	if (!is_fresh(f, now) || f->segments < FLOW_SEGMENTS_MIN)
		return 0.0;
	double rate = f->retransmits / f->segments;
	return rate < 1.0 ? rate : 1.0;
}

double flow_inflation(const struct flow *f, instant now)
{
	int64_t floor_ns = minmax_value(&f->floor), standing_ns = minmax_value(&f->standing);
	if (!is_fresh(f, now) || floor_ns <= 0 || standing_ns - floor_ns < FLOW_NOISE_NS)
		return 1.0;
	return (double)standing_ns / (double)floor_ns;
}

instant flow_deadline(const struct flow *f)
{
	return f->samples > 0 ? f->sampled_at + FLOW_FRESH_NS : INSTANT_NEVER;
}
