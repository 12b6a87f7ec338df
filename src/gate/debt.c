#include "gate/debt.h"

#include <assert.h>
#include <stdlib.h>

static void debts_grow(struct debts *d)
{
	uint32_t size = d->size ? d->size * 2 : 16;
	struct debt *ring = calloc(size, sizeof(*ring));
	if (!ring)
		abort();
	for (uint32_t i = 0; i < d->count; i++)
		ring[i] = *debts_at(d, i);
	free(d->ring);
	d->ring = ring;
	d->first = 0;
	d->size = size;
}

struct debt *debts_at(const struct debts *d, uint32_t i)
{
	assert(i < d->count);
	return &d->ring[(d->first + i) & (d->size - 1)];
}

struct debt *debts_first(const struct debts *d)
{
	return d->count ? debts_at(d, 0) : NULL;
}

static bool is_ready(const struct debt *debt)
{
	return debt->kind == DEBT_QUERY || (debt->kind == DEBT_SYNC && !debt->perhaps);
}

/* Its error does not end what comes after it. */
static bool is_last_word(const struct debt *debt)
{
	return (debt->kind == DEBT_SYNC && !debt->perhaps) ||
	       (debt->kind == DEBT_QUERY && debt->in_named);
}

static bool changes_unnamed(const struct debt *debt)
{
	if (!debt->unnamed || debt->ours)
		return false;
	return debt->kind == DEBT_PARSE || debt->before || debt->big_before;
}

static void changes_drop(struct debt_changes *changes)
{
	changes->all--;
	if (changes->synced > 0)
		changes->synced--;
}

void debts_add(struct debts *d, struct debt debt)
{
	if (d->count == d->size)
		debts_grow(d);
	d->count++;
	debt.in_named = debt.kind != DEBT_SHAPE && (debt.serial || debt.name || debt.statement);
	debt.in_unnamed = changes_unnamed(&debt);
	*debts_at(d, d->count - 1) = debt;
	d->readies += is_ready(&debt);
	d->shapes += debt.kind == DEBT_SHAPE;
	d->named.all += debt.in_named;
	d->unnamed.all += debt.in_unnamed;
	if (!is_last_word(&debt))
		return;
	d->named.synced = d->named.all;
	d->unnamed.synced = d->unnamed.all;
}

/* Those that are followed by a Sync, when one has been taken out. */
static void recount(struct debts *d)
{
	uint32_t named = 0, unnamed = 0;
	d->named.synced = d->unnamed.synced = 0;
	for (uint32_t i = 0; i < d->count; i++) {
		const struct debt *debt = debts_at(d, i);
		named += debt->in_named;
		unnamed += debt->in_unnamed;
		if (!is_last_word(debt))
			continue;
		d->named.synced = named;
		d->unnamed.synced = unnamed;
	}
}

bool debts_are_doubtful(const struct debts *d)
{
	for (uint32_t i = 0; i < d->count; i++)
		if (!debts_at(d, i)->perhaps)
			return false;
	return true;
}

void debts_doubt_first(struct debts *d)
{
	struct debt *first = debts_first(d);
	if (!first || first->kind != DEBT_SYNC || first->perhaps)
		return;
	first->perhaps = true;
	d->readies--;
}

static void let_go(struct debts *d, struct debt *debt, struct statements *all)
{
	d->readies -= is_ready(debt);
	d->shapes -= debt->kind == DEBT_SHAPE;
	if (debt->in_named)
		changes_drop(&d->named);
	if (debt->in_unnamed)
		changes_drop(&d->unnamed);
	if (debt->statement)
		statements_drop(all, debt->statement);
	if (debt->before)
		statements_drop(all, debt->before);
	if (debt->gone)
		statements_drop(all, debt->gone);
	free(debt->name);
}

void debts_drop_first(struct debts *d, struct statements *all)
{
	let_go(d, debts_at(d, 0), all);
	d->first = (d->first + 1) & (d->size - 1);
	d->count--;
}

bool debts_begin_copy(struct debts *d, struct statements *all)
{
	uint32_t kept = 1, i = 1;
	bool ended = false;
	for (; i < d->count && !ended; i++) {
		struct debt *debt = debts_at(d, i);
		bool sync = debt->kind == DEBT_SYNC;
		ended = debt->kind == DEBT_COPY_END;
		if (!ended && !sync && !debt->local)
			break; /* the server will not like that */
		if (ended || (sync && !debt->perhaps))
			let_go(d, debt, all);
		else
			*debts_at(d, kept++) = *debt;
	}
	for (; i < d->count; i++)
		*debts_at(d, kept++) = *debts_at(d, i);
	d->count = kept;
	recount(d);
	return ended;
}

void debts_release(struct debts *d, struct statements *all)
{
	while (d->count > 0)
		debts_drop_first(d, all);
	free(d->ring);
	*d = (struct debts){0};
}
