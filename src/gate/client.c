#include "gate/client.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gate/console.h"
#include "gate/relay.h"
#include "gate/server.h"
#include "gate/traces.h"
#include "io/tls.h"

/* ---- its life ---- */

struct client *client_new(struct hub *h, bool ours)
{
	int id = hub_take_id(h, ours);
	if (id < 0)
		return NULL;
	struct client *c = calloc(1, sizeof(*c));
	if (!c)
		abort();
	c->hub = h;
	c->id = id;
	/* Another one on each worker. */
	c->serial = (h->client_serial += (uint64_t)h->settings->workers) +
		    (uint64_t)h->settings->worker;
	c->since = c->connected_at = hub_now(h);
	h->clients[id] = c;
	return c;
}

void client_reap(struct client *c)
{
	assert(c->state == CLIENT_GONE);
	if (c->server || !c->closed)
		return;
	statement_names_clear(&c->names, &c->hub->statements);
	if (c->unnamed)
		statements_drop(&c->hub->statements, c->unnamed);
	pools_leave(c);
	client_login_release(c);
	console_leave(c);
	buffer_release(&c->in);
	buffer_release(&c->out);
	hub_give_id(c->hub, c->id);
	free(c);
}

static void on_stream_closed(struct stream *stream)
{
	struct client *c = stream->owner;
	tls_close(stream->ssl);
	close(stream->fd);
	c->closed = true;
	client_reap(c);
}

void client_drop(struct client *c)
{
	if (c->state == CLIENT_GONE)
		return;
	bool waits = !c->server && (c->state == CLIENT_QUEUED || c->state == CLIENT_LOGIN);
	bool real = !c->inquiry;
	c->state = CLIENT_GONE;
	console_gone(c);
	/* Or its server would be held until it had read that. */
	buffer_release(&c->out);
	if (real) {
		c->hub->counters.clients--;
		stream_close(&c->stream, on_stream_closed);
	} else {
		c->closed = true;
	}
	if (waits)
		hub_tell(c->hub, (struct engine_event){.kind = EVENT_CLIENT_LEFT, .client = c->id});
	if (c->server) {
		server_rewatch(c->server);
		server_detach(c->server);
	} else if (!real) {
		client_reap(c);
	}
}

/* ---- sending ---- */

static int flush(struct client *c)
{
	struct bytes out = buffer_bytes(&c->out);
	ssize_t sent = out.len > 0 ? stream_write(&c->stream, out.at, out.len) : 0;
	if (sent < 0)
		return -1;
	c->moved = c->moved || sent > 0;
	buffer_take(&c->out, (size_t)sent);
	buffer_trim(&c->out);
	return 0;
}

static bool is_sent(const struct client *c)
{
	return buffer_len(&c->out) == 0 && !c->stream.wants_room;
}

void client_send(struct client *c, const void *at, size_t len)
{
	if (c->state == CLIENT_GONE || c->inquiry)
		return;
	/* Behind what waits; else from where it lies, and only what is not taken is kept. */
	const uint8_t *from = at;
	ssize_t sent = 0;
	if (len > 0 && buffer_len(&c->out) == 0)
		sent = stream_write(&c->stream, from, len);
	if (sent >= 0 && (size_t)sent < len)
		buffer_append(&c->out, from + sent, len - (size_t)sent);
	if (sent < 0 || flush(c) != 0) {
		client_drop(c);
		return;
	}
	if (c->state == CLIENT_CLOSING && is_sent(c))
		client_drop(c);
	else
		client_rewatch(c);
}

void client_finish(struct client *c)
{
	if (c->state == CLIENT_GONE || c->state == CLIENT_CLOSING)
		return;
	if (c->server) {
		/* What can be sent at once is; the rest is not waited for. */
		if (flush(c) == 0)
			buffer_take(&c->out, buffer_len(&c->out));
		client_drop(c);
		return;
	}
	c->state = CLIENT_CLOSING;
	c->since = hub_now(c->hub);
	client_send(c, NULL, 0);
}

/* In the midst of a message of the server's, what the gate says would be taken for its rest. */
static bool is_amid_message(const struct client *c)
{
	return c->server && c->server->streaming > 0 && !c->server->streaming_ours;
}

void client_fail(struct client *c, const char *sqlstate, const char *message, const char *detail,
	const char *hint)
{
	if (c->state == CLIENT_GONE || c->state == CLIENT_CLOSING)
		return;
	if (c->inquiry) {
		struct error error;
		error_set(&error, "query", 0, "%s%s%s", message, detail ? ": " : "",
			detail ? detail : "");
		error_sqlstate(&error, sqlstate);
		error_origin(&error, c->hub->settings->host);
		client_inquiry_end(c, &error);
		return;
	}
	/* It no longer waits for a server; one that it holds is cleaned up behind it. */
	bool waits = !c->server && (c->state == CLIENT_QUEUED || c->state == CLIENT_LOGIN);
	if (waits)
		hub_tell(c->hub, (struct engine_event){.kind = EVENT_CLIENT_LEFT, .client = c->id});
	if (!is_amid_message(c))
		message_error(&c->out, "FATAL", sqlstate, message, detail, hint);
	client_finish(c);
}

