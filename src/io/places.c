#include "io/places.h"

#include <arpa/inet.h>
#include <libpq-fe.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/buffer.h"

struct place {
	char *host; /* a name, an address, or a directory; owned */
	char *port; /* may be empty; owned */
	char address[INET6_ADDRSTRLEN]; /* empty: libpq finds it out */
};

struct found {
	struct place list[PLACES_MAX];
	int count;
};

static const char *value_of(const PQconninfoOption *options, const char *keyword)
{
	for (; options->keyword; options++)
		if (strcmp(options->keyword, keyword) == 0)
			return options->val ? options->val : "";
	return "";
}

/* The `index`-th of a list with commas; a list of one stands for all. */
static char *entry(const char *list, int index)
{
	if (!strchr(list, ','))
		index = 0;
	for (; index > 0; index--)
		list += strcspn(list, ",") + 1;
	char *text = strndup(list, strcspn(list, ","));
	if (!text)
		abort();
	return text;
}

static int count_of(const char *list)
{
	int count = 1;
	for (; *list; list++)
		count += *list == ',';
	return count;
}

static void add(struct found *f, const char *host, const char *port, const char *address)
{
	if (f->count == PLACES_MAX)
		return;
	struct place *p = &f->list[f->count++];
	p->host = strdup(host);
	p->port = strdup(port);
	if (!p->host || !p->port)
		abort();
	memcpy(p->address, address, strlen(address) + 1);
	/* The analyzer loses them in the list, which is freed as a whole. */
} /* NOLINT(clang-analyzer-unix.Malloc) */

/* Each address of a name is a place. */
static void add_name(struct found *f, const char *host, const char *port)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *all = NULL;
	bool is_name = *host && *host != '/' && *host != '@';
	if (!is_name || getaddrinfo(host, NULL, &hints, &all) != 0) {
		add(f, host, port, "");
		return;
	}
	for (const struct addrinfo *a = all; a; a = a->ai_next) {
		char text[INET6_ADDRSTRLEN];
		const void *address =
			a->ai_family == AF_INET6
				? (const void *)&((struct sockaddr_in6 *)a->ai_addr)->sin6_addr
				: (const void *)&((struct sockaddr_in *)a->ai_addr)->sin_addr;
		/* A link's own address means nothing without its scope. */
		bool scoped = a->ai_family == AF_INET6 &&
			      ((struct sockaddr_in6 *)a->ai_addr)->sin6_scope_id != 0;
		if (scoped || !inet_ntop(a->ai_family, address, text, sizeof(text)))
			*text = 0;
		add(f, host, port, text);
	}
	freeaddrinfo(all);
}

static void find(struct found *f, const PQconninfoOption *options)
{
	const char *hosts = value_of(options, "host"), *ports = value_of(options, "port");
	const char *addresses = value_of(options, "hostaddr");
	if (!*hosts && !*addresses)
		return; /* libpq's default, which is one */
	int count = count_of(*addresses ? addresses : hosts);
	for (int i = 0; i < count; i++) {
		char *host = entry(hosts, i), *port = entry(ports, i);
		char *address = entry(addresses, i);
		if (*address && strlen(address) < INET6_ADDRSTRLEN)
			add(f, host, port, address);
		else
			add_name(f, host, port);
		free(host);
		free(port);
		free(address);
	}
}

static char *list_of(
	const struct found *f, unsigned turn, const char *(*text)(const struct place *))
{
	struct buffer b = BUFFER_INIT;
	for (int i = 0; i < f->count; i++) {
		const char *one = text(&f->list[((unsigned)i + turn) % (unsigned)f->count]);
		if (i > 0)
			buffer_append(&b, ",", 1);
		buffer_append(&b, one, strlen(one));
	}
	struct bytes bytes = buffer_bytes(&b);
	char *list = bytes.at ? strndup((const char *)bytes.at, bytes.len) : strdup("");
	if (!list)
		abort();
	buffer_release(&b);
	return list;
}

static const char *host_of(const struct place *p)
{
	return p->host;
}

static const char *address_of(const struct place *p)
{
	return p->address;
}

static const char *port_of(const struct place *p)
{
	return p->port;
}

void places_init(struct places *p, const char *conninfo, unsigned turn)
{
	struct found f = {.count = 0};
	*p = (struct places){NULL, NULL, NULL};
	PQconninfoOption *options = PQconninfoParse(conninfo, NULL);
	if (!options)
		return;
	find(&f, options);
	PQconninfoFree(options);
	if (f.count > 1) {
		p->host = list_of(&f, turn, host_of);
		p->hostaddr = list_of(&f, turn, address_of);
		p->port = list_of(&f, turn, port_of);
	}
	for (int i = 0; i < f.count; i++) {
		free(f.list[i].host);
		free(f.list[i].port);
	}
}

void places_release(struct places *p)
{
	free(p->host);
	free(p->hostaddr);
	free(p->port);
	*p = (struct places){NULL, NULL, NULL};
}
