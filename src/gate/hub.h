/*
 * hub - what clients and servers meet in: the engine, the tables of ids, what they share.
 *
 * Whoever has something to tell the engine calls hub_tell; the hub carries out what the engine
 * then wants, by calling the verbs of client.h and server.h, and those of `duties` for what is not
 * about sessions. Telling from inside an action is fine: it is taken in afterwards, in order.
 */
#ifndef STANDPIPE_GATE_HUB_H
#define STANDPIPE_GATE_HUB_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/buffer.h"
#include "base/error.h"
#include "core/engine.h"
#include "gate/auth.h"
#include "gate/holds.h"
#include "gate/log.h"
#include "gate/pools.h"
#include "gate/settings.h"
#include "gate/statement.h"
#include "gate/token.h"
#include "gate/view.h"
#include "io/light_probe.h"
#include "io/reactor.h"

/* More than this waiting to be sent to one side, and the other is not read from. */
#define HUB_HIGH_WATER ((size_t)256 * 1024)

struct client;
struct server;
struct watch;

enum hub_shutdown {
	SHUTDOWN_NOW,
	SHUTDOWN_AFTER_SERVERS, /* when no transaction is under way any more */
	SHUTDOWN_AFTER_CLIENTS, /* when all clients have gone */
};

/* What the hub's owner does about actions that are not about sessions. */
struct hub_duties {
	void (*action)(void *context, const struct engine_action *action);
	/* For the console; NULL: it can't do that here. Reads the settings anew: 0, or -1 with
	 * `error`, and nothing has changed. */
	int (*reload)(void *context, struct error *error);
	int (*set)(void *context, const char *key, const char *value, struct error *error);
	void (*shutdown)(void *context, enum hub_shutdown how);
	/* Brings the socket, borrowed, to the console of another worker. 0, or -1 with errno. */
	int (*console)(void *context, int worker, int fd);
	/* A cancel request for a client of another gate's, with the asker's connection, borrowed. */
	void (*cancel)(void *context, uint32_t pid, uint32_t key, int asker);
	void *context;
};

/* How much of what the settings allow this gate takes. */
enum hub_part {
	HUB_WHOLE,
	HUB_HALF, /* the gate before it, or after it, takes the other */
	HUB_GOES, /* half, and nothing is kept that is not in use */
};

struct hub {
	struct reactor *reactor; /* borrowed */
	uv_loop_t *loop; /* the reactor's */
	const struct gate_settings *settings; /* borrowed */
	struct log *log; /* borrowed */
	struct log_limit refusals,
		failures; /* lines on clients that are turned away; on connects */
	struct hub_duties duties;

	struct engine engine;
	struct engine_memory memory;
	struct engine_event *told; /* events not yet taken in */
	int told_count, told_size;
	bool stepping;
	uv_timer_t timer; /* to the engine's deadline */
	uv_timer_t housekeeping;
	uv_timer_t vacating; /* gate/databases.h */
	instant second_at; /* what is done once a second is due */
	instant timer_at;
	instant now; /* as hub_now has it */
	uint64_t turn_ms; /* libuv's clock when it was read */
	bool turned; /* the loop has gone on since */

	struct client **clients; /* by id; NULL: free */
	uint16_t *id_turns; /* by client id: tells those that have it one after the other apart */
	int *free_ids; /* a stack of client ids */
	int free_count;
	int *parked_ids; /* free once the events told are taken in */
	int parked_count;
	int clients_allowed; /* pool.clients, when it started */
	struct server *servers; /* by id */
	uint64_t client_serial;
	int slot; /* of this gate among those that its clients may take it for (base/control.h) */
	enum hub_part part;
	bool draining; /* clients go when their transaction is over (gate/drain.h) */

	int consoles_waiting; /* for a command's end */
	struct holds holds; /* what the console has paused */
	instant stats_at, stats_before_at; /* the ends of the last two periods */

	struct light_probe *probe; /* under way; NULL: none */
	unsigned probe_turn; /* of the places, the one that the next begins with */

	struct statements statements;
	struct pools pools;
	struct token token;
	struct watch *watch; /* owned */
	struct auth auth; /* nothing is read yet: auth_load */

	struct gate_attempt_error attempt_errors[ENGINE_ATTEMPTS_MAX];
	struct error database_error; /* the last failed attempt's or lost server's */
	struct histogram connect_times[STAGE_COUNT];
	struct gate_counters counters;
	int sampling_next; /* the server whose TCP is asked next */
	int64_t bytes_in_told, bytes_out_told; /* the counters when the path was last told */
	instant bytes_told_at;
};

/* 0, or -1 when there is no memory for the tables. `seed` is the engine's. */
int hub_init(struct hub *h, struct reactor *reactor, const struct gate_settings *settings,
	struct log *log, const struct hub_duties *duties, uint64_t seed);

/* Closes all sessions; hub_release may be called once the reactor has drained. */
void hub_close(struct hub *h);
void hub_release(struct hub *h);

/* Now, to within a turn of the loop, without asking the clock in between. */
instant hub_now(struct hub *h);

/* Fills in `now` and takes the event in. */
void hub_tell(struct hub *h, struct engine_event event);

/* Other settings are in force from now on; those before may go when this returns, but for what a
 * phase of the startup works with. Not from inside an action. */
void hub_configure(struct hub *h, const struct gate_settings *settings);

/* Takes another part from now on. */
void hub_share(struct hub *h, enum hub_part part);

/* Every server connection of the group, POOL_NOBODY: of all, is replaced by a fresh one when it is
 * free. */
void hub_reconnect(struct hub *h, int group);

/* A client id, or -1 when there are none left. There are more than pool.clients: some for the
 * gate's own questions, and some for who may yet ask for the console or for a cancel
 * (client.surplus). */
int hub_take_id(struct hub *h, bool ours);
void hub_give_id(struct hub *h, int id);

#endif
