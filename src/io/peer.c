#include "io/peer.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

static bool is_loopback(const struct sockaddr_storage *address)
{
	if (address->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)address;
		return ntohl(in->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	}
	const struct in6_addr *in6 =
		&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
	return IN6_IS_ADDR_LOOPBACK(in6) ||
	       (IN6_IS_ADDR_V4MAPPED(in6) && in6->s6_addr[12] == IN_LOOPBACKNET);
}

static int port_of(const struct sockaddr_storage *address)
{
	if (address->ss_family == AF_INET)
		return ntohs(((const struct sockaddr_in *)(const void *)address)->sin_port);
	return ntohs(((const struct sockaddr_in6 *)(const void *)address)->sin6_port);
}

void peer_of(int fd, struct peer *peer)
{
	struct sockaddr_storage address = {0};
	socklen_t len = sizeof(address);
	*peer = (struct peer){.host = "gone"};
	if (getpeername(fd, (struct sockaddr *)&address, &len) != 0)
		return;
	if (address.ss_family == AF_UNIX) {
		*peer = (struct peer){.local = true, .host = "unix"};
		return;
	}
	if (address.ss_family != AF_INET && address.ss_family != AF_INET6)
		return;
	peer->local = is_loopback(&address);
	peer->port = port_of(&address);
	if (getnameinfo((struct sockaddr *)&address, len, peer->host, sizeof(peer->host), NULL, 0,
		    NI_NUMERICHOST) != 0)
		snprintf(peer->host, sizeof(peer->host), "unknown");
}
