/* From a server to its client. */
#include <assert.h>
#include <string.h>
#include <strings.h>

#include "gate/databases.h"
#include "gate/overtime.h"
#include "gate/relay.h"
#include "gate/stretch.h"
#include "gate/traces.h"
#include "wire/frame.h"
#include "wire/message.h"
#include "wire/sql.h"

#define REPORT_MAX 65536 /* of a message of the server that is inspected */

struct receiving {
	struct server *s;
	struct stretch stretch;
};

enum progress {
	DONE,
	MORE, /* its beginning is not enough */
	FAILED, /* the server is not to be trusted any more, or lost */
};

static struct statements *statements_of(const struct server *s)
{
	return &s->hub->statements;
}

/* ---- debts ---- */

/* Sync amid a copy's data has been ignored, or answered, if something behind it is answered. */
static void drop_perhaps(struct server *s)
{
	struct debt *first;
	while ((first = debts_first(&s->debts)) && first->kind == DEBT_SYNC && first->perhaps)
		debts_drop_first(&s->debts, statements_of(s));
}

/* The kind of debt that a message pays, or -1. */
static int paid_by(uint8_t type)
{
	switch (type) {
	case MSG_PARSE_COMPLETE:
		return DEBT_PARSE;
	case MSG_BIND_COMPLETE:
		return DEBT_BIND;
	case MSG_CLOSE_COMPLETE:
		return DEBT_CLOSE;
	case MSG_ROW_DESCRIPTION:
	case MSG_NO_DATA:
		return DEBT_DESCRIBE;
	case MSG_COMMAND_COMPLETE:
	case MSG_EMPTY_QUERY:
	case MSG_PORTAL_SUSPENDED:
		return DEBT_EXECUTE;
	default:
		return -1;
	}
}

/* Is it sent whenever the server likes, and no answer? */
static bool is_asynchronous(uint8_t type)
{
	return type == MSG_NOTICE || type == MSG_NOTIFICATION || type == MSG_PARAMETER_STATUS;
}

/* Is what comes now the gate's own business? */
static bool is_ours(struct server *s)
{
	struct debt *first = debts_first(&s->debts);
	return first && first->ours;
}

/* Is the next answer what the gate has asked about a statement? */
static bool owes_shape(const struct server *s)
{
	const struct debt *first = debts_first(&s->debts);
	return first && first->kind == DEBT_SHAPE;
}

static bool pays(int kind, const struct debt *debt)
{
	return kind >= 0 && debt &&
	       (debt->kind == kind || (debt->kind == DEBT_SHAPE && kind == DEBT_DESCRIBE));
}

/* ---- what is inspected ---- */

/* The server forgot all statements for its client, but for those whose Parse is still to come. */
static void forget_statements(struct server *s)
{
	struct debts *d = &s->debts;
	uint32_t serial = 0;
	statements_forget_server(statements_of(s), s->id);
	s->unnamed = UNNAMED_NONE;
	for (uint32_t i = 0; i < d->count; i++) {
		const struct debt *debt = debts_at(d, i);
		if (debt->kind == DEBT_PARSE && debt->serial && !serial)
			serial = debt->serial;
		if (debt->unnamed)
			s->unnamed = UNNAMED_UNKNOWN;
		if (debt->kind == DEBT_PARSE && debt->statement)
			statements_put(statements_of(s), debt->statement, s->id);
	}
	statement_names_clear_before(&s->client->names, statements_of(s), serial);
}

/* May what a statement gives be another after it? (What is created anew is seen by none that is
 * there, but for views, which can be replaced.) */
static bool changes_schema(const char *tag)
{
	static const char *const kinds[] = {"TABLE", "VIEW", "MATERIALIZED VIEW", "FOREIGN TABLE",
		"TYPE", "DOMAIN", "FUNCTION"};
	bool creates = strncmp(tag, "CREATE ", 7) == 0;
	const char *kind = tag + (strncmp(tag, "ALTER ", 6) == 0 ? 6 : creates ? 7 : 5);
	if (!creates && strncmp(tag, "ALTER ", 6) != 0 && strncmp(tag, "DROP ", 5) != 0)
		return false;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kind, kinds[i]) == 0)
			return !creates || strcmp(kind, "VIEW") == 0 ||
			       strcmp(kind, "FUNCTION") == 0;
	return false;
}

