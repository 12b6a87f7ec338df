/*
 * control - the few messages between PID 1 and the gate, one a datagram on a socket pair
 * (SOCK_SEQPACKET), whose descriptor the gate finds in the environment as CONTROL_FD_VARIABLE.
 *
 *   gate -> init   START           start the command
 *                  STOP            stop it: SIGTERM, then SIGKILL after the grace
 *                  EXIT code       stop what still runs and exit with `code`
 *                  STAY            the command has ended, and the gate goes on without it
 *                  READY           its startup is complete, and it serves
 *                  REPLACE         start another gate in its place
 *                  CANCEL code key a cancel request for a client of another gate's
 *                  CONSOLE code    and a socket: a session with the console of worker `code`
 *   init -> gate   HELLO code key  first message to each gate; code: enum control_command, key: its
 *                                  slot
 *                  STARTED code    the command runs, code: its pid
 *                  EXITED code     it ended; code as the shell has it (128 + signal)
 *                  STOPPING code   signal `code` came to end the program
 *                  RELOAD          read the configuration anew
 *                  SUCCEED code    who else there is (enum control_succeed)
 *                  RETIRE          its successor serves: accept no more, and end when all have gone
 *                  CANCEL code key one for a client of its own
 *                  CONSOLE         and a socket: another worker's session with its console
 *
 *   CANCEL comes with the asker's connection, which each that it passes through closes once it is
 *   passed on or carried out. So its end tells the asker, as PostgreSQL's does, that what it sends
 *   from now on is not what is cancelled.
 *
 *   gate -> gate   BEQUEATH        and a descriptor: to the gate before the one that says so, which
 *                                  is about to end, and which stood in between
 *
 * The process id that a client is told, and sends back in a cancel request, says which gate has it:
 * its slot in the upper bits, the client's number there in the lower.
 */
#ifndef STANDPIPE_BASE_CONTROL_H
#define STANDPIPE_BASE_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#define CONTROL_FD_VARIABLE "STANDPIPE_CONTROL_FD"

/* Without PID 1: the same protocol between a gate and the one that takes its place. */
#define PREDECESSOR_FD_VARIABLE "STANDPIPE_PREDECESSOR_FD"

/* Which of several gates it is, from 0 (init/foreman.h). */
#define WORKER_VARIABLE "STANDPIPE_WORKER"

enum control_kind {
	CONTROL_HELLO = 1,
	CONTROL_START,
	CONTROL_STOP,
	CONTROL_EXIT,
	CONTROL_STARTED,
	CONTROL_EXITED,
	CONTROL_STOPPING,
	CONTROL_STAY,
	CONTROL_RELOAD,
	CONTROL_READY,
	CONTROL_REPLACE,
	CONTROL_SUCCEED,
	CONTROL_RETIRE,
	CONTROL_CANCEL,
	CONTROL_BEQUEATH,
	CONTROL_CONSOLE,
};

enum control_succeed {
	CONTROL_SUCCEED_NOT = -1, /* no successor has come of REPLACE */
	CONTROL_SUCCEED_FIRST, /* before HELLO: another gate serves until this one is READY */
	CONTROL_SUCCEED_ALONE, /* that gate has ended */
	CONTROL_SUCCEED_SOON, /* a successor has been started, and is not READY */
};

#define CONTROL_SLOT_BITS    15 /* the sign is left alone: clients print it */
#define CONTROL_SLOTS        (1 << CONTROL_SLOT_BITS)
#define CONTROL_SLOT_OF(pid) ((int)((uint32_t)(pid) >> 16))

/* What HELLO says of the command. */
enum control_command { COMMAND_NOT_STARTED, COMMAND_RUNNING, COMMAND_ENDED };

struct control_message {
	enum control_kind kind;
	int32_t code;
	uint32_t key;
};

/* 0, or -1 with errno. Never blocks (MSG_DONTWAIT) and never raises SIGPIPE. */
int control_send(int fd, const struct control_message *message);

/* The same with a descriptor, which stays the caller's. */
int control_send_fd(int fd, const struct control_message *message, int passed);

/* 1: a message; 0: none now; -1: the other end is gone, or errno. Unknown kinds are passed over. A
 * descriptor that came along is the caller's, in `passed`, or -1; where `passed` is NULL it is
 * closed. */
int control_receive(int fd, struct control_message *message, int *passed);

#endif
