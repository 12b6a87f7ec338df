/* Many streams at once, plain and under TLS, with each of the backends that this machine has: where
 * there are many, all that are ready are read from by one call, and all that a turn has written is
 * sent by one. */
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "io/reactor.h"
#include "io/stream.h"

#define CROWD 100 /* more than are read from by one call */
#define LONG  40000 /* more than is read at once */

struct crowd;

/* One end is a stream, the other a plain socket that the test plays. */
struct member {
	struct crowd *crowd;
	struct stream stream;
	int fd;
	SSL *peer, *own; /* the test's end of TLS, and the stream's; NULL: plain */
	struct buffer got;
	struct buffer rest; /* of what is written, not taken yet */
	int ended, closed;
	bool broken; /* told by a write */
};

struct crowd {
	uv_loop_t loop;
	struct reactor reactor;
	struct member members[CROWD];
	/* What a member does to all the others when something comes; NULL: nothing. */
	void (*meddle)(struct member *other);
	bool echoes;
	int brought; /* pieces */
};

static void on_closed(struct stream *s)
{
	struct member *m = s->owner;
	SSL_free(m->own);
	close(s->fd);
	m->closed++;
}

static void pause_it(struct member *m)
{
	stream_watch(&m->stream, false, false);
}

static void close_it(struct member *m)
{
	stream_close(&m->stream, on_closed);
}

static void write_on(struct member *m)
{
	struct bytes rest = buffer_bytes(&m->rest);
	ssize_t taken = rest.len > 0 ? stream_write(&m->stream, rest.at, rest.len) : 0;
	if (taken < 0)
		m->broken = true;
	buffer_take(&m->rest, taken > 0 ? (size_t)taken : 0);
}

static void on_received(struct stream *s, struct bytes in)
{
	struct member *m = s->owner;
	struct crowd *c = m->crowd;
	assert_true(s->open && s->reading);
	c->brought++;
	buffer_append(&m->got, in.at, in.len);
	if (c->echoes) {
		buffer_append(&m->rest, in.at, in.len);
		write_on(m);
	}
	for (int i = 0; c->meddle && i < CROWD; i++)
		if (&c->members[i] != m)
			c->meddle(&c->members[i]);
}

static void on_ended(struct stream *s)
{
	struct member *m = s->owner;
	m->ended++;
}

static void on_writable(struct stream *s)
{
	write_on(s->owner);
}

/* ---- the test's ends ---- */

/* As send(2) and recv(2). */
static ssize_t put(struct member *m, const void *at, size_t len)
{
	return m->peer ? SSL_write(m->peer, at, (int)len) : send(m->fd, at, len, MSG_NOSIGNAL);
}

static ssize_t get(struct member *m, void *at, size_t len)
{
	ssize_t got = m->peer ? SSL_read(m->peer, at, (int)len) : recv(m->fd, at, len, 0);
	return got > 0 ? got : -1;
}

static void leave(struct member *m)
{
	SSL_free(m->peer);
	m->peer = NULL;
	close(m->fd);
	m->fd = -1;
}

/* ---- TLS ---- */

/* A server's, with a certificate that nobody vouches for. */
static SSL_CTX *context_new(void)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	assert_true(context && key && cert);
	X509_gmtime_adj(X509_getm_notBefore(cert), 0);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_set_pubkey(cert, key);
	assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
	assert_int_equal(SSL_CTX_use_certificate(context, cert), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(context, key), 1);
	X509_free(cert);
	EVP_PKEY_free(key);
	return context;
}

static void encrypt_all(struct crowd *c)
{
	SSL_CTX *server = context_new(), *client = SSL_CTX_new(TLS_client_method());
	assert_non_null(client);
	for (int i = 0; i < CROWD; i++) {
		struct member *m = &c->members[i];
		m->own = SSL_new(server);
		m->peer = SSL_new(client);
		SSL_set_accept_state(m->own);
		SSL_set_fd(m->peer, m->fd);
		stream_encrypt(&m->stream, m->own, (struct bytes){0});
		SSL_connect(m->peer);
	}
	for (int i = 0; i < CROWD; i++)
		while (SSL_connect(c->members[i].peer) != 1)
			reactor_turn(&c->reactor, false);
	/* One in each turn. */
	for (int i = 0; i < CROWD; i++)
		reactor_turn(&c->reactor, false);
	SSL_CTX_free(server);
	SSL_CTX_free(client);
}