/* A command of the client's own has changed more than its answer says. */
static void note_tag(struct server *s, const char *tag)
{
	bool set = strcmp(tag, "SET") == 0;
	if (!set && !strchr("ACDR", *tag))
		return;
	databases_told(s, tag);
	s->schema_grown = s->schema_grown || strncmp(tag, "CREATE ", 7) == 0;
	/* What was prepared meanwhile may mean what is not there any more. */
	if (s->schema_grown && strcmp(tag, "ROLLBACK") == 0)
		statements_outdate(statements_of(s));
	if (changes_schema(tag)) {
		statements_outdate(statements_of(s));
		s->schema_changed = true;
	}
	struct client *c = s->client;
	bool all = strcmp(tag, "DISCARD ALL") == 0, reset = all || strcmp(tag, "RESET") == 0;
	if (!c || is_ours(s) || c->inquiry)
		return;
	if (client_is_transactional(c) && (all || strcmp(tag, "DEALLOCATE ALL") == 0))
		forget_statements(s);
	else if (strcmp(tag, "DEALLOCATE") == 0)
		relay_deallocated(s);
	/* The server goes back to what our own login has; what the client means is what its own
	 * startup packet had: it is set up anew before its next transaction; in session mode it is
	 * restored now, which is its name only. */
	if (c->origin)
		s->resetting |= reset ? SQL_RESET : set ? s->defaults : 0;
}

/* May a client be told something else than this message, which has been inspected? */
static bool is_reworded(const struct server *s, uint8_t type)
{
	const struct debt *first = debts_first(&s->debts);
	return (type == MSG_PARAMETER_STATUS && s->resetting) || type == MSG_NOTIFICATION ||
	       (type == MSG_ERROR && (s->overdue_at || (first && first->reshaped)));
}

/* Whether it has notified itself a client sees by the process id that it was told: who listens has
 * kept its server since then, so what comes from there is its own. The two ids change places, for
 * another backend's may happen to be the one that we made up. One that has asked for pg_backend_pid
 * goes by that. False: it is neither. */
static bool rename_notifier(const struct server *s, struct bytes body)
{
	struct client *c = s->client;
	uint32_t own = (uint32_t)PQbackendPID(s->link->up.conn);
	uint32_t from = body.len >= 4 ? bytes_u32(body.at) : 0;
	size_t mark;
	if (c->knows_backend || own == c->pid || (from != own && from != c->pid))
		return false;
	message_begin(&c->out, MSG_NOTIFICATION, &mark);
	buffer_append_u32(&c->out, from == own ? c->pid : own);
	buffer_append(&c->out, body.at + 4, body.len - 4);
	message_end(&c->out, mark);
	return true;
}

/* What it is told then: the value that it means by RESET, the limit that it met. False: the message
 * itself. */
static bool reword(const struct server *s, const struct frame *frame, struct bytes in)
{
	struct client *c = s->client;
	struct bytes body = frame_body(in, frame);
	const char *name, *value, *meant;
	if (frame->type == MSG_NOTIFICATION)
		return rename_notifier(s, body);
	if (frame->type == MSG_ERROR)
		return relay_shape_explain(s, body, &c->out) || overtime_explain(s, body, &c->out);
	if (message_parse_parameter(body, &name, &value) != 0)
		return false;
	meant = profile_reported(c->origin, name);
	if (meant)
		message_parameter(&c->out, name, meant);
	return meant != NULL;
}

/* The longest tag that note_tag has to see, with its zero. */
#define TAG_MAX sizeof("CREATE MATERIALIZED VIEW")

/* A query of a client's is over, and perhaps its transaction. */
static void count(struct server *s, char status)
{
	instant now = hub_now(s->hub);
	struct pool_stats *stats = &s->pool->stats;
	struct gate_counters *counters = &s->hub->counters;
	stats->query_count++;
	stats->query_ns += now - s->since;
	counters->queries++;
	if (status != 'I')
		return;
	stats->xact_count++;
	stats->xact_ns += now - s->begun_at;
	counters->transactions++;
}

