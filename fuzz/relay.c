/*
 * The gate's whole session machinery in one process: the hub with the real engine, clients over
 * socket pairs, and servers that are played here in place of io/upstream. The input is a script:
 * who sends what, who answers, who goes.
 *
 * A server answers as PostgreSQL does: it knows names and texts of statements, skips after an error
 * until Sync, and gives as a row what it was asked, under which settings, and what lives in its
 * session: a custom setting and a lock. It tells the gate of these when it is asked. So a client can
 * tell whether it was given another's statement, settings, session or answers: its own texts carry
 * its number.
 */
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gate/client.h"
#include "gate/hub.h"
#include "gate/server.h"
#include "io/upstream.h"
#include "target.h"
#include "wire/message.h"

#define CLIENTS    3
#define SERVERS    2
#define STATEMENTS 32
#define PREPARED   3 /* on a server, at most */
#define TEXT_MAX   64
#define ROW_MAX    (3 * TEXT_MAX)

/* ---- a server, as played ---- */

struct statement_there {
	char name[TEXT_MAX], text[TEXT_MAX];
	bool used;
};

struct backend {
	int fd; /* -1: not there */
	struct buffer in;
	struct statement_there statements[STATEMENTS];
	char portal[TEXT_MAX]; /* the text that is bound; empty: none */
	char settings[TEXT_MAX]; /* application_name */
	char tenant[4]; /* app.t */
	char lock[4]; /* whose it is */
	char status;
	bool skipping, copying;
	bool copying_simply; /* asked for by a simple query */
};

/* What decides between an answer, an error and other things; ended, there are only answers. */
struct dice {
	const uint8_t *at;
	size_t left;
};

static int roll(struct dice *d)
{
	if (d->left == 0)
		return 255;
	d->left--;
	return *d->at++;
}

struct upstream_login {
	uv_timer_t timer;
	struct upstream_events events;
	void *context;
	bool abandoned;
};

static struct backend backends[SERVERS];
static bool garbage; /* a server has said what PostgreSQL would not */

static void backend_close(struct backend *b)
{
	if (b->fd >= 0)
		close(b->fd);
	buffer_release(&b->in);
	*b = (struct backend){.fd = -1};
}

static void pair(int fds[2])
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0)
		abort();
}

static void on_login_closed(uv_handle_t *handle)
{
	free(handle->data);
}

/* One that is not there, or that the gate has left. */
static struct backend *free_backend(void)
{
	uint8_t byte;
	for (int i = 0; i < SERVERS; i++) {
		struct backend *b = &backends[i];
		if (b->fd >= 0 && recv(b->fd, &byte, 1, MSG_PEEK) == 0)
			backend_close(b);
		if (b->fd < 0)
			return b;
	}
	return NULL;
}

static void on_login(uv_timer_t *timer)
{
	struct upstream_login *login = timer->data;
	struct backend *b = login->abandoned ? NULL : free_backend();
	struct error error;
	int fds[2];
	if (b) {
		pair(fds);
		*b = (struct backend){.fd = fds[1], .status = 'I'};
		struct upstream up = {.fd = fds[0]};
		login->events.done(login->context, OUTCOME_OK, &up, NULL);
	} else if (!login->abandoned) {
		error_set(&error, "tcp", 0, "no room");
		login->events.done(login->context, OUTCOME_REFUSED, NULL, &error);
	}
	uv_close((uv_handle_t *)timer, on_login_closed);
}

struct upstream_login *upstream_start(uv_loop_t *loop, const struct upstream_target *target,
	const struct upstream_events *events, void *context)
{
	struct upstream_login *login = calloc(1, sizeof(*login));
	if (!login)
		abort();
	login->events = *events;
	login->context = context;
	uv_timer_init(loop, &login->timer);
	login->timer.data = login;
	uv_timer_start(&login->timer, on_login, 0, 0);
	return login;
}

void upstream_redial(struct upstream_login *login)
{
}

int upstream_fd(const struct upstream_login *login)
{
	(void)login;
	return -1;
}

unsigned upstream_abandon(struct upstream_login *login)
{
	login->abandoned = true;
	return 0;
}

