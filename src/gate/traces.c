#include "gate/traces.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "gate/client.h"
#include "gate/traces_sql.h"
#include "wire/message.h"
#include "wire/sql.h"
#include "wire/startup.h"

/* The most that is kept of custom settings' names, and of an answer. */
#define CUSTOMS_MAX ((size_t)4096)
#define ANSWER_MAX  ((size_t)2 * PROFILE_BYTES_MAX)

#define SETS  (SQL_SET | SQL_RESET | SQL_DISCARD | SQL_CUSTOM | SQL_BOUND)
#define MAKES (SQL_LISTEN | SQL_TEMP | SQL_HOLD | SQL_LOCK | SQL_PREPARE | SQL_LOAD)
#define ANY   (SQL_RUN | SQL_UNSURE)

/* What may take away the reason for a pin; and what is asked, and found, about it. */
static const struct pin {
	const char *name, *text;
	uint32_t made_by, undone_by;
	const char *question; /* NULL: the server can't tell */
} kinds[PIN_COUNT] = {
	[PIN_LISTEN] = {"listen", "LISTEN", SQL_LISTEN, SQL_UNLISTEN | SQL_DISCARD,
		"SELECT FROM pg_catalog.pg_listening_channels()"},
	/* PostgreSQL itself finds them so when the session ends. */
	[PIN_TEMPORARY] = {"temporary", "a temporary table", SQL_TEMP, SQL_DROP | SQL_DISCARD,
		"SELECT FROM pg_catalog.pg_depend WHERE refclassid" TRACES_EQ
		"'pg_catalog.pg_namespace'::pg_catalog.regclass AND "
		"refobjid" TRACES_EQ "pg_catalog.pg_my_temp_schema()"},
	[PIN_CURSOR] = {"cursor", "a cursor WITH HOLD", SQL_HOLD, SQL_CLOSE | SQL_DISCARD,
		"SELECT FROM pg_catalog.pg_cursors WHERE is_holdable"},
	[PIN_LOCK] = {"lock", "an advisory lock", SQL_LOCK, SQL_UNLOCK | SQL_DISCARD,
		"SELECT FROM pg_catalog.pg_locks WHERE locktype" TRACES_EQ "'advisory' AND "
		"pid" TRACES_EQ "pg_catalog.pg_backend_pid()"},
	[PIN_PREPARED] = {"prepared", "PREPARE", SQL_PREPARE, SQL_DEALLOCATE | SQL_DISCARD,
		"SELECT FROM pg_catalog.pg_prepared_statements WHERE from_sql"},
	[PIN_LIBRARY] = {"library", "LOAD", SQL_LOAD, 0, NULL},
	[PIN_SETTINGS] = {"settings", "settings that can't follow it", 0, SETS, NULL},
};

const char *gate_pin_name(enum gate_pin pin)
{
	return kinds[pin].name;
}

void traces_text(uint32_t pins, char *out, size_t size)
{
	size_t len = 0;
	out[0] = 0;
	for (enum gate_pin pin = 0; pin < PIN_COUNT; pin++) {
		if (!(pins >> pin & 1) || len >= size)
			continue;
		int more = snprintf(
			out + len, size - len, "%s%s", len ? ", " : "", kinds[pin].text);
		len += (size_t)more;
	}
}

void traces_pin(struct client *c, uint32_t pins)
{
	struct gate_counters *counters = &c->hub->counters;
	counters->pinned += (pins != 0) - (c->pins != 0);
	for (enum gate_pin pin = 0; pin < PIN_COUNT; pin++)
		counters->pinned_by[pin] += (int)(pins >> pin & 1) - (c->pins >> pin & 1);
	c->pins = (uint8_t)pins;
}

void traces_hint(const struct hub *h, char *hint, size_t size)
{
	const struct gate_counters *counters = &h->counters;
	char before[ERROR_TEXT_MAX], text[256];
	uint32_t pins = 0;
	for (enum gate_pin pin = 0; pin < PIN_COUNT; pin++)
		pins |= (counters->pinned_by[pin] > 0 ? UINT32_C(1) : 0) << pin;
	traces_text(pins, text, sizeof(text));
	snprintf(before, sizeof(before), "%s", hint);
	snprintf(hint, size, "%d of %d server connections are pinned to their clients by %s. %s",
		counters->pinned, pool_servers(&h->engine.pool), text, before);
}

/* ---- what the client runs ---- */

