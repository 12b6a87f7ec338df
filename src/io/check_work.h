/*
 * check_work - what a check does on its thread. Private to check*.c.
 */
#ifndef STANDPIPE_IO_CHECK_WORK_H
#define STANDPIPE_IO_CHECK_WORK_H

#include <curl/curl.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/error.h"
#include "base/instant.h"
#include "io/check_target.h"

struct check_work {
	struct check_target target;
	instant deadline; /* of uv_hrtime */
	atomic_bool cancelled;
	int cancel_fd; /* readable once cancelled */
	struct error error;
};

/* Each is 0, or -1 with `error`. */
int check_work_resolve(struct check_work *w);
int check_work_tcp(struct check_work *w);
int check_work_http(struct check_work *w);
int check_work_websocket(struct check_work *w);
int check_work_redis(struct check_work *w);
int check_work_postgres(struct check_work *w);

/* Whole milliseconds until the deadline, at least 0. */
int check_work_remaining_ms(const struct check_work *w);

/* Waits until `fd` has one of poll's `events`. 0, or -1 with `error`: the deadline, or cancelled;
 * `what` is what was waited for, for the text. */
int check_work_wait(
	struct check_work *w, int fd, short events, const char *stage, const char *what);

/* A handle with the target's URL, limits and verification; never NULL. */
CURL *check_curl(struct check_work *w, char *error_buffer);

/* Sets `error` from libcurl's result. Always -1. */
int check_curl_fail(struct check_work *w, CURL *curl, CURLcode result, const char *error_buffer);

/* A connection, TLS included where the URL is https, for bytes of one's own: to be cleaned up by
 * curl_easy_cleanup. NULL with `error`. */
CURL *check_connect(struct check_work *w);

/* Sends all; receives some (0: the end). -1 with `error`. */
int check_send(struct check_work *w, CURL *curl, const void *at, size_t len);
int check_receive(struct check_work *w, CURL *curl, void *at, size_t size, const char *what);

#endif
