#include "core/backlog.h"

static int64_t target_of(const struct backlog_settings *settings, int64_t allowed_ns)
{
	int64_t part_ns = allowed_ns / BACKLOG_TARGET_PART;
	return part_ns > settings->target_ns ? part_ns : settings->target_ns;
}

void backlog_begins(struct backlog *q, instant now)
{
	q->released_at = now;
	q->interval_until = now + BACKLOG_INTERVAL_NS;
	q->least_ns = INT64_MAX;
	q->standing = q->overloaded = false;
}

void backlog_resumes(struct backlog *q, instant now)
{
	q->released_at = now;
}

void backlog_released(struct backlog *q, instant now)
{
	rate_add(&q->rate, now - q->released_at);
	q->released_at = now;
}

void backlog_served(struct backlog *q, const struct backlog_settings *settings, int64_t oldest_ns,
	int64_t allowed_ns, instant now)
{
	/* An interval in which nobody was served tells nothing, and goes on. */
	if (now >= q->interval_until && q->least_ns != INT64_MAX) {
		q->standing = q->least_ns > target_of(settings, allowed_ns);
		q->overloaded = q->overloaded && q->standing;
		q->interval_until = now + BACKLOG_INTERVAL_NS;
		q->least_ns = INT64_MAX;
	}
	if (oldest_ns < q->least_ns)
		q->least_ns = oldest_ns;
}

int64_t backlog_expected_ns(const struct backlog *q, int waiting)
{
	double per_s = rate_per_s(&q->rate);
	if (per_s <= 0.0)
		return 0;
	double expected_s = waiting / per_s;
	return expected_s < 1e6 ? ns_from_s(expected_s) : ns_from_s(1e6);
}

enum backlog_verdict backlog_arrives(
	struct backlog *q, const struct backlog_settings *settings, int waiting, int64_t allowed_ns)
{
	if (q->overloaded || backlog_expected_ns(q, waiting) <= allowed_ns)
		return BACKLOG_WAITS;
	if (settings->order == BACKLOG_ADAPTIVE && q->standing) {
		q->overloaded = true;
		q->overloads++;
		return BACKLOG_WAITS;
	}
	return settings->rejects ? BACKLOG_IN_VAIN : BACKLOG_WAITS;
}

bool backlog_takes_newest(struct backlog *q, bool patient)
{
	if (!q->overloaded)
		return false;
	q->turn = (q->turn + 1) % BACKLOG_PATIENT_EVERY;
	return !(patient && q->turn == 0);
}

bool backlog_oldest_in_vain(const struct backlog *q, const struct backlog_settings *settings,
	int waiting, int64_t waited_ns, int64_t allowed_ns)
{
	return q->overloaded && waited_ns > 2 * target_of(settings, allowed_ns) &&
	       backlog_expected_ns(q, waiting) > allowed_ns - waited_ns;
}
