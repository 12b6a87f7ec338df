#include "lab/connector.h"

#include <arpa/inet.h>
#include <assert.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/random.h"
#include "lab/doorway.h"
#include "lab/ports.h"
#include "lab/relay.h"

#define FIRST_ADDRESS 0x7f000101u /* 127.0.1.1 */
#define SWEEP_MS      50 /* dropped SYNs are counted so often */
#define PORT_TRIES    10
#define DELAY_MIN_NS  1000000 /* real ones */

/* An address at which nothing gets through yet. */
struct cold {
	struct doorway door; /* fd < 0: warm */
	instant until;
};

struct connector {
	uv_thread_t thread;
	uv_loop_t loop;
	uv_async_t wake;
	uv_timer_t timer;
	uv_check_t check;
	uv_poll_t door_poll;
	struct doorway door;
	struct capacity capacity;
	struct relay relay;
	int64_t dropped_seen; /* at the door, for the capacity */
	int64_t dropped_closed; /* at doors that are closed by now */

	uv_mutex_t mutex; /* of all that follows, which both threads use */
	bool stop, partitioned, refuse;
	bool restarting, cut; /* nothing begins; all flows are to be cut, once */
	int64_t delay_ns;
	struct cold *cold; /* by client */
	int clients;
	struct connector_stats stats;
};

static void door_ready(uv_poll_t *handle, int status, int events)
{
	/* The turn after this event accepts. */
	(void)handle, (void)status, (void)events;
}

static void accept_all(struct connector *c, instant now)
{
	bool blocked = c->relay.partitioned || c->restarting || c->door.refusing;
	uint32_t address;
	int fd;

	doorway_allow(&c->door, blocked ? 0 : capacity_permits(&c->capacity, now));
	while ((fd = doorway_accept(&c->door, &address)) >= 0) {
		int instance = capacity_begin(&c->capacity, now);
		assert(instance >= 0);
		c->stats.completed++;
		relay_begin(&c->relay, fd, instance);
	}
	/* Without room the plug lies in the queue and the socket is readable for ever. */
	if (c->door.allowed > 0 && !c->door.refusing)
		uv_poll_start(&c->door_poll, UV_READABLE, door_ready);
	else
		uv_poll_stop(&c->door_poll);
}

static void count_dropped(struct connector *c, instant now)
{
	int64_t at_door = doorway_dropped(&c->door), cold = 0;

	if (at_door > c->dropped_seen && !c->relay.partitioned && !c->restarting)
		capacity_refuse(&c->capacity, now);
	c->dropped_seen = at_door;
	for (int i = 0; i < c->clients; i++)
		if (c->cold[i].door.fd >= 0)
			cold += doorway_dropped(&c->cold[i].door);
	c->stats.dropped = at_door + cold + c->dropped_closed;
}

static instant warm_up(struct connector *c, instant now)
{
	instant next = INSTANT_NEVER;

	for (int i = 0; i < c->clients; i++) {
		struct cold *cold = &c->cold[i];
		if (cold->door.fd < 0)
			continue;
		if (cold->until > now) {
			next = instant_min(next, cold->until);
			continue;
		}
		c->dropped_closed += doorway_dropped(&cold->door);
		doorway_close(&cold->door);
	}
	return next;
}

static void turn(struct connector *c);

static void timer_due(uv_timer_t *timer)
{
	turn(timer->data);
}

/* All that does not come from a socket: time that has passed, and what the other thread wants. */
static void turn(struct connector *c)
{
	instant now = relay_now(&c->relay), next;

	uv_mutex_lock(&c->mutex);
	if (c->partitioned != c->relay.partitioned)
		relay_partition(&c->relay, c->partitioned);
	if (c->refuse != c->door.refusing) {
		uv_poll_stop(&c->door_poll);
		doorway_refuse(&c->door, c->refuse);
	}
	if (c->cut)
		relay_end(&c->relay);
	c->cut = false;
	c->relay.delay_ns = c->delay_ns;
	next = warm_up(c, now);
	count_dropped(c, now);
	accept_all(c, now);
	relay_wake(&c->relay);
	c->stats.flows = c->relay.count;
	c->stats.flows_peak = c->relay.count > c->stats.flows_peak ? c->relay.count
								   : c->stats.flows_peak;
	c->stats.instances = c->capacity.count;
	c->stats.bytes = c->relay.bytes;
	uv_mutex_unlock(&c->mutex);

	next = instant_min(next, capacity_next(&c->capacity));
	next = instant_min(next, relay_next(&c->relay));
	double wait_ms = SWEEP_MS;
	if (next != INSTANT_NEVER)
		wait_ms = fmin(wait_ms, ceil((double)(next - now) * c->relay.time_scale / 1e6));
	uv_timer_start(&c->timer, timer_due, wait_ms < 1 ? 1 : (uint64_t)wait_ms, 0);
}

static void after_poll(uv_check_t *check)
{
	turn(check->data);
}

static void close_all(struct connector *c)
{
	relay_end(&c->relay);
	uv_close((uv_handle_t *)&c->wake, NULL);
	uv_close((uv_handle_t *)&c->timer, NULL);
	uv_close((uv_handle_t *)&c->check, NULL);
	uv_close((uv_handle_t *)&c->door_poll, NULL);
}

