/*
 * places - where a database may be: each address of each host, in an order that begins where one
 * wants.
 *
 * libpq goes through its hosts by itself, but only when one of them fails: a host that drops every
 * packet is waited for as long as the kernel tries. Who dials afresh instead must begin with the
 * next one, or would meet the same silence again.
 */
#ifndef STANDPIPE_IO_PLACES_H
#define STANDPIPE_IO_PLACES_H

#define PLACES_MAX 64

/* libpq's parameters, each a list with commas; owned. NULL: nothing to be said, the conninfo's own
 * hold. */
struct places {
	char *host, *hostaddr, *port;
};

/* The hosts and addresses of `conninfo`, turned so that the one comes first that is `turn` places
 * behind the first. With one place only, or if libpq does not take the conninfo, all is NULL.
 * Resolves names, and so blocks; hosts that do not resolve stay as they are. */
void places_init(struct places *p, const char *conninfo, unsigned turn);
void places_release(struct places *p);

#endif
