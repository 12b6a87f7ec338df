#include "sim/connector.h"

#include <assert.h>

/* A round trip on one's own network, where nothing is in between. */
#define RTT_DIRECT_NS (50 * NS_PER_US)

void connector_init(struct connector *c, const struct capacity_settings *settings, int64_t rtt_ns)
{
	*c = (struct connector){.exists = settings, .slow = 1, .rtt_ns = RTT_DIRECT_NS};
	if (!settings)
		return;
	c->rtt_ns = rtt_ns;
	capacity_init(&c->capacity, settings, 0);
}

int connector_syn(struct connector *c, instant now)
{
	if (now < c->partitioned_until || now < c->down_until) {
		c->dropped++;
		return -1;
	}
	int machine = capacity_begin(&c->capacity, now);
	if (machine < 0) {
		capacity_refuse(&c->capacity, now);
		c->dropped++;
		return -1;
	}
	c->completed++;
	if (++c->flows > c->flows_peak)
		c->flows_peak = c->flows;
	return machine;
}

void connector_lost(struct connector *c)
{
	c->dropped++;
}

void connector_end(struct connector *c, int machine, instant now)
{
	assert(c->flows > 0);
	c->flows--;
	capacity_end(&c->capacity, machine, now);
}

int64_t connector_trips_ns(const struct connector *c, double trips)
{
	return (int64_t)(trips * c->slow * (double)c->rtt_ns);
}

int64_t connector_pass(struct connector *c, int machine, int64_t bytes, instant now)
{
	if (machine < 0 || bytes == 0)
		return 0;
	capacity_advance(&c->capacity, now);
	capacity_spend(&c->capacity, machine, bytes);
	return instant_max(capacity_bytes_at(&c->capacity, machine), now) - now;
}

int connector_room(struct connector *c, instant now)
{
	if (!c->exists)
		return 0;
	capacity_advance(&c->capacity, now);
	return c->capacity.count * c->capacity.settings.flows;
}
