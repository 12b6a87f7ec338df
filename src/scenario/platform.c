#include "scenario/platform.h"

#include <assert.h>

int64_t platform_restart_ns(const struct platform_settings *p, int failures)
{
	double delay_ns = (double)p->restart_delay_ns;

	assert(failures >= 1);
	for (int i = 1; i < failures && delay_ns < (double)p->restart_max_ns; i++)
		delay_ns *= p->restart_factor;
	return delay_ns < (double)p->restart_max_ns ? (int64_t)delay_ns : p->restart_max_ns;
}