void upstream_release(struct upstream *up)
{
	close(up->fd);
}

void upstream_parameters(const struct upstream *up,
	void (*each)(void *context, const char *name, const char *value), void *context)
{
	each(context, "server_version", "15.0");
	each(context, "application_name", "");
}

/* ---- its answers ---- */

static void put(struct backend *b, const struct buffer *out)
{
	struct bytes bytes = buffer_bytes(out);
	ssize_t sent = send(b->fd, bytes.at, bytes.len, MSG_NOSIGNAL);
	(void)sent; /* what does not fit is as if it was cut off: the socket is closed then */
	if (sent != (ssize_t)bytes.len) {
		garbage = true;
		backend_close(b);
	}
}

static void say_row(struct buffer *out, const struct backend *b, const char *text)
{
	size_t mark;
	char row[ROW_MAX];
	int len = snprintf(
		row, sizeof(row), "%.*s|%s|%s|%s", TEXT_MAX, text, b->tenant, b->lock, b->settings);
	message_begin(out, MSG_DATA_ROW, &mark);
	buffer_append_u16(out, 1);
	buffer_append_u32(out, (uint32_t)len);
	buffer_append(out, row, (size_t)len);
	message_end(out, mark);
}

static void say_tag(struct buffer *out, const char *tag)
{
	size_t mark;
	message_begin(out, MSG_COMMAND_COMPLETE, &mark);
	buffer_append_text(out, tag);
	message_end(out, mark);
}

static void say_copy_in(struct buffer *out)
{
	size_t mark;
	message_begin(out, MSG_COPY_IN, &mark);
	buffer_append(out, "\0\0\0", 3);
	message_end(out, mark);
}

static void fail(struct backend *b, struct buffer *out, bool skips)
{
	message_error(out, "ERROR", "42601", "no", NULL, NULL);
	b->skipping = skips;
	b->copying = false;
	if (b->status == 'T')
		b->status = 'E';
	if (!skips)
		message_ready(out, b->status);
}

static struct statement_there *find(struct backend *b, const char *name)
{
	for (int i = 0; i < STATEMENTS; i++)
		if (b->statements[i].used && strcmp(b->statements[i].name, name) == 0)
			return &b->statements[i];
	return NULL;
}

static void forget(struct backend *b, const char *name)
{
	struct statement_there *there = find(b, name);
	if (there)
		there->used = false;
}

static bool define(struct backend *b, const char *name, const char *text)
{
	int named = 0;
	for (int i = 0; i < STATEMENTS; i++)
		named += b->statements[i].used && b->statements[i].name[0];
	/* Those that the gate counts, and its spare one. */
	assert(garbage || !*name || named < PREPARED + 1);
	for (int i = 0; i < STATEMENTS; i++) {
		if (b->statements[i].used)
			continue;
		b->statements[i].used = true;
		snprintf(b->statements[i].name, TEXT_MAX, "%s", name);
		snprintf(b->statements[i].text, TEXT_MAX, "%s", text);
		return true;
	}
	return false;
}

/* The gate's own query, which moves the session to other settings. */
static void answer_setup(struct backend *b, struct buffer *out, const char *sql)
{
	const char *name = strstr(sql, "'application_name'");
	const char *number = name ? strchr(name + 18, '#') : NULL;
	if (strstr(sql, "DEALLOCATE ALL"))
		memset(b->statements, 0, sizeof(b->statements));
	snprintf(b->settings, TEXT_MAX, "%.2s", number ? number : "");
	const char *tenant = strstr(sql, "'app.t'");
	number = tenant ? strchr(tenant, '#') : NULL;
	snprintf(b->tenant, sizeof(b->tenant), "%.2s", number ? number : "");
	if (strstr(sql, "CLOSE ALL"))
		b->lock[0] = 0;
	say_tag(out, "RESET");
	message_parameter(out, "application_name", b->settings);
	message_ready(out, b->status);
}

static void say_hex(struct buffer *out, const char *text)
{
	buffer_append_u32(out, 2 * (uint32_t)strlen(text));
	for (; *text; text++) {
		char digits[3];
		snprintf(digits, sizeof(digits), "%02x", (uint8_t)*text);
		buffer_append(out, digits, 2);
	}
}

