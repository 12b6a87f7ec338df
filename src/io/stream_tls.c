#include "io/stream_tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "io/backend.h"

/* ---- what OpenSSL reads from and writes to ---- */

struct pipe {
	struct stream *stream; /* NULL: it is closed */
	int fd;
	bool at_end; /* the other side said no more */
	struct buffer ahead; /* read before the handshake, and a part of it */
};

static int pipe_read(BIO *bio, char *to, int size)
{
	struct pipe *p = BIO_get_data(bio);
	struct bytes ahead = buffer_bytes(&p->ahead);
	size_t len = (size_t)size;
	ssize_t got = STREAM_AGAIN;
	BIO_clear_retry_flags(bio);
	if (ahead.len > 0) {
		got = (ssize_t)(ahead.len < len ? ahead.len : len);
		memcpy(to, ahead.at, (size_t)got);
		buffer_take(&p->ahead, (size_t)got);
		buffer_trim(&p->ahead);
	} else if (p->stream) {
		got = stream_read(p->stream, (uint8_t *)to, len);
	}
	if (got == STREAM_AGAIN)
		BIO_set_retry_read(bio);
	p->at_end = got == STREAM_END;
	return got >= 0 ? (int)got : -1;
}

static int pipe_write(BIO *bio, const char *from, int size)
{
	struct pipe *p = BIO_get_data(bio);
	ssize_t sent;
	BIO_clear_retry_flags(bio);
	if (p->stream)
		sent = p->stream->reactor->backend->write(p->stream, from, (size_t)size);
	else
		sent = send(p->fd, from, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent > 0)
		return (int)sent;
	if (sent == 0)
		BIO_set_retry_write(bio);
	return -1;
}

static long pipe_control(BIO *bio, int command, long number, void *pointer)
{
	const struct pipe *p = BIO_get_data(bio);
	if (command == BIO_CTRL_EOF)
		return p->at_end;
	return command == BIO_CTRL_FLUSH;
}

static int pipe_free(BIO *bio)
{
	struct pipe *p = BIO_get_data(bio);
	buffer_release(&p->ahead);
	free(p);
	return 1;
}

/* Once for the process, which keeps it: libpq may free what is of that kind at any time. */
static const BIO_METHOD *pipe_method(void)
{
	static BIO_METHOD *method;
	if (method)
		return method;
	method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");
	if (!method || !BIO_meth_set_read(method, pipe_read) ||
		!BIO_meth_set_write(method, pipe_write) ||
		!BIO_meth_set_ctrl(method, pipe_control) ||
		!BIO_meth_set_destroy(method, pipe_free))
		abort();
	return method;
}

/* ---- the stream's ---- */

void stream_tls_begin(struct stream *s, struct bytes ahead)
{
	struct pipe *p = calloc(1, sizeof(*p));
	BIO *bio = BIO_new(pipe_method());
	if (!p || !bio)
		abort();
	p->stream = s;
	p->fd = s->fd;
	buffer_append(&p->ahead, ahead.at, ahead.len);
	BIO_set_data(bio, p);
	BIO_set_init(bio, 1);
	SSL_set_bio(s->ssl, bio, bio);
	SSL_set_mode(s->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* Header and body of a record by one call, not two: stream_work reads on until there is
	 * nothing, so what OpenSSL holds is not left behind. */
	SSL_set_read_ahead(s->ssl, 1);
}

void stream_tls_end(struct stream *s)
{
	struct pipe *p = BIO_get_data(SSL_get_rbio(s->ssl));
	p->stream = NULL;
}

static ssize_t result_of(const struct stream *s, int result)
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

ssize_t stream_tls_read(struct stream *s, uint8_t *at, size_t len)
{
	ERR_clear_error();
	int got = SSL_read(s->ssl, at, len > INT32_MAX ? INT32_MAX : (int)len);
	if (got <= 0)
		return result_of(s, got);
	/* Of what the socket gave it may have more. */
	if (SSL_has_pending(s->ssl))
		s->readable = true;
	return got;
}

ssize_t stream_tls_write(struct stream *s, const void *at, size_t len)
{
	if (!SSL_is_init_finished(s->ssl))
		return -1;
	ERR_clear_error();
	int sent = SSL_write(s->ssl, at, len > INT32_MAX ? INT32_MAX : (int)len);
	if (sent > 0)
		return sent;
	return result_of(s, sent) == STREAM_AGAIN ? 0 : -1;
}
