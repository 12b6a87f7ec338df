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

/* Bytes on their way to a side; none: the end of what the other one sends. */
struct parcel {
	struct parcel *next;
	instant due;
	size_t at, len;
	uint8_t bytes[];
};

struct side {
	uv_poll_t poll;
	int fd;
	bool ended; /* it sends no more */
	bool shut; /* and the other one knows */
	struct parcel *first, **last; /* to be written to it, owned */
	size_t queued;
	instant last_due;
};

struct flow {
	struct relay *relay;
	struct flow *next, *previous;
	struct side side[2];
	int instance;
	int handles; /* that are open */
	bool connecting; /* to the database */
	bool begun; /* the client has sent something */
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
		struct parcel *parcel;
		close(flow->side[s].fd);
		while ((parcel = flow->side[s].first)) {
			flow->side[s].first = parcel->next;
			free(parcel);
		}
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

static void remove_first(struct side *to)
{
	struct parcel *parcel = to->first;

	to->first = parcel->next;
	if (!to->first)
		to->last = &to->first;
	free(parcel);
}

/* The other side sends no more, and this one has all of it. */
static void end_reached(struct flow *flow, int to)
{
	shutdown(flow->side[to].fd, SHUT_WR);
	flow->side[!to].shut = true;
	if (flow->side[to].shut)
		flow_close(flow, false);
}

/* Writes what has arrived for this side, as far as it takes it. */
static void flush(struct flow *flow, int s)
{
	struct side *to = &flow->side[s];
	instant now = relay_now(flow->relay);

	while (!flow->closed && to->first && to->first->due <= now) {
		struct parcel *parcel = to->first;
		if (parcel->len == 0) {
			remove_first(to);
			end_reached(flow, s);
			return;
		}
		ssize_t n = send(
			to->fd, parcel->bytes + parcel->at, parcel->len - parcel->at, MSG_NOSIGNAL);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0) {
			flow_close(flow, true);
			return;
		}
		parcel->at += (size_t)n;
		to->queued -= (size_t)n;
		if (parcel->at == parcel->len)
			remove_first(to);
	}
}

/* Sends it on its way; what is sent later does not arrive before it. */
static void post(struct flow *flow, int s, const uint8_t *bytes, size_t len)
{
	struct side *to = &flow->side[s];
	struct relay *r = flow->relay;
	struct parcel *parcel = malloc(sizeof *parcel + len);
	int64_t delay_ns = r->delay_ns;

	if (!parcel)
		abort();
	if (!flow->begun)
		delay_ns += 2 * r->delay_ns; /* the handshake's round trip */
	flow->begun = true;
	to->last_due = instant_max(to->last_due, instant_add(relay_now(r), delay_ns));
	parcel->next = NULL;
	parcel->due = to->last_due;
	parcel->at = 0;
	parcel->len = len;
	memcpy(parcel->bytes, bytes, len);
	*to->last = parcel;
	to->last = &parcel->next;
	to->queued += len;
}

static void source_ended(struct flow *flow, int from)
{
	flow->side[from].ended = true;
	post(flow, !from, flow->relay->scratch, 0);
	flush(flow, !from);
}

/* May more be read for this side? */
static bool has_room(const struct flow *flow, int s)
{
	const struct side *to = &flow->side[s];

	return flow->relay->delay_ns > 0 ? to->queued < RELAY_QUEUE_MAX : !to->first;
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
	if (r->delay_ns > 0 || flow->side[!from].first) {
		post(flow, !from, r->scratch, (size_t)n);
		return has_room(flow, !from);
	}
	flow->begun = true;
	ssize_t sent = send(flow->side[!from].fd, r->scratch, (size_t)n, MSG_NOSIGNAL);
	if (sent < 0 && errno != EAGAIN && errno != EINTR) {
		flow_close(flow, true);
		return false;
	}
	if (sent < 0)
		sent = 0;
	if (sent < n)
		post(flow, !from, r->scratch + sent, (size_t)(n - sent));
	return sent == n;
}

static void pump(struct flow *flow, int from)
{
	if (flow->closed)
		return;
	flush(flow, !from);
	for (int i = 0;
		i < READS_MAX && !flow->closed && !flow->side[from].ended && has_room(flow, !from);
		i++)
		if (!move(flow, from))
			return;
}

static void ready(uv_poll_t *handle, int status, int events);

/* Tells the loop what the flow waits for. */
static void watch(struct flow *flow)
{
	instant now = relay_now(flow->relay);

	if (flow->closed)
		return;
	for (int s = CLIENT; s <= SERVER; s++) {
		struct side *side = &flow->side[s];
		int events = 0;
		if (!flow->connecting && !flow->waiting && !side->ended && has_room(flow, !s))
			events |= UV_READABLE;
		if ((side->first && side->first->due <= now) || (s == SERVER && flow->connecting))
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
		flow->side[s].last = &flow->side[s].first;
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

/* When something is to be done for it without an event; INSTANT_NEVER: that is not known. */
static instant flow_next(struct flow *flow)
{
	struct relay *r = flow->relay;
	instant next = INSTANT_NEVER;

	if (flow->connecting)
		return next;
	if (flow->waiting)
		next = capacity_bytes_at(r->capacity, flow->instance);
	for (int s = CLIENT; s <= SERVER; s++)
		if (flow->side[s].first && flow->side[s].first->due > r->woken)
			next = instant_min(next, flow->side[s].first->due);
	return next;
}

void relay_wake(struct relay *r)
{
	struct flow *next;
	instant now = relay_now(r);

	if (r->partitioned)
		return;
	for (struct flow *flow = r->flows; flow; flow = next) {
		next = flow->next;
		if (flow_next(flow) > now)
			continue;
		flow->waiting = flow->waiting &&
				capacity_bytes(r->capacity, flow->instance, now) == 0;
		go_on(flow);
	}
	r->woken = now;
}

instant relay_next(struct relay *r)
{
	instant next = INSTANT_NEVER;

	if (r->partitioned)
		return next;
	for (struct flow *flow = r->flows; flow; flow = flow->next)
		next = instant_min(next, flow_next(flow));
	return next;
}

void relay_end(struct relay *r)
{
	while (r->flows)
		flow_close(r->flows, true);
}
