#include "io/refusal.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define TRY_MAX 1024 /* bytes of a try that are looked at */

/* How libpq begins what it says of one try. */
static const char *const beginnings[] = {
	"connection to server ",
	"could not translate host name ",
	"could not parse network address ",
};

static const struct {
	const char *text;
	enum outcome outcome;
} signs[] = {
	{"could not translate host name", OUTCOME_DNS},
	{"Connection refused", OUTCOME_REFUSED},
	{"No such file or directory\n\tIs the server", OUTCOME_REFUSED}, /* no such Unix socket */
	{"timeout expired", OUTCOME_TIMEOUT},
	{"Connection timed out", OUTCOME_TIMEOUT},
	{"No route to host", OUTCOME_UNREACHABLE},
	{"Network is unreachable", OUTCOME_UNREACHABLE},
	{"Cannot assign requested address", OUTCOME_UNREACHABLE},
	{"closed the connection unexpectedly", OUTCOME_RESET},
	{"Connection reset", OUTCOME_RESET},
	{"Broken pipe", OUTCOME_RESET},
	{"connection has been closed unexpectedly", OUTCOME_RESET},
	{"SSL SYSCALL error", OUTCOME_RESET},
	{"unexpected eof while reading", OUTCOME_RESET},
	{"no password supplied", OUTCOME_AUTH},
	{"server does not support SSL", OUTCOME_TLS},
	{"certificate", OUTCOME_TLS},
	{"private key", OUTCOME_TLS},
	{"SSL", OUTCOME_TLS},
};

/* One try's part of a message. */
struct one_try {
	char text[TRY_MAX]; /* all lines of it */
	char sqlstate[6];
	const char *reason; /* in the text: behind the host and the SQLSTATE */
};

/* libpq's verbose form of a server's error: "SEVERITY:  SQLSTATE: message". Behind that, or
 * NULL. */
static const char *find_sqlstate(const char *message, char sqlstate[6])
{
	for (const char *at = strstr(message, ":  "); at; at = strstr(at + 1, ":  ")) {
		const char *code = at + 3;
		int len = 0;
		while (len < 5 &&
			(isdigit((unsigned char)code[len]) || isupper((unsigned char)code[len])))
			len++;
		if (len == 5 && code[5] == ':') {
			memcpy(sqlstate, code, 5);
			sqlstate[5] = 0;
			return code + 5 + strspn(code + 5, ": ");
		}
	}
	sqlstate[0] = 0;
	return NULL;
}

static bool is_beginning(const char *line)
{
	for (size_t i = 0; i < sizeof(beginnings) / sizeof(beginnings[0]); i++)
		if (strncmp(line, beginnings[i], strlen(beginnings[i])) == 0)
			return true;
	return false;
}

/* Takes the next try out of a message; false at its end. */
static bool next_try(const char **message, struct one_try *t)
{
	const char *begin = *message, *end = begin;
	if (!*begin)
		return false;
	do {
		end += strcspn(end, "\n");
		end += *end == '\n';
	} while (*end && !is_beginning(end));
	*message = end;
	snprintf(t->text, sizeof(t->text), "%.*s", (int)(end - begin), begin);
	t->reason = find_sqlstate(t->text, t->sqlstate);
	if (!t->reason)
		t->reason = t->text + strspn(t->text, " \t\n");
	return true;
}

static enum outcome outcome_of(const struct one_try *t)
{
	/* One SQLSTATE for both, and the text may be in any language: in English it tells. */
	if (strcmp(t->sqlstate, "57P03") == 0 && strstr(t->reason, "is shutting down"))
		return OUTCOME_SHUTDOWN;
	if (*t->sqlstate)
		return outcome_from_sqlstate(t->sqlstate);
	for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++)
		if (strstr(t->text, signs[i].text))
			return signs[i].outcome;
	return OUTCOME_PROTOCOL;
}

