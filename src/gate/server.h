/*
 * server - one connection to PostgreSQL: its login, what it still owes answers for, its end.
 */
#ifndef STANDPIPE_GATE_SERVER_H
#define STANDPIPE_GATE_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "gate/debt.h"
#include "gate/hub.h"
#include "io/stream.h"
#include "io/upstream.h"
#include "wire/sql.h"

/* server.unnamed, besides the ids of statements. */
#define UNNAMED_NONE    UINT64_C(0)
#define UNNAMED_UNKNOWN UINT64_MAX

/* How long a dead client's query may go on before it is cancelled, and then before its server is
 * given up. */
#define SERVER_DRAIN_NS (2 * NS_PER_S)

/* What the gate itself is doing on the server. */
enum server_errand {
	ERRAND_NONE,
	ERRAND_PING, /* Sync, to see that it is alive before a client may use it */
	ERRAND_SETUP, /* moving to the client's profile */
	ERRAND_DRAIN, /* its client has died: what it asked for is still being answered */
	ERRAND_DISCARD, /* its client had it for a session, and has gone */
	ERRAND_ROLLBACK, /* ... in a transaction, which is being rolled back */
	ERRAND_ASK, /* what its client's transaction left behind (traces.h) */
	ERRAND_RESTORE, /* after a RESET: what its client's startup packet had */
	ERRAND_CLEAN, /* what a client left behind */
};

/* The connection itself, which outlives the server's use of it until the loop lets it go. */
struct link {
	struct upstream up;
	struct stream stream;
	bool no_tcp;
	int64_t segments,
		retransmits; /* as TCP had counted when it was last asked (gate/sampling.h) */
};

struct server {
	struct hub *hub;
	int id;
	uint64_t serial; /* of the attempt that brought it */
	struct upstream_login *login; /* while logging in */
	bool awaits_token; /* before it */
	instant token_at; /* when the password that it logs in with was fetched; 0: it is the URL's */
	struct link *link; /* logged in; NULL: not */
	char status; /* of the transaction: 'I', 'T', 'E' */
	struct client *client; /* holding it; NULL: nobody */
	struct buffer in; /* the beginning of a frame to be inspected */
	struct buffer out; /* not yet taken by the socket */
	uint32_t streaming; /* bytes of the current frame still to be passed on */
	bool streaming_ours; /* ... or to be swallowed */
	struct debts debts;
	bool copying_in; /* between CopyInResponse and the CopyDone or CopyFail passed on */
	bool copy_data; /* CopyData was the last that was passed on */
	bool skipping; /* after an error: until Sync the server answers nothing */
	bool unsynced; /* a message of the extended protocol was passed on, and no Sync since */
	enum server_errand errand;
	instant errand_until; /* lost if it lasts longer */
	struct buffer reported; /* name, zero, value, zero: what the server reported last */
	struct buffer notices; /* NoticeResponse for each that it gave while it was set up */
	bool fatal; /* it said that it closes the connection */
	bool told_fatal; /* ... and its client has been told so */
	bool discarded; /* all that its client's session had, by ERRAND_DISCARD */
	bool spent; /* nobody else is to have it: it is closed when it is given back */
	bool rolled_back; /* what a dead client left, once */
	bool canceled; /* what a dead client asked for */
	char sqlstate[6]; /* of the last error, for errands and for the end */
	char complaint[ERROR_TEXT_MAX]; /* its text */
	char detail[ERROR_TEXT_MAX], hint[ERROR_TEXT_MAX]; /* of it; empty: none */
	struct gate_pool *pool; /* borrowed; NULL: not connecting, not connected */
	struct profile *profile; /* a reference into the pool's, or NULL with it */
	bool dirty; /* its settings may be other than the profile's, and more may be left there */
	uint32_t
		defaults; /* SQL_RESET, SQL_LOCAL: of what its client has sent and may be on its way */
	uint32_t
		resetting; /* the same, of a client's RESET or SET TO DEFAULT, until ReadyForQuery */
	uint32_t restoring; /* the same, since such a one in a transaction that goes on */
	uint32_t traits; /* of what its client ran since it was last asked (wire/sql.h) */
	struct buffer customs; /* the custom settings that named, each with its zero */
	struct buffer answer; /* the settings told so far: name, zero, value, zero */
	uint32_t found; /* what else was told so far: bits of enum gate_pin */
	uint64_t unnamed; /* the id of its unnamed statement, if that is known */
	bool distrusted; /* it may have other statements than we know: forgets them all before its next client */
	bool clearing; /* it was asked for what may take away all statements: DISCARD, DEALLOCATE */
	bool schema_grown; /* its client has created something, which a rollback takes away */
	bool schema_changed; /* by its client, in a transaction that has not ended */
	instant since; /* its client's oldest debt is due, or nothing is asked of it */
	instant begun_at; /* its client's transaction */
	instant overdue_at; /* when its client's query was cancelled for its limit; 0: none was */
	int cancels; /* cancel requests on their way: not to be given to another */
	char wanted
		[SQL_NAME_MAX]; /* the database that its client wants alone (databases.h); empty: none */
	bool used; /* since it was assigned, its client's bytes were sent on */
};

