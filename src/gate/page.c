#include "gate/page.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

#include "base/buffer.h"
#include "base/json.h"
#include "gate/describe.h"

/* ---- what to say ---- */

static const struct {
	const char *doing; /* for the list */
	const char *waits_for; /* while it is in progress */
} phase_texts[PHASE_COUNT] = {
	[PHASE_INIT] = {"Getting ready", "its own configuration"},
	[PHASE_DEPENDENCIES] = {"Dependencies", "something that it depends on"},
	[PHASE_DATABASE] = {"Database", "a connection to its database"},
	[PHASE_CACHE] = {"Cache", "its cache"},
	[PHASE_SERVICES] = {"Service", "the service itself to come up"},
	[PHASE_WEBSOCKET] = {"WebSocket", "its WebSocket to answer"},
	[PHASE_FINALIZE] = {"Last check", "a last check end to end"},
};

struct notice {
	const char *state; /* "starting", "failed", "down", "busy" */
	const char *title;
	const char *sentence;
	const char *waits_for; /* or NULL */
	enum phase phase; /* PHASE_COUNT: none */
	instant since;
	int retry_after_s;
};

static int retry_after_s(const struct gate_view *view, enum phase phase)
{
	int wanted_s = phase == PHASE_DATABASE ? engine_retry_after_s(view->engine, view->now) : 1;
	/* Not every second from everyone. */
	int least_s = 2;
	if (wanted_s < least_s)
		return least_s;
	return wanted_s < PAGE_RETRY_MAX_S ? wanted_s : PAGE_RETRY_MAX_S;
}

static struct notice find_notice(const struct gate_view *view)
{
	const struct engine *e = view->engine;
	const struct startup *s = &e->startup;
	struct notice n = {.phase = PHASE_COUNT, .since = view->began_at};
	if (s->failed) {
		n.state = "failed";
		n.title = "The service could not start";
		n.sentence = "Its start has failed. The reason is in its log.";
		n.phase = startup_failed_phase(s);
		n.since = s->ended_at;
	} else if (!startup_is_over(s)) {
		n.state = "starting";
		n.title = "The service is starting";
		n.sentence = "This page reloads by itself until the service is ready.";
		n.phase = s->begun ? s->current : PHASE_INIT;
		n.waits_for = phase_texts[n.phase].waits_for;
		if (s->begun)
			n.since = s->began_at;
	} else if (view->settings->has_command && !e->command_up) {
		n.state = "down";
		n.title = "The service is down";
		n.sentence = "It is not running at the moment.";
		n.since = s->ended_at;
	} else {
		n.state = "busy";
		n.title = "The service does not answer";
		n.sentence = "It is up, but takes no connection at the moment. Try again shortly.";
		n.since = view->now;
	}
	n.retry_after_s = retry_after_s(view, n.phase);
	return n;
}

/* ---- JSON ---- */

static char *page_json(const struct gate_view *view, const struct notice *n)
{
	json_t *o = json_object();
	json_put(o, "status", json_integer(503));
	json_put(o, "state", json_string(n->state));
	json_put(o, "message", json_string(n->title));
	if (n->phase < PHASE_COUNT)
		json_put(o, "phase", json_string(phase_name(n->phase)));
	if (n->waits_for)
		json_put(o, "waits_for", json_string(n->waits_for));
	json_put(o, "since", describe_time(view, n->since));
	json_put(o, "retry_after_s", json_integer(n->retry_after_s));
	return describe_dump(o);
}

/* ---- HTML ---- */

static const char style[] =
	":root{color-scheme:light dark;--ink:#1c2430;--dim:#68738a;--line:#dfe3ea;--bg:#f6f7f9;"
	"--card:#fff;--go:#2563eb;--ok:#15803d;--bad:#b91c1c}"
	"@media(prefers-color-scheme:dark){:root{--ink:#e6e9ef;--dim:#8f9bb3;--line:#2a3242;"
	"--bg:#12161d;--card:#1a202b;--go:#7aa2ff;--ok:#5fd38d;--bad:#ff8080}}"
	"*{box-sizing:border-box}body{margin:0;min-height:100vh;display:grid;place-items:center;"
	"padding:1rem;background:var(--bg);color:var(--ink);"
	"font:16px/1.5 system-ui,-apple-system,'Segoe UI',sans-serif}"
	"main{width:100%;max-width:26rem;padding:2rem;background:var(--card);"
	"border:1px solid var(--line);border-radius:14px}"
	"h1{margin:0 0 .25rem;font-size:1.3rem}p{margin:0 0 1rem;color:var(--dim)}"
	"b{color:var(--ink);font-weight:600}ol{margin:0;padding:0;list-style:none}"
	"li{display:flex;gap:.75rem;align-items:center;padding:.3rem 0;color:var(--dim)}"
	"li::before{content:'';flex:none;width:.7rem;height:.7rem;border-radius:50%;"
	"border:2px solid var(--line)}"
	".completed::before{background:var(--ok);border-color:var(--ok)}"
	".failed::before{background:var(--bad);border-color:var(--bad)}"
	".in_progress{color:var(--ink);font-weight:600}"
	".in_progress::before{border-color:var(--go);background:var(--go);"
	"animation:pulse 1.4s ease-in-out infinite}"
	"@keyframes pulse{50%{opacity:.25}}"
	"@media(prefers-reduced-motion:reduce){.in_progress::before{animation:none}}"
	"time{font-variant-numeric:tabular-nums}footer{margin-top:1.25rem;font-size:.85rem;"
	"color:var(--dim)}";