static void say_setting(struct buffer *out, const char *name, const char *value)
{
	size_t mark;
	message_begin(out, MSG_DATA_ROW, &mark);
	buffer_append_u16(out, 3);
	buffer_append_u32(out, 1);
	buffer_append_u8(out, 's');
	say_hex(out, name);
	say_hex(out, value);
	message_end(out, mark);
}

/* The gate's question: what does its client leave behind? */
static void answer_question(struct backend *b, struct buffer *out, const char *sql)
{
	size_t mark;
	if (strstr(sql, "SELECT 's'")) {
		if (*b->settings)
			say_setting(out, "application_name", b->settings);
		if (*b->tenant && strstr(sql, "'app.t'"))
			say_setting(out, "app.t", b->tenant);
	}
	if (*b->lock && strstr(sql, "'p','lock'")) {
		message_begin(out, MSG_DATA_ROW, &mark);
		buffer_append_u16(out, 3);
		buffer_append_u32(out, 1);
		buffer_append_u8(out, 'p');
		buffer_append_u32(out, 4);
		buffer_append(out, "lock", 4);
		buffer_append_u32(out, UINT32_MAX);
		message_end(out, mark);
	}
	say_tag(out, "SELECT 1");
	message_ready(out, b->status);
}

/* What a client's text does to the session. */
static void run(struct backend *b, const char *text)
{
	const char *number = strchr(text, '#');
	if (strncmp(text, "set app.t", 9) == 0 && number)
		snprintf(b->tenant, sizeof(b->tenant), "%.2s", number);
	if (strncmp(text, "select pg_advisory_lock", 23) == 0 && number)
		snprintf(b->lock, sizeof(b->lock), "%.2s", number);
	if (strncmp(text, "select pg_advisory_unlock", 25) == 0)
		b->lock[0] = 0;
}

static void answer_query(struct backend *b, struct buffer *out, const char *sql, int die)
{
	forget(b, "");
	b->portal[0] = 0;
	if (strstr(sql, "RESET ALL")) {
		answer_setup(b, out, sql);
		return;
	}
	if (strcmp(sql, "DISCARD ALL") == 0) {
		assert(b->status == 'I');
		answer_setup(b, out, "CLOSE ALL;DEALLOCATE ALL");
		return;
	}
	if (strcmp(sql, "ROLLBACK") == 0)
		b->status = 'I';
	else if (die % 8 == 0) {
		fail(b, out, false);
		return;
	}
	if (strncmp(sql, "SELECT 's'", 10) == 0 || strncmp(sql, "SELECT 'p'", 10) == 0 ||
		strncmp(sql, "SELECT pg_catalog.set_config(n", 30) == 0) {
		answer_question(b, out, sql);
		return;
	}
	if (strncmp(sql, "DEALLOCATE \"", 12) == 0) {
		if (!find(b, "standpipe:0")) {
			fail(b, out, false);
			return;
		}
		forget(b, "standpipe:0");
		say_tag(out, "DEALLOCATE");
		message_ready(out, b->status);
		return;
	}
	if (strncmp(sql, "DEALLOCATE a", 12) == 0 && sql[12] != 'A') {
		fail(b, out, false);
		return;
	}
	run(b, sql);
	if (strcmp(sql, "COPY") == 0) {
		say_copy_in(out);
		b->copying = b->copying_simply = true;
		return;
	}
	if (strcmp(sql, "BEGIN") == 0)
		b->status = 'T';
	else if (strcmp(sql, "DEALLOCATE ALL") == 0) {
		memset(b->statements, 0, sizeof(b->statements));
		say_tag(out, "DEALLOCATE ALL");
	} else
		say_row(out, b, sql);
	say_tag(out, die % 8 == 1 ? "SET" : "SELECT 1");
	message_ready(out, b->status);
}