/* Is the gate at something that its client must wait for? */
static inline bool server_is_away(const struct server *s)
{
	return s->errand == ERRAND_PING || s->errand == ERRAND_SETUP || s->errand == ERRAND_ASK ||
	       s->errand == ERRAND_RESTORE || s->errand == ERRAND_CLEAN;
}

void server_init(struct server *s, struct hub *h, int id);
/* Closes what is open, without telling anyone: the hub is going. */
void server_shut(struct server *s);
/* After the loop has run out. */
void server_release(struct server *s);

/* Actions of the engine; all but the last in server_login.c. */
void server_connect(struct hub *h, int id, struct gate_pool *pool);
void server_redial(struct hub *h, int id);
void server_abandon(struct hub *h, int id);
void server_close(struct hub *h, int id);

/* server_login.c: the password that it may have waited for is there, or can't be had. */
void server_token_came(struct server *s, const struct error *error);

/* server_login.c: an attempt that is under way starts over: where it leads to is another place
 * now. */
void server_login_afresh(struct server *s);

/* For server_login.c: it has logged in, takes `up`; it is of its pool no more. */
void server_open(struct server *s, const struct upstream *up);
void server_part(struct server *s);

/* errand.c: the server is `c`'s now: a ping first if `ping`, then the client's profile, and when
 * that is in force client_go or client_welcomed. */
void server_attach(struct server *s, struct client *c, bool ping);

/* errand.c: its client is CLIENT_GONE: what it left behind is cleaned up, or the server closed. */
void server_detach(struct server *s);

/* errand.c: the gate is at something of its own from now on, and for no longer than a health check
 * may take: its client waits for that, and no other limit ends it on a path that carries nothing. */
void server_begin_errand(struct server *s, enum server_errand errand);

/* errand.c: it waits for a copy's data: it is told that there will be none. False: it was lost. */
bool server_refuse_copy(struct server *s, const char *why);

/* errand.c: nothing is owed. Is it its client's for as long as the session lasts? Once that is over
 * it is being made fit for another, and then it is not any more. */
bool server_is_of_session(struct server *s);

/* All that it is sure to answer is, and its client is CLIENT_GONE: ends the transaction if one is
 * open, and then the server is free. */
void server_settle_gone(struct server *s);

/* Broken, or not to be trusted any more: tells the engine, tells the client, closes. */
void server_lost(struct server *s, enum outcome outcome, const char *why);

/* Gives the server back to the pool if the transaction is over and nothing is owed. */
bool server_release_if_idle(struct server *s);

/* Sends what is in `out` and then `len` bytes at `at`, keeping what the socket does not take.
 * Returns false if the server was lost. */
bool server_send(struct server *s, const void *at, size_t len);

/* Reads on, or not, as the state of both sides asks for. */
void server_rewatch(struct server *s);

/* What clients of its profile are told at login is learned of it, unless it is known:
 * ParameterStatus for all that it reported, and what it noticed. */
void server_welcome(struct server *s);

/* PostgreSQL cancels what the server runs now. */
void server_cancel(struct server *s);

/* For the relay: the gate's own errand is over; the server reported a parameter (both false: the
 * server is lost for it); it answered with an error; it may have other statements than we know. */
bool server_errand_done(struct server *s);
bool server_parameter(struct server *s, const char *name, const char *value);
void server_complaint(struct server *s, struct bytes body);
/* It gives a notice while it is moved to its client's profile. */
void server_setup_notice(struct server *s, struct bytes body);
void server_distrust_statements(struct server *s);

/* It drains what a dead client asked for: that is cancelled now. */
void server_hurry(struct server *s);

/* Once a second. */
void server_check(struct server *s, instant now);

#endif
