/* Streams on a reactor, with each of the backends that this machine has. */
#include "io/stream.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "io/reactor.h"

/* One end is a stream, the other a plain socket that the test plays. */
struct fixture {
	uv_loop_t loop;
	struct reactor reactor;
	struct stream stream;
	struct buffer got;
	struct buffer rest; /* of what is written, not taken yet */
	int fd; /* the other side; -1: closed */
	int ended, roomy, closed;
	bool pauses; /* after each piece */
	bool closes; /* when something comes */
};

static void on_closed(struct stream *s)
{
	struct fixture *f = s->owner;
	close(s->fd);
	f->closed++;
}

static void on_received(struct stream *s, struct bytes in)
{
	struct fixture *f = s->owner;
	assert_true(s->reading);
	buffer_append(&f->got, in.at, in.len);
	if (f->pauses)
		stream_watch(s, false, false);
	if (f->closes)
		stream_close(s, on_closed);
}

static void on_ended(struct stream *s)
{
	struct fixture *f = s->owner;
	f->ended++;
}

static void write_rest(struct fixture *f)
{
	struct bytes rest = buffer_bytes(&f->rest);
	if (rest.len == 0)
		return;
	ssize_t taken = stream_write(&f->stream, rest.at, rest.len);
	assert_true(taken >= 0);
	buffer_take(&f->rest, (size_t)taken);
}

static void on_writable(struct stream *s)
{
	struct fixture *f = s->owner;
	f->roomy++;
	write_rest(f);
}

static const struct stream_events events = {on_received, on_ended, on_writable};

static int set_up(void **state, enum reactor_choice choice)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct error error;
	int fds[2];
	assert_non_null(f);
	uv_loop_init(&f->loop);
	assert_int_equal(reactor_init(&f->reactor, &f->loop, choice, &error), 0);
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	f->fd = fds[1];
	assert_int_equal(stream_open(&f->stream, &f->reactor, fds[0], NULL, &events, f), 0);
	*state = f;
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

static void hang_up(struct fixture *f)
{
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	if (f->stream.open)
		stream_close(&f->stream, on_closed);
	reactor_drain(&f->reactor);
	assert_int_equal(f->closed, 1);
	reactor_release(&f->reactor);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	hang_up(f);
	buffer_release(&f->got);
	buffer_release(&f->rest);
	free(f);
	return 0;
}

static void say(struct fixture *f, const char *text)
{
	assert_int_equal(send(f->fd, text, strlen(text), 0), strlen(text));
}

static void turn(struct fixture *f)
{
	for (int i = 0; i < 4; i++)
		reactor_turn(&f->reactor, false);
}

static void assert_got(struct fixture *f, const char *text)
{
	struct bytes got = buffer_bytes(&f->got);
	assert_int_equal(got.len, strlen(text));
	if (got.len > 0)
		assert_memory_equal(got.at, text, got.len);
	buffer_take(&f->got, got.len);
}

static uint8_t pattern(size_t at)
{
	return (uint8_t)(at * 7 + at / 251);
}

/* ---- reading ---- */

static void what_comes_is_brought(void **state)
{
	struct fixture *f = *state;
	stream_watch(&f->stream, true, false);
	turn(f);
	assert_got(f, "");
	say(f, "one");
	turn(f);
	assert_got(f, "one");
	say(f, "two");
	say(f, "three");
	turn(f);
	assert_got(f, "twothree");
}

static void what_came_before_it_was_watched_is_brought(void **state)
{
	struct fixture *f = *state;
	say(f, "early");
	turn(f);
	assert_got(f, "");
	stream_watch(&f->stream, true, false);
	turn(f);
	assert_got(f, "early");
}

static void paused_it_brings_nothing_until_it_reads_on(void **state)
{
	struct fixture *f = *state;
	stream_watch(&f->stream, true, false);
	for (int i = 0; i < 3; i++) {
		turn(f);
		stream_watch(&f->stream, false, false);
		say(f, "some");
		turn(f);
		say(f, "more");
		turn(f);
		assert_got(f, "");
		stream_watch(&f->stream, true, false);
		turn(f);
		assert_got(f, "somemore");
		say(f, "again");
		turn(f);
		assert_got(f, "again");
	}
}

