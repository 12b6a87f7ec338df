#include "core/pool.h"

#include <assert.h>

/* Which state may follow which; everything else is a bug. */
static const bool server_may[SERVER_BUSY + 1][SERVER_BUSY + 1] = {
	[SERVER_NONE] = {[SERVER_CONNECTING] = true},
	[SERVER_CONNECTING] = {[SERVER_IDLE] = true, [SERVER_NONE] = true},
	[SERVER_IDLE] = {[SERVER_BUSY] = true, [SERVER_NONE] = true},
	[SERVER_BUSY] = {[SERVER_IDLE] = true, [SERVER_NONE] = true},
};

static const bool client_may[CLIENT_HOLDING + 1][CLIENT_HOLDING + 1] = {
	[CLIENT_NONE] = {[CLIENT_WAITING] = true},
	[CLIENT_WAITING] = {[CLIENT_HOLDING] = true, [CLIENT_NONE] = true},
	[CLIENT_HOLDING] = {[CLIENT_NONE] = true},
};

static struct pool_server *server_at(const struct pool *p, int server)
{
	assert(server >= 0 && server < p->servers_max);
	return &p->servers[server];
}

static struct pool_client *client_at(const struct pool *p, int client)
{
	assert(client >= 0 && client < p->clients_max);
	return &p->clients[client];
}

static void idle_push(struct pool *p, int server)
{
	struct pool_server *s = server_at(p, server);
	s->previous = POOL_NOBODY;
	s->next = p->idle_first;
	if (p->idle_first == POOL_NOBODY)
		p->idle_last = server;
	else
		p->servers[p->idle_first].previous = server;
	p->idle_first = server;
}

static void idle_remove(struct pool *p, int server)
{
	struct pool_server *s = server_at(p, server);
	if (s->previous == POOL_NOBODY)
		p->idle_first = s->next;
	else
		p->servers[s->previous].next = s->next;
	if (s->next == POOL_NOBODY)
		p->idle_last = s->previous;
	else
		p->servers[s->next].previous = s->previous;
	s->next = s->previous = POOL_NOBODY;
}

/* Between `previous` and `next`, which are neighbours, or POOL_NOBODY at the ends. */
static void queue_insert(struct pool *p, int client, int previous, int next)
{
	struct pool_client *c = client_at(p, client);
	c->previous = previous;
	c->next = next;
	if (previous == POOL_NOBODY)
		p->queue_first = client;
	else
		p->clients[previous].next = client;
	if (next == POOL_NOBODY)
		p->queue_last = client;
	else
		p->clients[next].previous = client;
}

static void queue_remove(struct pool *p, int client)
{
	struct pool_client *c = client_at(p, client);
	if (c->previous == POOL_NOBODY)
		p->queue_first = c->next;
	else
		p->clients[c->previous].next = c->next;
	if (c->next == POOL_NOBODY)
		p->queue_last = c->previous;
	else
		p->clients[c->next].previous = c->previous;
	c->next = c->previous = POOL_NOBODY;
}

/* The counter that a state has, or none. */
static int *servers_in(struct pool *p, enum pool_server_state state)
{
	switch (state) {
	case SERVER_CONNECTING:
		return &p->connecting;
	case SERVER_IDLE:
		return &p->idle;
	case SERVER_BUSY:
		return &p->busy;
	case SERVER_NONE:
		break;
	}
	return 0;
}

static int *clients_in(struct pool *p, enum pool_client_state state)
{
	switch (state) {
	case CLIENT_WAITING:
		return &p->waiting;
	case CLIENT_HOLDING:
		return &p->holding;
	case CLIENT_NONE:
		break;
	}
	return 0;
}

/* The one place where a server's state changes: list and counters follow from it. */
static void server_become(struct pool *p, int server, enum pool_server_state state)
{
	struct pool_server *s = server_at(p, server);
	assert(server_may[s->state][state]);
	int *left = servers_in(p, s->state);
	int *entered = servers_in(p, state);
	if (left)
		--*left;
	if (entered)
		++*entered;
	if (s->state == SERVER_IDLE)
		idle_remove(p, server);
	s->state = state;
	if (state == SERVER_IDLE)
		idle_push(p, server);
	if (state != SERVER_BUSY)
		s->client = POOL_NOBODY;
}

