#include "io/stream.h"

#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <sys/socket.h>

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct stream *s = poll->data;
	/* An error shows as readable: the read that follows says which, if need be after what came
	 * before the error. libuv has stopped watching. */
	if (status < 0)
		s->events = 0;
	bool readable = status < 0 || (events & (UV_READABLE | UV_DISCONNECT)) ||
			(s->wants_write && (events & UV_WRITABLE));
	s->ready(s, readable, !(status < 0) && (events & UV_WRITABLE));
}

int stream_open(struct stream *s, uv_loop_t *loop, int fd, SSL *ssl,
	void (*ready)(struct stream *s, bool readable, bool writable), void *owner)
{
	int failed = uv_poll_init(loop, &s->poll, fd);
	if (failed) {
		errno = -failed;
		return -1;
	}
	s->poll.data = s;
	s->fd = fd;
	s->ssl = NULL;
	s->open = true;
	s->wants_write = false;
	s->events = 0;
	s->ready = ready;
	s->owner = owner;
	if (ssl)
		stream_encrypt(s, ssl);
	return 0;
}

void stream_encrypt(struct stream *s, SSL *ssl)
{
	assert(!s->ssl);
	s->ssl = ssl;
	SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}

void stream_watch(struct stream *s, bool read, bool write, bool end)
{
	int events = (read ? UV_READABLE : 0) | (write || s->wants_write ? UV_WRITABLE : 0) |
		     (end ? UV_DISCONNECT : 0);
	if (!s->open || events == s->events)
		return;
	s->events = events;
	if (events)
		uv_poll_start(&s->poll, events, on_poll);
	else
		uv_poll_stop(&s->poll);
}

static ssize_t tls_result(struct stream *s, int result)
{
	switch (SSL_get_error(s->ssl, result)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return STREAM_AGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return STREAM_END;
	default:
		return STREAM_FAIL;
	}
}

ssize_t stream_shake(struct stream *s)
{
	ERR_clear_error();
	int done = SSL_do_handshake(s->ssl);
	s->wants_write = done <= 0 && SSL_want_write(s->ssl);
	if (done == 1)
		return 1;
	return tls_result(s, done) == STREAM_AGAIN ? STREAM_AGAIN : STREAM_FAIL;
}

ssize_t stream_read(struct stream *s, void *at, size_t len)
{
	if (s->ssl) {
		ERR_clear_error();
		int got = SSL_read(s->ssl, at, len > INT32_MAX ? INT32_MAX : (int)len);
		s->wants_write = got <= 0 && SSL_want_write(s->ssl);
		return got > 0 ? got : tls_result(s, got);
	}
	for (;;) {
		ssize_t got = recv(s->fd, at, len, MSG_DONTWAIT);
		if (got >= 0)
			return got;
		if (errno != EINTR)
			return errno == EAGAIN ? STREAM_AGAIN : STREAM_FAIL;
	}
}

ssize_t stream_write(struct stream *s, const void *at, size_t len)
{
	assert(len > 0);
	if (s->ssl && !SSL_is_init_finished(s->ssl))
		return STREAM_FAIL;
	if (s->ssl) {
		ERR_clear_error();
		int sent = SSL_write(s->ssl, at, len > INT32_MAX ? INT32_MAX : (int)len);
		if (sent > 0)
			return sent;
		return tls_result(s, sent) == STREAM_AGAIN ? STREAM_AGAIN : STREAM_FAIL;
	}
	for (;;) {
		ssize_t sent = send(s->fd, at, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent >= 0)
			return sent;
		if (errno != EINTR)
			return errno == EAGAIN ? STREAM_AGAIN : STREAM_FAIL;
	}
}

bool stream_has_pending(const struct stream *s)
{
	return s->ssl && SSL_pending(s->ssl) > 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct stream *s = handle->data;
	s->closed(s);
}

void stream_close(struct stream *s, void (*closed)(struct stream *s))
{
	assert(s->open);
	s->open = false;
	s->closed = closed;
	uv_close((uv_handle_t *)&s->poll, on_closed);
}
