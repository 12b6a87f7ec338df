/*
 * A client's whole way in, in one process: the hub, a client over a socket pair, and io/upstream
 * played here: no server ever lets the gate in, so nobody gets further than to wait for one. The input
 * says what must be proved, and then what the client sends: bytes as they are, or the next message
 * of a client that does it right, with the right password or with a wrong one.
 *
 * Whoever is let in has proved to be the user, if that was asked for: the last message before was a
 * whole right proof.
 */
#include <assert.h>
#include <libpq-fe.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gate/client.h"
#include "gate/hub.h"
#include "io/upstream.h"
#include "target.h"
#include "wire/message.h"

#define PASSWORD "right"
/* "right" and "wrong", salted with "salt", once. */
#define SALT       "c2FsdA=="
#define SECRET_MAX 256

/* ---- a server that is not there ---- */

struct upstream_login *upstream_start(uv_loop_t *loop, const struct upstream_target *target,
	const struct upstream_events *events, void *context)
{
	static char nobody;
	return (struct upstream_login *)(void *)&nobody;
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
	return 0;
}

void upstream_release(struct upstream *up)
{
}

void upstream_parameters(const struct upstream *up,
	void (*each)(void *context, const char *name, const char *value), void *context)
{
}

/* ---- a client that does it right ---- */

struct peer {
	int fd; /* -1: gone */
	struct buffer in;
	char nonce[256]; /* the whole, once it is known */
	bool proved; /* it has sent a right proof, as the gate asked for it */
	bool clean; /* ... and nothing but right messages before */
	bool let_in;
};

static void key_of(const char *password, const char *name, uint8_t key[SHA256_DIGEST_LENGTH])
{
	uint8_t salted[SHA256_DIGEST_LENGTH];
	PKCS5_PBKDF2_HMAC(password, (int)strlen(password), (const uint8_t *)"salt", 4, 1,
		EVP_sha256(), sizeof(salted), salted);
	HMAC(EVP_sha256(), salted, sizeof(salted), (const uint8_t *)name, strlen(name), key, NULL);
}

static void make_verifier(char text[SECRET_MAX])
{
	uint8_t client[SHA256_DIGEST_LENGTH], stored[SHA256_DIGEST_LENGTH],
		server[SHA256_DIGEST_LENGTH];
	char stored_text[64], server_text[64];
	key_of(PASSWORD, "Client Key", client);
	key_of(PASSWORD, "Server Key", server);
	SHA256(client, sizeof(client), stored);
	EVP_EncodeBlock((uint8_t *)stored_text, stored, sizeof(stored));
	EVP_EncodeBlock((uint8_t *)server_text, server, sizeof(server));
	snprintf(text, SECRET_MAX, "SCRAM-SHA-256$1:%s$%s:%s", SALT, stored_text, server_text);
}

static void put(struct peer *p, const void *at, size_t len)
{
	ssize_t sent = p->fd >= 0 && len > 0 ? send(p->fd, at, len, MSG_NOSIGNAL) : 0;
	(void)sent; /* what does not fit is lost, as good as any other garbage */
}

static void say_startup(struct peer *p)
{
	static const char packet[] = "\0\0\0\x1b\0\3\0\0user\0u\0database\0d\0";
	put(p, packet, sizeof(packet));
}

static void say_first(struct peer *p)
{
	static const char first[] = "n,,n=,r=abc";
	struct buffer out = BUFFER_INIT;
	size_t mark;
	message_begin(&out, MSG_PASSWORD, &mark);
	buffer_append_text(&out, "SCRAM-SHA-256");
	buffer_append_u32(&out, sizeof(first) - 1);
	buffer_append(&out, first, sizeof(first) - 1);
	message_end(&out, mark);
	put(p, buffer_bytes(&out).at, buffer_len(&out));
	buffer_release(&out);
}

