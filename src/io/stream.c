#include "io/stream.h"

#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <sys/socket.h>

#include "io/backend.h"

/* So often one is read from in a row; then the others come first. */
#define READS_MAX 4

int stream_open(struct stream *s, struct reactor *r, int fd, SSL *ssl,
	const struct stream_events *events, void *owner)
{
	*s = (struct stream){
		.reactor = r, .events = events, .owner = owner, .fd = fd, .open = true};
	if (r->backend->add(s) != 0) {
		s->open = false;
		return -1;
	}
	r->streams++;
	if (ssl)
		stream_encrypt(s, ssl);
	return 0;
}

void stream_encrypt(struct stream *s, SSL *ssl)
{
	assert(!s->ssl && !s->settled);
	if (s->reactor->backend->flush)
		s->reactor->backend->flush(s);
	s->ssl = ssl;
	SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* Header and body of a record by one call, not two: stream_work reads on until there is
	 * nothing, so what OpenSSL holds is not left behind. */
	SSL_set_read_ahead(ssl, 1);
	/* It may hold bytes already. */
	s->readable = true;
	if (s->reading)
		reactor_list(s);
}

void stream_settle(struct stream *s)
{
	s->settled = !s->ssl;
}

void stream_watch(struct stream *s, bool read, bool end)
{
	if (!s->open || (s->reading == read && s->watches_end == end))
		return;
	s->reading = read;
	s->watches_end = end;
	if ((read && s->readable) || (end && s->hung_up))
		reactor_list(s);
}

void stream_close(struct stream *s, void (*closed)(struct stream *s))
{
	assert(s->open);
	s->open = false;
	s->closed = closed;
	reactor_unlist(s);
	s->reactor->backend->remove(s);
}

/* ---- reading ---- */

static void tell_end(struct stream *s)
{
	if (s->told_end)
		return;
	s->told_end = true;
	s->events->ended(s);
}

static ssize_t tls_result(const struct stream *s, int result)
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

static void want_room(struct stream *s)
{
	s->wants_room = true;
	s->reactor->backend->want_room(s);
}

ssize_t stream_receive(struct stream *s, uint8_t *at, size_t len)
{
	ssize_t got;
	do {
		got = recv(s->fd, at, len, MSG_DONTWAIT);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno == EAGAIN ? STREAM_AGAIN : STREAM_FAIL;
	/* Less than was asked for: the socket is empty, and what comes next will be told. That is
	 * one recv less than asking until EAGAIN. The end was told already. */
	if ((size_t)got < len && !s->hung_up)
		s->readable = false;
	return got;
}

static ssize_t receive(struct stream *s)
{
	uint8_t *at = s->reactor->scratch;
	if (s->ssl) {
		ERR_clear_error();
		int got = SSL_read(s->ssl, at, REACTOR_READ);
		if (got <= 0 && SSL_want_write(s->ssl))
			want_room(s);
		return got > 0 ? got : tls_result(s, got);
	}
	if (s->reactor->backend->read)
		return s->reactor->backend->read(s, at, REACTOR_READ);
	return stream_receive(s, at, REACTOR_READ);
}

static void read_once(struct stream *s)
{
	ssize_t got = receive(s);
	if (got == STREAM_AGAIN) {
		s->readable = false;
		return;
	}
	if (got <= 0) {
		s->readable = false;
		tell_end(s);
		return;
	}
	s->events->received(s, (struct bytes){s->reactor->scratch, (size_t)got});
}

void stream_work(struct stream *s)
{
	if (!s->reading) {
		if (s->hung_up && s->watches_end)
			tell_end(s);
		return;
	}
	for (int i = 0; i < READS_MAX && s->open && s->reading && s->readable; i++)
		read_once(s);
	if (s->open && s->reading && s->readable)
		reactor_list(s);
}

void stream_signalled(struct stream *s, bool readable, bool writable, bool hung_up)
{
	/* TLS may have waited for the one before it could do the other. */
	s->readable = s->readable || readable || hung_up || s->ssl;
	s->hung_up = s->hung_up || hung_up;
	if (s->wants_room && (writable || hung_up || s->ssl)) {
		s->wants_room = false;
		s->events->writable(s);
	}
	if (s->open)
		stream_work(s);
}

/* ---- writing ---- */

ssize_t stream_send(struct stream *s, const void *at, size_t len)
{
	ssize_t sent;
	do {
		sent = send(s->fd, at, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0 && errno != EAGAIN)
		return -1;
	if (sent < 0)
		sent = 0;
	if ((size_t)sent < len)
		want_room(s);
	return sent;
}

static ssize_t tls_send(struct stream *s, const void *at, size_t len)
{
	ERR_clear_error();
	int sent = SSL_write(s->ssl, at, len > INT32_MAX ? INT32_MAX : (int)len);
	if (sent > 0)
		return sent;
	if (tls_result(s, sent) != STREAM_AGAIN)
		return -1;
	want_room(s);
	return 0;
}

ssize_t stream_write(struct stream *s, const void *at, size_t len)
{
	assert(len > 0);
	if (s->ssl && !SSL_is_init_finished(s->ssl))
		return -1;
	const uint8_t *from = at;
	size_t taken = 0;
	while (taken < len && !s->wants_room) {
		ssize_t sent = s->ssl ? tls_send(s, from + taken, len - taken)
				      : s->reactor->backend->write(s, from + taken, len - taken);
		if (sent < 0)
			return -1;
		taken += (size_t)sent;
	}
	return (ssize_t)taken;
}