static void answer_extended(
	struct backend *b, struct buffer *out, uint8_t type, struct bytes body, int die)
{
	struct message_parse parse;
	struct message_bind bind;
	struct message_target target;
	const struct statement_there *there;
	bool ok = die % 8 != 0 && b->status != 'E';
	switch (type) {
	case MSG_PARSE:
		if (message_parse_parse(body, &parse) != 0)
			abort(); /* the gate lets none through */
		if (!*parse.name)
			forget(b, "");
		if (!ok || find(b, parse.name) || !define(b, parse.name, parse.query))
			fail(b, out, true);
		else
			message_empty(out, MSG_PARSE_COMPLETE);
		return;
	case MSG_BIND:
		there = message_parse_bind(body, &bind) == 0 ? find(b, bind.statement) : NULL;
		if (!there || !ok) {
			fail(b, out, true);
			return;
		}
		snprintf(b->portal, TEXT_MAX, "%s", there->text);
		message_empty(out, MSG_BIND_COMPLETE);
		return;
	case MSG_DESCRIBE:
		if (!ok || message_parse_target(body, &target) != 0 ||
			(target.kind == 'S' ? !find(b, target.name) : !*b->portal))
			fail(b, out, true);
		else
			message_empty(out, MSG_NO_DATA);
		return;
	case MSG_CLOSE:
		if (message_parse_target(body, &target) == 0 && target.kind == 'S')
			forget(b, target.name);
		message_empty(out, MSG_CLOSE_COMPLETE);
		return;
	case MSG_EXECUTE:
		if (!ok || !*b->portal) {
			fail(b, out, true);
		} else if (strcmp(b->portal, "COPY") == 0) {
			say_copy_in(out);
			b->copying = true;
			b->copying_simply = false;
		} else {
			run(b, b->portal);
			if (strncmp(b->portal, "DEALLOCATE", 10) == 0)
				forget(b, "standpipe:0");
			else
				say_row(out, b, b->portal);
			say_tag(out, "SELECT 1");
		}
		return;
	default:
		return; /* Flush, and what is left of a copy */
	}
}

static void answer_copy(struct backend *b, struct buffer *out, uint8_t type, int die)
{
	if (type == MSG_COPY_DATA && die % 8 != 0)
		return;
	if (type == MSG_SYNC || type == MSG_FLUSH)
		return;
	b->copying = false;
	if (type == MSG_COPY_DONE && die % 8 != 0) {
		say_tag(out, "COPY 1");
		if (b->copying_simply)
			message_ready(out, b->status);
	} else
		fail(b, out, !b->copying_simply);
}

static void answer_one(
	struct backend *b, struct buffer *out, uint8_t type, struct bytes body, int die)
{
	bool copying = b->copying;
	if (die % 8 == 2)
		message_parameter(out, "in_hot_standby", die & 8 ? "on" : "off");
	if (copying && strchr("dcfHS", type))
		answer_copy(b, out, type, die);
	else if (copying)
		backend_close(b); /* as PostgreSQL does: unexpected message during a copy */
	else if (type == MSG_SYNC) {
		b->skipping = false;
		message_ready(out, b->status);
	} else if (b->skipping)
		return;
	else if (type == MSG_QUERY && (body.len == 0 || body.at[body.len - 1] != 0))
		fail(b, out, false);
	else if (type == MSG_QUERY)
		answer_query(b, out, (const char *)body.at, die);
	else
		answer_extended(b, out, type, body, die);
}

static void backend_answer(struct backend *b, struct dice *dice)
{
	uint8_t room[65536];
	ssize_t got;
	if (b->fd < 0)
		return;
	while ((got = recv(b->fd, room, sizeof(room), 0)) > 0)
		buffer_append(&b->in, room, (size_t)got);
	if (got == 0) {
		backend_close(b);
		return;
	}
	struct buffer out = BUFFER_INIT;
	struct frame frame;
	while (b->fd >= 0 && frame_parse(buffer_bytes(&b->in), &frame) == WIRE_OK &&
		buffer_len(&b->in) >= frame.len) {
		struct bytes body = frame_body(buffer_bytes(&b->in), &frame);
		assert(strchr("PBDECSHQFdcf", frame.type));
		answer_one(b, &out, frame.type, body, roll(dice));
		if (b->fd >= 0)
			buffer_take(&b->in, frame.len);
	}
	if (b->fd >= 0 && buffer_len(&out) > 0)
		put(b, &out);
	buffer_release(&out);
}

