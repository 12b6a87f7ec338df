/*
 * One gate takes the place of another: both have the same listening sockets, so that no connect is
 * refused in between.
 *
 * The one that comes goes through its startup while the one before serves; then it begins to accept,
 * and says READY. The one before accepts no more, closes what is idle towards the database, and ends
 * when its clients have gone, at the latest after shutdown.handover. As long as there are two, from the
 * moment that the second is started, each takes half of what the two may open, but at least one; what
 * the one before has open beyond that is closed as it becomes free.
 *
 * Behind PID 1 that is who starts the second, and stands between the two. Without, the second is the
 * first one's child until that ends.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gate/client.h"
#include "gate/gate_inside.h"

void gate_share(struct gate *g)
{
	bool two = g->follows || g->awaits;
	hub_share(&g->hub, g->retired ? HUB_GOES : two ? HUB_HALF : HUB_WHOLE);
}

static void refuse_replacement(struct gate *g, const char *why)
{
	log_error(g->log, "goes on, and is not replaced", field_text("reason", why));
}

/* ---- the one that goes ---- */

/* `successor` is its process id; 0: PID 1's to know. */
static void retire(struct gate *g, int successor)
{
	if (g->retired)
		return;
	g->retired = true;
	log_info(g->log, "replaced: ends when its clients have gone",
		field_int("clients", g->hub.counters.clients));
	gate_manager_succeeded(g, successor);
	gate_listeners_leave(g);
	g->awaits = false;
	gate_share(g);
	drain_begin(&g->drain, g->settings->handover_ns,
		instant_add(g->settings->handover_ns, g->settings->drain_ns));
}

static void free_handle(uv_handle_t *handle)
{
	free(handle);
}

static void stop_watching(struct gate_relation *r)
{
	if (r->fd < 0)
		return;
	uv_close((uv_handle_t *)r->poll, free_handle);
	close(r->fd);
	r->fd = -1;
}

static void reap(struct gate_relation *r)
{
	if (r->pid > 0)
		waitpid(r->pid, NULL, WNOHANG);
	r->pid = 0;
}

static void on_successor(uv_poll_t *poll, int status, int events)
{
	struct gate *g = poll->data;
	struct gate_relation *r = &g->successor;
	struct control_message message;
	int got, passed;
	(void)status;
	(void)events;
	while (r->fd >= 0 && (got = control_receive(r->fd, &message, &passed)) != 0) {
		if (got < 0) {
			stop_watching(r);
			/* Closing comes before the end, but only just. */
			if (r->pid > 0 && !g->retired)
				waitpid(r->pid, NULL, 0);
			reap(r);
			if (!g->retired) {
				refuse_replacement(g, "the new program ended before it was ready");
				g->awaits = false;
				gate_share(g);
			}
		} else if (message.kind == CONTROL_READY) {
			retire(g, r->pid);
		} else if (message.kind == CONTROL_CANCEL) {
			gate_take_cancel(g, &message, passed);
			if (passed >= 0)
				close(passed);
		}
	}
}

static void watch(struct gate *g, struct gate_relation *r, uv_poll_cb on_readable)
{
	r->poll = malloc(sizeof(*r->poll));
	if (!r->poll)
		abort();
	uv_poll_init(&g->loop, r->poll, r->fd);
	r->poll->data = g;
	uv_poll_start(r->poll, UV_READABLE, on_readable);
}

/* Without PID 1: the program is started anew. */
static void start_successor(struct gate *g)
{
	struct gate_start start = {.listeners_count = 0};
	struct error error;
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		refuse_replacement(g, strerror(errno));
		return;
	}
	gate_listeners_list(g, &start);
	start.predecessor_fd = pair[1];
	/* Before it lives, so that it knows from the beginning. */
	control_send(pair[0],
		&(struct control_message){.kind = CONTROL_SUCCEED, .code = CONTROL_SUCCEED_FIRST});
	control_send(pair[0], &(struct control_message){.kind = CONTROL_HELLO,
				      .code = COMMAND_NOT_STARTED,
				      .key = (uint32_t)((g->hub.slot + 1) % CONTROL_SLOTS)});
	int pid = g->options->start(g->options->start_context, &start, &error);
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		refuse_replacement(g, error.text);
		return;
	}
	log_info(g->log, "is to be replaced", field_int("pid", pid));
	g->successor.fd = pair[0];
	g->successor.pid = pid;
	watch(g, &g->successor, on_successor);
	g->awaits = true;
	gate_share(g);
}

