/* The proof of a password, by SCRAM. */
#include <stdio.h>
#include <string.h>

#include "gate/login.h"
#include "io/tls.h"
#include "wire/frame.h"
#include "wire/message.h"

static struct scram_binding binding_of(const struct client *c)
{
	struct scram_binding binding = {.len = 0};
	_Static_assert(sizeof(binding.bytes) == TLS_BINDING_MAX, "one holds the other");
	if (c->stream.ssl)
		binding.len = tls_binding(c->stream.ssl, binding.bytes);
	return binding;
}

static void ask(struct client *c, const struct scram_verifier *v)
{
	static const char *const mechanisms[] = {SCRAM_PLUS_NAME, SCRAM_NAME, NULL};
	struct login *l = c->login;
	struct scram_binding binding = binding_of(c);
	scram_init(&l->scram, v, &binding);
	l->step = LOGIN_SCRAM_FIRST;
	message_authentication_sasl(&c->out, mechanisms + (binding.len > 0 ? 0 : 1));
	client_send(c, NULL, 0);
}

static struct auth_query_name looked_up(const struct client *c)
{
	const struct login_names *names = &c->login->names;
	return auth_query_name(&c->hub->auth.query, names->database, names->user);
}

void login_scram_begin(struct client *c)
{
	struct login *l = c->login;
	struct auth *a = &c->hub->auth;
	struct scram_verifier v;
	if (l->names.is_check) {
		auth_check_verifier(a, &v);
	} else if (!auth_verifier(a, l->names.database, l->names.user, &v, &l->fault)) {
		l->step = LOGIN_LOOKUP;
		auth_query_ask(&a->query, looked_up(c), c);
		return;
	}
	ask(c, &v);
	explicit_bzero(&v, sizeof(v));
}

void login_answered(struct client *c, enum auth_query_result result, const struct scram_verifier *v,
	const char *fault)
{
	struct login *l = c->login;
	struct scram_verifier mock;
	if (c->state != CLIENT_STARTUP)
		return;
	switch (result) {
	case AUTH_QUERY_FOUND:
		ask(c, v);
		break;
	case AUTH_QUERY_NOBODY:
		l->fault = fault;
		scram_verifier_mock(c->hub->auth.secret, l->names.user, &mock);
		ask(c, &mock);
		break;
	case AUTH_QUERY_FAILED:
	case AUTH_QUERY_UNKNOWN:
		client_fail(c, "57P03", "standpipe can't look up the user now", NULL,
			"Its log says why.");
		return;
	}
	client_work(c); /* what it has sent meanwhile */
}

static void deny(struct client *c)
{
	char message[ERROR_TEXT_MAX];
	const struct login *l = c->login;
	snprintf(message, sizeof(message), "password authentication failed for user \"%.100s\"",
		l->names.user);
	auth_query_doubt(&c->hub->auth.query, looked_up(c));
	login_deny(c, "28P01", message, l->fault ? l->fault : "wrong password");
}

static void take_first(struct client *c, struct bytes body)
{
	struct login *l = c->login;
	struct buffer answer = BUFFER_INIT;
	struct message_sasl m;
	struct error error;
	if (message_parse_sasl(body, &m) != 0 || !m.data.at) {
		login_refuse(c, "08P01", "malformed SASLInitialResponse", NULL);
		return;
	}
	bool plus = strcmp(m.mechanism, SCRAM_PLUS_NAME) == 0 && l->scram.binding.len > 0;
	if (!plus && strcmp(m.mechanism, SCRAM_NAME) != 0) {
		login_refuse(c, "08P01", "client selected an invalid SASL authentication mechanism",
			NULL);
		return;
	}
	if (scram_first(&l->scram, plus, m.data, NULL, &answer, &error) != SCRAM_GO_ON) {
		login_refuse(c, error.sqlstate, error.text, NULL);
	} else {
		l->step = LOGIN_SCRAM_FINAL;
		message_authentication_sasl_continue(&c->out, buffer_bytes(&answer));
		client_send(c, NULL, 0);
	}
	buffer_release(&answer);
}

static void take_final(struct client *c, struct bytes body)
{
	struct login *l = c->login;
	struct buffer answer = BUFFER_INIT;
	struct error error;
	switch (scram_final(&l->scram, body, &answer, &error)) {
	case SCRAM_GO_ON:
		message_authentication_sasl_final(&c->out, buffer_bytes(&answer));
		login_session(c, buffer_bytes(&l->startup), &l->names);
		break;
	case SCRAM_DENIED:
		deny(c);
		break;
	case SCRAM_BAD:
		login_refuse(c, error.sqlstate, error.text, NULL);
		break;
	}
	buffer_release(&answer);
}

size_t login_scram_take(struct client *c, struct bytes in)
{
	struct frame frame;
	if (c->login->step == LOGIN_LOOKUP)
		return 0;
	enum wire_result result = frame_parse(in, &frame);
	if (result == WIRE_PARTIAL)
		return 0;
	if (result == WIRE_OK && frame.type != MSG_PASSWORD) {
		login_refuse(c, "08P01", "expected SASL response", NULL);
		return in.len;
	}
	if (result == WIRE_BAD || frame.len > FRAME_HEADER + SCRAM_MESSAGE_MAX) {
		login_refuse(c, "08P01", "invalid message length", NULL);
		return in.len;
	}
	if (in.len < frame.len)
		return 0;
	if (c->login->step == LOGIN_SCRAM_FIRST)
		take_first(c, frame_body(in, &frame));
	else
		take_final(c, frame_body(in, &frame));
	return frame.len;
}