/* ---- a client, as played ---- */

struct peer {
	int fd; /* -1: not there */
	struct buffer in;
};

static struct peer peers[CLIENTS];

static void peer_close(struct peer *p)
{
	if (p->fd >= 0)
		close(p->fd);
	buffer_release(&p->in);
	*p = (struct peer){.fd = -1};
}

static void peer_send(struct peer *p, const void *at, size_t len)
{
	ssize_t sent = len ? send(p->fd, at, len, MSG_NOSIGNAL) : 0;
	(void)sent; /* what does not fit is lost, as good as any other garbage */
}

static void peer_open(struct hub *h, struct peer *p)
{
	int fds[2];
	char packet[64];
	if (p->fd >= 0)
		return;
	pair(fds);
	p->fd = fds[1];
	client_accept(h, fds[0]);
	int len = snprintf(packet + 8, sizeof(packet) - 8,
		"user%cu%cdatabase%cd%capplication_name%c#%d%c", 0, 0, 0, 0, 0, (int)(p - peers),
		0);
	packet[8 + len] = 0;
	bytes_put_u32((uint8_t *)packet, (uint32_t)len + 9);
	bytes_put_u32((uint8_t *)packet + 4, 3 << 16);
	peer_send(p, packet, (size_t)len + 9);
}

/* A row is of this client's own text or of a shared one, under its own settings. */
static void check_row(const struct peer *p, struct bytes body)
{
	char text[ROW_MAX] = "", own[4], settings[8];
	struct bytes column;
	assert(message_parse_row(body, &column, 1) == 1 && column.len < sizeof(text));
	memcpy(text, column.at, column.len);
	snprintf(own, sizeof(own), "#%d", (int)(p - peers));
	snprintf(settings, sizeof(settings), "|%s", own);
	assert(strncmp(text, "shared", 6) == 0 || strncmp(text, own, 2) == 0 || text[0] != '#');
	char *last = strrchr(text, '|');
	assert(strcmp(last, settings) == 0);
	/* What lives in the session is its own, if there is anything. */
	for (int i = 0; i < 2; i++) {
		*last = 0;
		last = strrchr(text, '|');
		assert(!last[1] || strcmp(last + 1, own) == 0);
	}
}

static void peer_read(struct peer *p)
{
	uint8_t room[65536];
	ssize_t got;
	struct frame frame;
	if (p->fd < 0)
		return;
	while ((got = recv(p->fd, room, sizeof(room), 0)) > 0)
		buffer_append(&p->in, room, (size_t)got);
	while (!garbage && buffer_len(&p->in) >= FRAME_HEADER) {
		assert(frame_parse(buffer_bytes(&p->in), &frame) == WIRE_OK);
		assert(strchr("RSKZEN123CDGITnsv", frame.type) && frame.len < 4096);
		if (buffer_len(&p->in) < frame.len)
			break;
		if (frame.type == MSG_DATA_ROW)
			check_row(p, frame_body(buffer_bytes(&p->in), &frame));
		buffer_take(&p->in, frame.len);
	}
	if (garbage)
		buffer_take(&p->in, buffer_len(&p->in));
	if (got == 0)
		peer_close(p);
}

/* A text that does something to the session, or to a name. */
static void say_state(char state[TEXT_MAX], int which, int number)
{
	static const char *const before[] = {"set app.t = '", "select pg_advisory_lock(1) /*",
		"select pg_advisory_unlock(1) /*"};
	static const char *const after[] = {"'", "*/", "*/"};
	if (which < 3)
		snprintf(state, TEXT_MAX, "%s#%d%s", before[which], number, after[which]);
	else
		snprintf(state, TEXT_MAX, "DEALLOCATE a");
}