/* ReadyForQuery: what was asked for up to a Sync or a Query is over. False: not a debt. */
static bool pay_ready(struct server *s, char status)
{
	struct debt *first = debts_first(&s->debts);
	if (!first || (first->kind != DEBT_SYNC && first->kind != DEBT_QUERY))
		return false;
	/* If that was not the answer to a Sync that was ignored, but to the next, it is still to
	 * come for nobody: so that one is not sure to be answered either. */
	bool shifts = first->perhaps;
	if (!first->ours && s->client && !s->client->inquiry)
		count(s, status);
	debts_drop_first(&s->debts, statements_of(s));
	if (shifts)
		debts_doubt_first(&s->debts);
	s->status = status;
	/* Others have met the new schema only now; what they gave meanwhile was read under the
	 * old. */
	if (s->schema_changed && status != 'T') {
		statements_outdate(statements_of(s));
		s->schema_changed = false;
	}
	s->schema_grown = s->schema_grown && status != 'I';
	s->since = hub_now(s->hub);
	if (status == 'I')
		s->begun_at = s->since; /* that of the next in a pipeline */
	bool lasts = status == 'T' || (s->client && s->client->mode == POOL_SESSION);
	s->restoring = lasts ? s->restoring | s->resetting : 0;
	s->resetting = 0;
	/* While something is under way it may be that. */
	if (s->debts.count == 0)
		s->defaults = 0;
	s->copying_in = false;
	return true;
}

/* A message that is all there and that says something. False: the server is lost. */
static bool inspect(struct server *s, const struct frame *frame, struct bytes body)
{
	const char *name, *value;
	switch (frame->type) {
	case MSG_READY: {
		bool ours = is_ours(s);
		if (body.len != 1 || !pay_ready(s, (char)body.at[0]))
			return false;
		return ours ? server_errand_done(s) : true;
	}
	case MSG_PARAMETER_STATUS:
		if (message_parse_parameter(body, &name, &value) != 0)
			return false;
		return server_parameter(s, name, value);
	case MSG_COMMAND_COMPLETE:
		if (body.len > 0 && body.at[body.len - 1] == 0)
			note_tag(s, (const char *)body.at);
		return true;
	case MSG_ERROR:
		server_complaint(s, body);
		return true;
	case MSG_NOTICE:
		if (s->errand == ERRAND_SETUP)
			server_setup_notice(s, body);
		return true;
	case MSG_DATA_ROW:
		if (s->errand == ERRAND_ASK)
			traces_row(s, body);
		return true;
	case MSG_ROW_DESCRIPTION:
	case MSG_NO_DATA:
		if (owes_shape(s))
			relay_shape_told(s, frame->type == MSG_NO_DATA ? NULL : &body);
		return true;
	default:
		return true;
	}
}

/* Must the whole of it be there? Little of it, so that big rows stream. */
static bool is_inspected(const struct server *s, const struct frame *frame)
{
	switch (frame->type) {
	case MSG_READY:
	case MSG_PARAMETER_STATUS:
		return true;
	case MSG_ERROR:
	case MSG_NOTIFICATION:
		return frame->len <= REPORT_MAX;
	case MSG_NOTICE:
		return s->errand == ERRAND_SETUP && frame->len <= REPORT_MAX;
	case MSG_COMMAND_COMPLETE:
		return frame->len - FRAME_HEADER <= TAG_MAX;
	case MSG_ROW_DESCRIPTION:
	case MSG_NO_DATA:
		if (owes_shape(s))
			return frame->len <= REPORT_MAX;
		return s->client && s->client->inquiry && frame->len <= REPORT_MAX;
	default:
		return (frame->type == MSG_DATA_ROW && s->errand == ERRAND_ASK) ||
		       (s->client && s->client->inquiry && frame->len <= REPORT_MAX);
	}
}

/* ---- messages ---- */

static bool is_for_client(const struct server *s)
{
	const struct client *c = s->client;
	return c && !c->inquiry && c->state == CLIENT_ACTIVE;
}

static bool passes_to_client(const struct server *s, uint8_t type, bool ours)
{
	if (!is_for_client(s))
		return false;
	if (!ours)
		return true;
	/* The client listens there. */
	if (s->errand == ERRAND_ASK || s->errand == ERRAND_RESTORE)
		return type == MSG_NOTIFICATION;
	if (s->errand == ERRAND_SETUP || s->errand == ERRAND_CLEAN)
		return false;
	/* What the server reports of itself is for whoever is there. An error ends what the client
	 * asked for, even if ours was the first to fail. */
	return type == MSG_PARAMETER_STATUS || (type == MSG_ERROR && s->errand == ERRAND_NONE);
}