bool client_is_between(const struct client *c)
{
	const struct server *s = c->server;
	if (c->inquiry || c->streaming > 0 || buffer_len(&c->in) > 0 || c->skipping)
		return false;
	if (s)
		return c->state == CLIENT_ACTIVE && s->status == 'I' && s->debts.count == 0 &&
		       !s->unsynced && !s->copying_in && s->errand == ERRAND_NONE;
	return c->state == CLIENT_IDLE || c->state == CLIENT_STARTUP;
}

void client_dismiss(struct client *c)
{
	if (c->inquiry)
		return;
	if (c->state == CLIENT_STARTUP)
		client_fail(c, "57P03", "the database system is shutting down",
			"Standpipe is being stopped.", NULL);
	else
		client_fail(c, "57P01", "terminating connection due to administrator command",
			"Standpipe is being stopped.", NULL);
}

/* Nothing that it sends can be passed on now. */
static bool is_waiting(const struct client *c)
{
	return c->state == CLIENT_QUEUED || c->state == CLIENT_LOGIN || console_waits(c) ||
	       client_login_waits(c) || (c->server && server_is_away(c->server));
}

void client_rewatch(struct client *c)
{
	if (c->inquiry || c->state == CLIENT_GONE)
		return;
	/* One that floods us is not read from; of one that waits, or has said goodbye, only the end
	 * is of interest. */
	bool waits = is_waiting(c);
	bool held = waits || c->leaving || c->blocked || client_is_held(c);
	stream_watch(&c->stream, c->state != CLIENT_CLOSING && !held, waits || c->leaving);
	if (c->server)
		server_rewatch(c->server);
}

bool client_is_held(const struct client *c)
{
	const struct server *s = c->server;
	if (buffer_len(&c->out) > HUB_HIGH_WATER)
		return true;
	if (!s)
		return false;
	if (server_is_away(s))
		return true;
	if (buffer_len(&s->out) > HUB_HIGH_WATER || s->debts.count >= DEBTS_MAX)
		return true;
	/* What is behind a block that is refused must not run within it. A copy's data is part of
	 * what is under way, and so is the rest of a message. */
	if (c->mode == POOL_STATEMENT && s->debts.readies > 0 && !s->copying_in &&
		c->streaming == 0)
		return true;
	/* A cancel request that is late must not meet the next query: PostgreSQL ends the asker's
	 * connection when it is carried out, and who waits for that may count on it. */
	if (s->cancels > 0)
		return true;
	/* But a copy waits for it. */
	if (c->unsure && s->clearing && !debts_are_doubtful(&s->debts) && !s->copying_in)
		return true;
	if (c->awaits_shape && s->debts.shapes > 0 && !s->copying_in)
		return true;
	if (c->awaits_all && s->debts.count > 0 && !s->copying_in)
		return true;
	if (c->unsure && (s->debts.named.synced > 0 || s->debts.unnamed.synced > 0))
		return true;
	return c->leaving && ((s->debts.readies > 0 && !s->copying_in) || buffer_len(&s->out) > 0);
}

void client_go_on(struct client *c)
{
	if (client_is_held(c))
		return;
	if (c->blocked)
		client_work(c);
	else
		client_rewatch(c);
}

/* ---- reading ---- */

/* Uses what it can of `in`; returns how much. */
static size_t take(struct client *c, struct bytes in)
{
	struct bytes left = in;
	while (left.len > 0) {
		size_t used = 0;
		switch (c->state) {
		case CLIENT_STARTUP:
			used = client_login(c, left);
			break;
		case CLIENT_IDLE:
		case CLIENT_QUEUED:
		case CLIENT_ACTIVE:
			used = relay_from_client(c, left);
			break;
		case CLIENT_CONSOLE:
			used = console_take(c, left);
			break;
		case CLIENT_LOGIN:
			break;
		case CLIENT_CLOSING:
		case CLIENT_GONE:
			return in.len;
		}
		if (used == 0)
			break;
		left.at += used;
		left.len -= used;
		if (c->state == CLIENT_QUEUED)
			break;
	}
	return in.len - left.len;
}

void client_work(struct client *c)
{
	if (c->reading || c->inquiry)
		return;
	c->reading = true;
	size_t len;
	/* Again when it was given a server meanwhile: until nothing moves. */
	do {
		len = buffer_len(&c->in);
		size_t used = take(c, buffer_bytes(&c->in));
		if (c->state == CLIENT_GONE) {
			c->reading = false;
			return;
		}
		buffer_take(&c->in, used);
		/* What held it up may be over by now: its server has taken all. */
	} while (buffer_len(&c->in) > 0 &&
		 (buffer_len(&c->in) < len || (c->blocked && c->server && !client_is_held(c))));
	c->reading = false;
	buffer_trim(&c->in);
	client_rewatch(c);
}