/* Far more than one read holds, and a pause after each. */
static void a_flood_is_brought_piece_by_piece(void **state)
{
	struct fixture *f = *state;
	enum { LEN = 1 << 20 };
	size_t sent = 0, got = 0;
	f->pauses = true;
	stream_watch(&f->stream, true, false);
	while (got < LEN) {
		uint8_t piece[30000];
		size_t len = LEN - sent < sizeof(piece) ? LEN - sent : sizeof(piece);
		for (size_t i = 0; i < len; i++)
			piece[i] = pattern(sent + i);
		ssize_t n = len > 0 ? send(f->fd, piece, len, 0) : 0;
		sent += n > 0 ? (size_t)n : 0;
		turn(f);
		struct bytes in = buffer_bytes(&f->got);
		for (size_t i = 0; i < in.len; i++)
			assert_int_equal(in.at[i], pattern(got + i));
		got += in.len;
		buffer_take(&f->got, in.len);
		stream_watch(&f->stream, true, false);
	}
	assert_int_equal(got, LEN);
}

/* ---- the end ---- */

static void the_end_comes_after_all_that_was_sent(void **state)
{
	struct fixture *f = *state;
	f->pauses = true;
	stream_watch(&f->stream, true, false);
	say(f, "last words");
	hang_up(f);
	turn(f);
	assert_got(f, "last words");
	assert_int_equal(f->ended, 0); /* it does not read */
	stream_watch(&f->stream, true, false);
	turn(f);
	assert_int_equal(f->ended, 1);
}

static void the_end_is_told_at_once_where_nothing_else_is_wanted(void **state)
{
	struct fixture *f = *state;
	stream_watch(&f->stream, true, false);
	turn(f);
	stream_watch(&f->stream, false, true);
	say(f, "never mind");
	turn(f);
	assert_int_equal(f->ended, 0);
	hang_up(f);
	turn(f);
	assert_got(f, "");
	assert_int_equal(f->ended, 1);
	turn(f);
	assert_int_equal(f->ended, 1); /* once */
}

static void an_end_that_was_not_watched_for_is_told_later(void **state)
{
	struct fixture *f = *state;
	stream_watch(&f->stream, true, false);
	turn(f);
	stream_watch(&f->stream, false, false);
	turn(f);
	hang_up(f);
	turn(f);
	assert_int_equal(f->ended, 0);
	stream_watch(&f->stream, false, true);
	turn(f);
	assert_int_equal(f->ended, 1);
}

static void half_closed_it_can_still_be_written_to(void **state)
{
	struct fixture *f = *state;
	char answer[3];
	stream_watch(&f->stream, true, false);
	say(f, "question");
	shutdown(f->fd, SHUT_WR);
	turn(f);
	assert_got(f, "question");
	assert_int_equal(f->ended, 1);
	assert_int_equal(stream_write(&f->stream, "yes", 3), 3);
	turn(f);
	assert_int_equal(recv(f->fd, answer, 3, 0), 3);
	assert_memory_equal(answer, "yes", 3);
}

static void it_may_be_closed_from_inside(void **state)
{
	struct fixture *f = *state;
	f->closes = true;
	stream_watch(&f->stream, true, false);
	say(f, "something");
	turn(f);
	assert_got(f, "something");
	assert_int_equal(f->closed, 1);
}

static void what_was_taken_is_sent_though_it_is_closed_then(void **state)
{
	struct fixture *f = *state;
	char answer[8];
	assert_int_equal(stream_write(&f->stream, "sorry, ", 7), 7);
	assert_int_equal(stream_write(&f->stream, "no", 2), 2);
	stream_close(&f->stream, on_closed);
	turn(f);
	assert_int_equal(f->closed, 1);
	assert_int_equal(recv(f->fd, answer, 8, 0), 8);
	assert_memory_equal(answer, "sorry, n", 8);
	assert_int_equal(recv(f->fd, answer, 8, 0), 1);
	assert_int_equal(recv(f->fd, answer, 8, 0), 0);
}

/* ---- writing ---- */