static bool has_name(const struct buffer *names, const char *name, size_t len)
{
	struct bytes left = buffer_bytes(names);
	while (left.len > 0) {
		size_t its_len = strlen((const char *)left.at);
		if (its_len == len && memcmp(left.at, name, len) == 0)
			return true;
		left.at += its_len + 1;
		left.len -= its_len + 1;
	}
	return false;
}

static void note_custom(void *context, struct bytes name)
{
	struct server *s = context;
	if (!sql_is_custom_name(name) || has_name(&s->customs, (const char *)name.at, name.len))
		return;
	if (buffer_len(&s->customs) + name.len > CUSTOMS_MAX) {
		s->traits |= SQL_UNSURE;
		return;
	}
	buffer_append(&s->customs, name.at, name.len);
	buffer_append_u8(&s->customs, 0);
}

void traces_note(struct server *s, struct bytes text, uint32_t traits)
{
	s->traits |= traits & ~(SQL_LOCAL | SQL_PID);
	if ((traits & SQL_PID) && s->client)
		s->client->knows_backend = true;
	s->defaults |= traits & (SQL_RESET | SQL_LOCAL);
	/* What is prepared behind it may mean the temporary table, and what was prepared before
	 * does not: PostgreSQL looks names up once. */
	if (traits & SQL_TEMP)
		statements_outdate(&s->hub->statements);
	if (traits & SQL_CUSTOM)
		sql_settings(text, note_custom, s);
	s->clearing = s->clearing || (traits & (SQL_DEALLOCATE | SQL_DISCARD));
	/* It may name one of ours. */
	if ((traits & SQL_DEALLOCATE) &&
		memmem(text.at, text.len, STATEMENT_PREFIX, strlen(STATEMENT_PREFIX)))
		server_distrust_statements(s);
}

void traces_note_values(struct server *s, struct bytes rest)
{
	struct bytes values[16];
	int count = message_parse_values(rest, values, 16);
	for (int i = 0; i < count && i < 16; i++)
		if (values[i].at)
			note_custom(s, values[i]);
}

void traces_note_call(struct server *s, struct bytes body)
{
	/* Those for large objects leave nothing behind but what the transaction's end takes. */
	static const uint32_t harmless[] = {
		715, 764, 952, 953, 954, 955, 956, 957, 958, 964, 1004, 3170, 3171, 3172};
	uint32_t function = body.len >= 4 ? bytes_u32(body.at) : 0;
	for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
		if (harmless[i] == function)
			return;
	s->traits |= SQL_UNSURE;
}

/* ---- the question ---- */

static void add(struct buffer *out, const char *sql)
{
	buffer_append(out, sql, strlen(sql));
}

static bool has_pairs(const struct profile *p)
{
	return buffer_len(&p->pairs) > 0;
}

/* The custom settings that it has already: those may have been set or reset, too. */
static void note_own_customs(struct server *s)
{
	struct bytes pairs = buffer_bytes(&s->client->profile->pairs);
	const char *name, *value;
	while (wire_pair_next(&pairs, &name, &value))
		note_custom(s, (struct bytes){(const uint8_t *)name, strlen(name)});
}

static void begin_errand(struct server *s, enum server_errand errand)
{
	server_begin_errand(s, errand);
	s->unnamed = UNNAMED_NONE; /* a simple query drops it */
	*s->complaint = *s->sqlstate = 0;
	debts_add(&s->debts, (struct debt){.kind = DEBT_QUERY, .ours = true});
}

static void ask(struct server *s)
{
	struct client *c = s->client;
	struct buffer *out = &s->out;
	bool all = c->pins != 0 || (s->traits & ANY);
	const char *join = "";
	size_t mark;
	s->found = 0;
	buffer_release(&s->answer);
	message_begin(out, MSG_QUERY, &mark);
	if (all || (s->traits & SETS)) {
		note_own_customs(s);
		if ((s->traits & (SQL_RESET | SQL_DISCARD | ANY)) && has_pairs(c->origin)) {
			traces_sql_restore(c->origin, false, out);
			add(out, ";");
		}
		traces_sql_settings(buffer_bytes(&s->customs), out);
		join = " UNION ALL ";
	}
	for (enum gate_pin pin = 0; pin < PIN_COUNT; pin++) {
		const struct pin *kind = &kinds[pin];
		if (!kind->question || !(all || (s->traits & kind->made_by)))
			continue;
		add(out, join);
		add(out, "SELECT 'p','");
		add(out, kind->name);
		add(out, "',NULL WHERE EXISTS (");
		add(out, kind->question);
		add(out, ")");
		join = " UNION ALL ";
	}
	buffer_append_u8(out, 0);
	message_end(out, mark);
	c->hub->counters.asked++;
	begin_errand(s, ERRAND_ASK);
	server_send(s, NULL, 0);
}

