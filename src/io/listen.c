#include "io/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define FIRST_FD 3 /* SD_LISTEN_FDS_START */

/* Of ports that the kernel chose. */
#define FREE_PORT_TRIES 16

static const char *mend(int number)
{
	switch (number) {
	case EADDRINUSE:
		return "; another process has it: end that one, or choose another port";
	case EACCES:
		return "; ports below 1024 need a privilege: choose a higher one";
	case EADDRNOTAVAIL:
		return "; no interface here has this address: use 127.0.0.1, 0.0.0.0 or ::";
	default:
		return "";
	}
}

static int tcp_fail(struct error *error, const char *where, int number)
{
	error_set(error, "listen", number, "cannot listen on %s: %s%s", where, strerror(number),
		mend(number));
	error_origin(error, where);
	return -1;
}

/* How a socket is bound. */
struct manner {
	bool shared; /* with others, and not listening yet */
	bool beside; /* IPv4 has a socket of its own */
};

static int listen_address(const struct addrinfo *a, struct manner how)
{
	int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	int on = 1, v6only = how.beside;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (a->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof(v6only));
	if (how.shared)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 &&
		(how.shared || listen(fd, LISTEN_BACKLOG) == 0))
		return fd;
	int number = errno;
	close(fd);
	errno = number;
	return -1;
}

/* "[::1]" -> "::1"; "*" and "" -> NULL, which stands for every address. */
static const char *plain_host(const char *host, char *copy, size_t size)
{
	if (strcmp(host, "") == 0 || strcmp(host, "*") == 0)
		return NULL;
	size_t len = strlen(host);
	bool brackets = len >= 2 && host[0] == '[' && host[len - 1] == ']';
	snprintf(copy, size, "%.*s", (int)(brackets ? len - 2 : len), host + brackets);
	return copy;
}

/* Of every address if there is no name: `where` is for errors. 0, or -1. */
static int resolve(
	const char *name, int port, const char *where, struct addrinfo **found, struct error *error)
{
	char service[16];
	struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	snprintf(service, sizeof(service), "%d", port);
	int result = getaddrinfo(name, service, &hints, found);
	if (result == 0)
		return 0;
	error_set(error, "listen", result == EAI_SYSTEM ? errno : 0,
		"cannot listen on %s: the host does not resolve (%s); use an address such as "
		"127.0.0.1 or 0.0.0.0",
		where, gai_strerror(result));
	error_origin(error, where);
	return -1;
}

static void show_place(const char *host, int port, char where[ERROR_ORIGIN_MAX])
{
	snprintf(where, ERROR_ORIGIN_MAX, "%.100s:%d", *host ? host : "*", port);
}

static int listen_at(const char *host, int port, struct manner how, struct error *error)
{
	char where[ERROR_ORIGIN_MAX], copy[NI_MAXHOST];
	const char *name = plain_host(host, copy, sizeof(copy));
	struct addrinfo *found = NULL;
	show_place(host, port, where);
	if (resolve(name, port, where, &found, error) != 0)
		return -1;
	int fd = -1, number = EADDRNOTAVAIL;
	/* Every address: IPv6 first, since that takes IPv4 in as well. */
	for (int round = name ? 1 : 0; round < 2 && fd < 0; round++)
		for (const struct addrinfo *a = found; a && fd < 0; a = a->ai_next) {
			if (round == 0 && a->ai_family != AF_INET6)
				continue;
			fd = listen_address(a, how);
			if (fd < 0)
				number = errno;
		}
	freeaddrinfo(found);
	return fd < 0 ? tcp_fail(error, where, number) : fd;
}

static void close_all(const int *fds, int count)
{
	for (int i = 0; i < count; i++)
		close(fds[i]);
}

static void set_port(const struct addrinfo *a, int port)
{
	if (a->ai_family == AF_INET6)
		((struct sockaddr_in6 *)a->ai_addr)->sin6_port = htons((uint16_t)port);
	else if (a->ai_family == AF_INET)
		((struct sockaddr_in *)a->ai_addr)->sin_port = htons((uint16_t)port);
}

/* Two lines of /etc/hosts may give one address twice. */
static bool is_repeated(const struct addrinfo *first, const struct addrinfo *a)
{
	for (; first != a; first = first->ai_next)
		if (first->ai_addrlen == a->ai_addrlen &&
			memcmp(first->ai_addr, a->ai_addr, a->ai_addrlen) == 0)
			return true;
	return false;
}

