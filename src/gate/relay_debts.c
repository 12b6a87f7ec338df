/* What a server's answers make of what it owes: the gate's own answers in their turn, and what an
 * error undoes. */
#include "gate/relay.h"
#include "wire/message.h"

static struct statements *statements_of(const struct server *s)
{
	return &s->hub->statements;
}

bool relay_settle(struct server *s, struct buffer *to)
{
	struct debt *first;
	bool any = false;
	while ((first = debts_first(&s->debts)) && first->local) {
		if (to && first->kind != DEBT_COPY_END)
			message_empty(to, first->kind == DEBT_PARSE ? MSG_PARSE_COMPLETE
								    : MSG_CLOSE_COMPLETE);
		debts_drop_first(&s->debts, statements_of(s));
		any = true;
	}
	return any;
}

/* Where the client's unnamed statement is noted: what it goes back to if the next change to it that
 * stands so far is taken back, or else what it is. */
struct unnamed_place {
	struct statement **statement;
	uint8_t *big;
};

static struct unnamed_place find_unnamed(struct server *s, uint32_t from)
{
	for (uint32_t i = from; i < s->debts.count; i++) {
		struct debt *debt = debts_at(&s->debts, i);
		if (debt->unnamed && !debt->ours)
			return (struct unnamed_place){&debt->before, &debt->big_before};
	}
	return (struct unnamed_place){&s->client->unnamed, &s->client->big_unnamed};
}

/* It was not done what would have taken it. */
static void give_back_name(struct server *s, struct debt *debt)
{
	struct statement_names *names = &s->client->names;
	if (!debt->gone || statement_names_find(names, debt->name))
		return;
	statement_names_restore(names, debt->name, debt->gone, debt->serial);
	debt->gone = NULL;
}

void relay_deallocated(struct server *s)
{
	struct debt *debt = debts_first(&s->debts);
	if (!debt || debt->kind != DEBT_QUERY || !debt->gone)
		return;
	statements_drop(statements_of(s), debt->gone);
	debt->gone = NULL;
}

/* What the client asked for has not been done: its statements are again what they were. */
static void take_back_of_client(
	struct server *s, struct debt *debt, const struct unnamed_place *unnamed, bool failed)
{
	struct statement_names *names = &s->client->names;
	struct statements *all = statements_of(s);
	if (debt->kind == DEBT_PARSE && debt->name)
		statement_names_undo(names, all, debt->name, debt->serial);
	if (debt->gone)
		give_back_name(s, debt);
	if (!debt->unnamed)
		return;
	if (*unnamed->statement)
		statements_drop(all, *unnamed->statement);
	/* The Parse that failed had dropped the one before. */
	*unnamed->statement = failed ? NULL : debt->before;
	*unnamed->big = failed ? BIG_NONE : debt->big_before;
	if (!failed)
		debt->before = NULL;
}

static void take_back(
	struct server *s, struct debt *debt, const struct unnamed_place *unnamed, bool failed)
{
	/* Skipped, the Close before it was so, too. */
	if (debt->kind == DEBT_PARSE && debt->statement && (failed || !debt->again))
		statements_take(statements_of(s), debt->statement, s->id);
	if (debt->kind == DEBT_CLOSE && debt->statement)
		statements_put(statements_of(s), debt->statement, s->id);
	if (debt->unnamed)
		s->unnamed = failed ? UNNAMED_NONE : UNNAMED_UNKNOWN;
	if (!debt->ours && s->client)
		take_back_of_client(s, debt, unnamed, failed);
}

void relay_fail_debts(struct server *s)
{
	struct debts *d = &s->debts;
	const struct debt *first = debts_first(d);
	struct unnamed_place unnamed = {0};
	s->copying_in = false;
	if (first && (first->kind == DEBT_SYNC || first->kind == DEBT_QUERY)) {
		if (first->gone && s->client)
			give_back_name(s, debts_at(d, 0));
		return;
	}
	uint32_t skipped = 0;
	while (skipped < d->count && debts_at(d, skipped)->kind != DEBT_SYNC)
		skipped++;
	s->skipping = skipped == d->count;
	if (s->client)
		unnamed = find_unnamed(s, skipped);
	for (uint32_t i = skipped; i-- > 0;) {
		struct debt *debt = debts_at(d, i);
		take_back(s, debt, &unnamed, i == 0 && debt->kind == DEBT_PARSE);
	}
	while (skipped-- > 0)
		debts_drop_first(d, statements_of(s));
}
