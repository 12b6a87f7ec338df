/* The sockets that the gate listens on. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gate/client.h"
#include "gate/gate_inside.h"
#include "gate/page.h"
#include "gate/status.h"

static void on_accept(void *context, int fd)
{
	struct gate *g = context;
	client_accept(&g->hub, fd);
}

/* `key` is the setting that names the port: where to mend it. */
static int listener(
	const char *name, const char *host, int port, const char *key, struct error *error)
{
	int fd = listen_inherited(name);
	if (fd < 0 && (fd = listen_tcp(host, port, error)) < 0)
		error_origin(error, key);
	return fd;
}

/* What accepted sockets inherit costs no call for each of them. */
void gate_listeners_care(struct gate *g)
{
	int on = 1;
	for (int i = LISTENER_GATE; i < LISTENER_COUNT && g->listeners[i] >= 0; i++) {
		setsockopt(g->listeners[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		care_apply(g->listeners[i], &g->settings->listen_care);
	}
}

int gate_listeners_bind(struct gate *g, struct error *error)
{
	const struct gate_settings *s = g->settings;
	int *fds = g->listeners;
	fds[LISTENER_ADMIN] = listener(
		LISTEN_ADMIN, s->admin_host, s->admin_port, "admin.port", error);
	if (fds[LISTENER_ADMIN] < 0)
		return -1;
	if (listen_inherited_all(LISTEN_GATE, &fds[LISTENER_GATE], LISTEN_HOSTS_MAX) == 0 &&
		listen_tcp_hosts(
			s->listen_host, s->listen_port, false, &fds[LISTENER_GATE], error) < 0) {
		error_origin(error, "listen.port");
		return -1;
	}
	gate_listeners_care(g);
	fds[LISTENER_UNIX] = listen_inherited(LISTEN_UNIX);
	/* Of the gate whose place this one takes: to be removed by the last of them. */
	if (fds[LISTENER_UNIX] >= 0 && g->options->predecessor_fd >= 0)
		listen_path(fds[LISTENER_UNIX], g->socket_path);
	if (fds[LISTENER_UNIX] < 0 && *s->socket_dir) {
		char path[LISTEN_PATH_MAX];
		fds[LISTENER_UNIX] = listen_postgres_unix(
			s->socket_dir, listen_port(fds[LISTENER_GATE]), path, error);
		if (fds[LISTENER_UNIX] < 0)
			return -1;
		memcpy(g->socket_path, path, sizeof(path));
	}
	if (s->door_mode != DOOR_OFF && s->door_port > 0) {
		fds[LISTENER_DOOR] = listener(
			LISTEN_DOOR, s->door_host, s->door_port, "door.port (PORT)", error);
		if (fds[LISTENER_DOOR] < 0)
			return -1;
	}
	return 0;
}

static void answer_admin(
	void *context, const struct http_request *request, struct http_response *response)
{
	struct gate_view view = gate_view(context);
	status_answer(&view, request, response);
}

static void answer_door(
	void *context, const struct http_request *request, struct http_response *response)
{
	struct gate_view view = gate_view(context);
	page_answer(&view, request, response);
}

static int open_door(struct gate *g, struct error *error)
{
	if (g->listeners[LISTENER_DOOR] < 0)
		return 0;
	struct door_settings settings = {
		.mode = g->settings->door_mode,
		.listen_fd = g->listeners[LISTENER_DOOR],
		.command_port = g->settings->command_port,
	};
	g->door = door_new(&g->loop, &settings, answer_door, g, error);
	g->phases.door = g->door;
	return g->door ? 0 : -1;
}

static void on_notified(void *context, const struct notify_message *message)
{
	struct gate *g = context;
	if (message->ready)
		phases_command_ready(&g->phases);
}

static int open_admin(struct gate *g, struct error *error)
{
	g->admin = http_new(&g->loop, g->listeners[LISTENER_ADMIN], answer_admin, g, error);
	return g->admin ? 0 : -1;
}

int gate_listeners_open(struct gate *g, struct error *error)
{
	/* The pages first: they answer from before the first phase. While another gate serves, they
	 * are its to give: what this one could say is not how the service is. */
	if ((!g->succeeds && open_admin(g, error) != 0) || open_door(g, error) != 0)
		return -1;
	/* The command of a gate that died before this one serves, whatever the phases find now. */
	if (g->door && g->command == COMMAND_RUNNING)
		door_open(g->door);
	else if (g->door && g->succeeds)
		door_pause(g->door);
	for (int i = 0; i < ACCEPTORS; i++) {
		if (g->listeners[LISTENER_UNIX + i] < 0)
			continue;
		g->acceptors[i] = acceptor_new_on(
			&g->reactor, g->listeners[LISTENER_UNIX + i], on_accept, g, error);
		if (!g->acceptors[i])
			return -1;
		if (g->succeeds)
			acceptor_pause(g->acceptors[i]);
	}
	int notified = listen_inherited(LISTEN_NOTIFY);
	if (notified >= 0)
		g->notify = notify_new(&g->loop, notified, on_notified, g);
	return 0;
}

void gate_listeners_resume(struct gate *g)
{
	struct error error;
	for (int i = 0; i < ACCEPTORS; i++)
		if (g->acceptors[i])
			acceptor_resume(g->acceptors[i]);
	if (g->door)
		door_resume(g->door);
	if (!g->admin && open_admin(g, &error) != 0)
		log_error(g->log, "there are no pages", field_error(&error));
}

void gate_listeners_leave(struct gate *g)
{
	gate_refuse_clients(g);
	http_free(g->admin);
	g->admin = NULL;
	if (g->door)
		door_pause(g->door);
	notify_free(g->notify);
	g->notify = NULL;
	*g->socket_path = 0; /* the successor's to remove */
}

void gate_listeners_list(const struct gate *g, struct gate_start *start)
{
	static const char *const names[LISTENER_GATE] = {
		[LISTENER_ADMIN] = LISTEN_ADMIN,
		[LISTENER_DOOR] = LISTEN_DOOR,
		[LISTENER_UNIX] = LISTEN_UNIX,
	};
	for (int i = 0; i < LISTENER_COUNT; i++) {
		if (g->listeners[i] < 0)
			continue;
		start->listeners[start->listeners_count] = g->listeners[i];
		start->names[start->listeners_count++] = i < LISTENER_GATE ? names[i] : LISTEN_GATE;
	}
}

void gate_refuse_clients(struct gate *g)
{
	for (int i = 0; i < ACCEPTORS; i++) {
		acceptor_free(g->acceptors[i]);
		g->acceptors[i] = NULL;
		if (g->listeners[LISTENER_UNIX + i] >= 0)
			close(g->listeners[LISTENER_UNIX + i]);
		g->listeners[LISTENER_UNIX + i] = -1;
	}
}

void gate_listeners_stop(struct gate *g)
{
	for (int i = 0; i < ACCEPTORS; i++)
		acceptor_free(g->acceptors[i]);
	http_free(g->admin);
	door_free(g->door);
	if (g->notify)
		notify_free(g->notify);
}

void gate_listeners_close(struct gate *g)
{
	if (*g->socket_path)
		unlink(g->socket_path);
	for (int i = 0; i < LISTENER_COUNT; i++)
		if (g->listeners[i] >= 0)
			close(g->listeners[i]);
}
