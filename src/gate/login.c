/* A session's beginning: from the first packet to ReadyForQuery, or the reason why not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/control.h"
#include "gate/console.h"
#include "gate/login.h"
#include "gate/relay.h"
#include "gate/server.h"
#include "io/entropy.h"
#include "io/peer.h"
#include "io/tls.h"
#include "wire/startup.h"

static struct login *login_of(struct client *c)
{
	if (!c->login)
		c->login = calloc(1, sizeof(*c->login));
	if (!c->login)
		abort();
	return c->login;
}

void client_login_release(struct client *c)
{
	if (!c->login)
		return;
	auth_query_leave(&c->hub->auth.query, c);
	buffer_release(&c->login->startup);
	scram_release(&c->login->scram);
	free(c->login);
	c->login = NULL;
}

bool client_login_waits(const struct client *c)
{
	return c->login && c->login->lookup;
}

void login_refuse(struct client *c, const char *sqlstate, const char *message, const char *hint)
{
	c->hub->counters.client_errors++;
	client_fail(c, sqlstate, message, NULL, hint);
}

void login_deny(struct client *c, const char *sqlstate, const char *message, const char *why)
{
	struct peer peer;
	peer_of(c->stream.fd, &peer);
	c->hub->counters.login_failures++;
	if (log_limit_allows(&c->hub->refusals, hub_now(c->hub)))
		log_warning(c->hub->log, "a client may not come in", field_text("reason", why),
			field_text("user", c->login->names.user),
			field_text("database", c->login->names.database),
			field_text("client", peer.host));
	client_fail(c, sqlstate, message, NULL, NULL);
}

/* ---- encryption ---- */

/* Asked for too late, or twice. */
static void refuse_version(struct client *c)
{
	login_refuse(
		c, "0A000", "unsupported frontend protocol version", "Standpipe speaks version 3.");
}

/* The answer to a client that may go on without TLS or GSS. */
static void say_no(struct client *c, bool *asked)
{
	if (*asked) {
		refuse_version(c);
		return;
	}
	*asked = true;
	client_send(c, "N", 1);
}

static void encrypt(struct client *c, struct bytes ahead)
{
	struct login *l = login_of(c);
	l->asked_tls = l->asked_gss = true;
	stream_encrypt(&c->stream, tls_accept(&c->hub->auth.tls), ahead);
}

/* `rest` came behind the request, in plain text: nobody who waits for the answer sends that, so
 * somebody in between may have put it there, to be taken for what is said under TLS. */
static void answer_tls(struct client *c, struct bytes rest)
{
	struct login *l = login_of(c);
	if (l->asked_tls) {
		refuse_version(c);
		return;
	}
	if (!auth_has_tls(&c->hub->auth)) {
		say_no(c, &l->asked_tls);
		return;
	}
	if (rest.len > 0) {
		c->hub->counters.client_errors++;
		client_fail(c, "08P01", "received unencrypted data after SSL request",
			"This could be either a client-software bug or evidence of an attempted "
			"man-in-the-middle attack.",
			NULL);
		return;
	}
	/* At once: what waits to be sent would be sent under TLS. */
	if (buffer_len(&c->out) > 0 || stream_write(&c->stream, "S", 1) != 1) {
		client_drop(c);
		return;
	}
	encrypt(c, (struct bytes){0});
}

/* `in` is where a handshake begins (sslnegotiation=direct). */
static void begin_tls(struct client *c, struct bytes in)
{
	if (c->login || !auth_has_tls(&c->hub->auth)) {
		client_drop(c); /* what it would understand we can't say */
		return;
	}
	encrypt(c, in);
	c->login->direct = true;
}

void client_login_broke(struct client *c)
{
	struct peer peer;
	if (!c->stream.ssl || SSL_is_init_finished(c->stream.ssl) ||
		!log_limit_allows(&c->hub->refusals, hub_now(c->hub)))
		return;
	const char *reason = tls_reason();
	peer_of(c->stream.fd, &peer);
	log_info(c->hub->log, "a client's TLS handshake failed", field_text("reason", reason),
		field_text("client", peer.host));
}

