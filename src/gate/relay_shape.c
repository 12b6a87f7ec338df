/* What a prepared statement gives: PostgreSQL fixes it when that is prepared, and ends with an
 * error what would give something else after a change of the schema, for drivers go by what they
 * were told then. A client's statement is prepared again on other servers, perhaps after that
 * change, and there PostgreSQL knows of nothing. So the gate asks what it gives wherever it is
 * prepared, and compares. */
#include <string.h>

#include "gate/relay.h"
#include "gate/sending.h"
#include "wire/message.h"
#include "wire/sql.h"

void sending_ask_shape(struct sending *m, struct statement *statement, const char *name,
	const char *own, uint32_t serial)
{
	struct debt debt = {.kind = DEBT_SHAPE, .ours = true, .serial = serial};
	struct bytes text = {(const uint8_t *)statement_query(statement), statement->query_len - 1};
	/* What gives no rows does not begin to; of a utility command PostgreSQL never looks
	 * again. */
	if (statement->shape == STATEMENT_SHAPE_NONE || !sql_is_planned(text))
		return;
	debt.statement = statement_hold(statement);
	debt.name = own ? strdup(own) : NULL;
	if (own && !debt.name)
		abort();
	stretch_end(&m->stretch, &m->s->out);
	message_target(&m->s->out, MSG_DESCRIBE, 'S', name);
	sending_owe(m, debt);
}

/* PostgreSQL has no way to be told to fail with an error of ours here; what it does fail at is told
 * to the client as what PostgreSQL would have said (relay_shape_explain). */
static enum sending_progress fail(struct sending *m, enum debt_kind kind)
{
	stretch_end(&m->stretch, &m->s->out);
	message_target(&m->s->out, MSG_DESCRIBE, 'P',
		STATEMENT_PREFIX " cached plan must not change result type");
	sending_owe(m, (struct debt){.kind = (uint8_t)kind, .reshaped = true});
	return DROP;
}

/* Is what it gives still to be told, but to the one who prepares it just now, who goes by that? */
static bool is_being_told(const struct debts *d, const struct statement_entry *entry)
{
	for (uint32_t i = d->shapes > 0 ? 0 : d->count; i < d->count; i++) {
		const struct debt *debt = debts_at(d, i);
		if (debt->kind == DEBT_SHAPE && debt->statement == entry->statement &&
			debt->serial != entry->serial)
			return true;
	}
	return false;
}

enum sending_progress sending_check_shape(struct sending *m, const char *name, enum debt_kind kind)
{
	const struct statement_entry *entry = statement_names_entry(&m->c->names, name);
	if (entry->shape <= STATEMENT_SHAPE_NONE || m->s->status == 'E')
		return PASS;
	if (is_being_told(&m->s->debts, entry)) {
		/* Its effects could not be taken back. The server may keep the answer until it is
		 * asked. */
		stretch_end(&m->stretch, &m->s->out);
		message_empty(&m->s->out, MSG_FLUSH);
		m->c->awaits_shape = true;
		return BLOCKED;
	}
	uint32_t shape = entry->statement->shape;
	return shape == STATEMENT_SHAPE_UNKNOWN || shape == entry->shape ? PASS : fail(m, kind);
}

/* Who prepares the text again is given another statement; so is who has just prepared this one. */
static void reshape(struct server *s, const struct debt *debt, uint32_t shape)
{
	struct statements *all = &s->hub->statements;
	struct statement *old = debt->statement;
	old->generation = 0;
	if (!debt->name || !s->client ||
		!statement_names_shape(&s->client->names, debt->name, debt->serial, shape))
		return;
	struct statement *anew = statements_intern(
		all, statement_query(old), statement_types(old), old->reading);
	if (!anew)
		return; /* it is told so where it was prepared before */
	anew->shape = anew->shape ? anew->shape : shape;
	statement_names_replace(&s->client->names, all, debt->name, anew);
}

void relay_shape_told(struct server *s, const struct bytes *row_description)
{
	const struct debt *debt = debts_first(&s->debts);
	struct statement *statement = debt->statement;
	uint32_t shape = row_description ? statement_shape(*row_description) : STATEMENT_SHAPE_NONE;
	if (shape == STATEMENT_SHAPE_UNKNOWN)
		return;
	if (statement->shape != STATEMENT_SHAPE_UNKNOWN && statement->shape != shape)
		reshape(s, debt, shape);
	else if (debt->name && s->client)
		statement_names_shape(&s->client->names, debt->name, debt->serial, shape);
	statement->shape = shape;
}

bool relay_shape_explain(const struct server *s, struct bytes error, struct buffer *out)
{
	const struct debt *first = debts_first(&s->debts);
	struct message_error e;
	if (!first || !first->reshaped || message_parse_error(error, &e) != 0 ||
		strcmp(e.sqlstate, "34000") != 0)
		return false;
	message_error_of(
		out, "0A000", "cached plan must not change result type", "RevalidateCachedQuery");
	return true;
}
