#include "core/syn.h"

#include <stddef.h>

/* Just over: within so much, or a few times what a handshake takes if that is more. Where that is
 * not short beside a second, time alone tells nothing. */
#define SLACK_NS      (200 * NS_PER_MS)
#define SLACK_FACTOR  4
#define SLACK_MOST_NS (500 * NS_PER_MS)

/* At whole seconds; `lost` the fewest by either of the two ways of waiting. */
static const struct {
	int at_s, lost;
} retries[] = {
	{1, 1},
	{2, 2},
	{3, 2},
	{4, 4},
	{5, 5},
	{7, 3},
	{11, 7},
	{15, 4},
	{19, 8},
	{31, 5},
	{35, 9},
};

int syn_losses(int64_t tcp_ns, int64_t usual_ns)
{
	int64_t slack_ns = usual_ns > SLACK_NS / SLACK_FACTOR ? SLACK_FACTOR * usual_ns : SLACK_NS;
	if (slack_ns > SLACK_MOST_NS)
		return 0;
	for (size_t i = 0; i < sizeof(retries) / sizeof(retries[0]); i++) {
		int64_t over_ns = tcp_ns - retries[i].at_s * NS_PER_S;
		if (over_ns >= 0 && over_ns < slack_ns)
			return retries[i].lost;
	}
	return 0;
}
