/*
 * control - the few messages between PID 1 and the gate, one a datagram on a socket pair
 * (SOCK_SEQPACKET), whose descriptor the gate finds in the environment as CONTROL_FD_VARIABLE.
 *
 *   gate -> init   START           start the command
 *                  STOP            stop it: SIGTERM, then SIGKILL after the grace
 *                  EXIT code       stop what still runs and exit with `code`
 *                  STAY            the command has ended, and the gate goes on without it
 *   init -> gate   HELLO code      first message to each gate; code: enum control_command
 *                  STARTED code    the command runs, code: its pid
 *                  EXITED code     it ended; code as the shell has it (128 + signal)
 *                  RELOAD          read the configuration anew
 *                  STOPPING code   signal `code` came to end the program
 */
#ifndef STANDPIPE_BASE_CONTROL_H
#define STANDPIPE_BASE_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#define CONTROL_FD_VARIABLE "STANDPIPE_CONTROL_FD"

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
};

/* What HELLO says of the command. */
enum control_command { COMMAND_NOT_STARTED, COMMAND_RUNNING, COMMAND_ENDED };

struct control_message {
	enum control_kind kind;
	int32_t code;
};

/* 0, or -1 with errno. Never blocks (MSG_DONTWAIT) and never raises SIGPIPE. */
int control_send(int fd, const struct control_message *message);

/* 1: a message; 0: none now; -1: the other end is gone, or errno. Unknown kinds are passed over. */
int control_receive(int fd, struct control_message *message);

#endif
