#include "io/cloud_monitoring.h"

#include <curl/curl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buffer.h"
#include "base/instant.h"

#define STAGE         "monitoring"
#define ANSWER_MAX    ((size_t)1024 * 1024)
#define URL_TEXT_MAX  2048
#define FILTER_MAX    512
#define PROJECT_MAX   128
#define LOOKBACK_S    600 /* samples are a minute apart, and some of them late */
#define TOKEN_EARLY_S 60 /* it is fetched again so long before its life is over */
#define POLL_MS       1000
#define METADATA_PATH "/computeMetadata/v1/"

struct cloud {
	uv_async_t ended;
	uv_thread_t thread;
	bool asking, has_thread, freed;
	cloud_answered *answered;
	void *context;
	char *metadata_url, *api_url, *project, *connector; /* owned */
	int64_t timeout_ns;

	/* The thread's, while it runs. */
	CURLM *multi;
	atomic_bool cancelled;
	instant deadline; /* of uv_hrtime */
	char *token; /* owned, wiped; NULL: none */
	instant token_until;
	char found_project[PROJECT_MAX]; /* that the metadata server named */
	struct cloud_sample sample;
	struct error error;
};

static instant now(void)
{
	return (instant)uv_hrtime();
}

static char *copy_of(const char *text)
{
	char *copy = strdup(text);
	if (!copy)
		abort();
	return copy;
}

static void drop_token(struct cloud *c)
{
	if (c->token)
		explicit_bzero(c->token, strlen(c->token));
	free(c->token);
	c->token = NULL;
}

/* ---- one request, on the thread ---- */

static size_t on_body(char *at, size_t size, size_t count, void *context)
{
	struct buffer *body = context;
	if (buffer_len(body) + size * count > ANSWER_MAX)
		return 0;
	buffer_append(body, at, size * count);
	return size * count;
}

static CURL *make_request(struct cloud *c, const char *url, struct buffer *body)
{
	CURL *curl = curl_easy_init();
	if (!curl)
		abort();
	int64_t left_ms = (c->deadline - now()) / NS_PER_MS;
	const char *file = getenv("SSL_CERT_FILE"), *directory = getenv("SSL_CERT_DIR");
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "standpipe/" STANDPIPE_VERSION);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)(left_ms > 0 ? left_ms : 1));
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
#if LIBCURL_VERSION_NUM >= 0x075700
	/* Do not wait at the end for a resolver that does not answer. */
	curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);
#endif
	if (file && *file)
		curl_easy_setopt(curl, CURLOPT_CAINFO, file);
	if (directory && *directory)
		curl_easy_setopt(curl, CURLOPT_CAPATH, directory);
	return curl;
}

/* By the multi interface, whose wait another thread can end. */
static CURLcode perform(struct cloud *c, CURL *curl)
{
	int running = 1, left;
	CURLcode result = CURLE_ABORTED_BY_CALLBACK;
	curl_multi_add_handle(c->multi, curl);
	while (running && !atomic_load(&c->cancelled)) {
		if (curl_multi_perform(c->multi, &running) != CURLM_OK)
			break;
		if (running)
			curl_multi_poll(c->multi, NULL, 0, POLL_MS, NULL);
	}
	const CURLMsg *message = curl_multi_info_read(c->multi, &left);
	if (message && message->msg == CURLMSG_DONE)
		result = message->data.result;
	curl_multi_remove_handle(c->multi, curl);
	return result;
}

/* `what` is asked for, for the text of an error. 0 with the answer's body, or -1. */
static int get(
	struct cloud *c, const char *what, const char *url, const char *header, struct buffer *body)
{
	char said[ERROR_TEXT_MAX / 2];
	CURL *curl = make_request(c, url, body);
	struct curl_slist *headers = curl_slist_append(NULL, header);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	CURLcode result = perform(c, curl);
	long status = 0;
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	int failed = 0;
	if (result == CURLE_WRITE_ERROR) {
		failed = error_set(&c->error, STAGE, 0, "%s: the answer is too long", what);
	} else if (result != CURLE_OK) {
		failed = error_set(&c->error, STAGE, 0, "%s: %s", what, curl_easy_strerror(result));
	} else if (status != 200) {
		struct bytes bytes = buffer_bytes(body);
		cloud_message_parse((const char *)bytes.at, bytes.len, said, sizeof(said));
		failed = error_set(&c->error, STAGE, (int)status, "%s: answered %ld%s%s", what,
			status, *said ? ": " : "", said);
		/* Another is asked for next time. */
		if (status == 401)
			drop_token(c);
	}
	curl_slist_free_all(headers);
	curl_easy_cleanup(curl);
	return failed;
}

/* ---- a question, on the thread ---- */

static int get_metadata(struct cloud *c, const char *what, const char *path, struct buffer *body)
{
	char url[URL_TEXT_MAX];
	snprintf(url, sizeof(url), "%s" METADATA_PATH "%s", c->metadata_url, path);
	return get(c, what, url, "Metadata-Flavor: Google", body);
}

static int get_token(struct cloud *c)
{
	struct buffer body = BUFFER_INIT;
	int64_t life_ns = 0;
	if (c->token && now() < c->token_until)
		return 0;
	drop_token(c);
	int failed = get_metadata(
		c, "access token", "instance/service-accounts/default/token", &body);
	struct bytes bytes = buffer_bytes(&body);
	if (!failed)
		failed = cloud_token_parse(
			(const char *)bytes.at, bytes.len, &c->token, &life_ns, &c->error);
	if (!failed)
		c->token_until = instant_add(now(), life_ns - TOKEN_EARLY_S * NS_PER_S);
	if (bytes.at)
		explicit_bzero((void *)bytes.at, bytes.len);
	buffer_release(&body);
	return failed;
}

