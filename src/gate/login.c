/* A session's beginning: from the first packet to ReadyForQuery, or the reason why not. */
#include <stdio.h>
#include <string.h>

#include "gate/client.h"
#include "gate/server.h"
#include "io/entropy.h"
#include "wire/startup.h"

static void refuse(struct client *c, const char *sqlstate, const char *message, const char *hint)
{
	c->hub->counters.client_errors++;
	client_fail(c, sqlstate, message, NULL, hint);
}

/* The answer to a client that may go on without TLS or GSS. It may ask for each once. */
static void say_no(struct client *c, bool *asked)
{
	if (*asked) {
		refuse(c, "0A000", "unsupported frontend protocol version",
			"Standpipe speaks version 3.");
		return;
	}
	*asked = true;
	client_send(c, "N", 1);
}

void client_welcomed(struct client *c)
{
	struct buffer *out = &c->out;
	struct bytes welcome = buffer_bytes(&c->profile->welcome);
	entropy_fill(&c->key, sizeof(c->key));
	message_authentication_ok(out);
	buffer_append(out, welcome.at, welcome.len);
	message_backend_key(out, (uint32_t)c->id + 1, c->key);
	message_ready(out, 'I');
	c->state = c->server ? CLIENT_ACTIVE : CLIENT_IDLE;
	client_send(c, NULL, 0);
}

static void cancel(struct client *asker, const struct wire_startup *request)
{
	struct hub *h = asker->hub;
	int id = (int)(request->pid - 1);
	struct client *c = id >= 0 && id < h->memory.clients_max ? h->clients[id] : NULL;
	/* The gate's own questions have no key. */
	if (c && !c->inquiry && c->key == request->key && c->state == CLIENT_ACTIVE && c->server &&
		c->server->errand == ERRAND_NONE)
		server_cancel(c->server);
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

static void begin_session(struct client *c, const struct wire_startup *startup)
{
	const char *name, *value, *user = NULL, *database = NULL;
	struct bytes parameters = startup->parameters;
	bool replication = false;
	negotiate(c, startup);
	while (wire_pair_next(&parameters, &name, &value)) {
		if (strcmp(name, "user") == 0)
			user = value;
		else if (strcmp(name, "database") == 0)
			database = value;
		else if (strcmp(name, "replication") == 0)
			replication = strcmp(value, "0") != 0 && strcmp(value, "false") != 0 &&
				      strcmp(value, "off") != 0 && strcmp(value, "no") != 0;
	}
	if (!user || !*user) {
		refuse(c, "28000", "no PostgreSQL user name specified in startup packet", NULL);
		return;
	}
	if (!database || !*database)
		database = user;
	if (replication) {
		refuse(c, "0A000", "standpipe does not serve replication connections",
			"Connect to the database itself for replication.");
		return;
	}
	struct pools_refusal why = {0};
	struct gate_pool *pool = pools_find(c->hub, database, user, &why);
	if (!pool || pools_enter(c, pool, startup->parameters, &why) != 0) {
		refuse(c, why.sqlstate, why.message, *why.hint ? why.hint : NULL);
		return;
	}
	if (buffer_len(&c->profile->welcome) > 0) {
		client_welcomed(c);
		return;
	}
	/* What the server will report in this profile is learned from a server. */
	c->state = CLIENT_LOGIN;
	hub_tell(c->hub, (struct engine_event){.kind = EVENT_CLIENT_WAITS, .client = c->id});
}

size_t client_login(struct client *c, struct bytes in)
{
	struct wire_startup startup;
	switch (wire_startup_parse(in, &startup)) {
	case WIRE_PARTIAL:
		return 0;
	case WIRE_BAD:
		refuse(c, "08P01", "invalid startup packet", NULL);
		return in.len;
	case WIRE_OK:
		break;
	}
	switch (startup.kind) {
	case WIRE_STARTUP_SSL:
		say_no(c, &c->asked_tls);
		break;
	case WIRE_STARTUP_GSSENC:
		say_no(c, &c->asked_gss);
		break;
	case WIRE_STARTUP_CANCEL:
		cancel(c, &startup);
		break;
	case WIRE_STARTUP_SESSION:
		if (startup.major != 3)
			refuse(c, "0A000", "unsupported frontend protocol version",
				"Standpipe speaks version 3.");
		else
			begin_session(c, &startup);
		break;
	}
	return startup.len;
}
