#include "base/control.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WORDS 3

/* Room for one descriptor, aligned as the kernel wants it. */
union passage {
	struct cmsghdr header;
	char room[CMSG_SPACE(sizeof(int))];
};

int control_send_fd(int fd, const struct control_message *message, int passed)
{
	int32_t words[WORDS] = {message->kind, message->code, (int32_t)message->key};
	struct iovec part = {words, sizeof(words)};
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
	union passage passage = {0};
	if (passed >= 0) {
		header.msg_control = &passage;
		header.msg_controllen = sizeof(passage.room);
		struct cmsghdr *c = CMSG_FIRSTHDR(&header);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &passed, sizeof(int));
	}
	ssize_t sent = sendmsg(fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
	return sent == (ssize_t)sizeof(words) ? 0 : -1;
}

int control_send(int fd, const struct control_message *message)
{
	return control_send_fd(fd, message, -1);
}

/* The descriptor that came along, or -1. */
static int take_passed(struct msghdr *header)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(header);
	int passed = -1;
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
		c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&passed, CMSG_DATA(c), sizeof(int));
	return passed;
}

int control_receive(int fd, struct control_message *message, int *passed)
{
	for (;;) {
		int32_t words[WORDS];
		union passage passage;
		struct iovec part = {words, sizeof(words)};
		struct msghdr header = {
			.msg_iov = &part,
			.msg_iovlen = 1,
			.msg_control = &passage,
			.msg_controllen = sizeof(passage.room),
		};
		ssize_t got = recvmsg(fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return errno == EAGAIN ? 0 : -1;
		if (got == 0)
			return -1;
		int came = take_passed(&header);
		bool known = got == (ssize_t)sizeof(words) && words[0] >= CONTROL_HELLO &&
			     words[0] <= CONTROL_CONSOLE;
		if (came >= 0 && (!known || !passed)) {
			close(came);
			came = -1;
		}
		if (!known)
			continue;
		if (passed)
			*passed = came;
		message->kind = (enum control_kind)words[0];
		message->code = words[1];
		message->key = (uint32_t)words[2];
		return 1;
	}
}