/* ---- the session ---- */

/* Of 16 bits, and never 0: the client's id, and not the same for the next ones that have it:
 * programs tell by it whether a connection is still the one it was. */
static uint32_t make_up_pid(const struct client *c)
{
	uint32_t ids = (uint32_t)c->hub->memory.clients_max;
	uint16_t *turn = &c->hub->id_turns[c->id];
	*turn = (uint16_t)((*turn + 1) % (UINT16_MAX / ids));
	return *turn * ids + (uint32_t)c->id + 1;
}

void client_identify(struct client *c)
{
	const struct server *s = c->server;
	/* Its own for as long as the session lasts: applications use the backend's for more than cancel requests. Of
	 * several workers the one that has the client is told by a process id that we make up. */
	if (c->mode == POOL_SESSION && s && s->link && c->hub->settings->workers <= 1)
		c->pid = (uint32_t)PQbackendPID(s->link->up.conn);
	else
		c->pid = (uint32_t)c->hub->slot << 16 | make_up_pid(c);
	entropy_fill(&c->key, sizeof(c->key));
}

void client_welcomed(struct client *c)
{
	struct buffer *out = &c->out;
	struct bytes welcome = buffer_bytes(&c->profile->welcome);
	client_identify(c);
	message_authentication_ok(out);
	buffer_append(out, welcome.at, welcome.len);
	message_backend_key(out, c->pid, c->key);
	message_ready(out, 'I');
	c->state = c->server ? CLIENT_ACTIVE : CLIENT_IDLE;
	c->since = hub_now(c->hub);
	client_send(c, NULL, 0);
}

/* Most know their places by the process id that we made up. */
static struct client *find_asked(const struct hub *h, uint32_t pid, uint32_t key)
{
	uint32_t low = pid & UINT16_MAX;
	int id = low > 0 ? (int)(low - 1) % h->memory.clients_max : -1;
	struct client *c = id >= 0 ? h->clients[id] : NULL;
	if (c && c->pid == pid && c->key == key)
		return c;
	for (id = 0; id < h->memory.clients_max; id++) {
		c = h->clients[id];
		if (c && c->pid == pid && c->key == key)
			return c;
	}
	return NULL;
}

bool client_cancel(struct hub *h, uint32_t pid, uint32_t key)
{
	/* Who has not been told a process id, as the gate's own questions, has none. */
	struct client *c = pid ? find_asked(h, pid, key) : NULL;
	if (!c)
		return false;
	if (c->state == CLIENT_CONSOLE)
		console_cancel(c);
	else if (c->state == CLIENT_ACTIVE && c->server && c->server->errand == ERRAND_NONE)
		server_cancel(c->server);
	else if (c->state == CLIENT_QUEUED || c->state == CLIENT_ACTIVE)
		relay_cancel_waiting(c);
	return true;
}

/* It comes to whoever accepts, who need not be who has the client. */
static void cancel(struct client *asker, const struct wire_startup *request)
{
	struct hub *h = asker->hub;
	if (!client_cancel(h, request->pid, request->key) && h->duties.cancel)
		h->duties.cancel(h->duties.context, request->pid, request->key, asker->stream.fd);
	client_drop(asker);
}

/* A newer minor version and its options are not refused: the client is told what there is. */
static void negotiate(struct client *c, const struct wire_startup *startup)
{
	struct buffer unknown = BUFFER_INIT;
	struct bytes parameters = startup->parameters;
	const char *name, *value;
	uint32_t count = 0;
	while (wire_pair_next(&parameters, &name, &value)) {
		if (strncmp(name, "_pq_.", 5) != 0)
			continue;
		buffer_append_text(&unknown, name);
		count++;
	}
	if (startup->minor > 0 || count > 0)
		message_negotiate(&c->out, count, buffer_bytes(&unknown));
	buffer_release(&unknown);
}

/* ---- who must prove what ---- */

