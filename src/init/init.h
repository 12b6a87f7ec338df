/*
 * init - a tiny PID 1: it starts the gate, starts the command when the gate says so, hands every
 * signal on, reaps everything, and ends with the right exit code.
 *
 * It holds no TLS, SQL or HTTP, so that there is little in it that can fail. The listening sockets
 * are bound here and stay bound while gates come and go: no connect is ever refused.
 *
 * - The gate is started first (init/keeper.h) and gets the listeners as systemd gives them
 * (LISTEN_FDS,
 *   LISTEN_FDNAMES, LISTEN_PID) and one end of a socket pair (base/control.h). If it dies it is
 *   started again after 100 ms, doubling to 5 s; the command lives on and the new gate's HELLO says
 *   so. A gate that ends before it ever says a word, several times in a row and with no command
 *   running, ends the program with its code.
 * - SIGTERM, SIGINT and SIGQUIT end the program: forwarded to the command's process group, told to
 *   the gate (STOPPING), and SIGKILL for the group after the grace. A terminal that hangs up does
 *   so as long as there is no command.
 * - SIGHUP from anybody else has the gate read its configuration anew (RELOAD); the command gets
 * it,
 *   too, if it has a handler for it: to the others it would be the end.
 * - Every other signal that can be caught is forwarded and nothing else.
 * - When the command has ended the gate is told and answers with the exit code, or that it stays
 *   without the command, or with another start. Without an answer within 2 s the program ends with
 *   the command's own code, or 128 + its signal.
 * - On a terminal the command is the foreground process group; when it is stopped by ^Z, so is the
 *   program, and both go on together.
 * - Nothing outlives it: the gate has SIGKILL as its parent-death signal, the command SIGTERM.
 */
#ifndef STANDPIPE_INIT_INIT_H
#define STANDPIPE_INIT_INIT_H

#include <stdbool.h>
#include <stdint.h>

#define INIT_LISTENERS_MAX 16

enum init_severity { INIT_INFO, INIT_WARNING, INIT_ERROR };

/* `text` is one line without its end, borrowed for the call. */
typedef void init_report(void *context, enum init_severity severity, const char *text);

struct init_listener {
	const char *name; /* as LISTEN_FDNAMES has it: no colon */
	int fd; /* bound and listening; stays the caller's */
	bool command; /* the command inherits it too */
	bool unheard; /* bound only: to listen when its gate is started (foreman.h) */
};

/* Everything is borrowed until init_run returns. */
struct init_settings {
	const char *gate_path; /* NULL: this program's own file */
	const char *const *gate_argv; /* NULL-ended */
	const char *const *gate_environment; /* NULL-ended; LISTEN_* and the control fd are added */
	const char *const *command_argv; /* NULL-ended; searched in the PATH of its environment */
	const char *const *command_environment;
	struct init_listener listeners[INIT_LISTENERS_MAX];
	int listeners_count;
	int64_t grace_ns; /* from SIGTERM to SIGKILL */
	init_report *report;
	void *context;
};

/* Runs until all is over; gives the exit code. Once a process, from its only thread. Signals are
 * still blocked when it returns: all that is left to do is to exit. */
int init_run(const struct init_settings *settings);

#endif
