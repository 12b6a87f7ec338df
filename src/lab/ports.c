#include "lab/ports.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOWEST      10000
#define RANGE_LEAST 1000
#define TRIES       20 /* for each port */

/* The first port that the kernel gives away itself. */
static int ephemeral_begin(void)
{
	int begin = 32768;
	FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");

	if (!file)
		return begin;
	if (fscanf(file, "%d", &begin) != 1 || begin < LOWEST + RANGE_LEAST || begin > 65535)
		begin = 65535; /* it gives away nearly all: any will do */
	fclose(file);
	return begin;
}

static bool is_free(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool free = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0;

	if (fd >= 0)
		close(fd);
	return free;
}

static bool is_among(uint16_t port, const uint16_t *ports, int count)
{
	for (int i = 0; i < count; i++)
		if (ports[i] == port)
			return true;
	return false;
}

int ports_pick(struct random *random, uint16_t *ports, int count, struct error *error)
{
	uint32_t range = (uint32_t)(ephemeral_begin() - LOWEST);
	int found = 0;

	for (int tries = 0; found < count && tries < count * TRIES; tries++) {
		uint16_t port = (uint16_t)(LOWEST + random_below(random, range));
		if (!is_among(port, ports, found) && is_free(port))
			ports[found++] = port;
	}
	if (found < count)
		return error_set(error, "ports", 0, "only %d of %d free ports found", found, count);
	return 0;
}
