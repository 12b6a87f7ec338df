#include "io/care.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/instant.h"

/* What the kernel takes, MAX_TCP_KEEPIDLE and so on. */
#define SECONDS_MAX 32767
#define COUNT_MAX   127

/* Whole seconds, rounded up: 1 at least. */
static int seconds(int64_t span_ns)
{
	int64_t whole = (span_ns + NS_PER_S - 1) / NS_PER_S;
	return whole < 1 ? 1 : whole > SECONDS_MAX ? SECONDS_MAX : (int)whole;
}

static int milliseconds(int64_t span_ns)
{
	int64_t whole = (span_ns + NS_PER_MS - 1) / NS_PER_MS;
	return whole > INT32_MAX ? INT32_MAX : (int)whole;
}

static int probes(int count)
{
	return count < 1 ? 1 : count > COUNT_MAX ? COUNT_MAX : count;
}

static void set(int fd, int level, int option, int value)
{
	/* A Unix socket has none of it; a system that refuses keeps its own. */
	(void)setsockopt(fd, level, option, &value, sizeof(value));
}

void care_apply(int fd, const struct care *care)
{
	if (care->user_timeout_ns > 0)
		set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, milliseconds(care->user_timeout_ns));
	set(fd, SOL_SOCKET, SO_KEEPALIVE, care->idle_ns > 0);
	if (care->idle_ns <= 0)
		return;
	set(fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds(care->idle_ns));
	set(fd, IPPROTO_TCP, TCP_KEEPINTVL, seconds(care->interval_ns));
	set(fd, IPPROTO_TCP, TCP_KEEPCNT, probes(care->count));
}

void care_show(const struct care *care, struct care_texts *texts)
{
	/* Without keepalives libpq does not set the user timeout either: then they are but rare. */
	bool rare = care->idle_ns <= 0 && care->user_timeout_ns > 0;
	snprintf(texts->keepalives, sizeof(texts->keepalives), "%d", care->idle_ns > 0 || rare);
	snprintf(texts->idle, sizeof(texts->idle), "%d",
		rare ? SECONDS_MAX : seconds(care->idle_ns));
	snprintf(texts->interval, sizeof(texts->interval), "%d", seconds(care->interval_ns));
	snprintf(texts->count, sizeof(texts->count), "%d", probes(care->count));
	snprintf(texts->user_timeout_ms, sizeof(texts->user_timeout_ms), "%d",
		milliseconds(care->user_timeout_ns));
}
