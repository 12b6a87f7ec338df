#include "lab/doorway.h"

#include <assert.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The handshake of a plug is over before connect() returns, unless the kernel put it off. */
#define PLUG_WAIT_MS 20

static uint32_t plug_address(const struct doorway *d)
{
	return d->address ? d->address : INADDR_LOOPBACK;
}

static int listen_open(struct doorway *d, struct error *error)
{
	const int on = 1;
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(d->port),
		.sin_addr.s_addr = htonl(d->address),
	};

	d->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (d->fd < 0)
		return error_set(error, "socket", errno, "%s", strerror(errno));
	if (setsockopt(d->fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) < 0 ||
		setsockopt(d->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
		setsockopt(d->fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) < 0 ||
		bind(d->fd, (struct sockaddr *)&address, sizeof address) < 0 ||
		listen(d->fd, 0) < 0) {
		int code = errno;
		close(d->fd);
		d->fd = -1;
		return error_set(
			error, "listen", code, "port %d on loopback: %s", d->port, strerror(code));
	}
	return 0;
}

/* Puts the plug into the queue, behind the at most `queue` connections that are there, and lets
 * nobody else in. */
static void plug_in(struct doorway *d, int queue)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(d->port),
		.sin_addr.s_addr = htonl(plug_address(d)),
	};
	socklen_t size = sizeof address;
	struct pollfd wait = {.events = POLLOUT};

	assert(d->plug < 0);
	d->plug = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	wait.fd = d->plug;
	listen(d->fd, queue);
	/* When a client comes in between and takes the place, it is as good a plug: it waits in
	 * the queue, and its turn comes with the next permit. */
	if (d->plug >= 0 && ((connect(d->plug, (struct sockaddr *)&address, size) < 0 &&
				     errno != EINPROGRESS) ||
				    poll(&wait, 1, PLUG_WAIT_MS) != 1 ||
				    getsockname(d->plug, (struct sockaddr *)&address, &size) < 0)) {
		close(d->plug);
		d->plug = -1;
	}
	d->plug_port = ntohs(address.sin_port);
	listen(d->fd, 0);
}

/* The plug came out of the queue, as `inner`. */
static void plug_out(struct doorway *d, int inner)
{
	const struct linger reset = {.l_onoff = 1}; /* leaves no TIME_WAIT behind */

	setsockopt(d->plug, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	close(d->plug);
	d->plug = -1;
	if (inner >= 0)
		close(inner);
}

int doorway_open(struct doorway *d, uint32_t address, uint16_t port, struct error *error)
{
	assert(port != 0);
	*d = (struct doorway){.fd = -1, .plug = -1, .address = address, .port = port};
	if (listen_open(d, error) < 0)
		return -1;
	plug_in(d, 0);
	return 0;
}

void doorway_close(struct doorway *d)
{
	if (d->plug >= 0)
		plug_out(d, -1);
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
}

static void count_dropped(struct doorway *d)
{
	uint32_t info[SK_MEMINFO_VARS] = {0};
	socklen_t size = sizeof info;

	if (d->fd < 0 || getsockopt(d->fd, SOL_SOCKET, SO_MEMINFO, info, &size) < 0)
		return;
	d->dropped_before += (uint32_t)(info[SK_MEMINFO_DROPS] - d->dropped_last);
	d->dropped_last = info[SK_MEMINFO_DROPS];
}

int64_t doorway_dropped(struct doorway *d)
{
	count_dropped(d);
	return d->dropped_before;
}

/* Tells the kernel how many of the allowed there are, `less` of which are as good as taken. The
 * plug, where there is one, takes a place in the queue too. */
static void tell_allowed(struct doorway *d, int less)
{
	int places = d->allowed - less + (d->plug >= 0 ? 1 : 0);

	assert(places >= 1);
	listen(d->fd, places - 1);
}

void doorway_allow(struct doorway *d, int count)
{
	assert(count >= 0);
	if (count == d->allowed)
		return;
	if (!d->refusing && count > 0) {
		d->allowed = count;
		tell_allowed(d, 0);
		return;
	}
	if (!d->refusing && d->plug < 0)
		plug_in(d, d->allowed);
	else if (!d->refusing)
		listen(d->fd, 0);
	d->allowed = count;
}

void doorway_refuse(struct doorway *d, bool refuse)
{
	if (d->refusing == refuse)
		return;
	d->refusing = refuse;
	if (refuse) {
		/* A listener that is shut down stays bound and is no listener any more. */
		count_dropped(d);
		if (d->plug >= 0)
			plug_out(d, -1);
		shutdown(d->fd, SHUT_RD);
		return;
	}
	listen(d->fd, 0);
	if (d->allowed > 0)
		tell_allowed(d, 0);
	else
		plug_in(d, 0);
}

static bool is_plug(const struct doorway *d, const struct sockaddr_in *peer, uint32_t local)
{
	return d->plug >= 0 && ntohs(peer->sin_port) == d->plug_port && local == plug_address(d) &&
	       ntohl(peer->sin_addr.s_addr) == plug_address(d);
}

int doorway_accept(struct doorway *d, uint32_t *address)
{
	struct pollfd ready = {.fd = d->fd, .events = POLLIN};

	while (!d->refusing && d->allowed > 0 && poll(&ready, 1, 0) == 1) {
		struct sockaddr_in peer = {0}, local = {0};
		socklen_t peer_size = sizeof peer, local_size = sizeof local;

		/* What the next one takes is taken away before its place in the queue gets free,
		 * so that nobody slips in. */
		if (d->allowed == 1 && d->plug < 0)
			plug_in(d, 1);
		else
			tell_allowed(d, 1);
		int fd = accept4(
			d->fd, (struct sockaddr *)&peer, &peer_size, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0)
			return -1;
		if (getsockname(fd, (struct sockaddr *)&local, &local_size) < 0)
			local.sin_addr.s_addr = 0;
		*address = ntohl(local.sin_addr.s_addr);
		if (!is_plug(d, &peer, *address)) {
			d->allowed--;
			return fd;
		}
		plug_out(d, fd);
		tell_allowed(d, 0);
	}
	return -1;
}