/* Pieces of all sizes, more than the socket holds: nothing is lost, nothing comes twice. */
static void what_does_not_fit_is_asked_for_again(void **state)
{
	struct fixture *f = *state;
	enum { LEN = 3 << 20 };
	static const size_t sizes[] = {1, 10, 500, 4000, 5000, 100000, 3, 20000};
	size_t written = 0, got = 0;
	uint8_t *piece = malloc(100000);
	assert_non_null(piece);
	for (int k = 0; written < LEN; k++) {
		size_t len = sizes[k % 8];
		for (size_t i = 0; i < len; i++)
			piece[i] = pattern(written + i);
		size_t taken = 0;
		if (buffer_len(&f->rest) == 0) {
			ssize_t n = stream_write(&f->stream, piece, len);
			assert_true(n >= 0);
			taken = (size_t)n;
		}
		buffer_append(&f->rest, piece + taken, len - taken);
		written += len;
		if (k % 5 == 0)
			turn(f);
	}
	while (got < written) {
		turn(f);
		ssize_t n = recv(f->fd, piece, 100000, 0);
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(piece[i], pattern(got + (size_t)i));
		got += n > 0 ? (size_t)n : 0;
	}
	assert_int_equal(buffer_len(&f->rest), 0);
	assert_true(f->roomy > 0);
	assert_int_equal(recv(f->fd, piece, 1, 0), -1);
	free(piece);
}

static void writing_to_a_broken_connection_ends_it(void **state)
{
	struct fixture *f = *state;
	stream_watch(&f->stream, true, false);
	turn(f);
	hang_up(f);
	ssize_t taken = 0;
	for (int i = 0; i < 10 && taken >= 0 && f->ended == 0; i++) {
		taken = stream_write(&f->stream, "hello", 5);
		turn(f);
	}
	assert_true(taken < 0 || f->ended == 1);
}

/* ---- the reactor ---- */

static void stop(uv_timer_t *timer)
{
	reactor_stop(timer->data);
}

static void on_pipe(uv_poll_t *poll, int status, int flags)
{
	uv_timer_t *timer = poll->data;
	uv_poll_stop(poll);
	uv_timer_start(timer, stop, 20, 0);
}

static void libuv_has_its_turn(void **state)
{
	struct fixture *f = *state;
	uv_timer_t timer;
	uv_poll_t poll;
	int fds[2];
	assert_int_equal(pipe(fds), 0);
	uv_timer_init(&f->loop, &timer);
	uv_poll_init(&f->loop, &poll, fds[0]);
	timer.data = &f->reactor;
	poll.data = &timer;
	for (int i = 0; i < 3; i++) {
		uv_poll_start(&poll, UV_READABLE, on_pipe);
		if (i > 0)
			turn(f);
		assert_int_equal(write(fds[1], "x", 1), 1);
		reactor_run(&f->reactor);
	}
	uv_close((uv_handle_t *)&timer, NULL);
	uv_close((uv_handle_t *)&poll, NULL);
	turn(f);
	close(fds[0]);
	close(fds[1]);
}

/* Two streams of one turn: the first closes the second. */
static void one_may_close_another(void **state)
{
	struct fixture *f = *state;
	struct fixture g = {.fd = -1};
	int fds[2];
	char bytes[1] = "x";
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	g.fd = fds[1];
	assert_int_equal(stream_open(&g.stream, &f->reactor, fds[0], NULL, &events, &g), 0);
	stream_watch(&g.stream, true, false);
	stream_watch(&f->stream, true, false);
	turn(f);
	say(f, "a");
	assert_int_equal(send(g.fd, bytes, 1, 0), 1);
	assert_int_equal(stream_write(&g.stream, "bye", 3), 3);
	stream_close(&g.stream, on_closed);
	turn(f);
	assert_got(f, "a");
	assert_int_equal(g.closed, 1);
	assert_int_equal(buffer_len(&g.got), 0);
	hang_up(&g);
}

/* ---- TLS ---- */

#define SHAKERS 6

/* One of those that come all at once: the other side is OpenSSL's, too. */
struct shaker {
	struct stream stream;
	SSL *client;
	int fd;
	struct buffer got;
	int closed;
};

static void shaker_closed(struct stream *s)
{
	struct shaker *k = s->owner;
	close(s->fd);
	SSL_free(s->ssl);
	k->closed++;
}

static void shaker_received(struct stream *s, struct bytes in)
{
	struct shaker *k = s->owner;
	buffer_append(&k->got, in.at, in.len);
}

static SSL_CTX *server_context(void)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
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

static void shaker_begin(struct shaker *k, struct fixture *f, SSL_CTX *server, SSL_CTX *client)
{
	static const struct stream_events shaker_events = {shaker_received, on_ended, on_writable};
	int fds[2];
	*k = (struct shaker){0};
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	SSL *ssl = SSL_new(server);
	SSL_set_accept_state(ssl);
	k->fd = fds[1];
	k->client = SSL_new(client);
	SSL_set_fd(k->client, k->fd);
	SSL_set_connect_state(k->client);
	assert_int_equal(stream_open(&k->stream, &f->reactor, fds[0], ssl, &shaker_events, k), 0);
	stream_watch(&k->stream, true, false);
	assert_int_equal(SSL_do_handshake(k->client), -1); /* its hello */
}

