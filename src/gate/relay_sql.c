/* From the client to its server: SQL about prepared statements, whose names are others here, and
 * about databases. */
#include <string.h>

#include "gate/databases.h"
#include "gate/sending.h"
#include "gate/traces.h"
#include "wire/frame.h"
#include "wire/message.h"
#include "wire/sql.h"

/* One that is there to be deallocated in place of a client's, which may be on other servers, and
 * which other clients may use. */
#define SPARE            STATEMENT_PREFIX "0"
#define DEALLOCATE_SPARE "DEALLOCATE \"" SPARE "\""

static const struct bytes no_types = {(const uint8_t *)"\0\0", 2};

/* The server itself says it, so that it comes in its turn and ends what an error ends. */
const char *sending_refusal(const struct client *c, uint32_t traits)
{
	if (!(traits & SQL_PREPARE) || c->hub->settings->sql_prepare != SQL_PREPARE_ERROR ||
		!client_is_transactional(c))
		return NULL;
	return "DO $standpipe$ BEGIN RAISE EXCEPTION USING ERRCODE='0A000',"
	       "MESSAGE='PREPARE is not supported where the server may change with every "
	       "transaction',"
	       "DETAIL='pool.sql_prepare is error.',"
	       "HINT='Prepare by the protocol, as drivers do, or set pool.sql_prepare to pin.';"
	       "END $standpipe$";
}

/* Is there a DEALLOCATE of a statement that the client prepared by the protocol? */
static const struct statement_entry *find_deallocated(
	const struct client *c, struct bytes text, struct bytes *written)
{
	char name[SQL_NAME_MAX];
	if (!sql_deallocates(text, name, written))
		return NULL;
	return statement_names_entry(&c->names, name);
}

/* The spare is there then, whatever came before. Neither of the two can fail. */
static void put_spare(struct sending *m)
{
	struct buffer *out = &m->s->out;
	stretch_end(&m->stretch, out);
	message_target(out, MSG_CLOSE, 'S', SPARE);
	sending_owe(m, (struct debt){.kind = DEBT_CLOSE, .ours = true});
	message_parse(out, SPARE, "", no_types);
	sending_owe(m, (struct debt){.kind = DEBT_PARSE, .ours = true});
}

/* The client's text, but for the name. What stands behind it keeps its place, if there is room: an
 * error may tell it. */
static void query_with(
	struct buffer *out, struct bytes text, struct bytes written, const char *name)
{
	const uint8_t *behind = written.at + written.len;
	size_t mark;
	message_begin(out, MSG_QUERY, &mark);
	buffer_append(out, text.at, (size_t)(written.at - text.at));
	buffer_append_u8(out, '"');
	buffer_append(out, name, strlen(name));
	buffer_append_u8(out, '"');
	for (size_t len = strlen(name) + 2; len < written.len; len++)
		buffer_append_u8(out, ' ');
	buffer_append(out, behind, (size_t)(text.at + text.len - behind));
	buffer_append_u8(out, 0);
	message_end(out, mark);
}

enum sending_progress sending_deallocate(struct sending *m, struct bytes text)
{
	struct client *c = m->c;
	struct debt debt = {.kind = DEBT_QUERY};
	struct bytes written;
	const struct statement_entry *entry = find_deallocated(c, text, &written);
	if (!entry)
		return PASS;
	if (sending_is_unsure(m, entry->name))
		return BLOCKED;
	put_spare(m);
	query_with(&m->s->out, text, written, SPARE);
	sending_forget_unnamed(c, &debt);
	sending_forget_name(c, entry, &debt);
	m->s->unnamed = UNNAMED_NONE;
	m->s->unsynced = false;
	sending_owe(m, debt);
	return DONE;
}

enum sending_progress sending_execute(struct sending *m, struct bytes text)
{
	struct server *s = m->s;
	struct debt debt = {.kind = DEBT_QUERY};
	struct bytes written;
	char name[SQL_NAME_MAX], ours[STATEMENT_NAME_MAX];
	if (!sql_executes(text, name, &written))
		return PASS;
	const struct statement_entry *entry = statement_names_entry(&m->c->names, name);
	if (!entry)
		return PASS;
	bool there = statement_is_on(entry->statement, s->id);
	/* A Sync of ours would end what the client has not ended yet. */
	if (s->unsynced && !there)
		return PASS;
	if (sending_is_unsure(m, name))
		return BLOCKED;
	/* Whether it can be prepared just now is told by what is still to be answered. */
	m->c->awaits_all = s->debts.count > 0 && !there;
	if (m->c->awaits_all)
		return BLOCKED;
	if (s->status == 'E' && s->debts.count == 0)
		return PASS; /* it fails anyway */
	uint32_t owed = s->debts.count;
	sending_ensure_entry(m, entry, ours);
	stretch_end(&m->stretch, &s->out);
	if (s->debts.count != owed) {
		/* If it can't be prepared any more, the query must not be skipped for that. */
		message_empty(&s->out, MSG_SYNC);
		sending_owe(m, (struct debt){.kind = DEBT_SYNC, .ours = true});
	}
	query_with(&s->out, text, written, ours);
	sending_forget_unnamed(m->c, &debt);
	s->unnamed = UNNAMED_NONE;
	s->unsynced = false;
	sending_owe(m, debt);
	return DONE;
}

enum sending_progress sending_bind_deallocate(struct sending *m, const struct statement *bound,
	struct debt *debt, char name[STATEMENT_NAME_MAX])
{
	struct client *c = m->c;
	struct bytes text = {(const uint8_t *)statement_query(bound), bound->query_len - 1};
	struct bytes written;
	const struct statement_entry *entry = find_deallocated(c, text, &written);
	if (!entry)
		return PASS;
	if (sending_is_unsure(m, entry->name))
		return BLOCKED;
	struct statement *spare = statements_intern(
		&c->hub->statements, DEALLOCATE_SPARE, no_types, 0);
	if (!spare)
		return PASS;
	put_spare(m);
	sending_ensure(m, spare, name);
	statements_drop(&c->hub->statements, spare); /* the server has it */
	sending_forget_name(c, entry, debt);
	return DONE;
}

bool sending_note_wanted(struct sending *m)
{
	if (m->frame.len > DATABASES_TEXT_MAX)
		return true;
	if (!sending_is_whole(m))
		return false;
	struct bytes text = frame_body(m->in, &m->frame);
	if (m->frame.type == MSG_PARSE) {
		size_t name = strnlen((const char *)text.at, text.len);
		if (name == text.len)
			return true;
		text.at += name + 1;
		text.len -= name + 1;
	}
	text.len = strnlen((const char *)text.at, text.len);
	if (databases_may_begin(text))
		databases_note(m->s, text);
	else
		*m->s->wanted = 0;
	return true;
}
