#include "gate/auth_query.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "gate/hub.h"
#include "gate/login.h"
#include "gate/userlist.h"

/* Nobody but a superuser puts anything there; and pg_temp, where everybody does, comes last. */
#define SAFE_SEARCH_PATH "pg_catalog, pg_temp"

enum lookup_state { LOOKUP_WAITS, LOOKUP_UNDER_WAY, LOOKUP_ANSWERED };

struct lookup {
	struct auth_query *all;
	char *user; /* owned */
	char *database; /* that has a question of its own, owned; NULL: auth.query */
	enum lookup_state state;
	struct client *waiting; /* the first; the others by login.next_waiting */
	struct inquiry inquiry;
	char *sql; /* a copy: a reload may come before the answer */
	bool outdated; /* ... and it has: what comes is not kept */
	/* ANSWERED: */
	instant since;
	enum auth_query_result result;
	const char *fault;
	struct scram_verifier verifier;
};

static const struct auth_settings *settings_of(const struct auth_query *q)
{
	return q->hub->auth.settings;
}

void auth_query_init(struct auth_query *q, struct hub *hub)
{
	*q = (struct auth_query){.hub = hub};
}

/* ---- which question ---- */

static const char *own_question(const struct auth_query *q, const char *database)
{
	const struct gate_database *entry = database ? pools_database(q->hub, database) : NULL;
	return entry && *entry->auth_query ? entry->auth_query : NULL;
}

struct auth_query_name auth_query_name(
	const struct auth_query *q, const char *database, const char *user)
{
	return (struct auth_query_name){own_question(q, database) ? database : NULL, user};
}

const char *auth_query_sql(const struct auth_query *q, const char *database)
{
	const char *own = own_question(q, database);
	return own ? own : settings_of(q)->query;
}

/* ---- the list ---- */

static bool is_of(const struct lookup *l, struct auth_query_name name)
{
	if (strcmp(l->user, name.user) != 0 || !l->database != !name.database)
		return false;
	return !l->database || strcmp(l->database, name.database) == 0;
}

static int place_of(const struct auth_query *q, struct auth_query_name name)
{
	for (int i = 0; i < q->count; i++)
		if (!q->list[i]->outdated && is_of(q->list[i], name))
			return i;
	return -1;
}

static void forget_lookup(struct auth_query *q, struct lookup *l)
{
	int i = 0;
	while (q->list[i] != l)
		i++;
	q->list[i] = q->list[--q->count];
	explicit_bzero(&l->verifier, sizeof(l->verifier));
	free(l->user);
	free(l->database);
	free(l->sql);
	free(l);
}

/* The oldest of the answers goes when there are too many of them. */
static void make_room(struct auth_query *q)
{
	struct lookup *oldest = NULL;
	int answered = 0;
	for (int i = 0; i < q->count; i++) {
		struct lookup *l = q->list[i];
		if (l->state != LOOKUP_ANSWERED)
			continue;
		answered++;
		if (!oldest || l->since < oldest->since)
			oldest = l;
	}
	if (answered >= AUTH_QUERY_KEPT)
		forget_lookup(q, oldest);
}

static struct lookup *add_lookup(struct auth_query *q, struct auth_query_name name)
{
	make_room(q);
	if (q->count == q->size) {
		q->size = q->size ? 2 * q->size : 16;
		q->list = realloc(q->list, (size_t)q->size * sizeof(struct lookup *));
		if (!q->list)
			abort();
	}
	struct lookup *l = calloc(1, sizeof(*l));
	if (!l || !(l->user = strdup(name.user)) ||
		(name.database && !(l->database = strdup(name.database))) ||
		!(l->sql = strdup(auth_query_sql(q, name.database))))
		abort();
	l->all = q;
	q->list[q->count++] = l;
	return l;
}

enum auth_query_result auth_query_find(struct auth_query *q, struct auth_query_name name,
	struct scram_verifier *v, const char **fault)
{
	int i = place_of(q, name);
	if (i < 0 || q->list[i]->state != LOOKUP_ANSWERED)
		return AUTH_QUERY_UNKNOWN;
	struct lookup *l = q->list[i];
	if (hub_now(q->hub) - l->since >= settings_of(q)->cache_ns) {
		forget_lookup(q, l);
		return AUTH_QUERY_UNKNOWN;
	}
	*v = l->verifier;
	*fault = l->fault;
	return l->result;
}

void auth_query_doubt(struct auth_query *q, struct auth_query_name name)
{
	int i = place_of(q, name);
	if (i < 0 || q->list[i]->state != LOOKUP_ANSWERED || q->list[i]->result != AUTH_QUERY_FOUND)
		return;
	if (hub_now(q->hub) - q->list[i]->since > AUTH_QUERY_DOUBT_NS)
		forget_lookup(q, q->list[i]);
}

/* ---- an answer ---- */

static void take_secret(struct lookup *l, struct bytes column)
{
	char text[USERLIST_SECRET_MAX + 1] = "";
	bool fits = column.len <= USERLIST_SECRET_MAX;
	if (fits && column.len > 0)
		memcpy(text, column.at, column.len);
	enum secret_kind kind = fits ? secret_kind_of(text) : SECRET_BROKEN;
	l->fault = secret_fault(kind);
	bool found = false;
	if (kind == SECRET_VERIFIER)
		found = scram_verifier_parse(text, &l->verifier) == 0;
	else if (kind == SECRET_PASSWORD)
		found = scram_verifier_make(text, &l->verifier) == 0;
	l->result = found ? AUTH_QUERY_FOUND : AUTH_QUERY_NOBODY;
	explicit_bzero(text, sizeof(text));
}

