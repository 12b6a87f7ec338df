/*
 * keeper - keeps one gate alive: starts it, starts it again when it dies, and replaces it by a new
 * one without a gap.
 *
 * A gate that dies is started again after 100 ms, doubling to 5 s. One that ends before it ever
 * says a word, several times in a row, is hopeless.
 *
 * To be replaced, a gate asks for it (REPLACE) or its keeper's owner does. A second gate is started
 * on the same sockets; the first one serves on until the second says READY, and is then told to
 * RETIRE: it accepts no more, and ends when its clients have gone. If the second ends before it is
 * READY the first goes on as if nothing had been.
 *
 * Cancel requests come to whoever accepts, who need not be who has the client: each gate has a
 * slot, which its clients' keys name, and CANCEL is passed on to the gate in that slot.
 */
#ifndef STANDPIPE_INIT_KEEPER_H
#define STANDPIPE_INIT_KEEPER_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/control.h"
#include "base/instant.h"
#include "init/init.h"

/* Replaced gates that still have clients; a further replacement waits until one has ended. */
#define KEEPER_RETIRED_MAX 16

/* The current one, the one to come, and those that retire. */
#define KEEPER_GATES_MAX (KEEPER_RETIRED_MAX + 2)

/* Everything is borrowed for the keeper's life. */
struct keeper_settings {
	const char *name; /* "the gate", for reports */
	const char *path; /* NULL: this program's own file, as it is now */
	const char *const *argv;
	const char *const *environment;
	const struct init_listener *listeners;
	int listeners_count;
	const sigset_t *mask; /* the signal mask of the gates */
	const struct sigaction *child_action;
	init_report *report;
	void *context;
	int *slots; /* the slot given out last; shared by keepers whose gates are siblings */
};

struct keeper_gate {
	pid_t pid; /* 0: none */
	int control; /* our end of the socket pair; -1: closed */
	int slot;
	bool heard; /* it has sent a message */
	bool ready; /* it has said READY */
	instant born, kill_at;
};

struct keeper {
	const struct keeper_settings *settings;
	struct keeper_gate current, next, retired[KEEPER_RETIRED_MAX];
	int silent; /* how many in a row ended unheard */
	int64_t backoff_ns;
	instant start_at; /* INSTANT_NEVER: not to be started */
	bool ending; /* none is started any more */
};

/* What its owner is to know after keeper_reaped. */
enum keeper_loss {
	KEEPER_NOT_MINE, /* it was no gate of this keeper's */
	KEEPER_EXPECTED, /* retired, or a successor that failed: the current one goes on */
	KEEPER_LOST, /* the current one: start_at tells when the next comes */
	KEEPER_HOPELESS, /* and none is to come */
};

void keeper_init(struct keeper *k, const struct keeper_settings *settings);

/* Starts the gate. `command` and `stop_signal` (0: none) are what it is told first. 0; or its exit
 * code when it can't be started, and it makes no sense to try on. */
int keeper_start(struct keeper *k, enum control_command command, int stop_signal, instant now);

/* Starts a successor. 0, or -1: one is on its way, there is nobody to succeed, or too many
 * retire. */
int keeper_replace(struct keeper *k, enum control_command command, instant now);

/* Tells the current gate, and the one to come. A gate that does not read is dealt with by time. */
void keeper_tell(const struct keeper *k, enum control_kind kind, int code);

/* The next message of the current gate that is not the keeper's own business; false: none now. A
 * descriptor that came along is the caller's, in `passed`, or -1. */
bool keeper_message(struct keeper *k, struct control_message *message, int *passed,
	enum control_command command, instant now);

/* A child has ended. `give_up`: it is not worth to start a silent one again for ever. */
enum keeper_loss keeper_reaped(struct keeper *k, pid_t pid, int status, bool give_up, instant now);

/* Passes a cancel request on to its gates, with the asker's connection, which stays the caller's (-1:
 * none); false: the slot in it is none of theirs. (It may have a backend's process id, which names
 * no slot.) */
bool keeper_cancel(const struct keeper *k, const struct control_message *message, int asker);

/* Brings a message with a descriptor, which stays the caller's, to the current gate, once that is READY;
 * else nothing. */
void keeper_bring(const struct keeper *k, const struct control_message *message, int passed);

/* Ends all gates by SIGTERM, and SIGKILL after `patience_ns`. */
void keeper_end(struct keeper *k, int64_t patience_ns, instant now);
/* Sends a signal to all gates. */
void keeper_signal(const struct keeper *k, int signal_number);
/* Is one alive? */
bool keeper_is_alive(const struct keeper *k);

/* When keeper_tick is due; INSTANT_NEVER. */
instant keeper_deadline(const struct keeper *k);
/* Kills who is late. Starting is the owner's: now >= start_at. */
void keeper_tick(struct keeper *k, instant now);

/* Descriptors to wait on for messages: at most KEEPER_GATES_MAX are written; how many. */
int keeper_descriptors(const struct keeper *k, int *fds);

#endif