/* One of the messages that make sense. */
static void peer_say(struct peer *p, int which)
{
	static const struct bytes none = {(const uint8_t *)"\0\0", 2};
	static const char *const names[] = {"", "", "a", "b"};
	const char *name = names[which / 16 % 4];
	struct buffer out = BUFFER_INIT;
	char own[TEXT_MAX];
	size_t mark;
	char state[TEXT_MAX];
	snprintf(own, sizeof(own), "#%d text %d", (int)(p - peers), which / 64);
	say_state(state, which / 64, (int)(p - peers));
	switch (which % 16) {
	case 0:
		message_parse(&out, name, own, none);
		break;
	case 1:
		message_parse(&out, name, "shared", none);
		break;
	case 2:
	case 3:
		message_begin(&out, MSG_BIND, &mark);
		buffer_append_text(&out, "");
		buffer_append_text(&out, name);
		buffer_append(&out, "\0\0\0\0\0\0", 6);
		message_end(&out, mark);
		break;
	case 4:
	case 5:
		message_begin(&out, MSG_EXECUTE, &mark);
		buffer_append(&out, "\0\0\0\0\0", 5);
		message_end(&out, mark);
		break;
	case 6:
	case 7:
		message_empty(&out, MSG_SYNC);
		break;
	case 8:
		message_target(&out, MSG_CLOSE, 'S', name);
		break;
	case 9:
		message_target(&out, MSG_DESCRIBE, which & 64 ? 'S' : 'P', name);
		break;
	case 10:
		message_query(&out, which & 16 ? state : own);
		break;
	case 11:
		message_query(&out, which & 64 ? "BEGIN" : which & 32 ? "COPY" : "ROLLBACK");
		break;
	case 12:
		message_empty(&out, which & 64 ? MSG_FLUSH : MSG_TERMINATE);
		break;
	case 13:
		message_empty(&out, which & 64 ? MSG_COPY_DATA : MSG_COPY_DONE);
		break;
	case 14:
		message_parse(&out, name, which & 32 ? "COPY" : state, none);
		break;
	default:
		message_query(&out, which & 64 ? "DEALLOCATE ALL" : own);
		break;
	}
	peer_send(p, buffer_bytes(&out).at, buffer_len(&out));
	buffer_release(&out);
}

/* ---- the whole ---- */

static void on_action(void *context, const struct engine_action *action)
{
}

static struct gate_database database = {
	.auth_query = "", .name = "d", .conninfo = "", .user = "u", .host = "played"};

static void set(struct gate_settings *s)
{
	*s = (struct gate_settings){
		.servers_max = SERVERS,
		.clients_max = CLIENTS + 4,
		.conninfo = "",
		.host = "played",
		.user = "u",
		.database = "d",
		.databases = &database,
		.databases_count = 1,
		.pin = true,
		.prepared_max = PREPARED,
		.prepared_bytes = 65536,
	};
	s->engine.startup.wanted[PHASE_DATABASE] = true;
	s->engine.startup.timeout_ns[PHASE_DATABASE] = 3600 * NS_PER_S;
	for (enum deadline_kind kind = 0; kind < DEADLINE_COUNT; kind++)
		s->engine.deadlines.base_ns[kind] = 3600 * NS_PER_S;
	s->engine.retry = (struct retry_settings){5, 1, 1, 2.0};
	s->engine.budget = (struct budget_settings){
		.max_connections = 1000,
		.margin = 1,
		.path_limit = 1000,
		.path_share = 1,
		.instances = 1,
		.pool_size = SERVERS,
	};
	s->engine.breaker = (struct breaker_settings){.failure_threshold = 3, .probes = 1};
	s->engine.connects.window_max = SERVERS;
	s->engine.ping_after_ns = INT64_MAX;
}

static void turn(struct hub *h)
{
	for (int i = 0; i < 4; i++) {
		reactor_turn(h->reactor, false);
	}
}

/* Both sides say the same of who holds whom. */
static void check(const struct hub *h)
{
	for (int i = 0; i < SERVERS; i++) {
		const struct server *s = &h->servers[i];
		const struct pool_server *p = &h->engine.pool.servers[i];
		assert((p->state == SERVER_BUSY) == (s->link && s->client));
		assert(!s->client || (s->client->server == s && p->client == s->client->id));
		assert(!s->client || s->client->state != CLIENT_IDLE);
		assert(buffer_len(&s->out) < 2 * HUB_HIGH_WATER);
	}
	int pinned = 0;
	for (int i = 0; i < h->memory.clients_max; i++)
		pinned += h->clients[i] && h->clients[i]->pins;
	assert(h->counters.pinned == pinned);
	for (int i = 0; i < h->memory.clients_max; i++) {
		const struct client *c = h->clients[i];
		assert(!c || !c->server || c->server->client == c);
		assert(!c || c->state != CLIENT_QUEUED || !c->server);
		assert(!c || buffer_len(&c->out) < 2 * HUB_HIGH_WATER);
	}
}

