/*
 * client - one session towards a client: its startup, its wait for a server, its end; or a
 * question of the gate's own, which waits for a server like everyone else.
 */
#ifndef STANDPIPE_GATE_CLIENT_H
#define STANDPIPE_GATE_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "gate/hub.h"
#include "io/stream.h"
#include "wire/frame.h"
#include "wire/message.h"

enum client_state {
	CLIENT_STARTUP, /* its startup packet has not come */
	CLIENT_LOGIN, /* waits for a server to learn what its profile's parameters are */
	CLIENT_IDLE, /* no server, nothing asked */
	CLIENT_QUEUED, /* waits for a server */
	CLIENT_ACTIVE, /* holds one */
	CLIENT_CONSOLE, /* talks to the gate itself, and never has a server */
	CLIENT_CLOSING, /* sends what is left and is gone */
	CLIENT_GONE, /* only its server or its handle still knows of it */
};

/* The gate's own question: a text of SQL, answered by its last row's columns. */
#define INQUIRY_COLUMNS_MAX 8
struct inquiry {
	const char *sql; /* borrowed */
	const char *parameter; /* $1 in it, borrowed; NULL: it has none */
	const char *database; /* in which, as its URL's user, borrowed; NULL: the gate's own */
	const char *search_path; /* to be in force for it, borrowed; NULL: the gate's own */
	/* `columns`: texts that are not terminated, count of them (0: no row), borrowed for the
	 * call. `error` is NULL when all is well. The client is freed afterwards. */
	void (*answered)(
		void *context, const struct bytes *columns, int count, const struct error *error);
	void *context;
	struct client *asker; /* while it is under way; client_inquire sets it */
	struct buffer row;
	struct error error;
};

/* A client's unnamed statement that is too large to be prepared anew elsewhere. */
enum big_unnamed {
	BIG_NONE,
	BIG_PARSED, /* and to be bound: until then it keeps its server */
	BIG_BOUND,
};

struct client {
	struct hub *hub;
	int id;
	uint32_t pid, key; /* told at its login, for cancel requests */
	uint64_t serial;
	enum client_state state;
	bool reading; /* its bytes are being worked on further up the stack */
	bool closed; /* its stream is, or it has none */
	bool blocked; /* bytes of it wait in `in` until it is not held any more */
	bool skipping; /* what it asked for was cancelled before it went: all of it up to its Sync is dropped */
	bool awaits_shape; /* what its next message names is being looked at (relay_shape.c) */
	bool unsure; /* what its next message is about depends on answers that are to come */
	bool knows_backend; /* it has asked for pg_backend_pid */
	bool awaits_all; /* its next message is sent when all is answered */
	bool leaving; /* it said goodbye, or nonsense: what it is owed comes first */
	uint8_t big_unnamed; /* its unnamed statement is too large to be remembered (enum big_unnamed) */
	bool surplus; /* beyond pool.clients when it came: the console is open to it, and nothing else */
	bool told_loss; /* the log says that something of its session was lost */
	uint8_t pins; /* why it keeps its server: bits of enum gate_pin */
	struct stream stream;
	bool moved; /* bytes of it came or went since it was last looked at */
	uint16_t stalled_s; /* none did for so many seconds, though some should have */
	instant since; /* in STARTUP, CLOSING or IDLE, or the last byte in IDLE */
	instant connected_at;
	struct server *server;
	struct gate_pool *pool; /* borrowed; NULL before the startup packet */
	uint8_t mode; /* enum pool_mode: the pool's when it entered */
	struct pool_user *user; /* a reference; NULL before that, and without one */
	struct profile *profile; /* a reference into the pool's; NULL without a pool */
	struct profile
		*origin; /* the same, as its startup packet had it: what RESET goes back to */
	struct buffer in; /* read and not passed on */
	struct buffer out; /* not yet taken by the socket */
	uint32_t streaming; /* bytes of the current frame still to be passed on */
	bool streaming_void; /* ... or to be dropped */
	struct statement_names names;
	struct statement *unnamed; /* a reference, or NULL */
	struct inquiry *inquiry; /* NULL: a real client */
	struct login *login; /* until its session begins, from when it is needed; NULL else */
	struct console *console; /* owned, of CLIENT_CONSOLE; NULL */
};

