/* The gate's own questions to the database, as a client without a socket. */
#include "gate/client.h"
#include "gate/server.h"
#include "wire/message.h"

struct client *client_inquire(struct hub *h, struct inquiry *inquiry, bool patient)
{
	struct gate_pool *pool = inquiry->database ? pools_of_url(h, inquiry->database)
						   : pools_own(h);
	struct client *c = pool ? client_new(h, true) : NULL;
	if (!c)
		return NULL;
	c->inquiry = inquiry;
	inquiry->asker = c;
	pools_enter_to_ask(c, pool);
	if (inquiry->search_path) {
		struct profile *own = c->profile;
		c->profile = profile_with(
			&c->pool->profiles, own, "search_path", inquiry->search_path);
		profile_drop(&c->pool->profiles, own);
	}
	c->state = CLIENT_QUEUED;
	error_init(&inquiry->error);
	inquiry->row = BUFFER_INIT;
	hub_tell(h, (struct engine_event){.kind = EVENT_CLIENT_WAITS,
			    .client = c->id,
			    .group = c->pool->group,
			    .patient = patient});
	return c;
}

void client_inquiry_ask(struct client *c)
{
	static const struct bytes no_types = {(const uint8_t *)"\0\0", 2};
	const struct inquiry *q = c->inquiry;
	struct server *s = c->server;
	if (!q->parameter) {
		message_query(&s->out, q->sql);
		debts_add(&s->debts, (struct debt){.kind = DEBT_QUERY});
		s->unnamed = UNNAMED_NONE;
	} else {
		message_parse(&s->out, "", q->sql, no_types);
		message_bind_text(&s->out, q->parameter);
		message_execute(&s->out);
		message_empty(&s->out, MSG_SYNC);
		debts_add(&s->debts, (struct debt){.kind = DEBT_PARSE});
		debts_add(&s->debts, (struct debt){.kind = DEBT_BIND});
		debts_add(&s->debts, (struct debt){.kind = DEBT_EXECUTE});
		debts_add(&s->debts, (struct debt){.kind = DEBT_SYNC});
		s->unnamed = UNNAMED_UNKNOWN;
	}
	s->used = true;
	server_send(s, NULL, 0);
}

void client_inquiry_take(struct client *c, const struct frame *frame, struct bytes body)
{
	struct inquiry *q = c->inquiry;
	struct message_error e;
	if (c->state == CLIENT_GONE)
		return;
	if (frame->type == MSG_DATA_ROW) {
		buffer_take(&q->row, buffer_len(&q->row));
		buffer_append(&q->row, body.at, body.len);
	} else if (frame->type == MSG_ERROR && message_parse_error(body, &e) == 0) {
		error_set(&q->error, "query", 0, "%s", e.message);
		error_sqlstate(&q->error, e.sqlstate);
		error_origin(&q->error, c->pool->host);
	}
}

void client_inquiry_end(struct client *c, const struct error *error)
{
	struct inquiry *q = c->inquiry;
	struct bytes columns[INQUIRY_COLUMNS_MAX];
	int count = 0;
	if (buffer_len(&q->row) > 0)
		count = message_parse_row(buffer_bytes(&q->row), columns, INQUIRY_COLUMNS_MAX);
	if (count > INQUIRY_COLUMNS_MAX)
		count = INQUIRY_COLUMNS_MAX;
	struct buffer row = q->row;
	struct error copy;
	if (error)
		copy = *error;
	q->row = BUFFER_INIT;
	q->asker = NULL;
	client_drop(c);
	q->answered(q->context, columns, count < 0 ? 0 : count, error ? &copy : NULL);
	buffer_release(&row);
}

void client_inquiry_cancel(struct client *c)
{
	buffer_release(&c->inquiry->row);
	c->inquiry->asker = NULL;
	client_drop(c);
}