static void woken(uv_async_t *wake)
{
	struct connector *c = wake->data;

	uv_mutex_lock(&c->mutex);
	bool stop = c->stop;
	uv_mutex_unlock(&c->mutex);
	if (stop)
		close_all(c);
}

static void run(void *context)
{
	struct connector *c = context;

	turn(c);
	uv_run(&c->loop, UV_RUN_DEFAULT);
}

static int open_door(struct connector *c, struct error *error)
{
	struct random random;
	uint16_t port;

	random_init(&random, uv_hrtime() ^ (uint64_t)getpid());
	for (int i = 0; i < PORT_TRIES; i++) {
		if (ports_pick(&random, &port, 1, error) < 0)
			return -1;
		if (doorway_open(&c->door, 0, port, error) == 0)
			return 0;
	}
	return -1;
}

static void init_loop(struct connector *c)
{
	int failed = uv_loop_init(&c->loop) || uv_mutex_init(&c->mutex) ||
		     uv_async_init(&c->loop, &c->wake, woken) ||
		     uv_timer_init(&c->loop, &c->timer) || uv_check_init(&c->loop, &c->check) ||
		     uv_poll_init(&c->loop, &c->door_poll, c->door.fd);

	assert(!failed);
	c->wake.data = c->timer.data = c->check.data = c->door_poll.data = c;
	uv_check_start(&c->check, after_poll);
}

struct connector *connector_new(const struct connector_settings *settings, struct error *error)
{
	struct connector *c = calloc(1, sizeof *c);
	sigset_t all, before;

	assert(settings->time_scale > 0 && settings->clients >= 1);
	if (!c || !(c->cold = calloc((size_t)settings->clients, sizeof *c->cold)))
		abort();
	c->clients = settings->clients;
	for (int i = 0; i < c->clients; i++)
		c->cold[i].door = (struct doorway){.fd = -1, .plug = -1};
	if (open_door(c, error) < 0) {
		free(c->cold);
		free(c);
		return NULL;
	}
	init_loop(c);
	capacity_init(&c->capacity, &settings->capacity, 0);
	c->relay = (struct relay){
		.loop = &c->loop,
		.capacity = &c->capacity,
		.upstream = {.sin_family = AF_INET,
			.sin_port = htons(settings->database_port),
			.sin_addr.s_addr = htonl(INADDR_LOOPBACK)},
		.begun_ns = uv_hrtime(),
		.time_scale = settings->time_scale,
	};
	/* Signals are the other thread's business. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int failed = uv_thread_create(&c->thread, run, c);
	assert(!failed);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return c;
}

void connector_free(struct connector *c)
{
	if (!c)
		return;
	uv_mutex_lock(&c->mutex);
	c->stop = true;
	uv_mutex_unlock(&c->mutex);
	uv_async_send(&c->wake);
	uv_thread_join(&c->thread);
	int busy = uv_loop_close(&c->loop);
	assert(!busy);
	doorway_close(&c->door);
	for (int i = 0; i < c->clients; i++)
		doorway_close(&c->cold[i].door);
	uv_mutex_destroy(&c->mutex);
	free(c->cold);
	free(c);
}

uint16_t connector_port(const struct connector *c)
{
	return c->door.port;
}

static uint32_t address_of(int client)
{
	/* Last octets 1 to 250, then the next net. */
	return FIRST_ADDRESS + (uint32_t)(client / 250) * 256 + (uint32_t)(client % 250);
}

void connector_address(const struct connector *c, int client, char text[16])
{
	uint32_t address = address_of(client);

	assert(client >= 0 && client < c->clients);
	snprintf(text, 16, "127.0.%u.%u", (address >> 8) & 255, address & 255);
}

void connector_cold(struct connector *c, int client, int64_t for_ns)
{
	struct error error;

	assert(client >= 0 && client < c->clients);
	if (for_ns <= 0)
		return;
	uv_mutex_lock(&c->mutex);
	struct cold *cold = &c->cold[client];
	cold->until = instant_add(relay_now(&c->relay), for_ns);
	if (cold->door.fd < 0)
		doorway_open(&cold->door, address_of(client), c->door.port, &error);
	uv_mutex_unlock(&c->mutex);
	uv_async_send(&c->wake);
}

void connector_partition(struct connector *c, bool partitioned)
{
	uv_mutex_lock(&c->mutex);
	c->partitioned = partitioned;
	uv_mutex_unlock(&c->mutex);
	uv_async_send(&c->wake);
}

void connector_restart(struct connector *c, bool down)
{
	uv_mutex_lock(&c->mutex);
	c->restarting = down;
	c->cut = c->cut || down;
	uv_mutex_unlock(&c->mutex);
	uv_async_send(&c->wake);
}

void connector_delay(struct connector *c, int64_t delay_ns)
{
	uv_mutex_lock(&c->mutex);
	c->delay_ns = (double)delay_ns * c->relay.time_scale < DELAY_MIN_NS ? 0 : delay_ns;
	uv_mutex_unlock(&c->mutex);
	uv_async_send(&c->wake);
}

void connector_refuse(struct connector *c, bool refuse)
{
	uv_mutex_lock(&c->mutex);
	c->refuse = refuse;
	uv_mutex_unlock(&c->mutex);
	uv_async_send(&c->wake);
}

struct connector_stats connector_stats(struct connector *c)
{
	uv_mutex_lock(&c->mutex);
	struct connector_stats stats = c->stats;
	uv_mutex_unlock(&c->mutex);
	return stats;
}