/* In session mode a client that there is a server for gets it now: then it is told the backend's process id, as
 * on a direct connection. */
static bool is_served_at_once(const struct client *c)
{
	const struct engine *e = &c->hub->engine;
	const struct pool_group *group = &e->pool.groups[c->pool->group];
	if (c->mode != POOL_SESSION || e->breaker.state != BREAKER_CLOSED)
		return false;
	if (group->idle > group->waiting)
		return true;
	return pool_group_has_room(&e->pool, c->pool->group) &&
	       pool_servers(&e->pool) + e->pool.waiting < e->budget.share;
}

/* Of one that has proved who it is: as PostgreSQL does, that is said first. libpq would otherwise try
 * once more without TLS. */
static void refuse_session(
	struct client *c, const char *sqlstate, const char *message, const char *hint)
{
	message_authentication_ok(&c->out);
	login_refuse(c, sqlstate, message, hint);
}

void login_session(struct client *c, struct bytes parameters, const struct login_names *names)
{
	if (console_is_meant(c->hub, names->database)) {
		console_enter(c, names->user, names->database, parameters);
		return;
	}
	if (holds_is_disabled(&c->hub->holds, names->database)) {
		char message[ERROR_TEXT_MAX];
		snprintf(message, sizeof(message),
			"database \"%.63s\" is not currently accepting connections",
			names->database);
		refuse_session(c, "55000", message, "It was disabled from the console.");
		return;
	}
	struct pools_refusal why = {0};
	struct gate_pool *pool = pools_find(c->hub, names->database, names->user, &why);
	if (!pool || pools_enter(c, pool, names->user, parameters, &why) != 0) {
		refuse_session(c, why.sqlstate, why.message, *why.hint ? why.hint : NULL);
		return;
	}
	client_login_release(c);
	/* Refused for good lately: PostgreSQL would tell that now, and not at the first query. */
	bool refused = c->hub->engine.groups[c->pool->group].permanent != OUTCOME_OK;
	if (buffer_len(&c->profile->welcome) > 0 && !is_served_at_once(c) && !refused) {
		client_welcomed(c);
		return;
	}
	/* What the server will report in this profile is learned from a server. */
	c->state = CLIENT_LOGIN;
	hub_tell(c->hub,
		(struct engine_event){
			.kind = EVENT_CLIENT_WAITS, .client = c->id, .group = c->pool->group});
}

static void read_names(struct bytes parameters, struct login_names *names)
{
	const char *name, *value;
	*names = (struct login_names){0};
	while (wire_pair_next(&parameters, &name, &value)) {
		if (strcmp(name, "user") == 0)
			names->user = value;
		else if (strcmp(name, "database") == 0)
			names->database = value;
		else if (strcmp(name, "application_name") == 0)
			names->is_check = strcmp(value, AUTH_CHECK_NAME) == 0;
		else if (strcmp(name, "replication") == 0)
			names->replication = strcmp(value, "0") != 0 &&
					     strcmp(value, "false") != 0 &&
					     strcmp(value, "off") != 0 && strcmp(value, "no") != 0;
	}
	if (!names->database || !*names->database)
		names->database = names->user;
}

/* By where it comes from; TLS may be a must there. False: it has been refused. */
static bool find_method(struct client *c, const struct login_names *names, enum auth_method *method)
{
	const struct auth_settings *settings = c->hub->auth.settings;
	struct peer peer = {.local = true};
	if (settings->local != settings->remote || settings->tls_mode == TLS_REQUIRE)
		peer_of(c->stream.fd, &peer);
	*method = peer.local ? settings->local : settings->remote;
	if (names->is_check && peer.local && *method != AUTH_TRUST)
		*method = AUTH_SCRAM;
	if (peer.local || c->stream.ssl || settings->tls_mode != TLS_REQUIRE)
		return true;
	login_refuse(c, "28000", "standpipe asks for TLS of clients from other machines",
		"Connect with sslmode=require, or stricter.");
	return false;
}

