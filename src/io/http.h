/*
 * http - a small HTTP/1.1 server on the caller's loop: libmicrohttpd, which waits through its own
 * epoll descriptor, watched by libuv. One thread; nothing blocks.
 *
 * For short answers made at once from memory: health, metrics, a page that says "not yet". Every
 * connection must finish a request within HTTP_REQUEST_MS, counted anew after each: one that
 * trickles bytes, reads slowly or just idles is cut then, and earlier when the limit of connections
 * is reached: the one that has waited longest makes room for the new one. So nobody can keep a
 * health check out by holding connections.
 * Of requests that are sent without waiting for answers two are answered, and then it closes: all of
 * them would come in one turn of the loop.
 */
#ifndef STANDPIPE_IO_HTTP_H
#define STANDPIPE_IO_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "base/error.h"

#define HTTP_REQUEST_MS      10000
#define HTTP_CONNECTIONS_MAX 256
#define HTTP_MEMORY_MAX      16384 /* a connection's: request line and headers must fit */
#define HTTP_BODY_MAX        ((size_t)1024 * 1024) /* a request's body, read and thrown away */
#define HTTP_HEADERS_MAX     8
#define HTTP_HEADER_LEN_MAX  256

struct http;

struct http_request {
	const char *method; /* as sent: "GET", "BREW" */
	const char *path; /* decoded, without the query: "/health" */
	void *connection; /* for the two below */
};

/* The header's value (names without regard to case), or NULL. Borrowed for the handler's call. */
const char *http_request_header(const struct http_request *request, const char *name);
/* The query's argument, decoded; "" when it has no value; NULL when it is not there. */
const char *http_request_argument(const struct http_request *request, const char *name);

struct http_response {
	int status;
	const char *content_type; /* a literal */
	struct {
		const char *name; /* a literal */
		char value[HTTP_HEADER_LEN_MAX];
	} headers[HTTP_HEADERS_MAX];
	int header_count;
	char *body; /* malloc'ed; taken. NULL: empty */
	size_t body_len;
	bool close; /* say Connection: close and do so */
};

/* Adds a header; the text is copied, cut to fit. No more than HTTP_HEADERS_MAX (asserted). */
__attribute__((format(printf, 3, 4))) void http_response_header(
	struct http_response *response, const char *name, const char *format, ...);

/* The body is `text`, malloc'ed, now the response's; with its type and status. */
void http_response_take(
	struct http_response *response, int status, const char *content_type, char *text);

/* Answers a request, at once. `response` comes as an empty 500. HEAD needs no care: the body is
 * left out on the way. Must not free the server. */
typedef void http_handler(
	void *context, const struct http_request *request, struct http_response *response);

/* A server that accepts from `listen_fd` (borrowed, see acceptor_new), or only what is handed to
 * it when that is -1. NULL with `error` if it can't start. */
struct http *http_new(
	uv_loop_t *loop, int listen_fd, http_handler *handler, void *context, struct error *error);

/* Serves a connection that was accepted elsewhere and of which nothing was read yet. `fd` is
 * taken: it is closed when it can't be served. */
void http_add_connection(struct http *h, int fd);

/* Stops and begins again to accept; connections that are there go on. No effect without a
 * listening socket. */
void http_pause(struct http *h);
void http_resume(struct http *h);

/* Cuts the connections on which no request has begun. */
void http_cut_idle(struct http *h);

/* Connections open now. */
int http_connections(const struct http *h);

/* Closes all connections at once; the memory goes with the loop's next turn. NULL is let pass. */
void http_free(struct http *h);

#endif