static void play(struct hub *h, struct dice *script)
{
	while (script->left >= 2) {
		int what = roll(script), how = roll(script);
		size_t len = script->left < (size_t)(how >> 3) ? script->left : (size_t)(how >> 3);
		struct dice part = {script->at, len};
		struct peer *p = &peers[what / 16 % CLIENTS];
		struct backend *b = &backends[what / 16 % SERVERS];
		script->at += len;
		script->left -= len;
		switch (what % 16) {
		case 0: /* bytes */
			peer_open(h, p);
			peer_send(p, part.at, part.left);
			break;
		case 1:
			peer_close(p);
			break;
		case 2:
			if (b->fd >= 0 && part.left > 0) {
				garbage = true;
				ssize_t sent = send(b->fd, part.at, part.left, MSG_NOSIGNAL);
				(void)sent;
			}
			break;
		case 3:
			backend_close(b);
			break;
		case 4:
		case 5:
			peer_read(p);
			break;
		case 6:
		case 7:
		case 8:
		case 9:
			backend_answer(b, &part);
			break;
		default:
			peer_open(h, p);
			while (part.left > 0)
				peer_say(p, roll(&part));
			break;
		}
		turn(h);
		check(h);
	}
}

/* Every client that is there gets its answers, and then no server is held by anyone. */
static void play_out(struct hub *h)
{
	struct dice none = {0};
	for (int i = 0; i < 64; i++) {
		for (int k = 0; k < SERVERS; k++)
			backend_answer(&backends[k], &none);
		turn(h);
		for (int k = 0; k < CLIENTS; k++)
			peer_read(&peers[k]);
		turn(h);
		check(h);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gate_settings settings;
	struct hub h;
	struct log log;
	uv_loop_t loop;
	struct reactor reactor;
	struct error error;
	/* What the input's last byte says. */
	struct dice script = {data, size ? size - 1 : 0};
	database.mode = size ? (enum pool_mode)(data[size - 1] % 3) : POOL_TRANSACTION;
	/* A ring takes the kernel 20 ms to close: a tenth of all inputs will do for that. */
	enum reactor_choice choice = size && data[size - 1] >= 230 ? REACTOR_AUTO : REACTOR_EPOLL;
	const struct hub_duties duties = {.action = on_action};
	set(&settings);
	garbage = false;
	for (int i = 0; i < SERVERS; i++)
		backends[i] = (struct backend){.fd = -1};
	for (int i = 0; i < CLIENTS; i++)
		peers[i] = (struct peer){.fd = -1};
	log_init(&log, STDERR_FILENO, LOG_FORMAT_TEXT, LOG_LEVEL_ERROR, NULL);
	uv_loop_init(&loop);
	assert(reactor_init(&reactor, &loop, choice, &error) == 0);
	assert(hub_init(&h, &reactor, &settings, &log, &duties, 1) == 0);
	hub_tell(&h, (struct engine_event){.kind = EVENT_START});
	turn(&h);
	play(&h, &script);
	play_out(&h);
	for (int i = 0; i < CLIENTS; i++)
		peer_close(&peers[i]);
	play_out(&h);
	/* All clients have gone: nothing of theirs is left. */
	assert(garbage || h.engine.pool.busy == 0);
	for (int i = 0; i < SERVERS; i++)
		assert(garbage || backends[i].fd < 0 || !backends[i].lock[0]);
	hub_close(&h);
	reactor_drain(&reactor);
	hub_release(&h);
	reactor_release(&reactor);
	assert(uv_loop_close(&loop) == 0);
	log_release(&log, 0);
	for (int i = 0; i < SERVERS; i++)
		backend_close(&backends[i]);
	return 0;
}