/* ---- the fixture ---- */

static int set_up(void **state, enum reactor_choice choice)
{
	static const struct stream_events events = {on_received, on_ended, on_writable};
	struct crowd *c = calloc(1, sizeof(*c));
	struct error error;
	assert_non_null(c);
	uv_loop_init(&c->loop);
	assert_int_equal(reactor_init(&c->reactor, &c->loop, choice, &error), 0);
	for (int i = 0; i < CROWD; i++) {
		struct member *m = &c->members[i];
		int fds[2];
		assert_int_equal(
			socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
		m->crowd = c;
		m->fd = fds[1];
		assert_int_equal(stream_open(&m->stream, &c->reactor, fds[0], NULL, &events, m), 0);
		stream_watch(&m->stream, true, false);
	}
	*state = c;
	return 0;
}

static int with_epoll(void **state)
{
	return set_up(state, REACTOR_EPOLL);
}

/* Or epoll once more, where io_uring is not allowed. */
static int with_uring(void **state)
{
	return set_up(state, REACTOR_URING);
}

static int with_epoll_and_tls(void **state)
{
	set_up(state, REACTOR_EPOLL);
	encrypt_all(*state);
	return 0;
}

static int with_uring_and_tls(void **state)
{
	set_up(state, REACTOR_URING);
	encrypt_all(*state);
	return 0;
}

static int tear_down(void **state)
{
	struct crowd *c = *state;
	for (int i = 0; i < CROWD; i++)
		if (c->members[i].stream.open)
			close_it(&c->members[i]);
	reactor_drain(&c->reactor);
	reactor_release(&c->reactor);
	assert_int_equal(uv_loop_close(&c->loop), 0);
	for (int i = 0; i < CROWD; i++) {
		struct member *m = &c->members[i];
		assert_int_equal(m->closed, 1);
		if (m->fd >= 0)
			leave(m);
		buffer_release(&m->got);
		buffer_release(&m->rest);
	}
	free(c);
	return 0;
}

static void turn(struct crowd *c)
{
	reactor_turn(&c->reactor, false);
}

/* What member `i` says: its own bytes, of its own length. */
static size_t speech(int i, uint8_t *at)
{
	size_t len = i % 10 == 3 ? LONG : i % 10 == 7 ? 5000 : 10 + (size_t)i;
	for (size_t k = 0; k < len; k++)
		at[k] = (uint8_t)((k * 7 + k / 251) ^ (size_t)i);
	return len;
}

static void say(struct member *m, size_t from, size_t to)
{
	uint8_t bytes[LONG];
	speech((int)(m - m->crowd->members), bytes);
	while (from < to) {
		ssize_t n = put(m, bytes + from, to - from);
		assert_true(n > 0);
		from += (size_t)n;
	}
}

static void assert_said(struct member *m, struct bytes what)
{
	uint8_t bytes[LONG];
	size_t len = speech((int)(m - m->crowd->members), bytes);
	assert_int_equal(what.len, len);
	assert_memory_equal(what.at, bytes, len);
}

static void many_are_read_and_answered_at_once(void **state)
{
	struct crowd *c = *state;
	uint8_t bytes[LONG + 1];
	c->echoes = true;
	for (int i = 0; i < CROWD; i++)
		say(&c->members[i], 0, speech(i, bytes));
	for (int i = 0; i < 5; i++)
		turn(c);
	for (int i = 0; i < CROWD; i++) {
		struct member *m = &c->members[i];
		assert_said(m, buffer_bytes(&m->got));
		size_t len = 0;
		ssize_t n;
		while ((n = get(m, bytes + len, sizeof(bytes) - len)) > 0)
			len += (size_t)n;
		assert_said(m, (struct bytes){bytes, len});
	}
}

static void one_may_pause_the_others(void **state)
{
	struct crowd *c = *state;
	uint8_t bytes[LONG];
	c->meddle = pause_it;
	for (int i = 0; i < CROWD; i++)
		say(&c->members[i], 0, 5);
	turn(c);
	assert_int_equal(c->brought, 1);
	for (int i = 0; i < CROWD; i++)
		say(&c->members[i], 5, speech(i, bytes));
	c->meddle = NULL;
	turn(c);
	for (int i = 0; i < CROWD; i++)
		stream_watch(&c->members[i].stream, true, false);
	for (int i = 0; i < 10; i++)
		turn(c);
	for (int i = 0; i < CROWD; i++)
		assert_said(&c->members[i], buffer_bytes(&c->members[i].got));
}

static void one_may_close_the_others(void **state)
{
	struct crowd *c = *state;
	c->meddle = close_it;
	for (int i = 0; i < CROWD; i++)
		say(&c->members[i], 0, 5);
	turn(c);
	assert_int_equal(c->brought, 1);
	c->meddle = NULL;
	turn(c);
	assert_int_equal(c->brought, 1);
}

static void all_is_brought_before_the_ends(void **state)
{
	struct crowd *c = *state;
	uint8_t bytes[LONG];
	for (int i = 0; i < CROWD; i++) {
		struct member *m = &c->members[i];
		say(m, 0, speech(i, bytes));
		if (i % 2 == 0)
			leave(m);
	}
	for (int i = 0; i < 5; i++)
		turn(c);
	for (int i = 0; i < CROWD; i++) {
		struct member *m = &c->members[i];
		assert_said(m, buffer_bytes(&m->got));
		assert_int_equal(m->ended, i % 2 == 0);
	}
}

/* Each takes more than its socket holds, a little from all in each turn. */
static void what_many_can_not_send_is_sent_later(void **state)
{
	struct crowd *c = *state;
	enum { PIECE = 400, PIECES = 800 };
	uint8_t bytes[65536];
	uint8_t next[CROWD] = {0};
	size_t got[CROWD] = {0};
	size_t all = 0;
	for (int k = 0; k < PIECES; k++) {
		for (int i = 0; i < CROWD; i++) {
			/* Counting bytes, so that one that is lost, or comes twice, is seen. */
			struct member *m = &c->members[i];
			for (size_t b = 0; b < PIECE; b++)
				bytes[b] = (uint8_t)((size_t)k * PIECE + b);
			bool waits = buffer_len(&m->rest) > 0;
			buffer_append(&m->rest, bytes, PIECE);
			if (!waits)
				write_on(m);
		}
		turn(c);
	}
	while (all < (size_t)PIECE * PIECES * CROWD) {
		turn(c);
		for (int i = 0; i < CROWD; i++) {
			ssize_t n = get(&c->members[i], bytes, sizeof(bytes));
			for (ssize_t b = 0; b < n; b++)
				assert_int_equal(bytes[b], next[i]++);
			got[i] += n > 0 ? (size_t)n : 0;
			all += n > 0 ? (size_t)n : 0;
		}
	}
	turn(c);
	for (int i = 0; i < CROWD; i++) {
		assert_int_equal(got[i], PIECE * PIECES);
		assert_int_equal(buffer_len(&c->members[i].rest), 0);
		assert_int_equal(get(&c->members[i], bytes, 1), -1);
		assert_false(c->members[i].broken);
	}
}

static void of_many_each_that_breaks_is_told(void **state)
{
	struct crowd *c = *state;
	turn(c);
	for (int i = 0; i < CROWD; i++) {
		struct member *m = &c->members[i];
		if (i % 2 == 0)
			leave(m);
		buffer_append(&m->rest, "hello", 5);
		write_on(m);
	}
	turn(c);
	turn(c);
	for (int i = 0; i < CROWD; i++) {
		struct member *m = &c->members[i];
		assert_int_equal(m->ended || m->broken, i % 2 == 0);
		char bytes[6];
		if (m->fd >= 0)
			assert_int_equal(get(m, bytes, sizeof(bytes)), 5);
	}
}

#define WITH_ALL(test)                                                                \
	cmocka_unit_test_setup_teardown(test, with_epoll, tear_down),                 \
		cmocka_unit_test_setup_teardown(test, with_uring, tear_down),         \
		cmocka_unit_test_setup_teardown(test, with_epoll_and_tls, tear_down), \
		cmocka_unit_test_setup_teardown(test, with_uring_and_tls, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_ALL(many_are_read_and_answered_at_once),
		WITH_ALL(one_may_pause_the_others),
		WITH_ALL(one_may_close_the_others),
		WITH_ALL(all_is_brought_before_the_ends),
		WITH_ALL(what_many_can_not_send_is_sent_later),
		WITH_ALL(of_many_each_that_breaks_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
