#include "gate/auth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gate/hub.h"
#include "io/entropy.h"

/* The URL's password may be one for a token, or none. */
static void take_own(struct auth *a)
{
	const char *secret = a->settings->password ? a->settings->password : "";
	if (a->own.secret && strcmp(a->own.secret, secret) != 0) {
		free(a->own.made);
		a->own.made = NULL;
	}
	a->own.name = a->settings->user;
	a->own.secret = secret;
	a->own.kind = secret_kind_of(secret);
}

/* What lets a user in to the database lets it in here. That of "*" is nobody's own. */
static void take_configured(struct auth *a)
{
	const struct gate_settings *s = a->query.hub->settings;
	struct userlist *u = &a->configured;
	userlist_release(u);
	u->list = calloc((size_t)s->users_count + 1, sizeof(*u->list));
	if (!u->list)
		abort();
	for (int i = 0; i < s->users_count; i++) {
		const struct gate_user *user = &s->users[i];
		if (user->password && *user->password && strcmp(user->name, "*") != 0)
			u->list[u->count++] = (struct userlist_user){.name = user->name,
				.secret = user->password,
				.kind = secret_kind_of(user->password)};
	}
}

static struct userlist_user *find_configured(const struct auth *a, const char *name)
{
	for (int i = 0; i < a->configured.count; i++)
		if (strcmp(a->configured.list[i].name, name) == 0)
			return &a->configured.list[i];
	return NULL;
}

int auth_check(const struct auth_settings *settings, struct error *error)
{
	struct tls tls = TLS_INIT;
	struct userlist users = USERLIST_INIT;
	int result = 0;
	if (settings->tls_mode != TLS_OFF)
		result = tls_load(&tls, &settings->tls, error);
	if (result == 0 && *settings->file)
		result = userlist_load(&users, settings->file, error);
	tls_release(&tls);
	userlist_release(&users);
	return result;
}

void auth_init(
	struct auth *a, struct hub *hub, const struct auth_settings *settings, struct log *log)
{
	*a = (struct auth){
		.settings = settings, .log = log, .tls = TLS_INIT, .users = USERLIST_INIT};
	entropy_fill(a->secret, sizeof(a->secret));
	uint8_t random[SCRAM_KEY];
	entropy_fill(random, sizeof(random));
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(a->check_password + 2 * i, 3, "%02x", random[i]);
	auth_query_init(&a->query, hub);
	take_own(a);
	take_configured(a);
}

static int load_users(struct auth *a, struct error *error)
{
	if (!*a->settings->file) {
		userlist_release(&a->users);
		return 0;
	}
	if (userlist_load(&a->users, a->settings->file, error) != 0)
		return -1;
	if (a->users.unusable > 0)
		log_warning(a->log,
			"users with MD5 hashes, or broken verifiers, can't come in by a password: "
			"store SCRAM-SHA-256 verifiers",
			field_text("file", a->settings->file),
			field_int("users", a->users.unusable),
			field_int("first_line", a->users.unusable_line));
	return 0;
}

int auth_load(struct auth *a, struct error *error)
{
	if (a->settings->tls_mode != TLS_OFF && tls_load(&a->tls, &a->settings->tls, error) != 0)
		return -1;
	return load_users(a, error);
}

int auth_reload(struct auth *a, const struct auth_settings *settings, struct error *error)
{
	static const char stays[] = "what was read before stays in force";
	int result = 0;
	struct error why;
	a->settings = settings;
	take_own(a);
	take_configured(a);
	auth_query_forget(&a->query);
	if (settings->tls_mode != TLS_OFF && tls_load(&a->tls, &settings->tls, &why) != 0) {
		log_error(a->log, stays, field_error(&why));
		*error = why;
		result = -1;
	}
	if (load_users(a, &why) != 0) {
		log_error(a->log, stays, field_error(&why));
		*error = why;
		result = -1;
	}
	return result;
}

void auth_close(struct auth *a)
{
	auth_query_close(&a->query);
}

void auth_release(struct auth *a)
{
	auth_query_release(&a->query);
	tls_release(&a->tls);
	userlist_release(&a->users);
	userlist_release(&a->configured);
	free(a->own.made);
	free(a->check.made);
	explicit_bzero(a->secret, sizeof(a->secret));
	explicit_bzero(a->check_password, sizeof(a->check_password));
}

bool auth_has_tls(const struct auth *a)
{
	return a->settings->tls_mode != TLS_OFF && a->tls.context;
}

bool auth_verifier(struct auth *a, const char *database, const char *user, struct scram_verifier *v,
	const char **fault)
{
	struct userlist_user *known = userlist_find(&a->users, user);
	if (!known && a->own.kind != SECRET_NONE && a->own.name && strcmp(user, a->own.name) == 0)
		known = &a->own;
	if (!known)
		known = find_configured(a, user);
	*fault = NULL;
	if (known && userlist_verifier(known, v) == 0)
		return true;
	*fault = known ? secret_fault(known->kind) : "there is no such user";
	if (!*fault)
		*fault = "no verifier could be made of the password";
	if (!known && *auth_query_sql(&a->query, database)) {
		switch (auth_query_find(
			&a->query, auth_query_name(&a->query, database, user), v, fault)) {
		case AUTH_QUERY_FOUND:
			return true;
		case AUTH_QUERY_UNKNOWN:
			return false;
		case AUTH_QUERY_NOBODY:
		case AUTH_QUERY_FAILED:
			break;
		}
	}
	scram_verifier_mock(a->secret, user, v);
	return true;
}

void auth_check_verifier(struct auth *a, struct scram_verifier *v)
{
	a->check.kind = SECRET_PASSWORD;
	a->check.secret = a->check_password;
	if (userlist_verifier(&a->check, v) != 0)
		scram_verifier_mock(a->secret, AUTH_CHECK_NAME, v);
}
