/* The kernel really drops SYNs: these tests run against it, on loopback. They wait for events
 * (a handshake that completes, a SYN that the kernel counts as dropped), never for a time. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lab/doorway.h"
#include "lab/ports.h"

#define SAFETY_MS 30000

static struct doorway *open_doorway(struct doorway *d)
{
	struct random random;
	struct error error;
	uint16_t port;

	random_init(&random, (uint64_t)getpid() + (uintptr_t)d);
	assert_int_equal(ports_pick(&random, &port, 1, &error), 0);
	assert_int_equal(doorway_open(d, 0, port, &error), 0);
	return d;
}

static int client(const struct doorway *d, uint32_t address)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons(d->port),
		.sin_addr.s_addr = htonl(address),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS)
		return -1;
	return fd;
}

static int tcp_state(int fd)
{
	struct tcp_info info;
	socklen_t size = sizeof info;

	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
	return info.tcpi_state;
}

/* Waits until each of the clients has either connected or had its SYN dropped. */
static int count_connected(struct doorway *d, const int *fds, int count, int64_t dropped)
{
	for (int waited = 0; waited < SAFETY_MS; waited++) {
		int connected = 0;
		for (int i = 0; i < count; i++)
			connected += tcp_state(fds[i]) == TCP_ESTABLISHED;
		if (connected + (doorway_dropped(d) - dropped) >= count)
			return connected;
		usleep(1000);
	}
	fail_msg("neither connected nor dropped");
	return 0;
}

static bool becomes_writable(int fd, int timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	return poll(&p, 1, timeout_ms) == 1;
}

static void exactly_as_many_as_allowed_connect(void **state)
{
	const int allowed[] = {0, 1, 2, 7, 0, 1};
	struct doorway d;

	(void)state;
	open_doorway(&d);
	for (size_t round = 0; round < sizeof allowed / sizeof allowed[0]; round++) {
		int fds[12], taken[12], count = 0;
		int64_t dropped = doorway_dropped(&d);
		uint32_t address;

		doorway_allow(&d, allowed[round]);
		/* The plug, if there was one, is taken out; nobody has come yet. */
		assert_int_equal(doorway_accept(&d, &address), -1);
		for (int i = 0; i < 12; i++)
			fds[i] = client(&d, INADDR_LOOPBACK + 256 + (uint32_t)i);
		assert_int_equal(count_connected(&d, fds, 12, dropped), allowed[round]);
		while ((taken[count] = doorway_accept(&d, &address)) >= 0) {
			assert_in_range(address, INADDR_LOOPBACK + 256, INADDR_LOOPBACK + 267);
			count++;
		}
		assert_int_equal(count, allowed[round]);
		assert_int_equal(d.allowed, 0);
		for (int i = 0; i < 12; i++)
			close(fds[i]);
		for (int i = 0; i < count; i++)
			close(taken[i]);
	}
	doorway_close(&d);
}

static void a_stalled_handshake_completes_when_there_is_room(void **state)
{
	struct doorway d;
	uint32_t address;

	(void)state;
	open_doorway(&d);
	int fd = client(&d, INADDR_LOOPBACK);
	assert_false(becomes_writable(fd, 300));
	assert_int_equal(tcp_state(fd), TCP_SYN_SENT);
	assert_true(doorway_dropped(&d) >= 1);
	doorway_allow(&d, 1);
	assert_int_equal(doorway_accept(&d, &address), -1);
	/* Now nothing but the client's own kernel, which sends its SYN again, gets it on. */
	assert_true(becomes_writable(fd, SAFETY_MS));
	assert_int_equal(tcp_state(fd), TCP_ESTABLISHED);
	int taken = doorway_accept(&d, &address);
	assert_true(taken >= 0);
	close(taken);
	close(fd);
	doorway_close(&d);
}

static void what_is_taken_leaves_no_room_for_others(void **state)
{
	struct doorway d;
	uint32_t address;
	int fds[6];

	(void)state;
	open_doorway(&d);
	doorway_allow(&d, 3);
	assert_int_equal(doorway_accept(&d, &address), -1);
	int64_t dropped = doorway_dropped(&d);
	for (int i = 0; i < 2; i++)
		fds[i] = client(&d, INADDR_LOOPBACK);
	assert_int_equal(count_connected(&d, fds, 2, dropped), 2);
	int first = doorway_accept(&d, &address);
	for (int i = 2; i < 6; i++)
		fds[i] = client(&d, INADDR_LOOPBACK);
	/* Three in all: one taken, two in the queue. */
	assert_int_equal(count_connected(&d, fds, 6, dropped), 3);
	int second = doorway_accept(&d, &address), third = doorway_accept(&d, &address);
	assert_true(first >= 0 && second >= 0 && third >= 0);
	assert_int_equal(doorway_accept(&d, &address), -1);
	close(first);
	close(second);
	close(third);
	for (int i = 0; i < 6; i++)
		close(fds[i]);
	doorway_close(&d);
}

static void a_doorway_with_an_address_takes_that_address_only(void **state)
{
	struct doorway d, dead;
	struct error error;
	uint32_t address;

	(void)state;
	open_doorway(&d);
	assert_int_equal(doorway_open(&dead, INADDR_LOOPBACK + 300, d.port, &error), 0);
	doorway_allow(&d, 2);
	assert_int_equal(doorway_accept(&d, &address), -1);
	int stalled = client(&d, INADDR_LOOPBACK + 300), fine = client(&d, INADDR_LOOPBACK + 301);
	assert_true(becomes_writable(fine, SAFETY_MS));
	assert_false(becomes_writable(stalled, 100));
	assert_true(doorway_dropped(&dead) >= 1);
	doorway_close(&dead);
	assert_true(becomes_writable(stalled, SAFETY_MS));
	assert_int_equal(tcp_state(stalled), TCP_ESTABLISHED);
	close(stalled);
	close(fine);
	doorway_close(&d);
}

static void refusing_resets_and_comes_back(void **state)
{
	struct doorway d;
	uint32_t address;

	(void)state;
	open_doorway(&d);
	for (int round = 0; round < 2; round++) {
		doorway_refuse(&d, true);
		int code = 0, fd = client(&d, INADDR_LOOPBACK);
		socklen_t size = sizeof code;
		assert_true(becomes_writable(fd, SAFETY_MS));
		assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size), 0);
		assert_int_equal(code, ECONNREFUSED);
		close(fd);
		doorway_refuse(&d, false);
		fd = client(&d, INADDR_LOOPBACK);
		assert_false(becomes_writable(fd, 50));
		doorway_allow(&d, 1);
		assert_int_equal(doorway_accept(&d, &address), -1);
		assert_true(becomes_writable(fd, SAFETY_MS));
		int taken = doorway_accept(&d, &address);
		assert_true(taken >= 0);
		close(taken);
		close(fd);
	}
	doorway_close(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exactly_as_many_as_allowed_connect),
		cmocka_unit_test(a_stalled_handshake_completes_when_there_is_room),
		cmocka_unit_test(what_is_taken_leaves_no_room_for_others),
		cmocka_unit_test(a_doorway_with_an_address_takes_that_address_only),
		cmocka_unit_test(refusing_resets_and_comes_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