static void say_final(struct peer *p, const char *password)
{
	uint8_t key[SHA256_DIGEST_LENGTH], hash[SHA256_DIGEST_LENGTH],
		signature[SHA256_DIGEST_LENGTH];
	char without[300], text[1024], proof[64];
	struct buffer out = BUFFER_INIT;
	size_t mark;
	key_of(password, "Client Key", key);
	SHA256(key, sizeof(key), hash);
	snprintf(without, sizeof(without), "c=biws,r=%s", p->nonce);
	int len = snprintf(
		text, sizeof(text), "n=,r=abc,r=%s,s=%s,i=1,%s", p->nonce, SALT, without);
	HMAC(EVP_sha256(), hash, sizeof(hash), (const uint8_t *)text, (size_t)len, signature, NULL);
	for (size_t i = 0; i < sizeof(key); i++)
		signature[i] ^= key[i];
	EVP_EncodeBlock((uint8_t *)proof, signature, sizeof(signature));
	message_begin(&out, MSG_PASSWORD, &mark);
	buffer_append(&out, without, strlen(without));
	buffer_append(&out, ",p=", 3);
	buffer_append(&out, proof, strlen(proof));
	message_end(&out, mark);
	put(p, buffer_bytes(&out).at, buffer_len(&out));
	buffer_release(&out);
	p->proved = p->proved || (*p->nonce && strcmp(password, PASSWORD) == 0);
}

static void take_authentication(struct peer *p, struct bytes body)
{
	assert(body.len >= 4);
	switch (bytes_u32(body.at)) {
	case 0:
		p->let_in = true;
		break;
	case 10:
		break;
	case 11: {
		const uint8_t *comma = memchr(body.at, ',', body.len);
		assert(comma && memcmp(body.at + 4, "r=", 2) == 0);
		snprintf(p->nonce, sizeof(p->nonce), "%.*s", (int)(comma - body.at - 6),
			(const char *)body.at + 6);
		break;
	}
	default:
		assert(bytes_u32(body.at) == 12);
		p->let_in = true; /* as good as */
	}
}

/* All that the gate says is well-formed: one byte for a request of encryption, or messages. */
static void peer_read(struct peer *p)
{
	uint8_t room[65536];
	ssize_t got = -1;
	struct frame frame;
	while (p->fd >= 0 && (got = recv(p->fd, room, sizeof(room), MSG_DONTWAIT)) > 0)
		buffer_append(&p->in, room, (size_t)got);
	while (buffer_len(&p->in) > 0 && buffer_bytes(&p->in).at[0] == 'N' &&
		(buffer_len(&p->in) < 2 || buffer_bytes(&p->in).at[1] != 0))
		buffer_take(&p->in, 1);
	while (buffer_len(&p->in) >= FRAME_HEADER) {
		assert(frame_parse(buffer_bytes(&p->in), &frame) == WIRE_OK);
		assert(strchr("RENv", frame.type) && frame.len <= buffer_len(&p->in));
		if (frame.type == MSG_AUTHENTICATION)
			take_authentication(p, frame_body(buffer_bytes(&p->in), &frame));
		buffer_take(&p->in, frame.len);
	}
	if (p->fd >= 0 && got == 0) {
		close(p->fd);
		p->fd = -1;
	}
}

/* ---- the whole ---- */

static void on_action(void *context, const struct engine_action *action)
{
}

static const struct gate_database database = {
	.auth_query = "", .name = "d", .conninfo = "", .user = "u", .host = "played"};

