#include "report/series.h"

#include <stdlib.h>

/* Every second point goes; its requests are the next one's. */
static void thin_out(struct series *s)
{
	int kept = 0;

	for (int i = 1; i < s->count; i += 2) {
		struct series_point point = s->points[i];
		point.served += s->points[i - 1].served;
		point.failed += s->points[i - 1].failed;
		s->points[kept++] = point;
	}
	s->count = kept;
	s->every *= 2;
}

void series_add(struct series *s, const struct series_point *point)
{
	if (!s->points) {
		s->points = malloc(SERIES_MAX * sizeof *s->points);
		if (!s->points)
			abort();
		s->every = 1;
	}
	s->served += point->served;
	s->failed += point->failed;
	if (++s->skipped < s->every)
		return;
	s->points[s->count] = *point;
	s->points[s->count].served = s->served;
	s->points[s->count++].failed = s->failed;
	s->skipped = s->served = s->failed = 0;
	if (s->count == SERIES_MAX)
		thin_out(s);
}

void series_release(struct series *s)
{
	free(s->points);
	*s = (struct series){0};
}
