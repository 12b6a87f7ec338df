#include "gate/sampling.h"

#include "gate/server.h"
#include "io/tcp_info.h"

/* False: there is nothing to ask. */
static bool ask(struct server *s, struct tcp_sample *sample)
{
	struct link *link = s->link;
	if (!link || link->no_tcp)
		return false;
	link->no_tcp = tcp_info_read(link->up.fd, sample) != 0;
	return !link->no_tcp;
}

static void tell(struct server *s, const struct tcp_sample *sample)
{
	struct link *link = s->link;
	const struct flow_sample flow = {
		.rtt_ns = sample->rtt_ns,
		.min_rtt_ns = sample->min_rtt_ns,
		.segments = sample->segments - link->segments,
		.retransmits = sample->retransmits - link->retransmits,
		.delivery_bit_s = sample->delivery_rate_bit_s,
	};
	link->segments = sample->segments;
	link->retransmits = sample->retransmits;
	hub_tell(s->hub, (struct engine_event){.kind = EVENT_TCP_SAMPLE, .flow = flow});
}

int sampling_syns(const struct server *s)
{
	struct tcp_sample sample;
	bool at_handshake = s->hub->engine.attempts[s->id].path.stage == STAGE_TCP;
	if (!s->login || !at_handshake || tcp_info_read(upstream_fd(s->login), &sample) != 0)
		return -1;
	return (int)sample.retransmits;
}

void sampling_first(struct server *s)
{
	struct tcp_sample sample;
	if (!ask(s, &sample))
		return;
	/* The SYNs that were sent again are the attempt's: told with its stage. */
	s->link->retransmits = sample.retransmits;
	tell(s, &sample);
}

void sampling_look(struct hub *h)
{
	struct tcp_sample sample;
	int asked = 0;
	for (int i = 0; i < h->memory.servers_max && asked < SAMPLING_MAX; i++) {
		struct server *s = &h->servers[h->sampling_next];
		h->sampling_next = (h->sampling_next + 1) % h->memory.servers_max;
		if (!ask(s, &sample))
			continue;
		asked++;
		/* One that sent nothing since has no news: its round trip is of long ago. */
		if (sample.segments != s->link->segments ||
			sample.retransmits != s->link->retransmits)
			tell(s, &sample);
	}
}
