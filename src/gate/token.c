#include "gate/token.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gate/hub.h"
#include "gate/server.h"
#include "io/command.h"
#include "io/entropy.h"

/* Where a token's life is over to about this share, it is fetched again. */
#define REFRESH_PERCENT 75
#define REFRESH_JITTER  5

/* A fetch that failed is tried again so soon, at most and at least. */
#define AGAIN_MAX_NS (30 * NS_PER_S)
#define AGAIN_MIN_NS (1 * NS_PER_S)

static const char *command_of(const struct token *t)
{
	const char *command = t->hub->settings->password_command;
	return command ? command : "";
}

/* ---- its value ---- */

static void wipe(char **text)
{
	if (*text)
		explicit_bzero(*text, strlen(*text));
	free(*text);
	*text = NULL;
}

static void forget_before(struct token *t)
{
	if (t->before && t->secrets)
		secrets_forget(t->secrets, t->before);
	wipe(&t->before);
}

static void drop_value(struct token *t)
{
	if (!t->value)
		return;
	forget_before(t);
	t->before = t->value;
	t->value = NULL;
	uv_timer_stop(&t->timer);
}

static void on_timer(uv_timer_t *timer)
{
	token_fetch(timer->data);
}

static void fetch_in(struct token *t, int64_t span_ns)
{
	uv_timer_start(&t->timer, on_timer, (uint64_t)(span_ns / NS_PER_MS) + 1, 0);
}

static void keep(struct token *t, const char *value, instant now)
{
	uint16_t dice;
	int64_t life_ns = t->hub->settings->password_life_ns;
	entropy_fill(&dice, sizeof(dice));
	drop_value(t);
	t->value = strdup(value);
	if (!t->value)
		abort();
	if (t->secrets)
		secrets_add(t->secrets, t->value);
	t->fetched_at = now;
	t->until = instant_add(now, life_ns);
	/* Jittered, so that a fleet that was started at once does not ask at once for ever. */
	fetch_in(t,
		life_ns / 100 * (REFRESH_PERCENT - REFRESH_JITTER + dice % (2 * REFRESH_JITTER)));
}

const char *token_value(struct token *t, instant now)
{
	if (t->value && now >= t->until)
		drop_value(t);
	return t->value;
}

void token_refused(struct token *t, instant fetched_at)
{
	if (t->value && t->fetched_at == fetched_at)
		drop_value(t);
}

/* ---- its fetch ---- */

static void tell_servers(struct token *t, const struct error *error)
{
	struct hub *h = t->hub;
	for (int i = 0; i < h->memory.servers_max; i++)
		server_token_came(&h->servers[i], error);
}

static void failed(struct token *t, const struct error *cause)
{
	struct hub *h = t->hub;
	struct error error = *cause;
	instant now = hub_now(h);
	error_wrap(&error, "database.password_command");
	log_warning(h->log, "no password for the database", field_error(&error));
	if (token_value(t, now)) {
		int64_t span_ns = (t->until - now) / 4;
		span_ns = span_ns > AGAIN_MAX_NS ? AGAIN_MAX_NS : span_ns;
		fetch_in(t, span_ns < AGAIN_MIN_NS ? AGAIN_MIN_NS : span_ns);
		tell_servers(t, NULL);
		return;
	}
	tell_servers(t, &error);
}

static void on_ended(void *context, const char *line, const struct error *error)
{
	struct token *t = context;
	t->run = NULL;
	if (!line) {
		failed(t, error);
		return;
	}
	keep(t, line, hub_now(t->hub));
	tell_servers(t, NULL);
}

static const char *value_of(const PQconninfoOption *options, const char *keyword)
{
	for (; options && options->keyword; options++)
		if (strcmp(options->keyword, keyword) == 0 && options->val)
			return options->val;
	return "";
}

const char **token_environment(
	const char *conninfo, char texts[TOKEN_VARIABLES][TOKEN_VARIABLE_MAX])
{
	static const char *const pairs[TOKEN_VARIABLES][2] = {{"host", "PGHOST"},
		{"port", "PGPORT"}, {"user", "PGUSER"}, {"dbname", "PGDATABASE"}};
	size_t count = 0, at = 0;
	while (environ[count])
		count++;
	const char **list = calloc(count + TOKEN_VARIABLES + 1, sizeof(*list));
	if (!list)
		abort();
	PQconninfoOption *options = PQconninfoParse(conninfo, NULL);
	for (int i = 0; i < TOKEN_VARIABLES; i++) {
		const char *value = value_of(options, pairs[i][0]);
		*texts[i] = 0;
		if (*value) {
			snprintf(texts[i], sizeof(texts[i]), "%s=%s", pairs[i][1], value);
			list[at++] = texts[i];
		}
	}
	PQconninfoFree(options);
	/* The first of a name is the one that a shell takes; ours must not come twice. */
	for (size_t i = 0; i < count; i++) {
		bool ours = false;
		for (int v = 0; v < TOKEN_VARIABLES; v++) {
			size_t len = strlen(pairs[v][1]);
			ours = ours || (*texts[v] && strncmp(environ[i], pairs[v][1], len) == 0 &&
					       environ[i][len] == '=');
		}
		if (!ours)
			list[at++] = environ[i];
	}
	return list;
}

void token_fetch(struct token *t)
{
	struct hub *h = t->hub;
	char texts[TOKEN_VARIABLES][TOKEN_VARIABLE_MAX];
	struct error error;
	if (t->run || !*command_of(t))
		return;
	free(t->command);
	t->command = strdup(command_of(t));
	if (!t->command)
		abort();
	const char **environment = token_environment(h->settings->conninfo, texts);
	t->run = command_start(h->loop, t->command, environment,
		engine_deadline_span(&h->engine, DEADLINE_HEALTH_CHECK), on_ended, t, &error);
	free(environment);
	if (!t->run)
		failed(t, &error);
}

bool token_is_for(const struct token *t, const struct gate_pool *pool)
{
	static const char *const keywords[] = {"host", "hostaddr", "port", "user"};
	if (!*command_of(t))
		return false;
	PQconninfoOption *own = PQconninfoParse(t->hub->settings->conninfo, NULL);
	PQconninfoOption *its = PQconninfoParse(pool->conninfo, NULL);
	bool same = own && its;
	for (size_t i = 0; same && i < sizeof(keywords) / sizeof(keywords[0]); i++)
		same = strcmp(value_of(own, keywords[i]), value_of(its, keywords[i])) == 0;
	PQconninfoFree(own);
	PQconninfoFree(its);
	return same;
}

/* ---- its life ---- */

void token_init(struct token *t, struct hub *h)
{
	*t = (struct token){.hub = h};
	uv_timer_init(h->loop, &t->timer);
	t->timer.data = t;
}

void token_configure(struct token *t, bool elsewhere)
{
	/* The secrets have been read anew, too, and know nothing of it. */
	if (t->secrets) {
		secrets_add(t->secrets, t->before);
		secrets_add(t->secrets, t->value);
	}
	if (!t->command || (!elsewhere && strcmp(t->command, command_of(t)) == 0))
		return;
	drop_value(t);
	if (t->run)
		command_abandon(t->run);
	t->run = NULL;
	tell_servers(t, NULL); /* those that waited begin anew */
}

void token_close(struct token *t)
{
	if (t->run)
		command_abandon(t->run);
	t->run = NULL;
	uv_close((uv_handle_t *)&t->timer, NULL);
}

void token_release(struct token *t)
{
	drop_value(t);
	forget_before(t);
	free(t->command);
}
