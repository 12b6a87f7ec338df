#include "gate/pool_stats.h"

void pool_history_turn(struct pool_history *history, const struct pool_stats *stats)
{
	history->before = history->last;
	history->last = *stats;
}

void pool_stats_add(struct pool_stats *sum, const struct pool_stats *one)
{
	sum->assigned += one->assigned;
	sum->xact_count += one->xact_count;
	sum->query_count += one->query_count;
	sum->bytes_in += one->bytes_in;
	sum->bytes_out += one->bytes_out;
	sum->xact_ns += one->xact_ns;
	sum->query_ns += one->query_ns;
	sum->wait_ns += one->wait_ns;
	sum->client_parses += one->client_parses;
	sum->server_parses += one->server_parses;
	sum->binds += one->binds;
}

static int64_t a_second(int64_t now, int64_t before, int64_t span_ns)
{
	if (span_ns <= 0)
		return 0;
	return (int64_t)((double)(now - before) * (double)NS_PER_S / (double)span_ns);
}

static int64_t each(int64_t ns, int64_t count)
{
	return count > 0 ? ns / count : 0;
}

struct pool_stats pool_stats_average(
	const struct pool_stats *now, const struct pool_stats *before, int64_t span_ns)
{
	return (struct pool_stats){
		.assigned = a_second(now->assigned, before->assigned, span_ns),
		.xact_count = a_second(now->xact_count, before->xact_count, span_ns),
		.query_count = a_second(now->query_count, before->query_count, span_ns),
		.bytes_in = a_second(now->bytes_in, before->bytes_in, span_ns),
		.bytes_out = a_second(now->bytes_out, before->bytes_out, span_ns),
		.xact_ns = each(
			now->xact_ns - before->xact_ns, now->xact_count - before->xact_count),
		.query_ns = each(
			now->query_ns - before->query_ns, now->query_count - before->query_count),
		.wait_ns = each(now->wait_ns - before->wait_ns, now->assigned - before->assigned),
		.client_parses = a_second(now->client_parses, before->client_parses, span_ns),
		.server_parses = a_second(now->server_parses, before->server_parses, span_ns),
		.binds = a_second(now->binds, before->binds, span_ns),
	};
}