/* At every address of a name that this machine has. How many, of `room` at most, or -1. */
static int listen_each(
	const char *host, int port, struct manner how, int *fds, int room, struct error *error)
{
	char where[ERROR_ORIGIN_MAX], copy[NI_MAXHOST];
	const char *name = plain_host(host, copy, sizeof(copy));
	struct addrinfo *found = NULL;
	if (!name) {
		fds[0] = listen_at(host, port, how, error);
		return fds[0] < 0 ? -1 : 1;
	}
	show_place(host, port, where);
	if (resolve(name, port, where, &found, error) != 0)
		return -1;
	int count = 0, number = EADDRNOTAVAIL;
	for (const struct addrinfo *a = found; a; a = a->ai_next)
		set_port(a, port);
	for (const struct addrinfo *a = found; a && count < room; a = a->ai_next) {
		if (is_repeated(found, a))
			continue;
		if (count > 0 && port == 0) {
			/* All of them, for is_repeated compares. */
			port = listen_port(fds[0]);
			for (const struct addrinfo *each = found; each; each = each->ai_next)
				set_port(each, port);
		}
		int fd = listen_address(a, how);
		if (fd >= 0) {
			fds[count++] = fd;
		} else if (errno != EADDRNOTAVAIL && errno != EAFNOSUPPORT) {
			number = errno;
			close_all(fds, count);
			count = 0;
			break;
		}
	}
	freeaddrinfo(found);
	return count == 0 ? tcp_fail(error, where, number) : count;
}

bool listen_next_host(const char **list, char host[LISTEN_HOST_MAX])
{
	if (!*list)
		return false;
	const char *at = *list + strspn(*list, " \t");
	size_t len = strcspn(at, ",");
	*list = at[len] ? at + len + 1 : NULL;
	while (len > 0 && (at[len - 1] == ' ' || at[len - 1] == '\t'))
		len--;
	snprintf(host, LISTEN_HOST_MAX, "%.*s", (int)len, at);
	return true;
}

bool listen_is_loopback(const char *host)
{
	char copy[LISTEN_HOST_MAX];
	const char *name = plain_host(host, copy, sizeof(copy));
	return name && (strncmp(name, "127.", 4) == 0 || strcmp(name, "localhost") == 0 ||
			       strcmp(name, "::1") == 0);
}

void listen_reached(const char *hosts, char reached[LISTEN_HOST_MAX])
{
	char host[LISTEN_HOST_MAX], copy[LISTEN_HOST_MAX];
	bool first = true;
	for (; listen_next_host(&hosts, host); first = false) {
		const char *name = plain_host(host, copy, sizeof(copy));
		if (!name || strcmp(name, "0.0.0.0") == 0)
			name = "127.0.0.1";
		else if (strcmp(name, "::") == 0)
			name = "::1";
		bool best = listen_is_loopback(name);
		if (best || first)
			snprintf(reached, LISTEN_HOST_MAX, "%s", name);
		if (best)
			return;
	}
}

int listen_tcp(const char *host, int port, struct error *error)
{
	return listen_at(host, port, (struct manner){0}, error);
}

int listen_tcp_shared(const char *host, int port, struct error *error)
{
	return listen_at(host, port, (struct manner){.shared = true}, error);
}

static int listen_list(
	const char *hosts, int port, struct manner how, int *fds, struct error *error)
{
	char host[LISTEN_HOST_MAX];
	int count = 0;
	while (count < LISTEN_HOSTS_MAX && listen_next_host(&hosts, host)) {
		int more = listen_each(
			host, port, how, fds + count, LISTEN_HOSTS_MAX - count, error);
		if (more < 0) {
			close_all(fds, count);
			return -1;
		}
		count += more;
		port = listen_port(fds[0]);
	}
	return count;
}

int listen_tcp_hosts(
	const char *hosts, int port, bool shared, int fds[LISTEN_HOSTS_MAX], struct error *error)
{
	struct manner how = {.shared = shared, .beside = strchr(hosts, ',') != NULL};
	int count = -1;
	/* A port that is free at the first address may be taken at another. */
	for (int tries = port == 0 ? FREE_PORT_TRIES : 1; count < 0 && tries > 0; tries--) {
		count = listen_list(hosts, port, how, fds, error);
		if (count < 0 && error->code != EADDRINUSE)
			break;
	}
	return count;
}

