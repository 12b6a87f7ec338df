#include "io/notify.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* Datagrams read in a turn of the loop: a service that floods us must not hold the others up. */
#define DATAGRAMS_PER_TURN 32

struct notify {
	uv_poll_t poll;
	int fd;
	notify_heard *heard;
	void *context;
	bool freed;
};

/* The length of the address, or 0: too long or empty. */
static socklen_t address_of(const char *name, struct sockaddr_un *address)
{
	size_t len = strlen(name);
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (len < 2 || len >= sizeof(address->sun_path) || (name[0] != '/' && name[0] != '@'))
		return 0;
	memcpy(address->sun_path, name, len);
	if (name[0] == '@') {
		address->sun_path[0] = '\0';
		return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	}
	return sizeof(*address);
}

static int fail(struct error *error, const char *name, int number, const char *what)
{
	error_set(error, "notify", number, "%s %s: %s", what, name,
		number == EINVAL ? "use an absolute path of at most 107 bytes, or @name"
				 : strerror(number));
	error_origin(error, name);
	return -1;
}

int notify_bind(const char *name, struct error *error)
{
	struct sockaddr_un address;
	socklen_t len = address_of(name, &address);
	if (len == 0)
		return fail(error, name, EINVAL, "cannot receive notifications on");
	struct stat there;
	if (name[0] == '/' && lstat(name, &there) == 0 && S_ISSOCK(there.st_mode))
		unlink(name);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0 && bind(fd, (struct sockaddr *)&address, len) == 0) {
		/* The service may run as another user. */
		if (name[0] != '/' || chmod(name, 0777) == 0)
			return fd;
	}
	int number = errno;
	if (fd >= 0)
		close(fd);
	return fail(error, name, number, "cannot receive notifications on");
}

static void copy_status(struct notify_message *message, const char *text, size_t len)
{
	if (len >= sizeof(message->status))
		len = sizeof(message->status) - 1;
	for (size_t i = 0; i < len; i++)
		message->status[i] = (unsigned char)text[i] < ' ' || text[i] == 0x7f ? ' '
										     : text[i];
	message->status[len] = '\0';
}

bool notify_parse(struct notify_message *message, const char *text, size_t len)
{
	static const char status[] = "STATUS=";
	bool known = false;
	*message = (struct notify_message){0};
	for (size_t start = 0; start < len;) {
		const char *line = text + start;
		const char *end = memchr(line, '\n', len - start);
		size_t line_len = end ? (size_t)(end - line) : len - start;
		start += line_len + 1;
#define SAYS(what) (line_len == sizeof(what) - 1 && memcmp(line, what, sizeof(what) - 1) == 0)
		if (SAYS("READY=1"))
			message->ready = known = true;
		else if (SAYS("STOPPING=1"))
			message->stopping = known = true;
		else if (SAYS("RELOADING=1"))
			message->reloading = known = true;
#undef SAYS
		else if (line_len >= sizeof(status) - 1 &&
			 memcmp(line, status, sizeof(status) - 1) == 0) {
			copy_status(message, line + sizeof(status) - 1,
				line_len - (sizeof(status) - 1));
			known = true;
		}
	}
	return known;
}

/* Descriptors that came along (FDSTORE=1, BARRIER=1) are ours now, and of no use: the sender of a
 * barrier waits until they are closed. */
static void close_passed(struct msghdr *header)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			close(fd);
		}
	}
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct notify *n = poll->data;
	for (int i = 0; i < DATAGRAMS_PER_TURN && !n->freed; i++) {
		char text[NOTIFY_MESSAGE_MAX];
		/* Room for the most descriptors that the kernel passes at once, SCM_MAX_FD. */
		_Alignas(struct cmsghdr) char control[CMSG_SPACE(253 * sizeof(int))];
		struct iovec part = {text, sizeof(text)};
		struct msghdr header = {
			.msg_iov = &part,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof(control),
		};
		ssize_t got = recvmsg(n->fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		if (got < 0)
			return;
		close_passed(&header);
		struct notify_message message;
		if (!(header.msg_flags & MSG_TRUNC) && notify_parse(&message, text, (size_t)got))
			n->heard(n->context, &message);
	}
}

struct notify *notify_new(uv_loop_t *loop, int fd, notify_heard *heard, void *context)
{
	struct notify *n = calloc(1, sizeof(*n));
	assert(n);
	n->fd = fd;
	n->heard = heard;
	n->context = context;
	n->poll.data = n;
	int result = uv_poll_init(loop, &n->poll, fd);
	assert(result == 0);
	result = uv_poll_start(&n->poll, UV_READABLE, on_readable);
	assert(result == 0);
	return n;
}

static void on_closed(uv_handle_t *handle)
{
	struct notify *n = handle->data;
	close(n->fd);
	free(n);
}

void notify_free(struct notify *n)
{
	if (!n || n->freed)
		return;
	n->freed = true;
	uv_close((uv_handle_t *)&n->poll, on_closed);
}

void notify_reloading(char *text, size_t size)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	snprintf(text, size, "RELOADING=1\nMONOTONIC_USEC=%lld",
		(long long)t.tv_sec * 1000000 + t.tv_nsec / 1000);
}

int notify_send(const char *text, struct error *error)
{
	const char *name = getenv("NOTIFY_SOCKET");
	if (!name || !*name)
		return 0;
	struct sockaddr_un address;
	socklen_t len = address_of(name, &address);
	if (len == 0)
		return fail(error, name, EINVAL, "cannot notify NOTIFY_SOCKET");
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ssize_t sent = fd < 0 ? -1
			      : sendto(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT,
					(struct sockaddr *)&address, len);
	int number = errno;
	if (fd >= 0)
		close(fd);
	return sent < 0 ? fail(error, name, number, "cannot notify NOTIFY_SOCKET") : 0;
}