static int find_project(struct cloud *c)
{
	struct buffer body = BUFFER_INIT;
	if (*c->project || *c->found_project)
		return 0;
	int failed = get_metadata(c, "project", "project/project-id", &body);
	struct bytes bytes = buffer_bytes(&body);
	if (!failed && bytes.at && bytes.len < sizeof(c->found_project))
		memcpy(c->found_project, bytes.at, bytes.len); /* the rest is zero */
	else if (!failed)
		failed = error_set(&c->error, STAGE, 0,
			"the metadata server names no project: set monitoring.project");
	buffer_release(&body);
	return failed;
}

static void write_time(time_t at, char text[32])
{
	struct tm parts;
	gmtime_r(&at, &parts);
	strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &parts);
}

static int get_series(struct cloud *c, enum cloud_metric metric)
{
	char filter[FILTER_MAX], url[URL_TEXT_MAX], from[32], to[32], header[24 + 16384];
	time_t at = time(NULL);
	struct buffer body = BUFFER_INIT;
	snprintf(filter, sizeof(filter),
		"resource.type=\"vpc_access_connector\" AND "
		"metric.type=\"vpcaccess.googleapis.com/connector/%s\"%s%s%s",
		cloud_metric_type(metric),
		*c->connector ? " AND resource.labels.connector_name=\"" : "", c->connector,
		*c->connector ? "\"" : "");
	write_time(at - LOOKBACK_S, from);
	write_time(at, to);
	char *escaped = curl_easy_escape(NULL, filter, 0);
	char *project = curl_easy_escape(NULL, *c->project ? c->project : c->found_project, 0);
	if (!escaped || !project)
		abort();
	snprintf(url, sizeof(url),
		"%s/v3/projects/%s/timeSeries?filter=%s&interval.startTime=%s&interval.endTime=%s",
		c->api_url, project, escaped, from, to);
	curl_free(escaped);
	curl_free(project);
	snprintf(header, sizeof(header), "Authorization: Bearer %s", c->token);
	int failed = get(c, cloud_metric_type(metric), url, header, &body);
	explicit_bzero(header, sizeof(header));
	struct bytes bytes = buffer_bytes(&body);
	if (!failed)
		failed = cloud_series_parse(metric, (const char *)bytes.at, bytes.len,
			&c->sample.values[metric], &c->error);
	buffer_release(&body);
	return failed;
}

static void run_thread(void *context)
{
	struct cloud *c = context;
	int failed = get_token(c) < 0 || find_project(c) < 0;
	for (enum cloud_metric m = 0; m < CLOUD_METRIC_COUNT && !failed; m++)
		failed = get_series(c, m);
	uv_async_send(&c->ended);
}

/* ---- on the loop ---- */

static void on_closed(uv_handle_t *handle)
{
	struct cloud *c = handle->data;
	curl_multi_cleanup(c->multi);
	drop_token(c);
	free(c->metadata_url);
	free(c->api_url);
	free(c->project);
	free(c->connector);
	free(c);
}

static void settle(struct cloud *c)
{
	bool failed = error_is_set(&c->error);
	if (c->has_thread)
		uv_thread_join(&c->thread);
	c->asking = false;
	uv_unref((uv_handle_t *)&c->ended);
	if (c->freed)
		uv_close((uv_handle_t *)&c->ended, on_closed);
	else
		c->answered(c->context, failed ? NULL : &c->sample, failed ? &c->error : NULL);
}

static void on_ended(uv_async_t *async)
{
	struct cloud *c = async->data;
	if (c->asking)
		settle(c);
}

struct cloud *cloud_new(
	uv_loop_t *loop, const struct cloud_target *target, cloud_answered *answered, void *context)
{
	struct cloud *c = calloc(1, sizeof(*c));
	if (!c || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		abort();
	c->multi = curl_multi_init();
	if (!c->multi || uv_async_init(loop, &c->ended, on_ended) != 0)
		abort();
	c->ended.data = c;
	uv_unref((uv_handle_t *)&c->ended);
	c->answered = answered;
	c->context = context;
	c->metadata_url = copy_of(target->metadata_url);
	c->api_url = copy_of(target->api_url);
	c->project = copy_of(target->project);
	c->connector = copy_of(target->connector);
	c->timeout_ns = target->timeout_ns;
	return c;
}

void cloud_ask(struct cloud *c)
{
	if (c->asking || c->freed)
		return;
	c->sample = (struct cloud_sample){0};
	error_init(&c->error);
	c->deadline = instant_add(now(), c->timeout_ns);
	c->asking = true;
	uv_ref((uv_handle_t *)&c->ended);
	int result = uv_thread_create(&c->thread, run_thread, c);
	c->has_thread = result == 0;
	if (result == 0)
		return;
	error_set(&c->error, STAGE, -result, "no thread for it: %s", uv_strerror(result));
	uv_async_send(&c->ended);
}

void cloud_free(struct cloud *c)
{
	c->freed = true;
	atomic_store(&c->cancelled, true);
	if (c->asking)
		curl_multi_wakeup(c->multi);
	else
		uv_close((uv_handle_t *)&c->ended, on_closed);
}