/* One column: the secret; or two, as PgBouncer has it: the name and the secret. */
static void take_row(struct lookup *l, const struct bytes *columns, int count)
{
	l->result = AUTH_QUERY_NOBODY;
	if (count == 0) {
		l->fault = "there is no such user";
	} else if (count == 1) {
		take_secret(l, columns[0]);
	} else if (columns[0].len != strlen(l->user) ||
		   memcmp(columns[0].at, l->user, columns[0].len) != 0) {
		l->fault = "auth.query gave the row of another user";
	} else {
		take_secret(l, columns[1]);
	}
}

static void begin_others(struct auth_query *q);

/* Tells all of a list what `l`, which may be gone by then, came to. */
static void tell(struct client *first, enum auth_query_result result,
	const struct scram_verifier *v, const char *fault)
{
	struct client *next;
	for (struct client *c = first; c; c = c->login->next_waiting)
		c->login->lookup = NULL;
	for (struct client *c = first; c; c = next) {
		next = c->login->next_waiting;
		login_answered(c, result, v, fault);
	}
}

static void on_answered(
	void *context, const struct bytes *columns, int count, const struct error *error)
{
	struct lookup *l = context;
	struct auth_query *q = l->all;
	q->under_way--;
	l->state = LOOKUP_ANSWERED;
	l->since = hub_now(q->hub);
	if (error) {
		l->result = AUTH_QUERY_FAILED;
		log_error(q->hub->log, "auth.query failed", field_error(error),
			field_text("database", l->database));
	} else {
		take_row(l, columns, count);
	}
	/* First the list is put in order: those that are told may ask again. */
	struct client *waiting = l->waiting;
	struct scram_verifier v = l->verifier;
	enum auth_query_result result = l->result;
	const char *fault = l->fault;
	l->waiting = NULL;
	if (error || l->outdated || settings_of(q)->cache_ns == 0)
		forget_lookup(q, l);
	tell(waiting, result, &v, fault);
	explicit_bzero(&v, sizeof(v));
	begin_others(q);
}

/* ---- a question ---- */

static void begin(struct auth_query *q, struct lookup *l)
{
	struct error error;
	l->state = LOOKUP_UNDER_WAY;
	q->under_way++;
	l->inquiry = (struct inquiry){.sql = l->sql,
		.parameter = l->user,
		.database = l->database,
		.search_path = SAFE_SEARCH_PATH,
		.answered = on_answered,
		.context = l};
	if (client_inquire(q->hub, &l->inquiry, false))
		return; /* it may have been answered already */
	error_set(&error, "auth", 0,
		"pool.clients leaves no room to ask, or the database is not served any more");
	on_answered(l, NULL, 0, &error);
}

static void begin_others(struct auth_query *q)
{
	for (int i = 0; i < q->count && q->under_way < AUTH_QUERY_UNDER_WAY && !q->closed; i++) {
		if (q->list[i]->state != LOOKUP_WAITS)
			continue;
		begin(q, q->list[i]);
		i = -1; /* the list may be another */
	}
}

void auth_query_ask(struct auth_query *q, struct auth_query_name name, struct client *c)
{
	int i = place_of(q, name);
	struct lookup *l = i >= 0 ? q->list[i] : add_lookup(q, name);
	c->login->lookup = l;
	c->login->next_waiting = l->waiting;
	l->waiting = c;
	begin_others(q);
}

void auth_query_leave(struct auth_query *q, struct client *c)
{
	struct lookup *l = c->login->lookup;
	if (!l)
		return;
	struct client **at = &l->waiting;
	while (*at != c)
		at = &(*at)->login->next_waiting;
	*at = c->login->next_waiting;
	c->login->lookup = NULL;
	if (l->waiting)
		return;
	/* Nobody wants to know any more: what is asked must not hold up the others. */
	if (l->state == LOOKUP_UNDER_WAY) {
		client_inquiry_cancel(l->inquiry.asker);
		q->under_way--;
		forget_lookup(q, l);
	} else if (l->state == LOOKUP_WAITS) {
		forget_lookup(q, l);
	}
	begin_others(q);
}

void auth_query_forget(struct auth_query *q)
{
	for (int i = q->count; i-- > 0;) {
		if (q->list[i]->state == LOOKUP_ANSWERED)
			forget_lookup(q, q->list[i]);
		else
			q->list[i]->outdated = true;
	}
}

void auth_query_close(struct auth_query *q)
{
	q->closed = true;
	for (int i = 0; i < q->count; i++) {
		struct lookup *l = q->list[i];
		if (l->state != LOOKUP_UNDER_WAY)
			continue;
		client_inquiry_cancel(l->inquiry.asker);
		l->state = LOOKUP_WAITS;
		q->under_way--;
	}
}

void auth_query_release(struct auth_query *q)
{
	while (q->count > 0)
		forget_lookup(q, q->list[0]);
	free(q->list);
	*q = (struct auth_query){0};
}