/* False: the server is lost. */
static bool settle(struct receiving *r, uint8_t type)
{
	struct server *s = r->s;
	int kind = paid_by(type);
	struct debt *first = debts_first(&s->debts);
	if (type == MSG_ERROR)
		relay_fail_debts(s);
	else if (type == MSG_COPY_IN)
		s->copying_in = s->debts.count == 0 ||
				!debts_begin_copy(&s->debts, statements_of(s));
	else if (pays(kind, first))
		debts_drop_first(&s->debts, statements_of(s));
	if (s->debts.count == 0)
		s->since = hub_now(s->hub);
	first = debts_first(&s->debts);
	if (first && first->local) {
		bool for_client = is_for_client(s);
		if (for_client)
			stretch_end(&r->stretch, &s->client->out);
		relay_settle(s, for_client ? &s->client->out : NULL);
	}
	return type != MSG_COPY_IN || is_for_client(s) ||
	       server_refuse_copy(s, "there is nobody to send it");
}

/* False: the server is lost. */
static bool deliver(struct receiving *r)
{
	struct server *s = r->s;
	size_t len = stretch_len(&r->stretch);
	if (s->link && s->client && (len > 0 || buffer_len(&s->client->out) > 0))
		client_send(s->client, r->stretch.from, len);
	r->stretch = (struct stretch){0};
	return s->link != NULL;
}

/* In statement mode a transaction that goes on after ReadyForQuery has no place: the client is
 * told, and gone, and the transaction rolled back behind it, as after every client that dies in
 * one. */
static enum progress refuse_block(struct receiving *r)
{
	struct server *s = r->s;
	if (!deliver(r) || !is_for_client(s))
		return DONE;
	s->hub->counters.client_errors++;
	client_fail(s->client, "0A000", "transaction blocks not allowed in statement pooling mode",
		"The transaction has been rolled back.",
		"Use pool.mode: transaction, or send the whole transaction in one query.");
	return DONE;
}

/* One message. */
static enum progress receive_one(struct receiving *r, struct bytes *left)
{
	struct server *s = r->s;
	struct frame frame;
	enum wire_result result = frame_parse(*left, &frame);
	if (result == WIRE_PARTIAL)
		return MORE;
	if (result == WIRE_BAD)
		return FAILED;
	bool whole = left->len >= frame.len;
	bool inspected = is_inspected(s, &frame);
	if (inspected && frame.len > REPORT_MAX)
		return FAILED;
	if (inspected && !whole)
		return MORE;
	if (frame.type != MSG_READY && !is_asynchronous(frame.type))
		drop_perhaps(s);
	/* Whether it is ours is told by the debt that it pays, before that is dropped. */
	bool ours = is_ours(s);
	bool for_client = passes_to_client(s, frame.type, ours);
	size_t there = whole ? frame.len : left->len;
	if (s->client && s->client->inquiry && !ours && whole)
		client_inquiry_take(s->client, &frame, frame_body(*left, &frame));
	if (!for_client && s->client)
		stretch_end(&r->stretch, &s->client->out);
	if (inspected && !inspect(s, &frame, frame_body(*left, &frame)))
		return FAILED;
	if (for_client && frame.type == MSG_READY && s->status != 'I' &&
		s->client->mode == POOL_STATEMENT) {
		left->at += there;
		left->len -= there;
		return refuse_block(r);
	}
	bool reworded = false;
	if (for_client && inspected && is_reworded(s, frame.type)) {
		stretch_end(&r->stretch, &s->client->out);
		reworded = reword(s, &frame, *left);
	}
	if (for_client && !reworded)
		stretch_add(&r->stretch, left->at, there);
	s->told_fatal = s->told_fatal || (s->fatal && for_client);
	if (!settle(r, frame.type))
		return FAILED;
	s->streaming = (uint32_t)(frame.len - there);
	s->streaming_ours = !for_client;
	left->at += there;
	left->len -= there;
	return DONE;
}

size_t relay_from_server(struct server *s, struct bytes in)
{
	struct bytes left = in;
	struct receiving r = {.s = s};
	while (left.len > 0) {
		if (s->streaming > 0) {
			size_t used = left.len < s->streaming ? left.len : s->streaming;
			if (!s->streaming_ours)
				stretch_add(&r.stretch, left.at, used);
			s->streaming -= (uint32_t)used;
			left.at += used;
			left.len -= used;
			continue;
		}
		enum progress progress = receive_one(&r, &left);
		if (progress == MORE)
			break;
		if (progress == FAILED && deliver(&r))
			server_lost(s, OUTCOME_PROTOCOL, "the server broke the protocol");
		if (!s->link)
			return SIZE_MAX;
	}
	return deliver(&r) ? in.len - left.len : SIZE_MAX;
}
