#include "core/hysteresis.h"

bool hysteresis_update(
	struct hysteresis *h, double value, const struct hysteresis_bounds *bounds, instant now)
{
	if (value > bounds->enter)
		*h = (struct hysteresis){.on = true};
	if (!h->on)
		return false;
	if (value > bounds->leave) {
		h->settling = false;
		return true;
	}
	if (!h->settling) {
		h->settling = true;
		h->since = now;
	}
	h->on = now < instant_add(h->since, bounds->settle_ns);
	return h->on;
}
