/* SHOW CLIENTS, SERVERS, SOCKETS, ACTIVE_SOCKETS. */
#include "gate/console_sockets.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "gate/pools.h"

#define TIME_SIZE    32
#define ADDRESS_SIZE 64

/* ---- states ---- */

enum socket_state socket_of_client(const struct client *c)
{
	switch (c->state) {
	case CLIENT_STARTUP:
		return SOCKET_LOGIN;
	case CLIENT_LOGIN:
	case CLIENT_QUEUED:
		return c->server ? SOCKET_ACTIVE : SOCKET_WAITING;
	case CLIENT_ACTIVE:
	case CLIENT_CONSOLE:
		return SOCKET_ACTIVE;
	case CLIENT_IDLE:
	case CLIENT_CLOSING:
	case CLIENT_GONE:
		break;
	}
	return SOCKET_IDLE;
}

enum socket_state socket_of_server(const struct server *s)
{
	struct hub *h = s->hub;
	const struct pool_server *p = &h->engine.pool.servers[s->id];
	if (!s->link)
		return SOCKET_LOGIN;
	if (s->errand != ERRAND_NONE)
		return SOCKET_TESTED;
	if (s->cancels > 0 && s->status == 'I' && s->debts.count == 0)
		return SOCKET_BEING_CANCELED;
	if (s->client)
		return SOCKET_ACTIVE;
	return hub_now(h) - p->since >= h->engine.settings.ping_after_ns ? SOCKET_USED
									 : SOCKET_IDLE;
}

int64_t socket_wait_ns(const struct client *c)
{
	if (socket_of_client(c) != SOCKET_WAITING)
		return 0;
	return hub_now(c->hub) - c->hub->engine.pool.clients[c->id].asked_at;
}

/* ---- cells ---- */

static void add_time(struct table *t, struct hub *h, instant at)
{
	char text[TIME_SIZE];
	struct timespec wall;
	struct tm utc;
	clock_gettime(CLOCK_REALTIME, &wall);
	int64_t wall_ns = wall.tv_sec * NS_PER_S + wall.tv_nsec - (hub_now(h) - at);
	time_t s = (time_t)(wall_ns / NS_PER_S);
	gmtime_r(&s, &utc);
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &utc);
	table_text(t, text);
}

/* Address and port; of a Unix socket "unix" and the gate's port, as PgBouncer has it. */
static void add_address(struct table *t, const struct sockaddr_storage *a, int unix_port)
{
	char text[ADDRESS_SIZE] = "";
	int port = 0;
	if (a->ss_family == AF_UNIX) {
		snprintf(text, sizeof(text), "unix");
		port = unix_port;
	} else if (a->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)a;
		inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
		port = ntohs(in->sin_port);
	} else if (a->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)a;
		inet_ntop(AF_INET6, &in->sin6_addr, text, sizeof(text));
		port = ntohs(in->sin6_port);
	}
	table_text(t, text);
	table_int(t, port);
}

struct ends {
	struct sockaddr_storage remote, local;
	int pid; /* of a Unix socket's other end; 0: not known */
};

static struct ends ends_of(int fd)
{
	struct ends e = {0};
	struct ucred peer;
	socklen_t len = sizeof(e.remote), local_len = sizeof(e.local), peer_len = sizeof(peer);
	if (fd < 0)
		return e;
	/* One that is gone has no peer any more. */
	if (getpeername(fd, (struct sockaddr *)&e.remote, &len) != 0)
		e.remote.ss_family = AF_UNSPEC;
	if (getsockname(fd, (struct sockaddr *)&e.local, &local_len) != 0)
		e.local.ss_family = AF_UNSPEC;
	if (e.local.ss_family == AF_UNIX &&
		getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_len) == 0)
		e.pid = peer.pid;
	return e;
}

static void add_tls(struct table *t, SSL *ssl)
{
	char text[96] = "";
	if (ssl)
		snprintf(text, sizeof(text), "%s/%s", SSL_get_version(ssl),
			SSL_get_cipher_name(ssl));
	table_text(t, text);
}

static void add_pointer(struct table *t, const void *p)
{
	char text[32] = "";
	if (p)
		snprintf(text, sizeof(text), "%p", p);
	table_text(t, text);
}