/* What one that is too many is told: SQLSTATE and message; a hint. */
#define CLIENT_SURPLUS      "53300", "standpipe has no room for more clients"
#define CLIENT_SURPLUS_HINT "Raise pool.clients, or open fewer connections."

/* Takes over the accepted socket. */
void client_accept(struct hub *h, int fd);
/* The same for one that may use the ids that are kept for the gate's own questions; NULL when there is
 * none left, and the socket is closed. */
struct client *client_accept_ours(struct hub *h, int fd);

/* A client without a session yet, in the tables; `ours`: for the gate's own question, which may use
 * the ids that are kept for those. NULL when there is no id left. */
struct client *client_new(struct hub *h, bool ours);

/* What it says before its session begins (login.c): how much of `in` was used, 0 for more to come. */
size_t client_login(struct client *c, struct bytes in);
/* The connection broke before its session began: what there is to say of that. */
void client_login_broke(struct client *c);
void client_login_release(struct client *c);
/* Does it wait for what the gate has to find out first? */
bool client_login_waits(const struct client *c);

/* Gives it the process id and the key that it is to be told. */
void client_identify(struct client *c);
/* A cancel request with a process id and a key that may be wrong, or another gate's: false then. */
bool client_cancel(struct hub *h, uint32_t pid, uint32_t key);

/* Asks the database (inquiry.c); `patient`: without a limit on the wait for a server. `inquiry` is borrowed
 * until it is answered. NULL when there is no client id left, or its database is not served. */
struct client *client_inquire(struct hub *h, struct inquiry *inquiry, bool patient);
/* The inquiry is not wanted any more: nothing is answered. */
void client_inquiry_cancel(struct client *c);

/* It has been answered, or `error` says why not (NULL: well); the client is gone. */
void client_inquiry_end(struct client *c, const struct error *error);

/* It has a server: now it is asked. */
void client_inquiry_ask(struct client *c);

/* For the relay: a message that is for the inquiry. */
void client_inquiry_take(struct client *c, const struct frame *frame, struct bytes body);

/* May its server change with every transaction? */
static inline bool client_is_transactional(const struct client *c)
{
	return !c->inquiry && c->mode != POOL_SESSION;
}

/* Actions of the engine. */
void client_assigned(struct client *c, struct server *s, bool ping);
/* rejection.c */
void client_rejected(struct client *c, const struct engine_action *action);

/* The server is ready for the client's own bytes (no ping, no failed setup in between). */
void client_go(struct client *c);
/* The profile is in force: the login can be answered. */
void client_welcomed(struct client *c);
/* Nothing holds it any more: its id is free, its memory goes. */
void client_reap(struct client *c);

/* The server has been released; the client may want another. */
void client_released(struct client *c);
/* The ping failed: the client waits again. */
void client_requeued(struct client *c);

/* Sends bytes, keeping what the socket does not take. */
void client_send(struct client *c, const void *at, size_t len);

/* Says why, and closes once it is sent. `detail`, `hint` may be NULL. */
void client_fail(struct client *c, const char *sqlstate, const char *message, const char *detail,
	const char *hint);

/* Nothing of it is under way: no transaction, no answer to come, nothing that it has sent. */
bool client_is_between(const struct client *c);
/* Standpipe is going: says so, and closes. Not for the gate's own questions, which it lets pass. */
void client_dismiss(struct client *c);

/* Closes once all is sent; at once if it holds a server. */
void client_finish(struct client *c);

/* Closes without a word. */
void client_drop(struct client *c);

void client_rewatch(struct client *c);

/* Must it wait before anything more of it is passed on? */
bool client_is_held(const struct client *c);

/* What held it may be over: works on if so. */
void client_go_on(struct client *c);

/* Works on what has been read and not passed on. */
void client_work(struct client *c);

#endif