/* How much an outcome promises: what counts against capacity passes, what is permanent does not. */
static int promise(enum outcome outcome)
{
	return outcome_is_permanent(outcome) ? 0 : outcome_is_capacity(outcome) ? 2 : 1;
}

/* The try that counts. */
static enum outcome find_best(const char *message, struct one_try *best)
{
	struct one_try t;
	enum outcome found = OUTCOME_PROTOCOL;
	bool any = false;
	*best = (struct one_try){.reason = best->text};
	while (next_try(&message, &t)) {
		enum outcome outcome = outcome_of(&t);
		if (any && promise(outcome) <= promise(found))
			continue;
		any = true;
		found = outcome;
		*best = t;
		best->reason = best->text + (t.reason - t.text);
	}
	return found;
}

enum outcome upstream_classify(const char *message, char sqlstate[6])
{
	struct one_try best;
	enum outcome outcome = find_best(message, &best);
	memcpy(sqlstate, best.sqlstate, sizeof(best.sqlstate));
	return outcome;
}

/* The labels of what libpq shows behind an error's message, in its order. */
static const char *const labels[] = {
	"DETAIL:  ", "HINT:  ", "QUERY:  ", "CONTEXT:  ", "SCHEMA NAME:  ", "TABLE NAME:  ",
	"COLUMN NAME:  ", "DATATYPE NAME:  ", "CONSTRAINT NAME:  ", "LOCATION:  "};

static bool is_labelled(const char *line)
{
	for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++)
		if (strncmp(line, labels[i], strlen(labels[i])) == 0)
			return true;
	return false;
}

/* From behind the label to the next one's line, or the end. */
static void copy_labelled(const char *text, const char *label, char *to, size_t size)
{
	*to = 0;
	for (text = strchr(text, '\n'); text && *++text; text = strchr(text, '\n')) {
		if (strncmp(text, label, strlen(label)) != 0)
			continue;
		const char *begin = text + strlen(label), *end = begin;
		do {
			end += strcspn(end, "\n");
		} while (*end && *++end && !is_labelled(end));
		while (end > begin && end[-1] == '\n')
			end--;
		snprintf(to, size, "%.*s", (int)(end - begin), begin);
		return;
	}
}

void upstream_explain(const char *message, char *detail, char *hint, size_t size)
{
	struct one_try best;
	find_best(message, &best);
	copy_labelled(best.reason, labels[0], detail, size);
	copy_labelled(best.reason, labels[1], hint, size);
}

/* "connection to server at "db" (10.0.0.1), port 5432 failed: ..." -> "at "db" (10.0.0.1), port
 * 5432: ..." */
static void name_try(const struct one_try *t, char *text, size_t size)
{
	const char *host = t->text, *failed = strstr(t->text, " failed: ");
	if (strncmp(host, beginnings[0], strlen(beginnings[0])) != 0 || !failed) {
		snprintf(text, size, "%.*s", (int)strcspn(t->reason, "\n"), t->reason);
		return;
	}
	host += strlen(beginnings[0]);
	const char *reason = *t->sqlstate ? t->reason : failed + strlen(" failed: ");
	snprintf(text, size, "%.*s: %.*s", (int)(failed - host), host, (int)strcspn(reason, "\n"),
		reason);
}

void upstream_describe(const char *message, char *text, size_t size)
{
	struct one_try t;
	char before[TRY_MAX] = "", now[TRY_MAX];
	const char *rest = message;
	size_t len = 0;
	text[0] = 0;
	if (!next_try(&rest, &t))
		return;
	if (!*rest) {
		snprintf(text, size, "%.*s", (int)strcspn(t.reason, "\n"), t.reason);
		return;
	}
	do {
		name_try(&t, now, sizeof(now));
		/* With TLS and without: once is enough. */
		if (strcmp(now, before) != 0 && len < size)
			len += (size_t)snprintf(
				text + len, size - len, "%s%s", len ? "; " : "", now);
		memcpy(before, now, sizeof(now));
	} while (next_try(&rest, &t));
}