static int count_answered(const struct shaker *shakers)
{
	char byte;
	int count = 0;
	for (int i = 0; i < SHAKERS; i++)
		count += recv(shakers[i].fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
	return count;
}

static void a_storm_of_handshakes_lets_others_pass(void **state)
{
	struct fixture *f = *state;
	struct shaker shakers[SHAKERS];
	SSL_CTX *server = server_context(), *client = SSL_CTX_new(TLS_client_method());
	stream_watch(&f->stream, true, false);
	for (int i = 0; i < SHAKERS; i++)
		shaker_begin(&shakers[i], f, server, client);
	say(f, "behind them");
	reactor_turn(&f->reactor, true);
	assert_got(f, "behind them");
	assert_in_range(count_answered(shakers), 0, 1);
	for (int i = 2; i < SHAKERS; i++) {
		reactor_turn(&f->reactor, true);
		assert_in_range(
			count_answered(shakers), i - 1, i); /* a turn's are sent by the next */
		for (int j = i; j < SHAKERS; j++) /* who came first goes first */
			assert_int_equal(recv(shakers[j].fd, &(char){0}, 1, MSG_PEEK), -1);
	}
	for (int i = 0; i < 4 * SHAKERS; i++) {
		reactor_turn(&f->reactor, false);
		for (int j = 0; j < SHAKERS; j++)
			if (!SSL_is_init_finished(shakers[j].client) &&
				SSL_do_handshake(shakers[j].client) == 1)
				assert_int_equal(SSL_write(shakers[j].client, "in", 2), 2);
	}
	for (int i = 0; i < SHAKERS; i++) {
		struct bytes got = buffer_bytes(&shakers[i].got);
		assert_int_equal(got.len, 2);
		stream_close(&shakers[i].stream, shaker_closed);
		buffer_release(&shakers[i].got);
	}
	turn(f);
	for (int i = 0; i < SHAKERS; i++) {
		assert_int_equal(shakers[i].closed, 1);
		SSL_free(shakers[i].client);
		close(shakers[i].fd);
	}
	SSL_CTX_free(server);
	SSL_CTX_free(client);
}

/* As gVisor and many seccomp profiles do. For good: so in a process of its own. */
static void refuse_io_uring(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = 4, .filter = code};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
		_exit(2);
}

static void where_io_uring_is_refused_it_is_epoll(void **state)
{
	int status;
	(void)state;
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		uv_loop_t loop;
		struct reactor r;
		struct error error;
		refuse_io_uring();
		uv_loop_init(&loop);
		if (reactor_init(&r, &loop, REACTOR_URING, &error) != 0)
			_exit(3);
		_exit(strcmp(reactor_backend(&r), "epoll") == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

#define WITH_BOTH(test)                                               \
	cmocka_unit_test_setup_teardown(test, with_epoll, tear_down), \
		cmocka_unit_test_setup_teardown(test, with_uring, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(where_io_uring_is_refused_it_is_epoll),
		WITH_BOTH(what_comes_is_brought),
		WITH_BOTH(what_came_before_it_was_watched_is_brought),
		WITH_BOTH(paused_it_brings_nothing_until_it_reads_on),
		WITH_BOTH(a_flood_is_brought_piece_by_piece),
		WITH_BOTH(the_end_comes_after_all_that_was_sent),
		WITH_BOTH(the_end_is_told_at_once_where_nothing_else_is_wanted),
		WITH_BOTH(an_end_that_was_not_watched_for_is_told_later),
		WITH_BOTH(half_closed_it_can_still_be_written_to),
		WITH_BOTH(it_may_be_closed_from_inside),
		WITH_BOTH(what_was_taken_is_sent_though_it_is_closed_then),
		WITH_BOTH(what_does_not_fit_is_asked_for_again),
		WITH_BOTH(writing_to_a_broken_connection_ends_it),
		WITH_BOTH(libuv_has_its_turn),
		WITH_BOTH(one_may_close_another),
		WITH_BOTH(a_storm_of_handshakes_lets_others_pass),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
