#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <linux/filter.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/tcp_info.h"

#define PIECE 65536

static int listen_somewhere(struct sockaddr_in *at)
{
	socklen_t len = sizeof(*at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	*at = (struct sockaddr_in){
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_int_equal(bind(fd, (struct sockaddr *)at, len), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)at, &len), 0);
	return fd;
}

static void a_live_connection_tells_of_its_path(void **state)
{
	static char piece[PIECE];
	struct sockaddr_in at;
	struct tcp_sample sample;
	int listener = listen_somewhere(&at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(tcp_info_read(fd, &sample), 0);
	assert_int_equal(sample.rtt_ns, 0);
	assert_int_equal(sample.min_rtt_ns, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	int peer = accept(listener, NULL, NULL);
	assert_true(peer >= 0);
	assert_int_equal(send(fd, piece, sizeof(piece), 0), PIECE);
	assert_int_equal(recv(peer, piece, sizeof(piece), MSG_WAITALL), PIECE);
	/* An answer brings the acknowledgement with it. */
	assert_int_equal(send(peer, piece, 1, 0), 1);
	assert_int_equal(recv(fd, piece, 1, MSG_WAITALL), 1);
	assert_int_equal(tcp_info_read(fd, &sample), 0);
	assert_in_range(sample.rtt_ns, 1, INT64_C(1000000000));
	assert_in_range(sample.min_rtt_ns, 1, sample.rtt_ns);
	assert_int_equal(sample.retransmits, 0);
	assert_true(sample.delivery_rate_bit_s > 0);
	close(fd);
	close(peer);
	close(listener);
}

static void a_dropped_handshake_is_counted_while_it_lasts(void **state)
{
	struct sock_filter drop = {.code = BPF_RET | BPF_K};
	struct sock_fprog program = {.len = 1, .filter = &drop};
	struct sockaddr_in at;
	struct tcp_sample sample;
	int listener = listen_somewhere(&at);
	assert_int_equal(
		setsockopt(listener, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)), 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), -1);
	for (int waited_ms = 0; waited_ms < 60000; waited_ms += 20) {
		struct pollfd waiting = {.fd = fd, .events = POLLOUT};
		assert_int_equal(poll(&waiting, 1, 20), 0);
		assert_int_equal(tcp_info_read(fd, &sample), 0);
		if (sample.retransmits > 0)
			break;
	}
	assert_in_range(sample.retransmits, 1, 10);
	assert_int_equal(sample.rtt_ns, 0);
	close(fd);
	close(listener);
}

static void what_is_no_tcp_socket_tells_nothing(void **state)
{
	struct tcp_sample sample;
	int fds[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	memset(&sample, 1, sizeof(sample));
	assert_int_equal(tcp_info_read(fds[0], &sample), -1);
	assert_int_equal(sample.rtt_ns, 0);
	assert_int_equal(sample.retransmits, 0);
	assert_int_equal(tcp_info_read(-1, &sample), -1);
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_live_connection_tells_of_its_path),
		cmocka_unit_test(a_dropped_handshake_is_counted_while_it_lasts),
		cmocka_unit_test(what_is_no_tcp_socket_tells_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
