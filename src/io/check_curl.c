/* Connections and HTTP by libcurl: names, both families, TLS and limits are its business. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

#include "io/check_work.h"

#define BODY_MAX ((size_t)1024 * 1024) /* more than that of an answer is not read */

int check_work_remaining_ms(const struct check_work *w)
{
	int64_t left_ns = w->deadline - (instant)uv_hrtime();
	return left_ns <= 0 ? 0 : (int)instant_min((left_ns + NS_PER_MS - 1) / NS_PER_MS, 1 << 30);
}

int check_work_wait(struct check_work *w, int fd, short events, const char *stage, const char *what)
{
	struct pollfd fds[] = {
		{.fd = fd, .events = events}, {.fd = w->cancel_fd, .events = POLLIN}};
	for (;;) {
		int left_ms = check_work_remaining_ms(w);
		int ready = poll(fds, 2, left_ms);
		if (ready < 0 && errno == EINTR)
			continue;
		if (fds[1].revents)
			return error_set(
				&w->error, stage, ECANCELED, "%s: cancelled", w->target.name);
		if (ready > 0)
			return 0;
		return error_set(
			&w->error, stage, ETIMEDOUT, "%s: no %s in time", w->target.name, what);
	}
}

int check_work_resolve(struct check_work *w)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	int result = getaddrinfo(w->target.text, NULL, &hints, &found);
	if (result == 0) {
		freeaddrinfo(found);
		return 0;
	}
	return error_set(&w->error, "dns", result == EAI_SYSTEM ? errno : 0,
		"%s: %s; is the name right, and does this host's resolver know it?", w->target.name,
		gai_strerror(result));
}

/* Called by libcurl now and then, about once a second when nothing happens. */
static int on_progress(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	struct check_work *w = context;
	return atomic_load(&w->cancelled);
}

static size_t on_body(char *at, size_t size, size_t count, void *context)
{
	size_t *seen = context;
	*seen += size * count;
	return *seen > BODY_MAX ? 0 : size * count;
}

CURL *check_curl(struct check_work *w, char *error_buffer)
{
	CURL *curl = curl_easy_init();
	if (!curl)
		abort();
	int left_ms = check_work_remaining_ms(w);
	curl_easy_setopt(curl, CURLOPT_URL, w->target.url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "standpipe/" STANDPIPE_VERSION);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error_buffer);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)(left_ms > 0 ? left_ms : 1));
	/* Otherwise libcurl gives up on connecting after 300 s by itself. */
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)(left_ms > 0 ? left_ms : 1));
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(curl, CURLOPT_XFERINFODATA, w);
#if LIBCURL_VERSION_NUM >= 0x075700
	/* Do not wait at the end for a resolver that does not answer. */
	curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);
#endif
	const char *file = getenv("SSL_CERT_FILE"), *directory = getenv("SSL_CERT_DIR");
	if (file && *file)
		curl_easy_setopt(curl, CURLOPT_CAINFO, file);
	if (directory && *directory)
		curl_easy_setopt(curl, CURLOPT_CAPATH, directory);
	return curl;
}

static const char *stage_of(CURLcode result)
{
	switch ((int)result) {
	case CURLE_COULDNT_RESOLVE_HOST:
		return "dns";
	case CURLE_COULDNT_CONNECT:
		return "tcp";
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
		return "tls";
	default:
		return "http";
	}
}

static const char *mend_of(CURLcode result, long number)
{
	if (result == CURLE_COULDNT_RESOLVE_HOST)
		return "; is the name right, and does this host's resolver know it?";
	if (result == CURLE_PEER_FAILED_VERIFICATION)
		return "; is the certificate for this name, and its issuer in the system's store "
		       "or "
		       "SSL_CERT_FILE?";
	if (number == ECONNREFUSED)
		return "; nothing listens there: is it started, and the port right?";
	if (number == ENETUNREACH || number == EHOSTUNREACH)
		return "; there is no route to it";
	return "";
}