/* The startup packet is kept until the proof has come. */
static struct login *keep(struct client *c, struct bytes parameters)
{
	struct login *l = login_of(c);
	buffer_append(&l->startup, parameters.at, parameters.len);
	read_names(buffer_bytes(&l->startup), &l->names);
	return l;
}

static void check_certificate(struct client *c, struct bytes parameters)
{
	char message[ERROR_TEXT_MAX];
	const struct login *l = keep(c, parameters);
	bool shown = c->stream.ssl && SSL_get0_peer_certificate(c->stream.ssl);
	if (shown && tls_names_user(c->stream.ssl, l->names.user)) {
		login_session(c, buffer_bytes(&l->startup), &l->names);
		return;
	}
	snprintf(message, sizeof(message), "certificate authentication failed for user \"%.100s\"",
		l->names.user);
	login_deny(c, "28000", message,
		shown ? "the certificate names another user" : "no certificate was shown");
}

static bool is_too_many(const struct client *c)
{
	return c->surplus && c->hub->counters.clients > c->hub->clients_allowed;
}

static void ask_for_proof(struct client *c, struct bytes parameters)
{
	struct login_names names;
	enum auth_method method;
	read_names(parameters, &names);
	if (!names.user || !*names.user) {
		login_refuse(
			c, "28000", "no PostgreSQL user name specified in startup packet", NULL);
		return;
	}
	if (names.replication) {
		login_refuse(c, "0A000", "standpipe does not serve replication connections",
			"Connect to the database itself for replication.");
		return;
	}
	if (is_too_many(c) && !console_is_meant(c->hub, names.database)) {
		c->hub->counters.bounds[BOUND_CLIENTS]++;
		login_refuse(c, CLIENT_SURPLUS, CLIENT_SURPLUS_HINT);
		return;
	}
	if (!find_method(c, &names, &method))
		return;
	if (console_is_meant(c->hub, names.database) && console_knows_peer(c, names.user))
		method = AUTH_TRUST;
	switch (method) {
	case AUTH_TRUST:
		login_session(c, parameters, &names);
		break;
	case AUTH_SCRAM:
		keep(c, parameters);
		login_scram_begin(c);
		break;
	case AUTH_CERT:
		check_certificate(c, parameters);
		break;
	case AUTH_REJECT:
		keep(c, parameters);
		login_deny(c, "28000", "standpipe lets nobody in from there",
			"auth.local or auth.remote is reject");
		break;
	}
}

static void take_startup(struct client *c, const struct wire_startup *startup)
{
	if (c->login && c->login->direct && !tls_named_protocol(c->stream.ssl)) {
		login_refuse(c, "08P01", "TLS without asking first needs ALPN",
			"Name the protocol \"postgresql\", as libpq 17 does.");
	} else if (startup->major != 3) {
		refuse_version(c);
	} else {
		negotiate(c, startup);
		ask_for_proof(c, startup->parameters);
	}
}

size_t client_login(struct client *c, struct bytes in)
{
	struct wire_startup startup;
	if (c->login && c->login->step != LOGIN_PACKET)
		return login_scram_take(c, in);
	if (in.at[0] == TLS_FIRST_BYTE && !c->stream.ssl) {
		begin_tls(c, in);
		return in.len;
	}
	switch (wire_startup_parse(in, &startup)) {
	case WIRE_PARTIAL:
		return 0;
	case WIRE_BAD:
		login_refuse(c, "08P01", "invalid startup packet", NULL);
		return in.len;
	case WIRE_OK:
		break;
	}
	switch (startup.kind) {
	case WIRE_STARTUP_SSL:
		answer_tls(c, (struct bytes){in.at + startup.len, in.len - startup.len});
		break;
	case WIRE_STARTUP_GSSENC:
		say_no(c, &login_of(c)->asked_gss);
		break;
	case WIRE_STARTUP_CANCEL:
		cancel(c, &startup);
		break;
	case WIRE_STARTUP_SESSION:
		take_startup(c, &startup);
		break;
	}
	return startup.len;
}
