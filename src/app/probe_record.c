/* The numbers of a probe. */
#include "app/probe_record.h"

#include <stdlib.h>
#include <string.h>

#include "core/scaling.h"

struct probe_attempt *probe_record_add(struct probe_record *r, const struct probe_attempt *a)
{
	if (r->count == r->size) {
		int size = r->size ? 2 * r->size : 32;
		void *larger = realloc(r->attempts, (size_t)size * sizeof(*r->attempts));
		if (!larger)
			abort();
		r->attempts = larger;
		r->size = size;
	}
	r->attempts[r->count] = *a;
	return &r->attempts[r->count++];
}

void probe_record_release(struct probe_record *r)
{
	free(r->attempts);
	*r = (struct probe_record){0};
}

static int compare(const void *a, const void *b)
{
	int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
	return (left > right) - (left < right);
}

/* Nearest rank: the least of which so many percent are not above. */
static int64_t quantile(const int64_t *sorted, int count, int percent)
{
	int rank = (percent * count + 99) / 100;
	return sorted[rank > 0 ? rank - 1 : 0];
}

struct probe_spans probe_spans_of(int64_t *spans, int count)
{
	if (count == 0)
		return (struct probe_spans){0};
	qsort(spans, (size_t)count, sizeof(*spans), compare);
	return (struct probe_spans){
		.count = count,
		.min_ns = spans[0],
		.p50_ns = quantile(spans, count, 50),
		.p95_ns = quantile(spans, count, 95),
		.max_ns = spans[count - 1],
	};
}

/* Did it get through the stage, so that its time there says something? */
static bool passed(const struct probe_attempt *a, enum stage stage)
{
	if (stage == STAGE_TLS && a->stage_ns[STAGE_TLS] == 0)
		return false;
	return a->stage > stage || a->stage == STAGE_READY;
}

static struct probe_spans stage_spans(const struct probe_record *r, enum stage stage, int64_t *room)
{
	int count = 0;
	for (int i = 0; i < r->count; i++)
		if (passed(&r->attempts[i], stage))
			room[count++] = r->attempts[i].stage_ns[stage];
	return probe_spans_of(room, count);
}

static struct probe_spans query_spans(const struct probe_record *r, int64_t *room)
{
	int count = 0;
	for (int i = 0; i < r->count; i++)
		for (int q = 0; q < r->attempts[i].queries; q++)
			room[count++] = r->attempts[i].query_ns[q];
	return probe_spans_of(room, count);
}

static void count_tcp(struct probe_numbers *n, const struct probe_record *r, int64_t *room)
{
	int count = 0;
	for (int i = 0; i < r->count; i++) {
		const struct probe_attempt *a = &r->attempts[i];
		int64_t least_ns = a->tcp.min_rtt_ns;
		n->syns_again += a->syns_again;
		n->segments_again += a->tcp.retransmits - a->syns_again;
		n->connects_again += a->syns_again > 0 && a->stage > STAGE_TCP;
		if (a->tcp.rtt_ns > 0)
			room[count++] = a->tcp.rtt_ns;
		if (least_ns > 0 && (n->min_rtt_ns == 0 || least_ns < n->min_rtt_ns))
			n->min_rtt_ns = least_ns;
	}
	n->rtt_ns = probe_spans_of(room, count).p50_ns;
}

static void count_steps(struct probe_numbers *n, const struct probe_record *r, int64_t *room)
{
	struct probe_step *step = NULL;
	int count = 0;
	for (int i = 0; i < r->count; i++) {
		const struct probe_attempt *a = &r->attempts[i];
		if (a->part != PROBE_RAMP)
			continue;
		if (!step || step->parallel != a->parallel) {
			if (n->steps_count == PROBE_STEPS_MAX)
				return;
			step = &n->steps[n->steps_count++];
			*step = (struct probe_step){.parallel = a->parallel};
			count = 0;
		}
		bool ok = a->outcome == OUTCOME_OK;
		step->ok += ok;
		step->failed += !ok;
		step->syns_again += a->syns_again > 0 && a->stage > STAGE_TCP;
		if (ok)
			room[count++] = a->stage_ns[STAGE_READY];
		step->ready = probe_spans_of(room, count);
	}
}

/* Is a step so much slower than one connect alone? As core/scaling tells a path that scales. */
static bool is_slow(const struct probe_spans *spans, int64_t alone_ns)
{
	return spans->count > 0 && (double)spans->p50_ns > SCALING_STEP_FACTOR * (double)alone_ns &&
	       spans->p50_ns > alone_ns + SCALING_STEP_LEAST_NS;
}

static void find_limit(struct probe_numbers *n, const struct probe_record *r, int64_t *room)
{
	int count = 0;
	for (int i = 0; i < r->count; i++)
		if (r->attempts[i].outcome == OUTCOME_OK && r->attempts[i].parallel <= 1)
			room[count++] = r->attempts[i].stage_ns[STAGE_READY];
	int64_t alone_ns = probe_spans_of(room, count).p50_ns;
	n->gave_way = -1;
	/* What fails or is slow when it is alone says nothing of a limit. */
	if (count == 0)
		return;
	for (int i = 0; i < n->steps_count; i++) {
		const struct probe_step *s = &n->steps[i];
		bool slow = is_slow(&s->ready, alone_ns);
		if (s->parallel == 1 || !(s->failed > 0 || s->syns_again > 0 || slow))
			continue;
		n->gave_way = i;
		n->gave_way_slowly = s->failed == 0 && s->syns_again == 0;
		return;
	}
}

static void count_buckets(struct probe_numbers *n, const struct probe_record *r)
{
	static const int steps[] = {1, 2, 5};
	int64_t from_ns = 0;
	for (int i = 0; i < PROBE_BUCKETS; i++) {
		int64_t decade_ns = NS_PER_MS;
		for (int d = 0; d < i / 3; d++)
			decade_ns *= 10;
		int64_t to_ns = i == PROBE_BUCKETS - 1 ? INT64_MAX : steps[i % 3] * decade_ns;
		n->buckets[i] = (struct probe_bucket){.from_ns = from_ns, .to_ns = to_ns};
		from_ns = to_ns;
	}
	for (int i = 0; i < r->count; i++) {
		int64_t ready_ns = r->attempts[i].stage_ns[STAGE_READY];
		for (int b = 0; b < PROBE_BUCKETS && r->attempts[i].outcome == OUTCOME_OK; b++)
			n->buckets[b].count += ready_ns >= n->buckets[b].from_ns &&
					       ready_ns < n->buckets[b].to_ns;
	}
}

void probe_numbers_init(struct probe_numbers *n, const struct probe_record *r)
{
	*n = (struct probe_numbers){.gave_way = -1};
	int64_t *room = calloc((size_t)r->count * PROBE_QUERIES + 1, sizeof(*room));
	if (!room)
		abort();
	for (int i = 0; i < r->count; i++) {
		const struct probe_attempt *a = &r->attempts[i];
		bool ok = a->outcome == OUTCOME_OK;
		n->ok += ok;
		n->failed += !ok;
		n->failed_by[a->outcome] += !ok;
		n->failed_in[a->stage] += !ok;
	}
	for (enum stage s = 0; s < STAGE_COUNT; s++)
		n->stages[s] = stage_spans(r, s, room);
	n->query = query_spans(r, room);
	count_tcp(n, r, room);
	count_steps(n, r, room);
	find_limit(n, r, room);
	count_buckets(n, r);
	free(room);
}
