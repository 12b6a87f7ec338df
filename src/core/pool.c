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

static struct pool_group *group_at(const struct pool *p, int group)
{
	assert(group >= 0 && group < p->groups_max && p->groups[group].open);
	return &p->groups[group];
}

/* ---- lists ---- */

static void idle_push(struct pool *p, int server)
{
	struct pool_server *s = server_at(p, server);
	struct pool_group *g = group_at(p, s->group);
	s->previous = POOL_NOBODY;
	s->next = g->idle_first;
	if (g->idle_first == POOL_NOBODY)
		g->idle_last = server;
	else
		p->servers[g->idle_first].previous = server;
	g->idle_first = server;

	s->newer = POOL_NOBODY;
	s->older = p->newest;
	if (p->newest == POOL_NOBODY)
		p->oldest = server;
	else
		p->servers[p->newest].newer = server;
	p->newest = server;
}

static void idle_remove(struct pool *p, int server)
{
	struct pool_server *s = server_at(p, server);
	struct pool_group *g = group_at(p, s->group);
	if (s->previous == POOL_NOBODY)
		g->idle_first = s->next;
	else
		p->servers[s->previous].next = s->next;
	if (s->next == POOL_NOBODY)
		g->idle_last = s->previous;
	else
		p->servers[s->next].previous = s->previous;

	if (s->newer == POOL_NOBODY)
		p->newest = s->older;
	else
		p->servers[s->newer].older = s->older;
	if (s->older == POOL_NOBODY)
		p->oldest = s->newer;
	else
		p->servers[s->older].newer = s->newer;
	s->next = s->previous = s->older = s->newer = POOL_NOBODY;
}

/* Somebody waits in it from now on. */
static void waiting_push(struct pool *p, int group)
{
	struct pool_group *g = group_at(p, group);
	g->next = POOL_NOBODY;
	g->previous = p->waiting_last;
	if (p->waiting_last == POOL_NOBODY)
		p->waiting_first = group;
	else
		p->groups[p->waiting_last].next = group;
	p->waiting_last = group;
}

static void waiting_remove(struct pool *p, int group)
{
	struct pool_group *g = group_at(p, group);
	if (g->previous == POOL_NOBODY)
		p->waiting_first = g->next;
	else
		p->groups[g->previous].next = g->next;
	if (g->next == POOL_NOBODY)
		p->waiting_last = g->previous;
	else
		p->groups[g->next].previous = g->previous;
	g->next = g->previous = POOL_NOBODY;
}

/* Between `previous` and `next`, which are neighbours, or POOL_NOBODY at the ends. */
static void queue_insert(struct pool *p, int client, int previous, int next)
{
	struct pool_client *c = client_at(p, client);
	struct pool_group *g = group_at(p, c->group);
	if (g->queue_first == POOL_NOBODY)
		waiting_push(p, c->group);
	c->previous = previous;
	c->next = next;
	if (previous == POOL_NOBODY)
		g->queue_first = client;
	else
		p->clients[previous].next = client;
	if (next == POOL_NOBODY)
		g->queue_last = client;
	else
		p->clients[next].previous = client;
}

static void queue_remove(struct pool *p, int client)
{
	struct pool_client *c = client_at(p, client);
	struct pool_group *g = group_at(p, c->group);
	if (c->previous == POOL_NOBODY)
		g->queue_first = c->next;
	else
		p->clients[c->previous].next = c->next;
	if (c->next == POOL_NOBODY)
		g->queue_last = c->previous;
	else
		p->clients[c->next].previous = c->previous;
	c->next = c->previous = POOL_NOBODY;
	if (g->queue_first == POOL_NOBODY)
		waiting_remove(p, c->group);
}

/* ---- counters ---- */

static int lacks(const struct pool_group *g)
{
	if (g->settings.hold != HOLD_NONE)
		return 0;
	int lacking = g->settings.servers_kept - pool_group_servers(g);
	return lacking > 0 ? lacking : 0;
}

/* One server or client more, or less, in a state: in its group and in all. */
static void count_server(
	struct pool *p, struct pool_group *g, enum pool_server_state state, int change)
{
	switch (state) {
	case SERVER_CONNECTING:
		p->connecting += change;
		g->connecting += change;
		break;
	case SERVER_IDLE:
		p->idle += change;
		g->idle += change;
		break;
	case SERVER_BUSY:
		p->busy += change;
		g->busy += change;
		break;
	case SERVER_NONE:
		break;
	}
}

static void count_client(
	struct pool *p, struct pool_group *g, enum pool_client_state state, int change)
{
	switch (state) {
	case CLIENT_WAITING:
		p->waiting += change;
		g->waiting += change;
		break;
	case CLIENT_HOLDING:
		p->holding += change;
		g->holding += change;
		break;
	case CLIENT_NONE:
		break;
	}
}

/* ---- states ---- */

