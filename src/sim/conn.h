/*
 * conn - a connection between an instance and the database, from its first SYN to its end.
 *
 *   SYN -> TCP -> TLS -> STARTUP -> LOGIN -> LET_IN -> IDLE
 *                                                       IDLE -> ASK -> WORK -> ANSWER -> IDLE
 *                                                       IDLE -> PING -> ASK
 *   any of them before IDLE -> REFUSED
 *
 * A SYN that was dropped is sent again by the kernel after 1, 3, 7, 15 ... seconds, until somebody
 * answers or its owner dials afresh or gives up. Who owns it (sim/owner.h) is told what becomes
 * of it.
 */
#ifndef STANDPIPE_SIM_CONN_H
#define STANDPIPE_SIM_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/instant.h"
#include "core/outcome.h"

struct world;

/* Round trips of a transaction: its begin, its statement, its end. */
#define CONN_TRANSACTION_TRIPS 3

enum conn_step {
	CONN_NONE,
	CONN_SYN, /* a SYN is to be sent, or sent again */
	CONN_TCP, /* its answer is on the way */
	CONN_TLS, /* the question for TLS and its handshake are */
	CONN_STARTUP, /* the startup packet is */
	CONN_LOGIN, /* the server works on it */
	CONN_LET_IN, /* the last answer of the login is on the way */
	CONN_REFUSED, /* an error is */
	CONN_IDLE,
	CONN_PING, /* the owner wants to know whether it still works, before the query */
	CONN_ASK, /* a query is on the way */
	CONN_WORK, /* the server works on it */
	CONN_ANSWER, /* the answer is on the way */
};

struct conn {
	uint32_t serial; /* changes whenever what is still to happen to it is void */
	int32_t instance;
	int32_t id; /* its owner's name for it */
	int32_t next; /* of those that are free, or whose work waits for a core */
	int64_t work_ns;
	int32_t bytes; /* of the answer */
	int16_t machine; /* that carries its flow; -1: none does */
	uint8_t step; /* enum conn_step */
	uint8_t outcome; /* of REFUSED */
	uint8_t syns; /* sent since it was dialled last */
	bool backend; /* it holds a place at the database, */
	bool session; /* and is logged in */
	bool orphan; /* its owner has gone; the backend still works */
	bool probe; /* it is to ask the path only: it ends before the login, */
	bool asks; /* after TCP, or after the question for TLS */
};

struct conns {
	struct conn *list; /* owned */
	int count, size, free;
	int open; /* not CONN_NONE */
};

void conns_release(struct conns *conns);

/* Dials for an instance, which is told about it by `id`. */
int conn_open(struct world *w, int instance, int id);

/* The same to ask the path: it opens no session, and when it has its answer the gate is told. */
int conn_probe(struct world *w, int instance, bool asks);

/* A fresh SYN at once, on a fresh socket. The connection has no answer to its last yet, or if it
 * has, drops it. */
void conn_redial(struct world *w, int conn);

/* The owner closes it, or gives the attempt up, and hears no more of it. */
void conn_close(struct world *w, int conn);

/* A transaction of so much work and an answer of so many bytes, on one that is IDLE. */
void conn_ask(struct world *w, int conn, int64_t work_ns, int64_t bytes, bool ping);

/* It ends from outside: the owner is told. */
void conn_cut(struct world *w, int conn, enum outcome outcome);

/* What was to happen next to it happens. */
void conn_go_on(struct world *w, int conn);

/* The database has finished its work for it. */
void conn_worked(struct world *w, int conn);

/* The database has no place for it, or takes nobody now. */
void conn_refuse(struct world *w, int conn, enum outcome outcome);

/* Does it carry a session, idle or not? */
bool conn_is_up(const struct conn *c);

#endif