static void add(struct buffer *b, const char *text)
{
	buffer_append(b, text, strlen(text));
}

__attribute__((format(printf, 2, 3))) static void add_format(
	struct buffer *b, const char *format, ...)
{
	char text[512];
	va_list args;
	va_start(args, format);
	int len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	assert(len >= 0 && (size_t)len < sizeof(text));
	buffer_append(b, text, (size_t)len);
}

static void add_phases(struct buffer *b, const struct gate_view *view)
{
	const struct startup *s = &view->engine->startup;
	add(b, "<ol>");
	for (enum phase phase = 0; phase < PHASE_COUNT; phase++) {
		enum phase_status status = s->phases[phase].status;
		/* What this service does not have is not worth a line. */
		if (!s->settings.wanted[phase])
			continue;
		add_format(b, "<li class=\"%s\">%s</li>", phase_status_name(status),
			phase_texts[phase].doing);
	}
	add(b, "</ol>");
}

/* All of it is text of our own: nothing needs escaping. */
static char *page_html(const struct gate_view *view, const struct notice *n)
{
	struct buffer b = BUFFER_INIT;
	char since[VIEW_TIME_SIZE];
	view_time(view, n->since, since);
	add(&b, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
		"<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">");
	add_format(&b, "<meta http-equiv=\"refresh\" content=\"%d\"><title>%s</title><style>",
		n->retry_after_s, n->title);
	add(&b, style);
	add_format(&b, "</style></head><body><main><h1>%s</h1><p>%s</p>", n->title, n->sentence);
	if (n->waits_for)
		add_format(&b, "<p>It waits for <b>%s</b>.</p>", n->waits_for);
	if (strcmp(n->state, "starting") == 0 || strcmp(n->state, "failed") == 0)
		add_phases(&b, view);
	add_format(&b,
		"<footer>Since <time datetime=\"%s\">%.8s UTC</time>, %lld s ago. "
		"Next look in %d s.</footer></main></body></html>\n",
		since, since + 11, (long long)((view->now - n->since) / NS_PER_S),
		n->retry_after_s);
	buffer_append(&b, "", 1);
	const struct bytes all = buffer_bytes(&b);
	assert(all.at);
	char *text = strdup((const char *)all.at);
	buffer_release(&b);
	if (!text)
		abort();
	return text;
}

/* ---- which of them ---- */

/* The weight that `accept` gives to a media type, or `otherwise` when it is not named. */
static double weight(const char *accept, const char *type, double otherwise)
{
	size_t len = strlen(type);
	while (*accept) {
		accept += strspn(accept, " \t,");
		size_t part = strcspn(accept, ",");
		if (strncasecmp(accept, type, len) == 0 && strchr("; ,\t", accept[len])) {
			const char *q = memmem(accept, part, "q=", 2);
			return q ? strtod(q + 2, NULL) : 1.0;
		}
		accept += part;
	}
	return otherwise;
}

bool page_prefers_html(const char *accept)
{
	if (!accept)
		return false;
	double html = weight(accept, "text/html", 0.0);
	return html > 0.0 && html >= weight(accept, "application/json", 0.0);
}

void page_answer(const struct gate_view *view, const struct http_request *request,
	struct http_response *response)
{
	struct notice n = find_notice(view);
	bool html = page_prefers_html(http_request_header(request, "Accept"));
	http_response_header(response, "Retry-After", "%d", n.retry_after_s);
	http_response_header(response, "Cache-Control", "no-store");
	http_response_header(response, "Vary", "Accept");
	http_response_header(response, "X-Content-Type-Options", "nosniff");
	if (html)
		http_response_header(response, "Content-Security-Policy",
			"default-src 'none'; style-src 'unsafe-inline'");
	response->close = true;
	http_response_take(response, 503, html ? "text/html; charset=utf-8" : "application/json",
		html ? page_html(view, &n) : page_json(view, &n));
}