/* The one place where a server's state changes: lists and counters follow from it. */
static void server_become(struct pool *p, int server, enum pool_server_state state)
{
	struct pool_server *s = server_at(p, server);
	struct pool_group *g = group_at(p, s->group);
	struct pool_group *head = group_at(p, g->settings.family);
	assert(server_may[s->state][state]);
	p->lacking -= lacks(g);
	count_server(p, g, s->state, -1);
	count_server(p, g, state, 1);
	p->lacking += lacks(g);
	head->family_servers += (state != SERVER_NONE) - (s->state != SERVER_NONE);
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
	struct pool_group *g = group_at(p, c->group);
	assert(client_may[c->state][state]);
	count_client(p, g, c->state, -1);
	count_client(p, g, state, 1);
	if (c->state == CLIENT_WAITING)
		queue_remove(p, client);
	c->state = state;
	if (state != CLIENT_HOLDING)
		c->server = POOL_NOBODY;
}

/* ---- the public face ---- */

void pool_init(struct pool *p, const struct pool_memory *memory)
{
	assert(memory->servers_max >= 0 && memory->clients_max >= 0 && memory->groups_max > 0);
	*p = (struct pool){
		.servers = memory->servers,
		.clients = memory->clients,
		.groups = memory->groups,
		.servers_max = memory->servers_max,
		.clients_max = memory->clients_max,
		.groups_max = memory->groups_max,
		.newest = POOL_NOBODY,
		.oldest = POOL_NOBODY,
		.waiting_first = POOL_NOBODY,
		.waiting_last = POOL_NOBODY,
	};
	for (int i = 0; i < p->servers_max; i++)
		p->servers[i] = (struct pool_server){
			.client = POOL_NOBODY,
			.next = POOL_NOBODY,
			.previous = POOL_NOBODY,
			.older = POOL_NOBODY,
			.newer = POOL_NOBODY,
			.retire_at = INSTANT_NEVER,
		};
	for (int i = 0; i < p->clients_max; i++)
		p->clients[i] = (struct pool_client){
			.server = POOL_NOBODY,
			.next = POOL_NOBODY,
			.previous = POOL_NOBODY,
		};
}

void pool_group_set(struct pool *p, int group, const struct pool_group_settings *settings)
{
	assert(group >= 0 && group < p->groups_max);
	assert(settings->servers_max >= 0 && settings->servers_kept >= 0);
	struct pool_group *g = &p->groups[group];
	if (g->open) {
		assert(g->settings.family == settings->family);
		p->lacking -= lacks(g);
	} else {
		*g = (struct pool_group){
			.open = true,
			.idle_first = POOL_NOBODY,
			.idle_last = POOL_NOBODY,
			.queue_first = POOL_NOBODY,
			.queue_last = POOL_NOBODY,
			.next = POOL_NOBODY,
			.previous = POOL_NOBODY,
		};
		if (group >= p->groups_top)
			p->groups_top = group + 1;
	}
	g->settings = *settings;
	assert(group_at(p, settings->family)->settings.family == settings->family);
	p->lacking += lacks(g);
}

bool pool_group_is_empty(const struct pool *p, int group)
{
	const struct pool_group *g = group_at(p, group);
	return pool_group_servers(g) + g->waiting + g->holding + g->family_servers == 0;
}

void pool_group_close(struct pool *p, int group)
{
	struct pool_group *g = group_at(p, group);
	assert(pool_group_is_empty(p, group));
	p->lacking -= lacks(g);
	g->open = false;
	while (p->groups_top > 0 && !p->groups[p->groups_top - 1].open)
		p->groups_top--;
}

int pool_server_begin(struct pool *p, int group, instant now)
{
	for (int i = 0; i < p->servers_max; i++) {
		if (p->servers[i].state != SERVER_NONE)
			continue;
		p->servers[i].group = group;
		server_become(p, i, SERVER_CONNECTING);
		p->servers[i].since = now;
		p->servers[i].retire_at = INSTANT_NEVER;
		p->servers[i].outdated = false;
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
	s->outdated = false;
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

void pool_client_waits(struct pool *p, int client, int group, bool patient, instant now)
{
	client_at(p, client);
	assert(p->clients[client].state == CLIENT_NONE);
	p->clients[client].group = group;
	client_become(p, client, CLIENT_WAITING);
	queue_insert(p, client, group_at(p, group)->queue_last, POOL_NOBODY);
	p->clients[client].patient = patient;
	p->clients[client].since = p->clients[client].asked_at = now;
}

void pool_client_returns(struct pool *p, int client, bool patient, instant asked_at)
{
	int previous = POOL_NOBODY;
	int next = group_at(p, client_at(p, client)->group)->queue_first;
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

static bool assign(struct pool *p, int group, bool newest, int *server, int *client, instant now)
{
	const struct pool_group *g = group_at(p, group);
	if (g->queue_first == POOL_NOBODY || g->idle_first == POOL_NOBODY)
		return false;
	*server = g->idle_first;
	*client = newest ? g->queue_last : g->queue_first;
	server_become(p, *server, SERVER_BUSY);
	client_become(p, *client, CLIENT_HOLDING);
	struct pool_server *s = &p->servers[*server];
	struct pool_client *c = &p->clients[*client];
	s->client = *client;
	c->server = *server;
	s->since = c->since = now;
	return true;
}

bool pool_assign(struct pool *p, int group, int *server, int *client, instant now)
{
	return assign(p, group, false, server, client, now);
}

bool pool_assign_newest(struct pool *p, int group, int *server, int *client, instant now)
{
	return assign(p, group, true, server, client, now);
}
