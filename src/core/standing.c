#include "core/standing.h"

void standing_init(struct standing *s, const struct standing_settings *settings)
{
	*s = (struct standing){.settings = *settings, .since = -1};
}

void standing_update(struct standing *s, bool waiting, instant now)
{
	if (!waiting) {
		s->since = -1;
		s->answers = 0;
	} else if (s->since < 0) {
		s->since = now;
	}
}

instant standing_at(const struct standing *s)
{
	if (s->since < 0)
		return INSTANT_NEVER;
	return instant_add(s->since, s->settings.interval_ns / (s->answers + 1));
}

void standing_answered(struct standing *s, instant now)
{
	if (s->since < 0)
		return;
	s->since = now;
	s->answers++;
}
