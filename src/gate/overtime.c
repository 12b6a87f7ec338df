#include "gate/overtime.h"

#include <stdio.h>
#include <string.h>

#include "gate/client.h"
#include "gate/server.h"

#define PERIOD_MAX_MS 1000
#define PERIOD_MIN_MS 20

/* The limits are looked at so many times within the shortest of them. */
#define LOOKS 4

/* How long a query that was cancelled may take to end. */
#define GRACE_NS (5 * NS_PER_S)

/* How long a client that was told why it is refused may take to read that. */
#define CLOSING_NS (60 * NS_PER_S)

/* What a client is told: as PostgreSQL says it, where it has such a limit itself. */
static const struct {
	const char *sqlstate, *message, *detail;
} terms[GATE_LIMIT_COUNT] = {
	[LIMIT_LOGIN] = {"57014", "canceling authentication due to timeout",
		"The client did not say who it is within"},
	[LIMIT_CLIENT_IDLE] = {"57P05", "terminating connection due to idle-session timeout",
		"The client asked for nothing for longer than"},
	[LIMIT_CLIENT_STALL] = {"57P05",
		"terminating connection due to a message that does not end",
		"Of a message that was begun nothing came for longer than"},
	[LIMIT_QUERY] = {"57014", "canceling statement due to query timeout",
		"The query ran for longer than"},
	[LIMIT_IDLE_IN_TRANSACTION] = {"25P03",
		"terminating connection due to idle-in-transaction timeout",
		"The client held a server connection in a transaction, asking for nothing, for "
		"longer than"},
	[LIMIT_TRANSACTION] = {"25P04", "terminating connection due to transaction timeout",
		"The transaction lasted longer than"},
};

static int64_t limit_ns(const struct hub *h, enum gate_limit limit)
{
	return h->settings->limits_ns[limit];
}

static bool is_over(const struct hub *h, enum gate_limit limit, instant since, instant now)
{
	return limit_ns(h, limit) > 0 && now - since >= limit_ns(h, limit);
}

uint64_t overtime_period_ms(const struct gate_settings *settings)
{
	static const enum gate_limit held[] = {
		LIMIT_QUERY, LIMIT_IDLE_IN_TRANSACTION, LIMIT_TRANSACTION};
	int64_t period_ms = PERIOD_MAX_MS;
	for (size_t i = 0; i < sizeof(held) / sizeof(held[0]); i++) {
		int64_t look_ms = settings->limits_ns[held[i]] / LOOKS / NS_PER_MS;
		if (settings->limits_ns[held[i]] > 0 && look_ms < period_ms)
			period_ms = look_ms;
	}
	return (uint64_t)(period_ms < PERIOD_MIN_MS ? PERIOD_MIN_MS : period_ms);
}

static void describe(const struct hub *h, enum gate_limit limit, char text[ERROR_TEXT_MAX])
{
	snprintf(text, ERROR_TEXT_MAX, "%s %s (%.10g s).", terms[limit].detail,
		gate_bound_key(limit), s_from_ns(limit_ns(h, limit)));
}

static void note(const struct client *c, enum gate_limit limit)
{
	c->hub->counters.bounds[limit]++;
	if (log_limit_allows(&c->hub->refusals, hub_now(c->hub)))
		log_info(c->hub->log, "a client was over its limit",
			field_text("limit", gate_bound_key(limit)), field_int("client", c->id));
}

/* The client is told and gone; the server that it held is cleaned up behind it. */
static void end_client(struct client *c, enum gate_limit limit, const char *hint)
{
	char detail[ERROR_TEXT_MAX];
	struct server *s = c->server;
	note(c, limit);
	describe(c->hub, limit, detail);
	client_fail(c, terms[limit].sqlstate, terms[limit].message, detail, hint);
	/* It has had its time: what still runs is not waited for as for a client that just died. */
	if (s && s->client == c && s->errand == ERRAND_DRAIN)
		server_hurry(s);
}

/* ---- clients ---- */

/* Does it hold up what is on its way? It takes nothing of what is to be sent to it; or it began a
 * message that goes to a server and sends nothing more of it, although it is read from. */
