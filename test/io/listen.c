#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/listen.h"

static char directory[64];

static int setup(void **state)
{
	snprintf(directory, sizeof(directory), "/tmp/sp-listen-XXXXXX");
	return mkdtemp(directory) ? 0 : -1;
}

static int teardown(void **state)
{
	return rmdir(directory);
}

static void connect_to_port(int port)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	close(fd);
}

static void port_zero_is_any_free_one(void **state)
{
	static const char *const hosts[] = {"127.0.0.1", "localhost", "0.0.0.0", "*", ""};
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		struct error error = {0};
		int fd = listen_tcp(hosts[i], 0, &error);
		if (fd < 0)
			fail_msg("%s: %s", hosts[i], error.text);
		int port = listen_port(fd);
		assert_in_range(port, 1024, 65535);
		assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
		assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		if (strcmp(hosts[i], "localhost") != 0)
			connect_to_port(port);
		close(fd);
	}
}

static void a_list_is_listened_on_at_one_port(void **state)
{
	struct error error = {0};
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK + 1)}};
	int fds[LISTEN_HOSTS_MAX];
	assert_int_equal(listen_tcp_hosts("127.0.0.1 ,127.0.0.2", 0, false, fds, &error), 2);
	int port = listen_port(fds[0]);
	assert_int_equal(listen_port(fds[1]), port);
	connect_to_port(port);
	int client = socket(AF_INET, SOCK_STREAM, 0);
	to.sin_port = htons((uint16_t)port);
	assert_int_equal(connect(client, (struct sockaddr *)&to, sizeof(to)), 0);
	close(client);
	/* The second is taken: the first is not kept. */
	close(fds[0]);
	assert_int_equal(listen_tcp_hosts("127.0.0.1,127.0.0.2", port, false, fds, &error), -1);
	assert_int_equal(error.code, EADDRINUSE);
	assert_non_null(strstr(error.text, "127.0.0.2:"));
	int again = listen_tcp("127.0.0.1", port, &error);
	assert_true(again >= 0);
	close(again);
	close(fds[1]);
}

/* The machine's own names may all have one address, so this one is made up: it has those of a list. */
#define SEVERAL "127.0.0.1", "127.0.0.2", "192.0.2.1", "127.0.0.1"

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
	struct addrinfo **found)
{
	static const char *const addresses[] = {SEVERAL};
	int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
	*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	if (!name || strcmp(name, "several.test") != 0)
		return real(name, service, hints, found);
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		int result = real(addresses[i], service, hints, found);
		if (result != 0)
			return result;
		found = &(*found)->ai_next;
	}
	return 0;
}

static void connect_to(uint32_t address, int port)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
		.sin_addr = {htonl(address)},
		.sin_port = htons((uint16_t)port)};
	int client = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(client, (struct sockaddr *)&to, sizeof(to)), 0);
	close(client);
}

/* One of them is not this machine's, and one comes twice. */
static void a_name_is_listened_on_at_all_of_its_addresses(void **state)
{
	struct error error = {0};
	int fds[LISTEN_HOSTS_MAX];
	int count = listen_tcp_hosts("several.test, 127.0.0.3", 0, false, fds, &error);
	if (count != 3)
		fail_msg("%d: %s", count, error.text);
	int port = listen_port(fds[0]);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(listen_port(fds[i]), port);
		connect_to(INADDR_LOOPBACK + i, port);
	}
	/* One of them is taken. */
	close(fds[0]);
	close(fds[2]);
	assert_int_equal(listen_tcp_hosts("several.test", port, false, fds, &error), -1);
	assert_int_equal(error.code, EADDRINUSE);
	assert_non_null(strstr(error.text, "several.test:"));
	int again = listen_tcp("127.0.0.1", port, &error);
	assert_true(again >= 0);
	close(again);
	close(fds[1]);
}

static void ipv6_stands_beside_ipv4(void **state)
{
	struct error error = {0};
	int fds[LISTEN_HOSTS_MAX];
	int alone = listen_tcp("::", 0, &error);
	if (alone < 0)
		skip(); /* there is no IPv6 here */
	connect_to_port(listen_port(alone)); /* by IPv4 */
	close(alone);
	int count = listen_tcp_hosts("0.0.0.0, ::", 0, false, fds, &error);
	if (count != 2)
		fail_msg("%s", error.text);
	connect_to_port(listen_port(fds[0]));
	close(fds[0]);
	close(fds[1]);
}

static void several_share_each_port(void **state)
{
	struct error error = {0};
	int first[LISTEN_HOSTS_MAX], second[LISTEN_HOSTS_MAX];
	assert_int_equal(listen_tcp_hosts("127.0.0.1,127.0.0.2", 0, true, first, &error), 2);
	int port = listen_port(first[0]);
	assert_int_equal(listen_tcp_hosts("127.0.0.1,127.0.0.2", port, true, second, &error), 2);
	for (int i = 0; i < 2; i++) {
		close(first[i]);
		close(second[i]);
	}
}