void gate_replace(struct gate *g)
{
	if (g->retired || g->stopping)
		return;
	if (g->options->control_fd >= 0)
		gate_tell_init(g, CONTROL_REPLACE, 0);
	else if (g->successor.fd >= 0)
		refuse_replacement(g, "its successor is on its way");
	else if (!startup_is_complete(&g->hub.engine.startup))
		refuse_replacement(g, "it has not started");
	else if (getpid() == 1 || !g->options->start)
		refuse_replacement(g, "as PID 1 of a container it can't end and live on: use "
				      "`standpipe run`, or a supervisor");
	else
		start_successor(g);
}

void gate_retire(struct gate *g)
{
	retire(g, 0);
}

/* ---- the one that comes ---- */

void gate_predecessor_gone(struct gate *g)
{
	if (g->retired)
		return;
	log_info(g->log, "the gate before this one has ended");
	gate_serve_on(g); /* it may have died before this one was ready */
	g->follows = false;
	gate_share(g);
}

static void on_predecessor(uv_poll_t *poll, int status, int events)
{
	struct gate *g = poll->data;
	struct gate_relation *r = &g->predecessor;
	struct control_message message;
	int got, passed;
	(void)status;
	(void)events;
	while (r->fd >= 0 && (got = control_receive(r->fd, &message, &passed)) != 0) {
		if (got > 0 && message.kind == CONTROL_BEQUEATH && passed >= 0) {
			/* The one in between ends. */
			stop_watching(r);
			r->fd = passed;
			watch(g, r, on_predecessor);
		} else if (got > 0) {
			gate_take_message(g, &message);
		} else {
			stop_watching(r);
			gate_predecessor_gone(g);
		}
	}
}

void gate_succession_begin(struct gate *g)
{
	g->successor.fd = -1;
	g->predecessor.fd = g->options->predecessor_fd;
	if (g->predecessor.fd < 0)
		return;
	watch(g, &g->predecessor, on_predecessor);
	on_predecessor(g->predecessor.poll, 0, UV_READABLE);
}

void gate_serve_on(struct gate *g)
{
	if (!g->succeeds)
		return;
	g->succeeds = false;
	gate_listeners_resume(g);
}

void gate_succession_ready(struct gate *g)
{
	struct control_message ready = {.kind = CONTROL_READY};
	gate_serve_on(g);
	if (g->options->control_fd >= 0)
		gate_tell_init(g, CONTROL_READY, 0);
	else if (g->predecessor.fd >= 0)
		control_send(g->predecessor.fd, &ready);
}

void gate_succession_end(struct gate *g)
{
	struct control_message bequest = {.kind = CONTROL_BEQUEATH};
	/* The one before may have clients still, and cancel requests come to the one after. */
	if (g->retired && g->predecessor.fd >= 0 && g->successor.fd >= 0)
		control_send_fd(g->successor.fd, &bequest, g->predecessor.fd);
	stop_watching(&g->predecessor);
	stop_watching(&g->successor);
}

/* ---- cancel requests, which come to whoever accepts ---- */

void gate_pass_cancel(void *context, uint32_t pid, uint32_t key, int asker)
{
	struct gate *g = context;
	struct control_message message = {CONTROL_CANCEL, (int32_t)pid, key};
	if (g->options->control_fd >= 0)
		control_send_fd(g->options->control_fd, &message, asker);
	else if (g->predecessor.fd >= 0)
		control_send_fd(g->predecessor.fd, &message, asker);
}

void gate_take_cancel(struct gate *g, const struct control_message *message, int asker)
{
	uint32_t pid = (uint32_t)message->code;
	if (!client_cancel(&g->hub, pid, message->key) && g->options->control_fd < 0)
		gate_pass_cancel(g, pid, message->key, asker); /* to the one before this one */
}
