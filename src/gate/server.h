/*
 * server - one connection to PostgreSQL: its login, what it still owes answers for, its end.
 */
#ifndef STANDPIPE_GATE_SERVER_H
#define STANDPIPE_GATE_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "gate/hub.h"
#include "io/stream.h"
#include "io/upstream.h"

/* What the server owes an answer for, in the order in which it was asked. */
enum debt_kind {
	DEBT_SYNC, /* ReadyForQuery */
	DEBT_QUERY, /* anything, until ReadyForQuery */
	DEBT_PARSE, /* ParseComplete */
	DEBT_BIND, /* BindComplete */
	DEBT_DESCRIBE, /* RowDescription or NoData */
	DEBT_EXECUTE, /* CommandComplete, EmptyQueryResponse or PortalSuspended */
	DEBT_CLOSE, /* CloseComplete */
};

struct debt {
	uint8_t kind;
	bool ours; /* asked by the gate: its answer is not for the client */
	bool local; /* not asked of the server at all: the gate answers in its turn */
	bool unnamed; /* PARSE: of the unnamed statement */
	uint32_t serial; /* PARSE: the client's definition of the name, 0: none */
	struct statement *statement; /* PARSE: what is being prepared here, NULL: nothing of ours */
};

/* The most that one client may have asked for without reading the answers. */
#define DEBTS_MAX 65536

struct debts {
	struct debt *ring;
	uint32_t first, count, size;
};

struct debt *debts_first(struct debts *d); /* NULL: none */
void debts_add(struct debts *d, struct debt debt);
void debts_add_first(struct debts *d, struct debt debt);
void debts_drop_first(struct debts *d);

/* What the gate itself is doing on the server. */
enum server_errand {
	ERRAND_NONE,
	ERRAND_PING, /* Sync, to see that it is alive before a client may use it */
	ERRAND_SETUP, /* moving to the client's profile */
	ERRAND_DRAIN, /* its client has died: what it asked for is still being answered */
	ERRAND_ROLLBACK, /* ... in a transaction, which is being rolled back */
};

/* The connection itself, which outlives the server's use of it until the loop lets it go. */
struct link {
	struct upstream up;
	struct stream stream;
};

struct server {
	struct hub *hub;
	int id;
	uint64_t serial; /* of the attempt that brought it */
	struct upstream_login *login; /* while logging in */
	struct link *link; /* logged in; NULL: not */
	char status; /* of the transaction: 'I', 'T', 'E' */
	struct client *client; /* holding it; NULL: nobody */
	struct buffer in; /* the beginning of a frame to be inspected */
	struct buffer out; /* not yet taken by the socket */
	uint32_t streaming; /* bytes of the current frame still to be passed on */
	bool streaming_ours; /* ... or to be swallowed */
	struct debts debts;
	bool copying_in; /* between CopyInResponse and CopyDone or CopyFail */
	bool skipping; /* after an error: until Sync the server answers nothing */
	enum server_errand errand;
	instant errand_until; /* lost if it lasts longer */
	struct buffer reported; /* name, zero, value, zero: what the server reported last */
	char sqlstate[6]; /* of the last error, for errands and for the end */
	char complaint[ERROR_TEXT_MAX]; /* its text */
	struct profile *profile; /* a reference */
	bool dirty; /* a client SET what no profile knows of */
	uint64_t dirty_by; /* that client's serial; 0: it is not even as that client wants it */
	bool resetting; /* since a client's RESET, until ReadyForQuery */
	const struct statement *unnamed; /* compared, never followed */
	int prepared; /* how many statements of ours it holds */
	int cancels; /* cancel requests on their way: not to be given to another */
	bool used; /* since it was assigned, its client's bytes were sent on */
};

void server_init(struct server *s, struct hub *h, int id);
/* Closes what is open, without telling anyone: the hub is going. */
void server_shut(struct server *s);
/* After the loop has run out. */
void server_release(struct server *s);

/* Actions of the engine. */
void server_connect(struct hub *h, int id);
void server_redial(struct hub *h, int id);
void server_abandon(struct hub *h, int id);
void server_close(struct hub *h, int id);

/* The server is `c`'s now: a ping first if `ping`, then the client's profile, then client_go or
 * client_welcomed. */
void server_attach(struct server *s, struct client *c, bool ping);

/* Its client is CLIENT_GONE: what it left behind is cleaned up, or the server closed. */
void server_detach(struct server *s);

/* Broken, or not to be trusted any more: tells the engine, tells the client, closes. */
void server_lost(struct server *s, enum outcome outcome, const char *why);

/* Gives the server back to the pool if the transaction is over and nothing is owed. */
bool server_release_if_idle(struct server *s);

/* Sends what is in `out` and then `len` bytes at `at`, keeping what the socket does not take.
 * Returns false if the server was lost. */
bool server_send(struct server *s, const void *at, size_t len);

/* Reads on, or not, as the state of both sides asks for. */
void server_rewatch(struct server *s);

/* PostgreSQL cancels what the server runs now. */
void server_cancel(struct server *s);

/* For the relay: the gate's own errand is over (false: the server is lost for it); the server
 * reported a parameter; it answered with an error. */
bool server_errand_done(struct server *s);
void server_parameter(struct server *s, const char *name, const char *value);
void server_complaint(struct server *s, struct bytes body);

/* Once a second. */
void server_check(struct server *s, instant now);

#endif