static void what_is_wrong_is_named(void **state)
{
	struct error error = {0};
	int fd = listen_tcp("127.0.0.1", 0, &error);
	int port = listen_port(fd);
	char where[64];
	snprintf(where, sizeof(where), "127.0.0.1:%d", port);
	assert_int_equal(listen_tcp("127.0.0.1", port, &error), -1);
	assert_string_equal(error.stage, "listen");
	assert_int_equal(error.code, EADDRINUSE);
	assert_string_equal(error.origin, where);
	assert_non_null(strstr(error.text, where));
	assert_non_null(strstr(error.text, "another process has it"));
	close(fd);

	assert_int_equal(listen_tcp("192.0.2.1", 0, &error), -1);
	assert_int_equal(error.code, EADDRNOTAVAIL);
	assert_non_null(strstr(error.text, "no interface here has this address"));
	assert_int_equal(listen_tcp("no such host", 0, &error), -1);
	assert_non_null(strstr(error.text, "does not resolve"));
}

static struct sockaddr_un unix_address(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	return address;
}

static void a_stale_unix_socket_is_replaced(void **state)
{
	char path[100];
	struct error error = {0};
	snprintf(path, sizeof(path), "%s/s", directory);
	int first = listen_unix(path, &error);
	assert_true(first >= 0);

	/* Somebody answers: it is not stale. */
	assert_int_equal(listen_unix(path, &error), -1);
	assert_int_equal(error.code, EADDRINUSE);
	assert_non_null(strstr(error.text, "another process answers there"));
	close(first);

	int second = listen_unix(path, &error);
	assert_true(second >= 0);
	assert_int_equal(listen_port(second), 0);
	struct sockaddr_un to = unix_address(path);
	int client = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(connect(client, (struct sockaddr *)&to, sizeof(to)), 0);
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0777);
	close(client);
	close(second);
	unlink(path);
}

static void what_is_no_socket_is_left_alone(void **state)
{
	char path[100], far[200];
	struct error error = {0};
	snprintf(path, sizeof(path), "%s/file", directory);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(listen_unix(path, &error), -1);
	assert_non_null(strstr(error.text, "it is not a socket"));
	assert_int_equal(access(path, F_OK), 0);
	unlink(path);

	snprintf(path, sizeof(path), "%s/missing/s", directory);
	assert_int_equal(listen_unix(path, &error), -1);
	assert_non_null(strstr(error.text, "the directory is missing"));

	snprintf(far, sizeof(far), "/%0150d", 0);
	assert_int_equal(listen_unix(far, &error), -1);
	assert_non_null(strstr(error.text, "at most 107 bytes"));
}

/* Runs in a child of its own, so that descriptors 3 and 4 are what the test puts there. */
static void inherited(const char *pid, const char *names, const char *name, int expected)
{
	fflush(NULL);
	pid_t child = fork();
	if (child == 0) {
		char own[16];
		snprintf(own, sizeof(own), "%d", (int)getpid());
		for (int fd = 3; fd <= 4; fd++) {
			int made = socket(AF_INET, SOCK_STREAM, 0);
			if (made != fd) {
				dup2(made, fd);
				close(made);
			}
		}
		setenv("LISTEN_PID", pid ? pid : own, 1);
		setenv("LISTEN_FDS", "2", 1);
		setenv("LISTEN_FDNAMES", names, 1);
		int fd = listen_inherited(name), all[4];
		if (listen_inherited_all(name, all, 4) !=
			(strcmp(names, "gate:gate") == 0 ? 2 : fd >= 0))
			_exit(98);
		bool set = fd < 0 ||
			   ((fcntl(fd, F_GETFD) & FD_CLOEXEC) && (fcntl(fd, F_GETFL) & O_NONBLOCK));
		_exit(set ? fd + 100 : 99);
	}
	int status;
	waitpid(child, &status, 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status) - 100, expected);
}

static void inherited_sockets_are_found_by_name(void **state)
{
	inherited(NULL, "gate:admin", "gate", 3);
	inherited(NULL, "gate:admin", "admin", 4);
	inherited(NULL, "gate:gate", "gate", 3); /* and the other */
	inherited(NULL, "gate:admin", "door", -1);
	inherited(NULL, "gate", "admin", -1);
	inherited(NULL, "a:b:admin", "admin", -1); /* beyond LISTEN_FDS */
	inherited("1", "gate:admin", "gate", -1); /* meant for another process */
	inherited("", "gate:admin", "gate", -1);
	inherited("12x", "gate:admin", "gate", -1);
}

static void every_address_is_reached_by_loopback(void **state)
{
	static const char *const pairs[][2] = {{"", "127.0.0.1"}, {"*", "127.0.0.1"},
		{"0.0.0.0", "127.0.0.1"}, {"::", "::1"}, {"[::]", "::1"}, {"[::1]", "::1"},
		{"::1", "::1"}, {"10.0.0.5", "10.0.0.5"}, {"localhost", "localhost"},
		{"10.0.0.5, 10.0.0.6", "10.0.0.5"}, {"10.0.0.5, [::1]", "::1"},
		{"10.0.0.5,0.0.0.0", "127.0.0.1"}};
	char reached[LISTEN_HOST_MAX];
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		listen_reached(pairs[i][0], reached);
		assert_string_equal(reached, pairs[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(port_zero_is_any_free_one),
		cmocka_unit_test(every_address_is_reached_by_loopback),
		cmocka_unit_test(a_list_is_listened_on_at_one_port),
		cmocka_unit_test(a_name_is_listened_on_at_all_of_its_addresses),
		cmocka_unit_test(ipv6_stands_beside_ipv4),
		cmocka_unit_test(several_share_each_port),
		cmocka_unit_test(what_is_wrong_is_named),
		cmocka_unit_test_setup_teardown(a_stale_unix_socket_is_replaced, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_no_socket_is_left_alone, setup, teardown),
		cmocka_unit_test(inherited_sockets_are_found_by_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
