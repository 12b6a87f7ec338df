/* The emulated connector in front of an echo server, for real, on loopback. Waits for events. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lab/connector.h"

#define SAFETY_MS 30000

static struct {
	int fd;
	uint16_t port;
} echo;

static void *echo_one(void *context)
{
	int fd = (int)(intptr_t)context;
	char text[4096];
	ssize_t n;

	while ((n = read(fd, text, sizeof text)) > 0)
		if (send(fd, text, (size_t)n, MSG_NOSIGNAL) != n)
			break;
	close(fd);
	return NULL;
}

static void *echo_all(void *context)
{
	int fd;

	(void)context;
	while ((fd = accept(echo.fd, NULL, NULL)) >= 0) {
		pthread_t thread;
		assert_int_equal(pthread_create(&thread, NULL, echo_one, (void *)(intptr_t)fd), 0);
		pthread_detach(thread);
	}
	return NULL;
}

static int start_echo(void **state)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof address;
	pthread_t thread;

	(void)state;
	echo.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(echo.fd, (struct sockaddr *)&address, size) < 0 || listen(echo.fd, 100) < 0 ||
		getsockname(echo.fd, (struct sockaddr *)&address, &size) < 0)
		return -1;
	echo.port = ntohs(address.sin_port);
	if (pthread_create(&thread, NULL, echo_all, NULL) != 0)
		return -1;
	pthread_detach(thread);
	return 0;
}

static struct connector *start(int flows, double rate, double bandwidth_bit_s)
{
	struct error error;
	const struct connector_settings settings = {
		.capacity = {.instances_min = 1,
			.instances_max = 1,
			.flows = flows,
			.connect_rate = rate,
			.connect_burst = rate > 1 ? rate : 1,
			.bandwidth_bit_s = bandwidth_bit_s,
			.scale_at = 1,
			.scale_step = 1},
		.time_scale = 1,
		.database_port = echo.port,
		.clients = 3,
	};
	struct connector *c = connector_new(&settings, &error);

	assert_non_null(c);
	return c;
}

static int client(struct connector *c, int instance)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(connector_port(c))};
	char address[16];
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	connector_address(c, instance, address);
	assert_int_equal(inet_pton(AF_INET, address, &to.sin_addr), 1);
	assert_true(connect(fd, (struct sockaddr *)&to, sizeof to) == 0 || errno == EINPROGRESS);
	return fd;
}

static bool becomes(int fd, short events, int timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = events};

	return poll(&p, 1, timeout_ms) == 1;
}

static void echoes(int fd, const char *text)
{
	char back[64];
	size_t got = 0, len = strlen(text);

	assert_int_equal(send(fd, text, len, MSG_NOSIGNAL), len);
	while (got < len) {
		assert_true(becomes(fd, POLLIN, SAFETY_MS));
		ssize_t n = read(fd, back + got, sizeof back - got);
		assert_true(n > 0);
		got += (size_t)n;
	}
	assert_memory_equal(back, text, len);
}

/* Sends `size` bytes, reads the echo, both at once; then the half-close comes back as the end. */
static void echoes_much(int fd, size_t size)
{
	static uint8_t buffer[65536];
	size_t sent = 0, got = 0;

	while (got < size || sent < size) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		if (sent < size)
			p.events |= POLLOUT;
		assert_int_equal(poll(&p, 1, SAFETY_MS), 1);
		if (p.revents & POLLOUT) {
			size_t len = size - sent < sizeof buffer ? size - sent : sizeof buffer;
			for (size_t i = 0; i < len; i++)
				buffer[i] = (uint8_t)((sent + i) * 31 >> 4);
			ssize_t n = send(fd, buffer, len, MSG_NOSIGNAL);
			sent += n > 0 ? (size_t)n : 0;
		}
		ssize_t n = p.revents & POLLIN ? read(fd, buffer, sizeof buffer) : 0;
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(buffer[i], (uint8_t)((got + (size_t)i) * 31 >> 4));
		got += n > 0 ? (size_t)n : 0;
	}
	assert_int_equal(got, size);
	shutdown(fd, SHUT_WR);
	assert_true(becomes(fd, POLLIN, SAFETY_MS));
	assert_int_equal(read(fd, buffer, sizeof buffer), 0);
}

static void bytes_and_ends_pass_both_ways(void **state)
{
	struct connector *c = start(10, 0, 0);
	int fd = client(c, 2);

	(void)state;
	assert_true(becomes(fd, POLLOUT, SAFETY_MS));
	echoes_much(fd, 4 << 20);
	close(fd);
	assert_int_equal(connector_stats(c).completed, 1);
	while (connector_stats(c).flows > 0)
		usleep(1000);
	assert_int_equal(connector_stats(c).bytes, 8 << 20);
	connector_free(c);
}

static void a_narrow_band_carries_all_in_the_end(void **state)
{
	struct connector *c = start(10, 0, 64e6); /* 8 MB a second, both directions */
	int fd = client(c, 0);

	(void)state;
	assert_true(becomes(fd, POLLOUT, SAFETY_MS));
	echoes_much(fd, 1 << 20);
	close(fd);
	connector_free(c);
}

static void the_flow_too_many_stalls_until_one_ends(void **state)
{
	struct connector *c = start(2, 0, 0);
	int a = client(c, 0), b, late;

	(void)state;
	assert_true(becomes(a, POLLOUT, SAFETY_MS));
	b = client(c, 1);
	assert_true(becomes(b, POLLOUT, SAFETY_MS));
	echoes(a, "first");
	echoes(b, "second");
	late = client(c, 2);
	assert_false(becomes(late, POLLOUT, 300));
	while (connector_stats(c).dropped < 1)
		usleep(1000);
	echoes(b, "others go on");
	close(a);
	assert_true(becomes(late, POLLOUT, SAFETY_MS));
	echoes(late, "at last");
	assert_int_equal(connector_stats(c).flows_peak, 2);
	close(b);
	close(late);
	connector_free(c);
}