/* A client's or a server's, as far as both have it. */
struct row {
	const char *type, *user, *database, *state, *application_name;
	int fd;
	SSL *ssl;
	instant connected_at, asked_at;
	int64_t wait_ns;
	bool close_needed;
	const void *pointer, *link;
	int pid; /* if the socket does not tell */
	int prepared;
	uint64_t id;
	/* For SHOW SOCKETS. */
	uint32_t streaming;
	size_t in, out;
};

static void add_row(struct table *t, struct hub *h, const struct row *r, bool debug)
{
	struct ends ends = ends_of(r->fd);
	table_row(t);
	table_text(t, r->type);
	table_text(t, r->user);
	table_text(t, r->database);
	table_text(t, "none");
	table_text(t, r->state);
	add_address(t, &ends.remote, h->settings->listen_port);
	add_address(t, &ends.local, h->settings->listen_port);
	add_time(t, h, r->connected_at);
	add_time(t, h, r->asked_at);
	table_int(t, r->wait_ns / NS_PER_S);
	table_int(t, r->wait_ns % NS_PER_S / 1000);
	table_int(t, r->close_needed);
	add_pointer(t, r->pointer);
	add_pointer(t, r->link);
	table_int(t, r->pid ? r->pid : ends.pid);
	add_tls(t, r->ssl);
	table_text(t, r->application_name);
	table_int(t, r->prepared);
	table_int(t, (int64_t)r->id);
	if (debug) {
		table_int(t, (int64_t)r->in);
		table_int(t, 0);
		table_int(t, r->streaming);
		table_int(t, 0);
		table_int(t, 0);
		table_int(t, (int64_t)r->in);
		table_int(t, (int64_t)r->out);
	}
	table_end(t);
}

/* ---- rows ---- */

static const char *application_of(const struct client *c)
{
	const char *name = c->profile ? profile_value(c->profile, "application_name") : NULL;
	if (c->console)
		name = c->console->application_name;
	return name ? name : "";
}

static struct row row_of_client(const struct client *c)
{
	const struct pool_client *p = &c->hub->engine.pool.clients[c->id];
	struct row r = {
		.type = "C",
		.user = c->user ? c->user->name : "(nouser)",
		.database = c->pool ? c->pool->database : "(nodb)",
		.application_name = application_of(c),
		.fd = c->stream.fd,
		.ssl = c->stream.ssl,
		.connected_at = c->connected_at,
		/* What its id noted is another's if it is from before. */
		.asked_at = p->asked_at > c->connected_at ? p->asked_at : c->connected_at,
		.wait_ns = socket_wait_ns(c),
		.pointer = c,
		.link = c->server,
		.prepared = (int)c->names.count,
		.id = c->serial,
		.streaming = c->streaming,
		.in = buffer_len(&c->in),
		.out = buffer_len(&c->out),
	};
	if (c->console) {
		r.user = c->console->user;
		r.database = c->console->database;
	}
	return r;
}

static struct row row_of_server(const struct server *s)
{
	struct hub *h = s->hub;
	const struct pool_server *p = &h->engine.pool.servers[s->id];
	const struct engine_attempt *attempt = &h->engine.attempts[s->id];
	return (struct row){
		.type = "S",
		.user = s->pool->user,
		.database = s->pool->database,
		.application_name = s->client ? application_of(s->client) : "",
		.fd = s->link ? s->link->up.fd : -1,
		.ssl = s->link ? s->link->up.ssl : NULL,
		.connected_at = s->link ? attempt->ended_at : attempt->began_at,
		.asked_at = p->since,
		.close_needed = s->link && hub_now(h) >= p->retire_at,
		.pointer = s,
		.link = s->client,
		.pid = s->link ? PQbackendPID(s->link->up.conn) : 0,
		.prepared = statements_on(&s->hub->statements, s->id),
		.id = s->serial,
		.streaming = s->streaming,
		.in = buffer_len(&s->in),
		.out = buffer_len(&s->out),
	};
}

static bool is_busy(const struct row *r)
{
	return r->in > 0 || r->out > 0 || r->streaming > 0;
}

