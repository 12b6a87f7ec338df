/*
 * pool_login - what a pool logs in to PostgreSQL with: its database's URL, and what is different.
 */
#ifndef STANDPIPE_GATE_POOL_LOGIN_H
#define STANDPIPE_GATE_POOL_LOGIN_H

#include <stdbool.h>

#include "base/bytes.h"

struct pool_login {
	const char *database; /* NULL: the URL's */
	const char *user; /* NULL: the URL's, with its password */
	const char *password; /* of `user`; empty: none is asked for */
	struct bytes settings; /* name, zero, value, zero, ...: what sessions begin with */
};

/* Can such a setting be part of a login? One whose name is not like a name can't. */
bool pool_login_takes(struct bytes settings);

/* Does it log in to this database, as this user? NULL: as whomever. */
bool pool_login_is_for(const char *conninfo, const char *database, const char *user);

/* libpq's key=value text, malloc'ed, to be given to pool_login_free; NULL: libpq does not take
 * `conninfo`. */
char *pool_login_compose(const char *conninfo, const struct pool_login *with);
/* Wipes it, too. */
void pool_login_free(char *text);

#endif
