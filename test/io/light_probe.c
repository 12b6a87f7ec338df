/* Against servers of the test's own, on loopback, in the same loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/instant.h"
#include "io/light_probe.h"

/* What ends a hang; nothing that passes takes so long. */
#define LONG_NS (60 * NS_PER_S)

static const unsigned char request[8] = {0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f};

/* A server that answers with one byte; 0: not at all, and -1: by closing. */
struct server {
	int fd, port, answer;
	uv_poll_t listening, reading;
	int peer;
	unsigned char got[64];
	ssize_t got_len; /* -1: it has not ended */
};

struct fixture {
	uv_loop_t loop;
	int called;
	struct path_attempt how;
	unsigned turn;
	struct error error;
	char conninfo[512];
};

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct server *s = poll->data;
	ssize_t got = recv(s->peer, s->got + s->got_len, sizeof(s->got) - (size_t)s->got_len, 0);
	if (got > 0)
		s->got_len += got;
	if (got > 0 && s->answer > 0) {
		char byte = (char)s->answer;
		assert_int_equal(send(s->peer, &byte, 1, MSG_NOSIGNAL), 1);
	}
	if (got <= 0 || s->answer < 0) {
		uv_close((uv_handle_t *)poll, NULL);
		close(s->peer);
		s->peer = -1;
	}
}

static void on_accept(uv_poll_t *poll, int status, int events)
{
	struct server *s = poll->data;
	s->peer = accept(s->fd, NULL, NULL);
	assert_true(s->peer >= 0);
	s->got_len = 0;
	uv_poll_init(poll->loop, &s->reading, s->peer);
	s->reading.data = s;
	uv_poll_start(&s->reading, UV_READABLE, on_readable);
}

static void serve(struct server *s, uv_loop_t *loop, int fd, int answer)
{
	*s = (struct server){.fd = fd, .answer = answer, .peer = -1, .got_len = -1};
	uv_poll_init(loop, &s->listening, fd);
	s->listening.data = s;
	uv_poll_start(&s->listening, UV_READABLE, on_accept);
}

static int bound_to_loopback(int *port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	*port = ntohs(at.sin_port);
	return fd;
}

static void serve_tcp(struct server *s, uv_loop_t *loop, int answer)
{
	int port, fd = bound_to_loopback(&port);
	assert_int_equal(listen(fd, 8), 0);
	serve(s, loop, fd, answer);
	s->port = port;
}

static void stop(struct server *s)
{
	uv_close((uv_handle_t *)&s->listening, NULL);
	close(s->fd);
}

static void on_done(
	void *context, const struct path_attempt *how, unsigned turn, const struct error *error)
{
	struct fixture *f = context;
	f->called++;
	f->how = *how;
	f->turn = turn;
	error_init(&f->error);
	if (error)
		f->error = *error;
	assert_int_equal(error == NULL, how->outcome == OUTCOME_OK);
}

static struct light_probe *start(struct fixture *f, bool asks, int64_t timeout_ns)
{
	const struct light_probe_target target = {.conninfo = f->conninfo,
		.origin = "here:1",
		.asks = asks,
		.timeout_ns = timeout_ns};
	f->called = 0;
	return light_probe_start(&f->loop, &target, on_done, f);
}

static void await(struct fixture *f)
{
	while (f->called == 0)
		uv_run(&f->loop, UV_RUN_ONCE);
	assert_int_equal(f->called, 1);
}

static void begin(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	uv_loop_init(&f->loop);
}

/* Nothing is left behind. */
static void finish(struct fixture *f)
{
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
}

static void probe_tcp(
	struct fixture *f, struct server *s, int answer, bool asks, int64_t timeout_ns)
{
	begin(f);
	serve_tcp(s, &f->loop, answer);
	snprintf(f->conninfo, sizeof(f->conninfo), "host=127.0.0.1 port=%d", s->port);
	start(f, asks, timeout_ns);
	await(f);
	if (s->peer >= 0 || s->got_len < 0) /* what is still to come of it */
		while (s->peer >= 0 || s->got_len < 0)
			uv_run(&f->loop, UV_RUN_ONCE);
	stop(s);
	finish(f);
}

static void a_server_that_says_yes_or_no_to_tls_is_there(void **state)
{
	struct fixture f;
	struct server s;
	for (int i = 0; i < 2; i++) {
		probe_tcp(&f, &s, "SN"[i], true, LONG_NS);
		assert_int_equal(f.how.outcome, OUTCOME_OK);
		assert_int_equal(f.how.stage, STAGE_TLS);
		assert_true(f.how.stage_ns[STAGE_TCP] > 0 && f.how.stage_ns[STAGE_TLS] > 0);
		assert_int_equal(s.got_len, sizeof(request));
		assert_memory_equal(s.got, request, sizeof(request));
	}
}

static void one_that_only_connects_says_nothing(void **state)
{
	struct fixture f;
	struct server s;
	probe_tcp(&f, &s, 'S', false, LONG_NS);
	assert_int_equal(f.how.outcome, OUTCOME_OK);
	assert_int_equal(f.how.stage, STAGE_TCP);
	assert_int_equal(s.got_len, 0);
}