/* Does somebody answer on the socket? Refused: its owner is gone. */
static bool unix_is_alive(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return true;
	/* EAGAIN: its backlog is full, so there is one. */
	bool alive = connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
		     (errno != ECONNREFUSED && errno != ENOENT);
	close(fd);
	return alive;
}

static int unix_fail(struct error *error, const char *path, int number, const char *text)
{
	error_set(
		error, "listen", number, "cannot listen on %s: %s%s", path, strerror(number), text);
	error_origin(error, path);
	return -1;
}

int listen_unix(const char *path, struct error *error)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t len = strlen(path);
	if (len >= sizeof(address.sun_path))
		return unix_fail(error, path, ENAMETOOLONG,
			"; a Unix socket's path has at most 107 bytes: choose a shorter directory");
	memcpy(address.sun_path, path, len);

	struct stat there;
	if (lstat(path, &there) == 0) {
		if (!S_ISSOCK(there.st_mode))
			return unix_fail(error, path, EEXIST, "; it is not a socket: move it away");
		if (unix_is_alive(&address))
			return unix_fail(error, path, EADDRINUSE,
				"; another process answers there: end that one, or choose another "
				"directory");
		unlink(path);
	}
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 &&
		chmod(path, 0777) == 0 && listen(fd, LISTEN_BACKLOG) == 0)
		return fd;
	int number = errno;
	if (fd >= 0)
		close(fd);
	return unix_fail(error, path, number,
		number == ENOENT   ? "; the directory is missing: create it"
		: number == EACCES ? "; may this user write to the directory?"
				   : "");
}

int listen_postgres_unix(
	const char *directory, int port, char path[LISTEN_PATH_MAX], struct error *error)
{
	snprintf(path, LISTEN_PATH_MAX, "%s/.s.PGSQL.%d", directory, port);
	return listen_unix(path, error);
}

/* A whole number in the environment, or -1. */
static long variable_number(const char *name)
{
	const char *text = getenv(name);
	if (!text || *text < '0' || *text > '9')
		return -1;
	char *end;
	errno = 0;
	long value = strtol(text, &end, 10);
	return *end || errno ? -1 : value;
}

int listen_inherited_all(const char *name, int *fds, int most)
{
	int found = 0;
	long count = variable_number("LISTEN_FDS");
	const char *names = getenv("LISTEN_FDNAMES");
	if (variable_number("LISTEN_PID") != (long)getpid() || count < 1 ||
		count > INT_MAX - FIRST_FD || !names)
		return 0;
	for (int fd = FIRST_FD; fd < FIRST_FD + count && found < most; fd++) {
		size_t len = strcspn(names, ":");
		if (len == strlen(name) && memcmp(names, name, len) == 0) {
			int flags = fcntl(fd, F_GETFL);
			if (flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
				fcntl(fd, F_SETFD, FD_CLOEXEC) == 0)
				fds[found++] = fd;
		}
		if (names[len] == '\0')
			break;
		names += len + 1;
	}
	return found;
}

int listen_inherited(const char *name)
{
	int fd;
	return listen_inherited_all(name, &fd, 1) == 1 ? fd : -1;
}

void listen_path(int fd, char path[LISTEN_PATH_MAX])
{
	struct sockaddr_un address = {0};
	socklen_t len = sizeof(address);
	*path = 0;
	if (getsockname(fd, (struct sockaddr *)&address, &len) == 0 &&
		address.sun_family == AF_UNIX && len > offsetof(struct sockaddr_un, sun_path))
		snprintf(path, LISTEN_PATH_MAX, "%.*s",
			(int)(len - offsetof(struct sockaddr_un, sun_path)), address.sun_path);
}

int listen_port(int fd)
{
	struct sockaddr_storage address = {0};
	socklen_t len = sizeof(address);
	if (getsockname(fd, (struct sockaddr *)&address, &len) < 0)
		return 0;
	if (address.ss_family == AF_INET)
		return ntohs(((struct sockaddr_in *)&address)->sin_port);
	if (address.ss_family == AF_INET6)
		return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
	return 0;
}
