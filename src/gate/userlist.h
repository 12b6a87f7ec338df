/*
 * userlist - users and what they prove themselves by, from a file as PgBouncer has it:
 *
 *	"name" "secret"
 *
 * A secret is a SCRAM verifier, as in PostgreSQL's rolpassword, or a password. A quote within a
 * text is written twice; what follows the secret is not looked at; lines that are blank or begin
 * with ; or # are left out.
 */
#ifndef STANDPIPE_GATE_USERLIST_H
#define STANDPIPE_GATE_USERLIST_H

#include "base/error.h"
#include "io/scram.h"

#define USERLIST_FILE_MAX   (64 << 20) /* bytes */
#define USERLIST_SECRET_MAX 1024

/* What a secret is good for. */
enum secret_kind {
	SECRET_VERIFIER,
	SECRET_PASSWORD,
	SECRET_MD5, /* a hash that SCRAM can't be checked against */
	SECRET_BROKEN, /* begins like a verifier and is none */
	SECRET_NONE, /* empty: no password lets this user in */
};

struct userlist_user {
	const char *name, *secret; /* in the list's text */
	enum secret_kind kind;
	int line;
	struct scram_verifier *made; /* of a password, when it was first needed; owned */
};

struct userlist {
	struct userlist_user *list; /* sorted by name */
	int count;
	char *text; /* the file's, cut into pieces; wiped when released */
	size_t text_len;
	int unusable; /* MD5 or broken ones */
	int unusable_line; /* the first of them */
};

#define USERLIST_INIT ((struct userlist){0})

/* Reads the file. 0, and `u` is that; or -1 with `error` (its origin is file:line), and `u` is as
 * it was. */
int userlist_load(struct userlist *u, const char *path, struct error *error);
void userlist_release(struct userlist *u);

/* NULL when there is no such user. Borrowed until the next load. */
struct userlist_user *userlist_find(const struct userlist *u, const char *name);

/* A copy of the user's verifier: 0, or -1 when the secret is good for none. */
int userlist_verifier(struct userlist_user *user, struct scram_verifier *v);

/* What a text is as a secret. */
enum secret_kind secret_kind_of(const char *text);
/* Why nobody comes in by it, for the log; NULL where one may. */
const char *secret_fault(enum secret_kind kind);

#endif