static void what_answers_otherwise_is_not_the_server(void **state)
{
	struct fixture f;
	struct server s;
	probe_tcp(&f, &s, 'E', true, LONG_NS);
	assert_int_equal(f.how.outcome, OUTCOME_PROTOCOL);
	assert_non_null(strstr(f.error.text, "0x45"));
	assert_string_equal(f.error.origin, "here:1");
	probe_tcp(&f, &s, -1, true, LONG_NS);
	assert_int_equal(f.how.outcome, OUTCOME_RESET);
	assert_int_equal(f.how.stage, STAGE_TLS);
}

/* A proxy that accepts for a server which is not there. */
static void one_that_accepts_and_is_silent_is_given_up_in_time(void **state)
{
	struct fixture f;
	struct server s;
	probe_tcp(&f, &s, 0, true, 30 * NS_PER_MS);
	assert_int_equal(f.how.outcome, OUTCOME_TIMEOUT);
	assert_int_equal(f.how.stage, STAGE_TLS);
	assert_string_equal(f.error.stage, "tls");
}

static void where_nobody_listens_it_is_refused(void **state)
{
	struct fixture f;
	int port, fd = bound_to_loopback(&port);
	begin(&f);
	snprintf(f.conninfo, sizeof(f.conninfo), "host=127.0.0.1 port=%d", port);
	start(&f, true, LONG_NS);
	await(&f);
	assert_int_equal(f.how.outcome, OUTCOME_REFUSED);
	assert_int_equal(f.how.stage, STAGE_TCP);
	close(fd);
	finish(&f);
}

static void of_several_hosts_one_that_is_there_is_enough(void **state)
{
	struct fixture f;
	struct server s;
	int port, fd = bound_to_loopback(&port);
	begin(&f);
	serve_tcp(&s, &f.loop, 'N');
	snprintf(f.conninfo, sizeof(f.conninfo), "host=127.0.0.1,127.0.0.1 port=%d,%d", port,
		s.port);
	start(&f, true, LONG_NS);
	await(&f);
	assert_int_equal(f.how.outcome, OUTCOME_OK);
	stop(&s);
	close(fd);
	finish(&f);
}

/* A queue that is full drops what else comes. */
static void one_that_drops_the_handshake_is_passed_by(void **state)
{
	struct fixture f;
	struct server s;
	int port, fd = bound_to_loopback(&port), plugs[2];
	struct sockaddr_in at = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_int_equal(listen(fd, 0), 0);
	for (int i = 0; i < 2; i++) {
		plugs[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		connect(plugs[i], (struct sockaddr *)&at, sizeof(at));
	}
	begin(&f);
	serve_tcp(&s, &f.loop, 'N');
	snprintf(f.conninfo, sizeof(f.conninfo), "host=127.0.0.1,127.0.0.1 port=%d,%d", port,
		s.port);
	start(&f, true, LIGHT_PROBE_DIALS * NS_PER_S / 2);
	await(&f);
	assert_int_equal(f.how.outcome, OUTCOME_OK);
	assert_int_equal(f.turn, 1);
	stop(&s);
	for (int i = 0; i < 2; i++)
		close(plugs[i]);
	close(fd);
	finish(&f);
}

static void a_unix_socket_is_asked_as_well(void **state)
{
	struct fixture f;
	struct server s;
	char folder[] = "/tmp/light_probe.XXXXXX";
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	assert_non_null(mkdtemp(folder));
	snprintf(at.sun_path, sizeof(at.sun_path), "%s/.s.PGSQL.7", folder);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 8), 0);
	begin(&f);
	serve(&s, &f.loop, fd, 'N');
	snprintf(f.conninfo, sizeof(f.conninfo), "host=%s port=7", folder);
	start(&f, true, LONG_NS);
	await(&f);
	assert_int_equal(f.how.outcome, OUTCOME_OK);
	stop(&s);
	finish(&f);
	unlink(at.sun_path);
	rmdir(folder);
}

/* In whatever it is at. */
static void one_that_is_cancelled_says_nothing_and_leaves_nothing(void **state)
{
	for (int turns = 0; turns < 12; turns++) {
		struct fixture f;
		struct server s;
		begin(&f);
		serve_tcp(&s, &f.loop, 0);
		snprintf(f.conninfo, sizeof(f.conninfo), "host=127.0.0.1 port=%d", s.port);
		struct light_probe *p = start(&f, true, LONG_NS);
		for (int i = 0; i < turns && s.got_len <= 0; i++)
			uv_run(&f.loop, UV_RUN_ONCE);
		light_probe_cancel(p);
		stop(&s);
		finish(&f);
		assert_int_equal(f.called, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_server_that_says_yes_or_no_to_tls_is_there),
		cmocka_unit_test(one_that_only_connects_says_nothing),
		cmocka_unit_test(what_answers_otherwise_is_not_the_server),
		cmocka_unit_test(one_that_accepts_and_is_silent_is_given_up_in_time),
		cmocka_unit_test(where_nobody_listens_it_is_refused),
		cmocka_unit_test(of_several_hosts_one_that_is_there_is_enough),
		cmocka_unit_test(one_that_drops_the_handshake_is_passed_by),
		cmocka_unit_test(a_unix_socket_is_asked_as_well),
		cmocka_unit_test(one_that_is_cancelled_says_nothing_and_leaves_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
