#include "lab/relay.h"

#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READS_MAX 4 /* per event and direction, so that one flow does not starve the others */

enum { CLIENT, SERVER };

struct side {
	uv_poll_t poll;
	int fd;
	bool ended; /* it sends no more */
	uint8_t *pending; /* to be written to it, owned; NULL: nothing */
	size_t pending_at, pending_len;
};

struct flow {
	struct relay *relay;
	struct flow *next, *previous;
	struct side side[2];
	int instance;
	int handles; /* that are open */
	bool connecting; /* to the database */
	bool waiting; /* for bandwidth */
	bool closed;
};

instant relay_now(const struct relay *r)
{
	return (instant)((double)(uv_hrtime() - r->begun_ns) / r->time_scale);
}

static void handle_closed(uv_handle_t *handle)
{
	struct flow *flow = handle->data;

	if (--flow->handles > 0)
		return;
	for (int s = CLIENT; s <= SERVER; s++) {
		close(flow->side[s].fd);
		free(flow->side[s].pending);
	}
	free(flow);
}

static void flow_close(struct flow *flow, bool reset)
{
	struct relay *r = flow->relay;
	const struct linger hard = {.l_onoff = 1};

	if (flow->closed)
		return;
	flow->closed = true;
	*(flow->previous ? &flow->previous->next : &r->flows) = flow->next;
	if (flow->next)
		flow->next->previous = flow->previous;
	r->count--;
	capacity_end(r->capacity, flow->instance, relay_now(r));
	for (int s = CLIENT; s <= SERVER; s++) {
		if (reset)
			setsockopt(flow->side[s].fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
		uv_close((uv_handle_t *)&flow->side[s].poll, handle_closed);
	}
}

/* Writes what waits for this side. True when nothing waits any more. */
static bool flush(struct flow *flow, struct side *to)
{
	while (to->pending_len > 0) {
		ssize_t n = send(
			to->fd, to->pending + to->pending_at, to->pending_len, MSG_NOSIGNAL);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return false;
		if (n < 0) {
			flow_close(flow, true);
			return false;
		}
		to->pending_at += (size_t)n;
		to->pending_len -= (size_t)n;
	}
	free(to->pending);
	to->pending = NULL;
	return true;
}

static void keep(struct side *to, const uint8_t *at, size_t len)
{
	assert(!to->pending);
	to->pending = malloc(len);
	if (!to->pending)
		abort();
	memcpy(to->pending, at, len);
	to->pending_at = 0;
	to->pending_len = len;
}

static void source_ended(struct flow *flow, int from)
{
	flow->side[from].ended = true;
	shutdown(flow->side[!from].fd, SHUT_WR);
	if (flow->side[!from].ended)
		flow_close(flow, false);
}

/* One read from a side and its write to the other. False: that is all for now. */
static bool move(struct flow *flow, int from)
{
	struct relay *r = flow->relay;
	int64_t may = capacity_bytes(r->capacity, flow->instance, relay_now(r));
	size_t size = may < RELAY_READ_MAX ? (size_t)may : RELAY_READ_MAX;

	if (size == 0) {
		flow->waiting = true;
		return false;
	}
	ssize_t n = read(flow->side[from].fd, r->scratch, size);
	if (n <= 0) {
		if (n == 0)
			source_ended(flow, from);
		else if (errno != EAGAIN && errno != EINTR)
			flow_close(flow, true);
		return false;
	}
	capacity_spend(r->capacity, flow->instance, n);
	r->bytes += n;
	ssize_t sent = send(flow->side[!from].fd, r->scratch, (size_t)n, MSG_NOSIGNAL);
	if (sent < 0 && errno != EAGAIN && errno != EINTR) {
		flow_close(flow, true);
		return false;
	}
	if (sent < 0)
		sent = 0;
	if (sent < n)
		keep(&flow->side[!from], r->scratch + sent, (size_t)(n - sent));
	return sent == n;
}

static void pump(struct flow *flow, int from)
{
	if (flow->closed || !flush(flow, &flow->side[!from]))
		return;
	for (int i = 0; i < READS_MAX && !flow->closed && !flow->side[from].ended; i++)
		if (!move(flow, from))
			return;
}

static void ready(uv_poll_t *handle, int status, int events);

/* Tells the loop what the flow waits for. */
static void watch(struct flow *flow)
{
	if (flow->closed)
		return;
	for (int s = CLIENT; s <= SERVER; s++) {
		struct side *side = &flow->side[s];
		int events = 0;
		if (!flow->connecting && !flow->waiting && !side->ended && !flow->side[!s].pending)
			events |= UV_READABLE;
		if (side->pending || (s == SERVER && flow->connecting))
			events |= UV_WRITABLE;
		if (flow->relay->partitioned || events == 0)
			uv_poll_stop(&side->poll);
		else
			uv_poll_start(&side->poll, events, ready);
	}
}

static void go_on(struct flow *flow)
{
	pump(flow, CLIENT);
	pump(flow, SERVER);
	watch(flow);
}

static void ready(uv_poll_t *handle, int status, int events)
{
	struct flow *flow = handle->data;

	(void)events;
	if (flow->closed)
		return;
	if (status < 0) {
		flow_close(flow, true);
		return;
	}
	if (flow->connecting) {
		int code = 0;
		socklen_t size = sizeof code;
		getsockopt(flow->side[SERVER].fd, SOL_SOCKET, SO_ERROR, &code, &size);
		if (code != 0) {
			flow_close(flow, true);
			return;
		}
		flow->connecting = false;
	}
	go_on(flow);
}

static int connect_upstream(const struct relay *r)
{
	const int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (connect(fd, (const struct sockaddr *)&r->upstream, sizeof r->upstream) == 0 ||
		errno == EINPROGRESS)
		return fd;
	close(fd);
	return -1;
}

void relay_begin(struct relay *r, int client, int instance)
{
	const int on = 1;
	const struct linger hard = {.l_onoff = 1};
	struct flow *flow;
	int server = connect_upstream(r);

	if (server < 0) {
		setsockopt(client, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
		close(client);
		capacity_end(r->capacity, instance, relay_now(r));
		return;
	}
	setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	flow = calloc(1, sizeof *flow);
	if (!flow)
		abort();
	flow->relay = r;
	flow->instance = instance;
	flow->connecting = true;
	flow->side[CLIENT].fd = client;
	flow->side[SERVER].fd = server;
	for (int s = CLIENT; s <= SERVER; s++) {
		int failed = uv_poll_init(r->loop, &flow->side[s].poll, flow->side[s].fd);
		assert(!failed);
		flow->side[s].poll.data = flow;
		flow->handles++;
	}
	flow->next = r->flows;
	if (r->flows)
		r->flows->previous = flow;
	r->flows = flow;
	r->count++;
	watch(flow);
}

void relay_partition(struct relay *r, bool partitioned)
{
	r->partitioned = partitioned;
	for (struct flow *flow = r->flows; flow; flow = flow->next)
		watch(flow);
}

void relay_wake(struct relay *r)
{
	struct flow *next;

	if (r->partitioned)
		return;
	for (struct flow *flow = r->flows; flow; flow = next) {
		next = flow->next;
		if (!flow->waiting ||
			capacity_bytes(r->capacity, flow->instance, relay_now(r)) == 0)
			continue;
		flow->waiting = false;
		go_on(flow);
	}
}

instant relay_next(struct relay *r)
{
	instant next = INSTANT_NEVER;

	if (r->partitioned)
		return next;
	for (struct flow *flow = r->flows; flow; flow = flow->next)
		if (flow->waiting)
			next = instant_min(next, capacity_bytes_at(r->capacity, flow->instance));
	return next;
}

void relay_end(struct relay *r)
{
	while (r->flows)
		flow_close(r->flows, true);
}