static void a_burst_beyond_the_rate_is_dropped(void **state)
{
	struct connector *c = start(100, 4, 0);
	int fds[12];

	(void)state;
	for (int i = 0; i < 12; i++)
		fds[i] = client(c, 0);
	/* Four at once; the others' SYNs come again until each had its turn. */
	while (connector_stats(c).dropped < 1)
		usleep(1000);
	for (int i = 0; i < 12; i++) {
		assert_true(becomes(fds[i], POLLOUT, SAFETY_MS));
		echoes(fds[i], "served");
	}
	assert_int_equal(connector_stats(c).completed, 12);
	for (int i = 0; i < 12; i++)
		close(fds[i]);
	connector_free(c);
}

static void a_cold_instance_gets_nothing_through(void **state)
{
	struct connector *c = start(10, 0, 0);
	int cold, warm;

	(void)state;
	connector_cold(c, 1, 3600 * NS_PER_S);
	cold = client(c, 1);
	warm = client(c, 0);
	assert_true(becomes(warm, POLLOUT, SAFETY_MS));
	echoes(warm, "warm");
	assert_false(becomes(cold, POLLOUT, 100));
	connector_cold(c, 1, 1);
	assert_true(becomes(cold, POLLOUT, SAFETY_MS));
	echoes(cold, "warm now");
	close(cold);
	close(warm);
	connector_free(c);
}

static void a_partition_stops_all_and_heals(void **state)
{
	struct connector *c = start(10, 0, 0);
	int fd = client(c, 0), late;
	char text[8];

	(void)state;
	assert_true(becomes(fd, POLLOUT, SAFETY_MS));
	echoes(fd, "before");
	connector_partition(c, true);
	usleep(100000); /* for the other thread to see it; if it did not, the test below fails */
	assert_int_equal(send(fd, "held", 4, MSG_NOSIGNAL), 4);
	late = client(c, 1);
	assert_false(becomes(fd, POLLIN, 200));
	assert_false(becomes(late, POLLOUT, 0));
	connector_partition(c, false);
	assert_true(becomes(fd, POLLIN, SAFETY_MS));
	assert_int_equal(read(fd, text, sizeof text), 4);
	assert_true(becomes(late, POLLOUT, SAFETY_MS));
	close(fd);
	close(late);
	connector_free(c);
}

static void a_long_way_delays_all_and_loses_nothing(void **state)
{
	struct connector *c = start(10, 0, 0);
	char text[8];
	int fd;

	(void)state;
	connector_delay(c, 5 * NS_PER_MS);
	fd = client(c, 1);
	assert_true(becomes(fd, POLLOUT, SAFETY_MS));
	echoes(fd, "there and back");
	connector_delay(c, NS_PER_S);
	usleep(100000); /* for the other thread to see it; if it did not, the test below fails */
	assert_int_equal(send(fd, "late", 4, MSG_NOSIGNAL), 4);
	assert_false(becomes(fd, POLLIN, 200));
	assert_true(becomes(fd, POLLIN, SAFETY_MS));
	assert_int_equal(read(fd, text, sizeof text), 4);
	connector_delay(c, 5 * NS_PER_MS);
	/* The half-close keeps its place behind the bytes. */
	echoes_much(fd, 2 << 20);
	close(fd);
	connector_free(c);
}

static void a_restart_cuts_all_and_lets_none_in(void **state)
{
	struct connector *c = start(10, 0, 0);
	int fd = client(c, 0), late;
	char text[8];

	(void)state;
	assert_true(becomes(fd, POLLOUT, SAFETY_MS));
	echoes(fd, "before");
	connector_restart(c, true);
	assert_true(becomes(fd, POLLIN, SAFETY_MS));
	assert_int_equal(read(fd, text, sizeof text), -1);
	assert_int_equal(errno, ECONNRESET);
	close(fd);
	late = client(c, 1);
	while (connector_stats(c).dropped < 1)
		usleep(1000);
	assert_false(becomes(late, POLLOUT, 0));
	connector_restart(c, false);
	assert_true(becomes(late, POLLOUT, SAFETY_MS));
	echoes(late, "after");
	close(late);
	connector_free(c);
}

static void a_stopped_database_refuses(void **state)
{
	struct connector *c = start(10, 0, 0);
	int code = 0;
	socklen_t size = sizeof code;

	(void)state;
	connector_refuse(c, true);
	while (code != ECONNREFUSED) {
		int fd = client(c, 0);
		assert_true(becomes(fd, POLLOUT, SAFETY_MS));
		assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size), 0);
		close(fd);
	}
	connector_refuse(c, false);
	for (code = -1; code != 0;) {
		int fd = client(c, 0);
		assert_true(becomes(fd, POLLOUT, SAFETY_MS));
		assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size), 0);
		if (code == 0)
			echoes(fd, "back");
		close(fd);
	}
	connector_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_and_ends_pass_both_ways),
		cmocka_unit_test(a_narrow_band_carries_all_in_the_end),
		cmocka_unit_test(the_flow_too_many_stalls_until_one_ends),
		cmocka_unit_test(a_burst_beyond_the_rate_is_dropped),
		cmocka_unit_test(a_cold_instance_gets_nothing_through),
		cmocka_unit_test(a_partition_stops_all_and_heals),
		cmocka_unit_test(a_long_way_delays_all_and_loses_nothing),
		cmocka_unit_test(a_restart_cuts_all_and_lets_none_in),
		cmocka_unit_test(a_stopped_database_refuses),
	};
	return cmocka_run_group_tests(tests, start_echo, NULL);
}