/* The same for a client, but for entering the queue: at which end, only the caller knows. */
static void client_become(struct pool *p, int client, enum pool_client_state state)
{
	struct pool_client *c = client_at(p, client);
	assert(client_may[c->state][state]);
	int *left = clients_in(p, c->state);
	int *entered = clients_in(p, state);
	if (left)
		--*left;
	if (entered)
		++*entered;
	if (c->state == CLIENT_WAITING)
		queue_remove(p, client);
	c->state = state;
	if (state != CLIENT_HOLDING)
		c->server = POOL_NOBODY;
}

void pool_init(struct pool *p, struct pool_server *servers, int servers_max,
	struct pool_client *clients, int clients_max)
{
	assert(servers_max >= 0 && clients_max >= 0);
	*p = (struct pool){
		.servers = servers,
		.clients = clients,
		.servers_max = servers_max,
		.clients_max = clients_max,
		.idle_first = POOL_NOBODY,
		.idle_last = POOL_NOBODY,
		.queue_first = POOL_NOBODY,
		.queue_last = POOL_NOBODY,
	};
	for (int i = 0; i < servers_max; i++)
		servers[i] = (struct pool_server){
			.client = POOL_NOBODY,
			.next = POOL_NOBODY,
			.previous = POOL_NOBODY,
			.retire_at = INSTANT_NEVER,
		};
	for (int i = 0; i < clients_max; i++)
		clients[i] = (struct pool_client){
			.server = POOL_NOBODY,
			.next = POOL_NOBODY,
			.previous = POOL_NOBODY,
		};
}

int pool_server_begin(struct pool *p, instant now)
{
	for (int i = 0; i < p->servers_max; i++) {
		if (p->servers[i].state != SERVER_NONE)
			continue;
		server_become(p, i, SERVER_CONNECTING);
		p->servers[i].since = now;
		p->servers[i].retire_at = INSTANT_NEVER;
		return i;
	}
	return POOL_NOBODY;
}

void pool_server_ready(struct pool *p, int server, instant now, instant retire_at)
{
	struct pool_server *s = server_at(p, server);
	assert(s->state == SERVER_CONNECTING);
	server_become(p, server, SERVER_IDLE);
	s->since = now;
	s->retire_at = retire_at;
}

int pool_server_gone(struct pool *p, int server)
{
	int client = server_at(p, server)->client;
	server_become(p, server, SERVER_NONE);
	if (client != POOL_NOBODY)
		client_become(p, client, CLIENT_NONE);
	return client;
}

void pool_server_released(struct pool *p, int server, instant now)
{
	struct pool_server *s = server_at(p, server);
	int client = s->client;
	assert(s->state == SERVER_BUSY);
	server_become(p, server, SERVER_IDLE);
	client_become(p, client, CLIENT_NONE);
	s->since = now;
}

void pool_client_waits(struct pool *p, int client, bool patient, instant now)
{
	client_become(p, client, CLIENT_WAITING);
	queue_insert(p, client, p->queue_last, POOL_NOBODY);
	p->clients[client].patient = patient;
	p->clients[client].since = p->clients[client].asked_at = now;
}

void pool_client_returns(struct pool *p, int client, bool patient, instant asked_at)
{
	int previous = POOL_NOBODY;
	int next = p->queue_first;
	while (next != POOL_NOBODY && p->clients[next].asked_at < asked_at) {
		previous = next;
		next = p->clients[next].next;
	}
	client_become(p, client, CLIENT_WAITING);
	queue_insert(p, client, previous, next);
	p->clients[client].patient = patient;
	p->clients[client].since = p->clients[client].asked_at = asked_at;
}

void pool_client_leaves(struct pool *p, int client)
{
	assert(client_at(p, client)->state == CLIENT_WAITING);
	client_become(p, client, CLIENT_NONE);
}

bool pool_assign(struct pool *p, int *server, int *client, instant now)
{
	if (p->queue_first == POOL_NOBODY || p->idle_first == POOL_NOBODY)
		return false;
	*server = p->idle_first;
	*client = p->queue_first;
	server_become(p, *server, SERVER_BUSY);
	client_become(p, *client, CLIENT_HOLDING);
	struct pool_server *s = &p->servers[*server];
	struct pool_client *c = &p->clients[*client];
	s->client = *client;
	c->server = *server;
	s->since = c->since = now;
	return true;
}
