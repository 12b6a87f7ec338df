#include "base/control.h"

#include <errno.h>
#include <sys/socket.h>

int control_send(int fd, const struct control_message *message)
{
	int32_t words[2] = {message->kind, message->code};
	ssize_t sent = send(fd, words, sizeof(words), MSG_DONTWAIT | MSG_NOSIGNAL);
	return sent == (ssize_t)sizeof(words) ? 0 : -1;
}

int control_receive(int fd, struct control_message *message)
{
	for (;;) {
		int32_t words[2];
		ssize_t got = recv(fd, words, sizeof(words), MSG_DONTWAIT);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return errno == EAGAIN ? 0 : -1;
		if (got == 0)
			return -1;
		if (got != (ssize_t)sizeof(words) || words[0] < CONTROL_HELLO ||
			words[0] > CONTROL_RELOAD)
			continue;
		message->kind = (enum control_kind)words[0];
		message->code = words[1];
		return 1;
	}
}