static void on_received(struct stream *stream, struct bytes in)
{
	struct client *c = stream->owner;
	c->hub->counters.bytes_in += (int64_t)in.len;
	if (c->pool)
		c->pool->stats.bytes_in += (int64_t)in.len;
	c->moved = true;
	if (c->state == CLIENT_IDLE)
		c->since = hub_now(c->hub);
	if (buffer_len(&c->in) > 0) {
		buffer_append(&c->in, in.at, in.len);
		client_work(c);
		return;
	}
	/* An idle client owns no buffer: what is used at once is never copied. */
	c->reading = true;
	size_t used = take(c, in);
	c->reading = false;
	if (c->state == CLIENT_GONE)
		return;
	buffer_append(&c->in, in.at + used, in.len - used);
	/* A server may have come, or gone, while the rest was not yet in its place. */
	if (buffer_len(&c->in) > 0 && (c->state == CLIENT_ACTIVE || c->state == CLIENT_IDLE))
		client_work(c);
	else
		client_rewatch(c);
}

static void on_ended(struct stream *stream)
{
	struct client *c = stream->owner;
	if (c->state == CLIENT_STARTUP)
		client_login_broke(c);
	client_drop(c);
}

static void on_writable(struct stream *stream)
{
	struct client *c = stream->owner;
	if (flush(c) != 0 || (c->state == CLIENT_CLOSING && is_sent(c))) {
		client_drop(c);
		return;
	}
	client_go_on(c);
	if (c->state != CLIENT_GONE)
		client_rewatch(c);
}

static void open_stream(struct client *c, int fd)
{
	static const struct stream_events events = {on_received, on_ended, on_writable};
	c->hub->counters.clients++;
	c->hub->counters.clients_total++;
	if (stream_open(&c->stream, c->hub->reactor, fd, NULL, &events, c) != 0)
		abort(); /* a fresh socket that the loop can't watch */
	client_rewatch(c);
}

struct client *client_accept_ours(struct hub *h, int fd)
{
	struct client *c = client_new(h, true);
	if (c)
		open_stream(c, fd);
	else
		close(fd);
	return c;
}

void client_accept(struct hub *h, int fd)
{
	struct client *c = client_new(h, false);
	if (!c) {
		struct buffer out = BUFFER_INIT;
		h->counters.bounds[BOUND_CLIENTS]++;
		message_error(&out, "FATAL", CLIENT_SURPLUS, NULL, CLIENT_SURPLUS_HINT);
		ssize_t sent = send(fd, out.memory, buffer_len(&out), MSG_DONTWAIT | MSG_NOSIGNAL);
		(void)sent; /* it is refused either way */
		buffer_release(&out);
		close(fd);
		return;
	}
	c->surplus = h->counters.clients >= h->clients_allowed;
	open_stream(c, fd);
}

/* ---- a server ---- */

void client_assigned(struct client *c, struct server *s, bool ping)
{
	if (!c || (c->state != CLIENT_QUEUED && c->state != CLIENT_LOGIN) || c->server) {
		/* It left while the engine decided. */
		hub_tell(s->hub,
			(struct engine_event){.kind = EVENT_SERVER_RELEASED, .server = s->id});
		return;
	}
	if (c->state == CLIENT_QUEUED)
		c->state = CLIENT_ACTIVE;
	if (!c->inquiry) {
		const struct pool_client *waited = &s->hub->engine.pool.clients[c->id];
		c->pool->stats.wait_ns += waited->since - waited->asked_at;
		c->pool->stats.assigned++;
	}
	server_attach(s, c, ping);
}

void client_requeued(struct client *c)
{
	if (c->state == CLIENT_ACTIVE)
		c->state = CLIENT_QUEUED;
	client_rewatch(c);
}

void client_released(struct client *c)
{
	if (c->state == CLIENT_GONE) {
		client_reap(c);
		return;
	}
	c->big_unnamed = BIG_NONE;
	if (c->inquiry) {
		client_inquiry_end(c, error_is_set(&c->inquiry->error) ? &c->inquiry->error : NULL);
		return;
	}
	if (c->state == CLIENT_ACTIVE) {
		c->state = CLIENT_IDLE;
		c->since = hub_now(c->hub);
	}
	if (buffer_len(&c->in) > 0)
		client_work(c);
	else if (c->hub->draining)
		client_dismiss(c);
	else
		client_rewatch(c);
}

void client_go(struct client *c)
{
	if (c->inquiry) {
		client_inquiry_ask(c);
		return;
	}
	client_work(c);
	/* What it waited for may have been cancelled meanwhile; unless it lies further up the
	 * stack. */
	if (c->server && !c->reading && buffer_len(&c->in) == 0)
		server_release_if_idle(c->server);
}