/* May what it ran have changed anything that matters? */
static bool is_worth_asking(const struct server *s)
{
	const struct client *c = s->client;
	uint32_t asked = SETS | MAKES | ANY;
	if (c->pins) {
		/* The server is its own: what else is there can wait until it may go. */
		asked = SQL_RESET | SQL_DISCARD | ANY;
		for (enum gate_pin pin = 0; pin < PIN_COUNT; pin++)
			if (c->pins >> pin & 1)
				asked |= kinds[pin].undone_by;
	}
	return (s->traits & asked) != 0;
}

/* All that it ran were RESETs, and there was nothing to be reset but to what its startup had. */
static bool only_resets(const struct server *s)
{
	const struct client *c = s->client;
	return !c->pins && !(s->traits & (MAKES | ANY | (SETS & ~(SQL_RESET | SQL_DISCARD)))) &&
	       c->profile == c->origin && s->profile == c->profile;
}

static void forget_traits(struct server *s)
{
	s->traits = 0;
	s->restoring = 0;
	buffer_release(&s->customs);
	buffer_release(&s->answer);
}

/* ---- cleaning ---- */

static void clean(struct server *s, bool settings)
{
	struct buffer *out = &s->out;
	size_t mark;
	message_begin(out, MSG_QUERY, &mark);
	if (settings) {
		add(out, "SET SESSION AUTHORIZATION DEFAULT;RESET ROLE;RESET ALL;");
		profile_drop(&s->pool->profiles, s->profile);
		s->profile = profile_hold(s->pool->profiles.base);
	}
	add(out, TRACES_CLEAN);
	buffer_append_u8(out, 0);
	message_end(out, mark);
	begin_errand(s, ERRAND_CLEAN);
	server_send(s, NULL, 0);
}

/* What its client ran may still be there, but the client is not. True: it is not free yet. */
static bool clean_after(struct server *s)
{
	bool library = (s->client->pins >> PIN_LIBRARY & 1) || (s->traits & SQL_LOAD);
	/* Texts that were prepared for a temporary table would go on meaning it. */
	uint32_t pins = UINT32_C(1) << PIN_PREPARED | UINT32_C(1) << PIN_TEMPORARY;
	if ((s->traits & (SQL_PREPARE | SQL_TEMP | ANY)) || (s->client->pins & pins))
		server_distrust_statements(s);
	traces_pin(s->client, 0);
	forget_traits(s);
	s->spent = library; /* that is for good */
	if (!library)
		clean(s, true);
	return !library;
}

bool traces_cleaned(struct server *s)
{
	s->errand = ERRAND_NONE;
	if (!*s->sqlstate)
		return true;
	server_lost(s, OUTCOME_PROTOCOL, "what a client left behind could not be cleaned away");
	return false;
}

bool traces_keep(struct server *s)
{
	struct client *c = s->client;
	if (c->big_unnamed == BIG_PARSED && c->state == CLIENT_ACTIVE)
		return true; /* nowhere else could it be bound */
	if (!s->traits && !c->pins)
		return false;
	if (c->state == CLIENT_GONE && (c->pins || (s->traits & (SETS | MAKES | ANY))))
		return clean_after(s);
	if (is_worth_asking(s)) {
		if (!only_resets(s)) {
			ask(s);
			return true;
		}
		/* Our login's settings may be there now, in place of its startup packet's. */
		s->dirty = s->dirty || has_pairs(c->origin);
	}
	if (c->pins)
		return true;
	forget_traits(s);
	return false;
}

/* ---- the answer ---- */

