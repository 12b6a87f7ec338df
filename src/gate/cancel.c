/* Cancel requests to PostgreSQL, by libpq on libuv's pool: it connects, and that blocks. */
#include <stdlib.h>

#include "gate/client.h"
#include "gate/server.h"

struct canceling {
	uv_work_t work;
	struct hub *hub;
	PGcancel *cancel;
	int id;
	uint64_t serial;
	char text[ERROR_TEXT_MAX];
	bool failed;
};

static void on_cancel(uv_work_t *work)
{
	struct canceling *k = work->data;
	k->failed = !PQcancel(k->cancel, k->text, sizeof(k->text));
}

static void after_cancel(uv_work_t *work, int status)
{
	struct canceling *k = work->data;
	(void)status;
	if (k->failed)
		log_warning(k->hub->log, "a cancel request failed", field_text("reason", k->text));
	struct server *s = &k->hub->servers[k->id];
	if (s->link && s->serial == k->serial) {
		s->cancels--;
		if (!server_release_if_idle(s) && s->client)
			client_go_on(s->client);
	}
	PQfreeCancel(k->cancel);
	free(k);
}

void server_cancel(struct server *s)
{
	struct canceling *k = calloc(1, sizeof(*k));
	if (!k)
		abort();
	k->cancel = PQgetCancel(s->link->up.conn);
	if (!k->cancel) {
		free(k);
		return;
	}
	k->hub = s->hub;
	k->id = s->id;
	k->serial = s->serial;
	k->work.data = k;
	/* It arrives some time: until then the server must not run another client's query. */
	s->cancels++;
	uv_queue_work(s->hub->loop, &k->work, on_cancel, after_cancel);
}
