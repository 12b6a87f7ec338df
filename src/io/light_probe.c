#include "io/light_probe.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/instant.h"
#include "io/upstream.h"

struct light_probe {
	uv_loop_t *loop;
	light_probe_done *done; /* NULL: nobody waits for it any more */
	void *context;
	char *origin; /* owned */
	bool asks;
	int64_t timeout_ns;
	unsigned turn;
	int parts; /* of its time that are over */
	struct upstream_login *login; /* until TCP has connected */
	struct upstream up; /* from then on */
	uv_timer_t timer; /* to the next dial, or the end */
	uv_poll_t poll; /* for the byte */
	bool polling;
	int handles; /* that are still open */
	instant stage_began_at;
	struct path_attempt how;
};

/* ---- its end ---- */

static void on_closed(uv_handle_t *handle)
{
	struct light_probe *p = handle->data;
	if (--p->handles > 0)
		return;
	upstream_release(&p->up); /* not before: its socket was being watched */
	free(p->origin);
	free(p);
}

static void leave(struct light_probe *p)
{
	p->done = NULL;
	if (p->login)
		upstream_abandon(p->login);
	p->login = NULL;
	uv_close((uv_handle_t *)&p->timer, on_closed);
	if (p->polling)
		uv_close((uv_handle_t *)&p->poll, on_closed);
}

static void enter_stage(struct light_probe *p, enum stage stage)
{
	instant now = (instant)uv_hrtime();
	p->how.stage_ns[p->how.stage] += now - p->stage_began_at;
	p->how.stage = stage;
	p->stage_began_at = now;
}

static void end(struct light_probe *p, enum outcome outcome, const struct error *error)
{
	light_probe_done *done = p->done;
	struct path_attempt how;
	enter_stage(p, p->how.stage);
	p->how.outcome = outcome;
	how = p->how;
	void *context = p->context;
	unsigned turn = p->turn;
	leave(p);
	done(context, &how, turn, error);
}

__attribute__((format(printf, 4, 5))) static void fail(
	struct light_probe *p, enum outcome outcome, int code, const char *format, ...)
{
	struct error error;
	char text[ERROR_TEXT_MAX];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	error_set(&error, stage_name(p->how.stage), code, "%s", text);
	error_origin(&error, p->origin);
	end(p, outcome, &error);
}

/* ---- the byte ---- */

static void take_answer(struct light_probe *p)
{
	char byte;
	ssize_t got = recv(p->up.fd, &byte, 1, MSG_DONTWAIT);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got < 0)
		fail(p, OUTCOME_RESET, errno, "%s", strerror(errno));
	else if (got == 0)
		fail(p, OUTCOME_RESET, 0, "closed without an answer to the SSLRequest");
	else if (byte == 'S' || byte == 'N')
		end(p, OUTCOME_OK, NULL);
	else
		/* An ErrorResponse: it can't take anybody on, or is no PostgreSQL. */
		fail(p, OUTCOME_PROTOCOL, 0, "answered the SSLRequest by %#x", (unsigned char)byte);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	(void)events;
	if (status < 0)
		fail(poll->data, OUTCOME_RESET, -status, "%s", uv_strerror(status));
	else
		take_answer(poll->data);
}

static void ask(struct light_probe *p)
{
	/* Its length and the code 1234.5679, both big-endian. */
	static const unsigned char ssl_request[8] = {0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f};
	enter_stage(p, STAGE_TLS);
	/* Into an empty buffer: all of it, or the connection is broken. */
	ssize_t sent = send(
		p->up.fd, ssl_request, sizeof(ssl_request), MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent != sizeof(ssl_request)) {
		fail(p, OUTCOME_RESET, errno, "%s", strerror(errno));
		return;
	}
	int failed = uv_poll_init(p->loop, &p->poll, p->up.fd);
	if (failed) {
		fail(p, OUTCOME_RESET, -failed, "%s", uv_strerror(failed));
		return;
	}
	p->poll.data = p;
	p->polling = true;
	p->handles++;
	uv_poll_start(&p->poll, UV_READABLE, on_readable);
}

/* ---- the connect ---- */

static void on_stage(void *context, enum stage stage)
{
	enter_stage(context, stage);
}

static void on_connected(
	void *context, enum outcome outcome, const struct upstream *up, const struct error *error)
{
	struct light_probe *p = context;
	p->login = NULL;
	p->up = *up;
	if (outcome != OUTCOME_OK) {
		end(p, outcome, error);
		return;
	}
	if (p->how.stage != STAGE_TCP)
		enter_stage(p, STAGE_TCP); /* a Unix socket is connected before it is waited for */
	if (p->asks)
		ask(p);
	else
		end(p, OUTCOME_OK, NULL);
}

/* A part of its time is over. */
static void on_timer(uv_timer_t *timer)
{
	struct light_probe *p = timer->data;
	if (++p->parts == LIGHT_PROBE_DIALS) {
		fail(p, OUTCOME_TIMEOUT, 0, "no answer within %.1f s", s_from_ns(p->timeout_ns));
	} else if (p->login) {
		p->turn++;
		upstream_redial(p->login);
		enter_stage(p, STAGE_DNS);
	}
}

/* ---- the public face ---- */

struct light_probe *light_probe_start(uv_loop_t *loop, const struct light_probe_target *target,
	light_probe_done *done, void *context)
{
	static const struct upstream_events events = {on_stage, on_connected};
	struct light_probe *p = calloc(1, sizeof(*p));
	if (!p)
		abort();
	p->loop = loop;
	p->done = done;
	p->context = context;
	p->origin = strdup(target->origin);
	if (!p->origin)
		abort();
	p->asks = target->asks;
	p->timeout_ns = target->timeout_ns;
	p->turn = target->turn;
	p->up.fd = -1;
	p->how.stage = STAGE_DNS;
	p->stage_began_at = (instant)uv_hrtime();
	const struct upstream_target upstream = {
		.conninfo = target->conninfo,
		.origin = target->origin,
		.turn = target->turn,
		.tcp_only = true,
	};
	p->login = upstream_start(loop, &upstream, &events, p);
	uint64_t part_ms = (uint64_t)(target->timeout_ns / NS_PER_MS / LIGHT_PROBE_DIALS);
	uv_timer_init(loop, &p->timer);
	p->timer.data = p;
	p->handles = 1;
	uv_timer_start(&p->timer, on_timer, part_ms, part_ms > 0 ? part_ms : 1);
	return p;
}

void light_probe_cancel(struct light_probe *p)
{
	leave(p);
}
