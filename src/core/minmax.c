#include "core/minmax.h"

/* Not worse: of equals the newer one is better, for it lasts longer. */
static bool is_as_good(int64_t value, int64_t than, bool greatest)
{
	return greatest ? value >= than : value <= than;
}

/* The best one is too old, or so much time passed without a second that there may be none when it
 * is: the samples of a quarter and of half a window stand by. */
static void turn(
	struct minmax *m, const struct minmax_sample *sample, int64_t window_ns, instant now)
{
	struct minmax_sample *best = m->best;
	int64_t age_ns = now - best[0].at;
	if (age_ns > window_ns) {
		best[0] = best[1];
		best[1] = best[2];
		best[2] = *sample;
		if (now - best[0].at > window_ns) {
			best[0] = best[1];
			best[1] = best[2];
		}
	} else if (best[1].at == best[0].at && age_ns > window_ns / 4) {
		best[1] = best[2] = *sample;
	} else if (best[2].at == best[1].at && age_ns > window_ns / 2) {
		best[2] = *sample;
	}
}

static int64_t take(struct minmax *m, int64_t value, int64_t window_ns, instant now, bool greatest)
{
	const struct minmax_sample sample = {now, value};
	struct minmax_sample *best = m->best;
	bool all_old = m->any && now - best[2].at > window_ns;
	if (!m->any || all_old || is_as_good(value, best[0].value, greatest)) {
		m->any = true;
		best[0] = best[1] = best[2] = sample;
		return value;
	}
	if (is_as_good(value, best[1].value, greatest))
		best[1] = best[2] = sample;
	else if (is_as_good(value, best[2].value, greatest))
		best[2] = sample;
	turn(m, &sample, window_ns, now);
	return best[0].value;
}

int64_t minmax_least(struct minmax *m, int64_t value, int64_t window_ns, instant now)
{
	return take(m, value, window_ns, now, false);
}

int64_t minmax_greatest(struct minmax *m, int64_t value, int64_t window_ns, instant now)
{
	return take(m, value, window_ns, now, true);
}
