/*
 * sending - one message of a client on its way to its server; between the files of relay_client.
 */
#ifndef STANDPIPE_GATE_SENDING_H
#define STANDPIPE_GATE_SENDING_H

#include "gate/client.h"
#include "gate/server.h"
#include "gate/stretch.h"

/* What became of a message. */
enum sending_progress {
	PASS, /* to be passed on as it is */
	DROP, /* not for the server */
	DONE, /* something else was put in its place */
	MORE, /* its beginning is not enough */
	BLOCKED, /* no server yet, too much under way, or earlier answers are owed first */
	FAILED, /* the client is being told, and closed */
};

struct sending {
	struct client *c;
	struct server *s;
	struct frame frame;
	struct bytes in; /* from the frame's first byte on, as far as there is */
	struct stretch stretch;
};

static inline bool sending_is_whole(const struct sending *m)
{
	return m->in.len >= m->frame.len;
}

/* Notes what the server owes for it. */
void sending_owe(struct sending *m, struct debt debt);

/* What the client asked for before is answered first; then it is told, and closed. */
enum sending_progress sending_refuse(struct sending *m, const char *sqlstate, const char *message);
enum sending_progress sending_violation(struct sending *m, const char *what);

/* Notes in `debt` what the client's unnamed statement is, which is none from now on. */
void sending_forget_unnamed(struct client *c, struct debt *debt);

/* relay_prepared.c: the messages that name prepared statements. */
enum sending_progress sending_parse(struct sending *m);
enum sending_progress sending_bind(struct sending *m);
enum sending_progress sending_target(struct sending *m, enum debt_kind kind);

#endif