/* By their words in SHOW CLIENTS and SERVERS, and in SHOW SOCKETS. */
static void add_clients(struct hub *h, struct table *t, bool debug, bool busy_only)
{
	static const char *const words[SOCKET_STATE_COUNT][2] = {
		[SOCKET_ACTIVE] = {"active", "cl_active"},
		[SOCKET_IDLE] = {"idle", "cl_active"},
		[SOCKET_WAITING] = {"waiting", "cl_waiting"},
		[SOCKET_LOGIN] = {"login", "cl_login"},
	};
	for (int i = 0; i < h->memory.clients_max; i++) {
		const struct client *c = h->clients[i];
		if (!c || c->inquiry || c->state == CLIENT_GONE)
			continue;
		enum socket_state state = socket_of_client(c);
		struct row r = row_of_client(c);
		r.state = words[state][debug];
		/* PgBouncer's SHOW CLIENTS has none that are not let in yet. */
		if ((busy_only && !is_busy(&r)) || (!debug && state == SOCKET_LOGIN))
			continue;
		add_row(t, h, &r, debug);
	}
}

static void add_servers(struct hub *h, struct table *t, bool debug, bool busy_only)
{
	static const char *const words[SOCKET_STATE_COUNT][2] = {
		[SOCKET_ACTIVE] = {"active", "sv_active"},
		[SOCKET_IDLE] = {"idle", "sv_idle"},
		[SOCKET_LOGIN] = {"new", "sv_login"},
		[SOCKET_USED] = {"used", "sv_used"},
		[SOCKET_TESTED] = {"tested", "sv_tested"},
		[SOCKET_BEING_CANCELED] = {"being_canceled", "sv_active"},
	};
	for (int i = 0; i < h->memory.servers_max; i++) {
		const struct server *s = &h->servers[i];
		if (!s->pool)
			continue;
		struct row r = row_of_server(s);
		r.state = words[socket_of_server(s)][debug];
		if (!busy_only || is_busy(&r))
			add_row(t, h, &r, debug);
	}
}

static void fill_clients(const struct client *c, struct table *t)
{
	add_clients(c->hub, t, false, false);
}

static void fill_servers(const struct client *c, struct table *t)
{
	add_servers(c->hub, t, false, false);
}

static void fill_sockets(const struct client *c, struct table *t)
{
	add_clients(c->hub, t, true, false);
	add_servers(c->hub, t, true, false);
}

static void fill_active_sockets(const struct client *c, struct table *t)
{
	add_clients(c->hub, t, true, true);
	add_servers(c->hub, t, true, true);
}

/* The first are those of CLIENTS and SERVERS, too. */
static const struct column columns[] = {
	{"type", COLUMN_TEXT},
	{"user", COLUMN_TEXT},
	{"database", COLUMN_TEXT},
	{"replication", COLUMN_TEXT},
	{"state", COLUMN_TEXT},
	{"addr", COLUMN_TEXT},
	{"port", COLUMN_INT4},
	{"local_addr", COLUMN_TEXT},
	{"local_port", COLUMN_INT4},
	{"connect_time", COLUMN_TEXT},
	{"request_time", COLUMN_TEXT},
	{"wait", COLUMN_INT4},
	{"wait_us", COLUMN_INT4},
	{"close_needed", COLUMN_INT4},
	{"ptr", COLUMN_TEXT},
	{"link", COLUMN_TEXT},
	{"remote_pid", COLUMN_INT4},
	{"tls", COLUMN_TEXT},
	{"application_name", COLUMN_TEXT},
	{"prepared_statements", COLUMN_INT4},
	{"id", COLUMN_INT4},
	{"recv_pos", COLUMN_INT4},
	{"pkt_pos", COLUMN_INT4},
	{"pkt_remain", COLUMN_INT4},
	{"send_pos", COLUMN_INT4},
	{"send_remain", COLUMN_INT4},
	{"pkt_avail", COLUMN_INT4},
	{"send_avail", COLUMN_INT4},
};

#define COLUMNS_ALL 28
#define COLUMNS     21
_Static_assert(sizeof(columns) / sizeof(columns[0]) == COLUMNS_ALL, "as many as there are");

const struct console_show console_sockets[] = {
	{"clients", columns, COLUMNS, fill_clients},
	{"servers", columns, COLUMNS, fill_servers},
	{"sockets", columns, COLUMNS_ALL, fill_sockets},
	{"active_sockets", columns, COLUMNS_ALL, fill_active_sockets},
};
const int console_sockets_count = sizeof(console_sockets) / sizeof(console_sockets[0]);