static int digit_of(uint8_t c)
{
	return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* Bytes in hexadecimal, with a zero behind them. */
static void append_decoded(struct buffer *out, struct bytes hex)
{
	for (size_t i = 0; i + 1 < hex.len; i += 2)
		buffer_append_u8(
			out, (uint8_t)(digit_of(hex.at[i]) << 4 | digit_of(hex.at[i + 1])));
	buffer_append_u8(out, 0);
}

void traces_row(struct server *s, struct bytes body)
{
	struct bytes columns[3];
	if (message_parse_row(body, columns, 3) != 3 || columns[0].len != 1)
		return; /* of set_config */
	if (columns[0].at[0] == 'p') {
		for (enum gate_pin pin = 0; pin < PIN_COUNT; pin++)
			if (columns[1].at && strlen(kinds[pin].name) == columns[1].len &&
				memcmp(kinds[pin].name, columns[1].at, columns[1].len) == 0)
				s->found |= UINT32_C(1) << pin;
		return;
	}
	if (!columns[1].at || !columns[2].at || buffer_len(&s->answer) > ANSWER_MAX) {
		s->found |= UINT32_C(1) << PIN_SETTINGS;
		return;
	}
	append_decoded(&s->answer, columns[1]);
	append_decoded(&s->answer, columns[2]);
}

static void take_settings(struct server *s)
{
	struct client *c = s->client;
	struct profiles *all = &s->pool->profiles;
	struct profile *told = profile_from_pairs(all, buffer_bytes(&s->answer));
	if (!told) {
		s->found |= UINT32_C(1) << PIN_SETTINGS;
		return;
	}
	profile_drop(all, c->profile);
	c->profile = told;
	profile_drop(all, s->profile);
	s->profile = profile_hold(told);
}

static void log_loss(struct client *c, uint32_t pins)
{
	char text[256];
	if (c->told_loss)
		return;
	c->told_loss = true;
	traces_text(pins, text, sizeof(text));
	log_warning(c->hub->log,
		"a client left behind what does not outlive a transaction here (pool.pin is off)",
		field_text("lost", text), field_int("client", (int64_t)c->serial));
}

/* It keeps its server, and the server is asked again when it sets something again: at once would be
 * for ever, if a statement_timeout of its own is what stopped the question. */
static void note_silence(struct server *s)
{
	struct client *c = s->client;
	log_warning(c->hub->log, "a server did not tell what a client left behind",
		field_text("sqlstate", s->sqlstate), field_text("error", s->complaint),
		field_int("client", (int64_t)c->serial));
	s->found |= c->pins | UINT32_C(1) << PIN_SETTINGS;
	*s->complaint = *s->sqlstate = 0;
}

bool traces_answered(struct server *s)
{
	struct client *c = s->client;
	uint32_t traits = s->traits;
	bool all = c->pins != 0 || (traits & ANY);
	bool told = !*s->sqlstate;
	s->errand = ERRAND_NONE;
	if (c->state == CLIENT_GONE)
		return true; /* it is cleaned all the same */
	s->found |= c->pins & UINT32_C(1) << PIN_LIBRARY;
	if (traits & SQL_LOAD)
		s->found |= UINT32_C(1) << PIN_LIBRARY;
	if (!told)
		note_silence(s);
	else if (all || (traits & SETS))
		take_settings(s);
	uint32_t found = s->found;
	struct buffer customs = s->customs;
	s->customs = BUFFER_INIT;
	forget_traits(s);
	if (told)
		buffer_release(&customs);
	else
		s->customs = customs; /* still to be asked for */
	if (found && !c->hub->settings->pin) {
		log_loss(c, found);
		if ((found >> PIN_PREPARED | found >> PIN_TEMPORARY) & 1)
			server_distrust_statements(s);
		buffer_release(&s->customs);
		s->dirty = found >> PIN_SETTINGS & 1;
		traces_pin(c, 0);
		clean(s, false);
		return s->link != NULL;
	}
	if ((c->pins & ~found) >> PIN_TEMPORARY & 1)
		server_distrust_statements(s); /* its client has dropped what they meant */
	traces_pin(c, found);
	return true;
}

/* ---- RESET, and SET TO DEFAULT, in a transaction ---- */

void traces_restore(struct server *s)
{
	struct client *c = s->client;
	size_t mark;
	/* If it was both, it is not told for which of them. */
	bool local = s->restoring == SQL_LOCAL;
	bool session = s->client && s->client->mode == POOL_SESSION && s->status == 'I';
	if ((s->status != 'T' && !session) || s->debts.count > 0 || s->unsynced ||
		s->errand != ERRAND_NONE || buffer_len(&s->out) > 0)
		return;
	s->restoring = 0;
	if (!c || c->state != CLIENT_ACTIVE || !has_pairs(c->origin))
		return;
	message_begin(&s->out, MSG_QUERY, &mark);
	traces_sql_restore(c->origin, local, &s->out);
	buffer_append_u8(&s->out, 0);
	message_end(&s->out, mark);
	begin_errand(s, ERRAND_RESTORE);
	server_send(s, NULL, 0);
}

bool traces_restored(struct server *s)
{
	s->errand = ERRAND_NONE;
	if (!*s->sqlstate)
		return true;
	/* The client's transaction has failed of it. */
	server_lost(s, OUTCOME_OK, "the startup packet's settings could not be restored");
	return false;
}