static bool takes_nothing(const struct client *c)
{
	return buffer_len(&c->out) > 0;
}

static bool sends_nothing(const struct client *c)
{
	return c->server && c->streaming > 0 && !c->streaming_void && !c->blocked &&
	       !client_is_held(c);
}

static bool is_stalled(struct client *c)
{
	bool stalled = !c->moved && (takes_nothing(c) || sends_nothing(c));
	c->moved = false;
	c->stalled_s = stalled && c->stalled_s < UINT16_MAX ? c->stalled_s + 1 : 0;
	return stalled && is_over(c->hub, LIMIT_CLIENT_STALL, 0, c->stalled_s * NS_PER_S);
}

void overtime_check_client(struct client *c, instant now)
{
	if (c->inquiry || c->state == CLIENT_GONE)
		return;
	if (c->state == CLIENT_CLOSING) {
		if (now - c->since >= CLOSING_NS)
			client_drop(c);
	} else if (c->state == CLIENT_STARTUP) {
		if (is_over(c->hub, LIMIT_LOGIN, c->since, now))
			end_client(c, LIMIT_LOGIN, NULL);
	} else if (is_stalled(c)) {
		if (!takes_nothing(c)) {
			end_client(c, LIMIT_CLIENT_STALL, NULL);
			return;
		}
		note(c, LIMIT_CLIENT_STALL);
		client_drop(c); /* what it is told it would not read */
	} else if (c->state == CLIENT_IDLE && is_over(c->hub, LIMIT_CLIENT_IDLE, c->since, now)) {
		end_client(c, LIMIT_CLIENT_IDLE, NULL);
	}
}

/* ---- those that hold a server ---- */

static void cancel_query(struct server *s, instant now)
{
	note(s->client, LIMIT_QUERY);
	s->overdue_at = now;
	/* While it waits for a copy's data PostgreSQL does not look at cancel requests. */
	if (s->copying_in && s->client->streaming == 0)
		server_refuse_copy(s, terms[LIMIT_QUERY].message);
	else
		server_cancel(s);
}

/* A query was cancelled. True: it goes on nevertheless, and nothing else is to be done. */
static bool is_being_cancelled(struct server *s, instant now)
{
	if (s->debts.count == 0 || s->since > s->overdue_at) {
		if (s->cancels == 0)
			s->overdue_at = 0;
		return false;
	}
	if (now - s->overdue_at >= GRACE_NS)
		end_client(s->client, LIMIT_QUERY, "It did not end when it was cancelled.");
	return true;
}

void overtime_check_server(struct server *s, instant now)
{
	struct hub *h = s->hub;
	struct client *c = s->client;
	if (!c || c->inquiry || c->state != CLIENT_ACTIVE || s->errand != ERRAND_NONE)
		return;
	if (s->overdue_at && is_being_cancelled(s, now))
		return;
	bool asked = s->debts.count > 0;
	bool open = asked || s->status != 'I' || s->unsynced;
	if (open && is_over(h, LIMIT_TRANSACTION, s->begun_at, now))
		end_client(c, LIMIT_TRANSACTION, NULL);
	else if (asked && is_over(h, LIMIT_QUERY, s->since, now))
		cancel_query(s, now);
	else if (open && !asked && is_over(h, LIMIT_IDLE_IN_TRANSACTION, s->since, now))
		end_client(c, LIMIT_IDLE_IN_TRANSACTION, NULL);
	else if (!open && is_over(h, LIMIT_CLIENT_IDLE, s->since, now))
		end_client(c, LIMIT_CLIENT_IDLE, NULL);
}

bool overtime_explain(const struct server *s, struct bytes error, struct buffer *out)
{
	struct message_error e;
	char detail[ERROR_TEXT_MAX];
	if (!s->overdue_at || message_parse_error(error, &e) != 0 ||
		strcmp(e.sqlstate, terms[LIMIT_QUERY].sqlstate) != 0)
		return false;
	describe(s->hub, LIMIT_QUERY, detail);
	message_error(out, e.severity, e.sqlstate, terms[LIMIT_QUERY].message, detail, NULL);
	return true;
}