int check_curl_fail(struct check_work *w, CURL *curl, CURLcode result, const char *error_buffer)
{
	long number = 0;
	double resolved = 0, connected = 0;
	curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &number);
	curl_easy_getinfo(curl, CURLINFO_NAMELOOKUP_TIME, &resolved);
	curl_easy_getinfo(curl, CURLINFO_CONNECT_TIME, &connected);
	if (atomic_load(&w->cancelled))
		return error_set(&w->error, "http", ECANCELED, "%s: cancelled", w->target.name);
	if (result == CURLE_OPERATION_TIMEDOUT) {
		if (resolved <= 0)
			return error_set(&w->error, "dns", ETIMEDOUT,
				"%s: the name did not resolve in time", w->target.name);
		if (connected <= 0)
			return error_set(&w->error, "tcp", ETIMEDOUT,
				"%s: no connection in time; does a firewall or the network's path "
				"drop it?",
				w->target.name);
		return error_set(
			&w->error, "http", ETIMEDOUT, "%s: no answer in time", w->target.name);
	}
	if (result == CURLE_COULDNT_CONNECT && number != 0)
		return error_set(&w->error, "tcp", (int)number, "%s: %s%s", w->target.name,
			strerror((int)number), mend_of(result, number));
	return error_set(&w->error, stage_of(result), (int)number, "%s: %s%s", w->target.name,
		*error_buffer ? error_buffer : curl_easy_strerror(result), mend_of(result, number));
}

int check_work_http(struct check_work *w)
{
	char error_buffer[CURL_ERROR_SIZE] = "";
	CURL *curl = check_curl(w, error_buffer);
	size_t seen = 0;
	long status = 0;
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &seen);
	CURLcode result = curl_easy_perform(curl);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	int failed = 0;
	/* A body that is too long has a status all the same. */
	if (result != CURLE_OK && !(result == CURLE_WRITE_ERROR && seen > BODY_MAX))
		failed = check_curl_fail(w, curl, result, error_buffer);
	else if (w->target.status && status != w->target.status)
		failed = error_set(&w->error, "http", (int)status, "%s: answered %ld, expected %d",
			w->target.name, status, w->target.status);
	else if (!w->target.status && (status < 200 || status > 399))
		failed = error_set(&w->error, "http", (int)status, "%s: answered %ld%s",
			w->target.name, status,
			status == 404 ? "; is the path right?" : ", expected 2xx or 3xx");
	curl_easy_cleanup(curl);
	return failed;
}

CURL *check_connect(struct check_work *w)
{
	char error_buffer[CURL_ERROR_SIZE] = "";
	CURL *curl = check_curl(w, error_buffer);
	curl_easy_setopt(curl, CURLOPT_CONNECT_ONLY, 1L);
	curl_easy_setopt(curl, CURLOPT_SSL_ENABLE_ALPN, 0L); /* we speak for ourselves */
	CURLcode result = curl_easy_perform(curl);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, NULL);
	if (result == CURLE_OK)
		return curl;
	check_curl_fail(w, curl, result, error_buffer);
	curl_easy_cleanup(curl);
	return NULL;
}

int check_work_tcp(struct check_work *w)
{
	CURL *curl = check_connect(w);
	if (!curl)
		return -1;
	curl_easy_cleanup(curl);
	return 0;
}

static int wait_socket(struct check_work *w, CURL *curl, short events, const char *what)
{
	curl_socket_t fd = CURL_SOCKET_BAD;
	curl_easy_getinfo(curl, CURLINFO_ACTIVESOCKET, &fd);
	if (fd == CURL_SOCKET_BAD)
		return error_set(
			&w->error, "tcp", ECONNRESET, "%s: the connection was cut", w->target.name);
	return check_work_wait(w, fd, events, "tcp", what);
}

int check_send(struct check_work *w, CURL *curl, const void *at, size_t len)
{
	const char *next = at;
	while (len > 0) {
		size_t sent = 0;
		CURLcode result = curl_easy_send(curl, next, len, &sent);
		if (result != CURLE_OK && result != CURLE_AGAIN)
			return error_set(&w->error, "tcp", 0,
				"%s: the connection was cut while sending", w->target.name);
		next += sent;
		len -= sent;
		if (result == CURLE_AGAIN && wait_socket(w, curl, POLLOUT, "room to send") < 0)
			return -1;
	}
	return 0;
}

int check_receive(struct check_work *w, CURL *curl, void *at, size_t size, const char *what)
{
	for (;;) {
		size_t got = 0;
		CURLcode result = curl_easy_recv(curl, at, size, &got);
		if (result == CURLE_OK)
			return (int)got;
		if (result != CURLE_AGAIN)
			return error_set(&w->error, "tcp", 0,
				"%s: the connection was cut; %s expected", w->target.name, what);
		if (wait_socket(w, curl, POLLIN, what) < 0)
			return -1;
	}
}
