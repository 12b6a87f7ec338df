#include "gate/door.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdlib.h>

#include "gate/tunnel.h"
#include "io/acceptor.h"

/* A tunnel's place in the door's list, so that it can be found when either ends. */
struct passage {
	struct passage *next, *previous;
	struct door *door;
	struct tunnel *tunnel;
};

struct door {
	uv_loop_t *loop;
	struct door_settings settings;
	struct acceptor *acceptor;
	struct http *http;
	http_handler *answer;
	void *context;
	bool open;
	struct passage *passages;
	int tunnels;
	uint64_t bytes, refusals;
	uint8_t scratch[TUNNEL_READ];
};

static void on_request(
	void *context, const struct http_request *request, struct http_response *response)
{
	struct door *d = context;
	d->refusals++;
	d->answer(d->context, request, response);
	response->close = true;
}

static void remove_passage(struct passage *p)
{
	*(p->previous ? &p->previous->next : &p->door->passages) = p->next;
	if (p->next)
		p->next->previous = p->previous;
	p->door->tunnels--;
	free(p);
}

static void on_refused(void *context, int fd)
{
	struct passage *p = context;
	http_add_connection(p->door->http, fd);
}

static void on_ended(void *context, struct tunnel *tunnel, uint64_t bytes)
{
	struct passage *p = context;
	p->door->bytes += bytes;
	remove_passage(p);
}

/* False: it can't be relayed, and `fd` is still the caller's. */
static bool relay(struct door *d, int fd)
{
	if (d->tunnels >= DOOR_TUNNELS_MAX)
		return false;
	struct passage *p = calloc(1, sizeof(*p));
	if (!p)
		abort();
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)d->settings.command_port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct tunnel_events events = {.refused = on_refused, .ended = on_ended, .context = p};
	p->door = d;
	p->tunnel = tunnel_new(d->loop, fd, &address, d->scratch, &events);
	if (!p->tunnel) {
		free(p);
		return false;
	}
	p->next = d->passages;
	if (p->next)
		p->next->previous = p;
	d->passages = p;
	d->tunnels++;
	return true;
}

static void on_accepted(void *context, int fd)
{
	struct door *d = context;
	if (!d->open || !relay(d, fd))
		http_add_connection(d->http, fd);
}

struct door *door_new(uv_loop_t *loop, const struct door_settings *settings, http_handler *answer,
	void *context, struct error *error)
{
	assert(settings->mode != DOOR_OFF);
	struct door *d = calloc(1, sizeof(*d));
	if (!d)
		abort();
	d->loop = loop;
	d->settings = *settings;
	d->answer = answer;
	d->context = context;
	d->http = http_new(loop, -1, on_request, d, error);
	if (d->http)
		d->acceptor = acceptor_new(loop, settings->listen_fd, on_accepted, d, error);
	if (d->acceptor)
		return d;
	door_free(d);
	return NULL;
}

void door_open(struct door *d)
{
	if (d->open)
		return;
	d->open = true;
	if (d->settings.mode == DOOR_INHERIT)
		acceptor_pause(d->acceptor);
	http_cut_idle(d->http);
}

void door_close(struct door *d)
{
	d->open = false;
	acceptor_resume(d->acceptor);
}

void door_pause(struct door *d)
{
	acceptor_pause(d->acceptor);
}

void door_resume(struct door *d)
{
	if (!d->open || d->settings.mode != DOOR_INHERIT)
		acceptor_resume(d->acceptor);
}

bool door_is_open(const struct door *d)
{
	return d->open;
}

void door_set_command_port(struct door *d, int port)
{
	d->settings.command_port = port;
}

int door_tunnels(const struct door *d)
{
	return d->tunnels;
}

uint64_t door_bytes(const struct door *d)
{
	return d->bytes;
}

uint64_t door_refusals(const struct door *d)
{
	return d->refusals;
}

void door_free(struct door *d)
{
	if (!d)
		return;
	while (d->passages) {
		struct passage *p = d->passages;
		assert(p->door == d && !p->previous);
		tunnel_free(p->tunnel);
		remove_passage(p);
	}
	acceptor_free(d->acceptor);
	http_free(d->http);
	free(d);
}
