#include "core/standing.h"

void standing_init(struct standing *s, const struct standing_settings *settings)
{
	*s = (struct standing){.settings = *settings, .above_since = -1, .answered_at = -1};
}

void standing_waited(struct standing *s, int64_t wait_ns, instant now)
{
	if (wait_ns < s->settings.target_ns)
		s->above_since = -1;
	else if (s->above_since < 0)
		s->above_since = now;
}

instant standing_at(const struct standing *s, instant head_since)
{
	if (s->settings.interval_ns == 0)
		return head_since;
	instant since = instant_add(head_since, s->settings.target_ns);
	if (s->above_since >= 0)
		since = instant_min(since, s->above_since);
	if (s->answered_at >= 0)
		since = instant_max(since, s->answered_at);
	return instant_add(since, s->settings.interval_ns);
}

void standing_answered(struct standing *s, instant now)
{
	s->answered_at = now;
}