static void set(struct gate_settings *s, int how, const char *verifier)
{
	*s = (struct gate_settings){
		.servers_max = 1,
		.clients_max = 4,
		.conninfo = "",
		.host = "played",
		.user = "u",
		.database = "d",
		.databases = &database,
		.databases_count = 1,
	};
	s->auth = (struct auth_settings){
		.local = (enum auth_method)(how & 3),
		.remote = (enum auth_method)(how & 3),
		.file = "",
		.query = how & 4 ? "select $1" : "",
		.user = "u",
		.password = how & 8 ? NULL : verifier,
	};
	for (enum deadline_kind kind = 0; kind < DEADLINE_COUNT; kind++)
		s->engine.deadlines.base_ns[kind] = 3600 * NS_PER_S;
	s->engine.retry = (struct retry_settings){5, 1, 1, 2.0};
	s->engine.budget = (struct budget_settings){.max_connections = 1000,
		.margin = 1,
		.path_limit = 1000,
		.path_share = 1,
		.instances = 1,
		.pool_size = 1};
	s->engine.breaker = (struct breaker_settings){.failure_threshold = 3, .probes = 1};
	s->engine.connects.window_max = 1;
	s->engine.ping_after_ns = INT64_MAX;
}

static void turn(struct hub *h, struct peer *p)
{
	for (int i = 0; i < 4; i++)
		reactor_turn(h->reactor, false);
	peer_read(p);
}

static void say(struct peer *p, int what, struct bytes bytes)
{
	static const char tls[] = "\0\0\0\x08\x04\xd2\x16\x2f",
			  gss[] = "\0\0\0\x08\x04\xd2\x16\x30";
	switch (what % 8) {
	case 0:
		say_startup(p);
		break;
	case 1:
		say_first(p);
		break;
	case 2:
		say_final(p, PASSWORD);
		break;
	case 3:
		say_final(p, "wrong");
		break;
	case 4:
		put(p, tls, sizeof(tls) - 1);
		break;
	case 5:
		put(p, gss, sizeof(gss) - 1);
		break;
	default:
		put(p, bytes.at, bytes.len);
		break;
	}
}

/* Who waits for a server in a session of its own? */
static bool has_session(const struct hub *h)
{
	for (int i = 0; i < h->memory.clients_max; i++) {
		const struct client *c = h->clients[i];
		if (c && !c->inquiry && c->state == CLIENT_LOGIN)
			return true;
		assert(!c || c->inquiry || buffer_len(&c->in) <= 2 * 65536);
	}
	return false;
}

static void play(struct hub *h, const uint8_t *data, size_t size)
{
	int fds[2];
	struct peer p = {.fd = -1};
	enum auth_method method = h->settings->auth.local;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0)
		abort();
	p.fd = fds[1];
	client_accept(h, fds[0]);
	while (size >= 2 && p.fd >= 0) {
		size_t len = data[1] < size - 2 ? data[1] : size - 2;
		say(&p, data[0], (struct bytes){data + 2, len});
		turn(h, &p);
		bool in = p.let_in || has_session(h);
		assert(!in || method == AUTH_TRUST || (method == AUTH_SCRAM && p.proved));
		data += 2 + len;
		size -= 2 + len;
	}
	if (p.fd >= 0)
		close(p.fd);
	turn(h, &(struct peer){.fd = -1});
	buffer_release(&p.in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char verifier[SECRET_MAX];
	struct gate_settings settings;
	struct hub h;
	struct log log;
	uv_loop_t loop;
	struct reactor reactor;
	struct error error;
	const struct hub_duties duties = {.action = on_action};
	if (size == 0)
		return 0;
	make_verifier(verifier);
	set(&settings, data[0], verifier);
	/* Errors alone, and there are none but those of a database that is not there. */
	log_init(&log, STDERR_FILENO, LOG_FORMAT_TEXT, LOG_LEVEL_ERROR, NULL);
	uv_loop_init(&loop);
	assert(reactor_init(&reactor, &loop, REACTOR_EPOLL, &error) == 0);
	assert(hub_init(&h, &reactor, &settings, &log, &duties, 1) == 0);
	play(&h, data + 1, size - 1);
	hub_close(&h);
	reactor_drain(&reactor);
	hub_release(&h);
	reactor_release(&reactor);
	assert(uv_loop_close(&loop) == 0);
	log_release(&log, 0);
	return 0;
}
